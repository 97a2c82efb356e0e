import FixtureSupport
import Foundation
import Primitives
import Testing

@testable import Media

@Suite(.enabled(if: FFmpegTools.areInstalled, "ffmpeg and ffprobe are not installed")) struct RecorderFormatTests {
    let folder: ScratchFolder
    let clip: ReceivedMedia

    init() throws {
        folder = try ScratchFolder()
        clip = try ReceivedMedia.clip.get()
    }

    private func size(_ path: String) throws -> Int { try ScratchFolder.bytes(path).count }

    @Test func mp4HasH264AndOpusInFragments() throws {
        let path = folder("call.mp4")
        let copy = folder("copy.mp4")
        let summary = try clip.from(.milliseconds(2_000), .video).record(to: path) { _, index in
            if index == clip.frames.count / 2 {
                try Data(try ScratchFolder.bytes(path)).write(to: URL(fileURLWithPath: copy))
            }
        }
        let probe = try ProbedFile(path)
        #expect(probe["h264"]?.packets == 120 && probe["opus"]?.packets == clip.count(.audio))
        #expect(abs((probe.times["h264"]?.first ?? 0) - 2) < 0.002)
        #expect(abs((probe.times["opus"]?.first ?? 1)) < 0.008)
        #expect(probe.largestStep("h264") < 0.035)
        #expect(abs((probe.times["h264"]?.last ?? 0) - 5.967) < 0.002)
        #expect(abs((probe.times["opus"]?.last ?? 0) - 5.99) < 0.03)
        #expect(try FFmpegTools.complaints(path) == "")
        #expect(summary[.video]?.codec == .vp8)
        let half = try ProbedFile(copy)
        #expect((half["h264"]?.packets ?? 0) > 10 && (half["opus"]?.packets ?? 0) > 100)
        #expect(try FFmpegTools.complaints(copy) == "")
    }

    @Test func waveHoldsTheSoundWithItsGaps() throws {
        let path = folder("call.wav")
        var halfway: [UInt8] = []
        let media = clip.without(3_300..<3_700, .audio, loss: false).without(4_400..<4_440, .audio)
        let summary = try media.record(to: path, tracks: [TrackExpectation(.audio), TrackExpectation(.video)]) {
            _, index in
            if index == media.frames.count / 2 { halfway = try ScratchFolder.bytes(path) }
        }
        #expect(summary.notes == ["video is not recorded: .wav does not hold it"])
        let probe = try ProbedFile(path)
        #expect(probe.streams.map(\.codec) == ["pcm_s16le"])
        #expect(probe.streams[0].rate == 48_000 && probe.streams[0].channels == 2)
        #expect(abs(try #require(probe.duration) - 6) < 0.05)
        let bytes = try ScratchFolder.bytes(path)
        // The header's sizes are those of the file, halfway as of the last flush.
        func word(_ bytes: [UInt8], _ at: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) } }
        #expect(word(bytes, 4) == bytes.count - 8 && word(bytes, 40) == bytes.count - 44)
        #expect(word(halfway, 40) > 300_000 && word(halfway, 40) <= halfway.count - 44)
        #expect(halfway.count - 44 - word(halfway, 40) <= 192_000)
        // Each beep is where it was: a second of the file is a second of the call.
        func loudest(_ from: Double, _ to: Double) -> Int {
            stride(from: 44 + Int(from * 48_000) * 4, to: 44 + Int(to * 48_000) * 4, by: 2)
                .map { abs(Int(Int16(truncatingIfNeeded: Int(bytes[$0]) | Int(bytes[$0 + 1]) << 8))) }.max() ?? 0
        }
        for second in 0..<6 {
            let start = Double(second)
            #expect(loudest(start + 0.005, start + 0.095) > 12_000)
            #expect(loudest(start + 0.15, start + 0.95) < 3_000)
        }
        #expect(loudest(3.35, 3.69) == 0)
        // The sound starts within two milliseconds of its second, and not before.
        #expect(loudest(4.9, 4.997) < 1_000 && loudest(5, 5.004) > 4_000)
    }

    @Test func waveOfTelephoneBandSound() throws {
        let path = folder("phone.wav")
        let recorder = try Recorder(path: path, tracks: [TrackExpectation(.audio, codec: .pcma)])
        for index in 0..<100 where !(40..<60).contains(index) {
            try recorder.write(
                EncodedFrame(
                    codec: .pcma, payload: [UInt8](repeating: 0x2A, count: 160), timestamp: Int64(index * 160),
                    arrival: .zero + .milliseconds(Int64(index) * 20)), track: .audio)
        }
        let summary = try recorder.finish()
        let probe = try ProbedFile(path)
        #expect(probe.streams[0].rate == 8_000 && probe.streams[0].channels == 1)
        #expect(abs(try #require(probe.duration) - 2) < 0.001)
        let bytes = try ScratchFolder.bytes(path)
        #expect(bytes.count == 44 + 32_000)
        #expect(bytes[44 + 40 * 320..<44 + 60 * 320].allSatisfy { $0 == 0 })
        #expect(Int16(truncatingIfNeeded: Int(bytes[44]) | Int(bytes[45]) << 8) == G711.a.decode(0x2A))
        #expect(summary[.audio]?.gaps.count == 1)
    }

    @Test func y4mHasAConstantRateAndOneSize() throws {
        let small = folder("small.webm")
        try FFmpegTools.ffmpeg(ReceivedMedia.clipArguments(seconds: 1, size: "120x160") + [small])
        var media = clip.only(.video).without(3_000..<3_500, .video, loss: false)
        for item in try ReceivedMedia(file: small).only(.video).frames {
            var frame = item.frame
            frame.timestamp += 540_000
            frame.arrival = item.frame.arrival.map { $0 + .milliseconds(6_000) }
            media.frames.append((frame, .video, item.time + .milliseconds(6_000)))
        }
        let path = folder("call.y4m")
        let summary = try media.record(to: path, tracks: [TrackExpectation(.video)])
        let probe = try ProbedFile(path)
        #expect(probe["rawvideo"]?.width == 320 && probe["rawvideo"]?.height == 240)
        // 30 a second for 7 seconds, the pause of half a second filled with the picture before it.
        #expect(abs((probe["rawvideo"]?.packets ?? 0) - 210) <= 1)
        #expect(try FFmpegTools.complaints(path) == "")
        #expect(summary[.video]?.sizeChanges.count == 1)
        #expect(summary[.video]?.gaps.map(\.cause) == [.silence])
        // The tall picture stands between black bars.
        let bytes = try ScratchFolder.bytes(path)
        let last = bytes.count - 320 * 240 * 3 / 2
        #expect(bytes[last + 120 * 320] == 16 && bytes[last + 120 * 320 + 160] != 16)
    }

    @Test func oggFillsGapsWithEmptyPackets() throws {
        let path = folder("call.ogg")
        let media = clip.only(.audio).without(2_100..<2_200, .audio).without(3_300..<4_300, .audio, loss: false)
        let summary = try media.record(to: path, tracks: [TrackExpectation(.audio)])
        let probe = try ProbedFile(path)
        #expect(probe.streams.map(\.codec) == ["opus"])
        #expect(probe["opus"]?.packets == clip.count(.audio))
        #expect(probe.largestStep("opus") < 0.021)
        #expect(abs(try #require(probe.duration) - 6) < 0.03)
        #expect(try FFmpegTools.complaints(path) == "")
        #expect(summary[.audio]?.gaps.map { $0.length.milliseconds } == [100, 1_000])
        #expect(summary[.audio]?.frames == media.frames.count)
    }

    @Test func theNullSinkCounts() throws {
        let summary = try clip.record(to: "null:")
        #expect(summary.format == .null)
        #expect(summary[.video]?.frames == 180 && summary[.audio]?.frames == clip.count(.audio))
        #expect(summary.bytes == 0)
    }

    @Test func extensionsSayTheFormat() {
        #expect(RecordingFormat(path: "/a/b.WebM") == .webm)
        #expect(RecordingFormat(path: "x.y/z.mkv") == .matroska)
        #expect(RecordingFormat(path: "call.opus") == .ogg)
        #expect(RecordingFormat(path: "/dev/null") == .null)
        for path in ["call", ".webm", "a.webm/b", "call.avi", "", "call."] {
            #expect(RecordingFormat(path: path) == nil)
        }
    }
}
