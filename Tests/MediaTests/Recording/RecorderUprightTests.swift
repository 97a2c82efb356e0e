import Foundation
import Primitives
import Testing

@testable import Media

/// Pictures that come on their side.
@Suite struct RecorderUprightTests {
    /// Left half dark, right half bright, so that a turn shows.
    private func picture(_ number: Int) -> VideoFrame? {
        let line = [UInt8](repeating: 30, count: 32) + [UInt8](repeating: 200, count: 32)
        let bytes = (0..<48).flatMap { _ in line } + [UInt8](repeating: 128, count: 64 * 48 / 2)
        return VideoFrame(width: 64, height: 48, bytes: bytes, time: .milliseconds(Int64(number) * 40))
    }

    @Test func turningMovesEveryCorner() throws {
        let frame = try #require(
            VideoFrame(width: 4, height: 2, bytes: [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 20, 21]))
        let right = frame.turned(quarters: 1)
        #expect(right.width == 2 && right.height == 4)
        #expect(right.bytes == [5, 1, 6, 2, 7, 3, 8, 4, 10, 11, 20, 21])
        #expect(frame.turned(quarters: 2).bytes == [8, 7, 6, 5, 4, 3, 2, 1, 11, 10, 21, 20])
        #expect(frame.turned(quarters: 3).bytes == [4, 8, 3, 7, 2, 6, 1, 5, 11, 10, 21, 20])
        #expect(frame.turned(quarters: 1).turned(quarters: 3) == frame)
        #expect(frame.turned(quarters: 4) == frame)
    }

    /// Records pictures of given orientations, a keyframe each 25, and decodes what was written.
    private func record(
        _ turns: (Int) -> UInt8, count: Int = 75
    ) throws -> (pictures: [VideoFrame], payloads: [[UInt8]], sent: [[UInt8]], summary: RecordingSummary) {
        final class Collector: RecordingContainer {
            var payloads: [[UInt8]] = []
            var opened: [RecordedTrack] = []
            func open(_ tracks: [RecordedTrack]) throws(RecordingError) { opened = tracks }
            func write(_ frame: RecordedFrame) throws(RecordingError) { payloads.append(frame.payload) }
            func flush() throws(RecordingError) {}
            func finish(empty: Set<MediaKind>) throws(RecordingError) {}
        }
        let collector = Collector()
        let recorder = Recorder(
            path: "null:", format: .webm, tracks: [TrackExpectation(.video)], options: RecordingOptions(), file: nil,
            container: collector)
        let encoder = try VP8Encoder(.init(size: VideoSize(64, 48), bitrate: 300_000))
        var sent: [[UInt8]] = []
        for number in 0..<count {
            guard let picture = picture(number),
                var frame = try encoder.encode(picture, forceKeyframe: number % 25 == 0)
            else { continue }
            frame.quarterTurns = turns(number)
            frame.arrival = .zero + .milliseconds(Int64(number) * 40 + 50)
            sent.append(frame.payload)
            try recorder.write(frame, track: .video)
        }
        let summary = try recorder.finish()
        let decoder = try VP8Decoder()
        return (try collector.payloads.compactMap { try decoder.decode($0) }, collector.payloads, sent, summary)
    }

    private func luma(_ picture: VideoFrame, _ x: Int, _ y: Int) -> UInt8 { picture.bytes[y * picture.width + x] }

    @Test func aPhoneHeldUprightIsRecordedUpright() throws {
        let result = try record { _ in 1 }
        #expect(result.pictures.count == 75)
        for picture in result.pictures {
            #expect(picture.width == 48 && picture.height == 64)
            // What was left is above now.
            #expect(luma(picture, 24, 8) < 80 && luma(picture, 24, 56) > 150)
        }
        #expect(result.summary[.video]?.size == VideoSize(48, 64))
        #expect(result.summary.notes.contains { $0.contains("turned upright") })
    }

    @Test func uprightPicturesAreCopied() throws {
        let result = try record { _ in 0 }
        #expect(result.payloads == result.sent && result.summary.notes.isEmpty)
    }

    /// Turned at frame 40, between the keyframes 25 and 50; and back at 60, made good at 75.
    @Test func aCameraTurnedInMidCallIsFollowedFromTheNextKeyframe() throws {
        let result = try record({ (40..<60).contains($0) ? 3 : 0 }, count: 100)
        #expect(result.pictures.count == 100)
        for (number, picture) in result.pictures.enumerated() {
            let isTurned = (50..<60).contains(number)
            #expect((picture.width == 48) == isTurned, "\(number)")
            if isTurned { #expect(luma(picture, 24, 8) > 150 && luma(picture, 24, 56) < 80) }
        }
        #expect(Array(result.payloads[..<50]) == Array(result.sent[..<50]), "copied before")
        #expect(Array(result.payloads[75...]) == Array(result.sent[75...]), "and copied again after")
        #expect(result.summary.notes.contains { $0.hasPrefix("10 pictures are on their side") })
    }

    @Test func soundHasItsLevel() {
        func level(_ value: Float) -> UInt8 {
            AudioFrame(samples: .float(Array(repeating: value, count: 960)), sampleRate: 48_000, channels: 1).level
        }
        #expect(level(0) == 127 && level(1) == 0x80 && level(0.1) == 0x80 | 20 && level(0.001) == 60)
        #expect(level(.nan) == 127 && level(4) == 0x80)
        let quiet = AudioFrame(samples: .int16([33, -33]), sampleRate: 8_000, channels: 1)
        #expect(quiet.level == 60)
    }
}
