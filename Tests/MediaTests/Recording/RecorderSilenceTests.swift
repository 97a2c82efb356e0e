import Primitives
import Testing

@testable import Media

/// G.711 with comfort noise (RFC 3389), and cameras that come and go: gaps in time, not errors.
@Suite struct RecorderSilenceTests {
    /// Two seconds of sound, three of comfort noise, two of sound.
    @Test func comfortNoiseIsSilenceOfItsLength() throws {
        let folder = try ScratchFolder()
        let path = folder("noise.wav")
        let recorder = try Recorder(path: path, tracks: [TrackExpectation(.audio)])
        func put(_ codec: Codec, _ payload: [UInt8], at milliseconds: Int64) throws {
            try recorder.write(
                EncodedFrame(
                    codec: codec, payload: payload, timestamp: 5_000 + milliseconds * 8,
                    duration: codec == .comfortNoise ? 0 : 160, arrival: .zero + .milliseconds(milliseconds + 30)),
                track: .audio)
        }
        let tone = G711.mu.encode((0..<160).map { $0 % 16 < 8 ? 8_000 : -8_000 })
        for time in stride(from: Int64(0), to: 2_000, by: 20) { try put(.pcmu, tone, at: time) }
        for time in stride(from: Int64(2_000), to: 5_000, by: 200) { try put(.comfortNoise, [70], at: time) }
        for time in stride(from: Int64(5_000), to: 7_000, by: 20) { try put(.pcmu, tone, at: time) }
        let summary = try recorder.finish()
        #expect(summary.failure == nil && summary.notes.isEmpty)
        #expect(summary[.audio]?.framesDropped == 0 && summary[.audio]?.timestampJumps == 0)
        #expect(summary[.audio]?.gaps.map(\.cause) == [.silence])
        #expect(summary[.audio]?.gaps.first?.length == .milliseconds(3_000))
        let bytes = try ScratchFolder.bytes(path)
        #expect(bytes.count == 44 + 7 * 8_000 * 2)
        let samples = bytes.dropFirst(44)
        #expect(samples.dropFirst(2 * 16_000).prefix(3 * 16_000).allSatisfy { $0 == 0 })
        #expect(!samples.suffix(2 * 16_000).prefix(320).allSatisfy { $0 == 0 })
    }

    /// A picture a second for half a minute is one gap; sound and picture stay together over it.
    @Test func aTabInTheBackgroundIsOneGap() throws {
        var call = RecordedCall(tracks: [
            .audio(reports: reportTimes(from: 0.05, until: 50), until: .seconds(50)),
            .video(reports: reportTimes(from: 0.06, until: 50), until: .seconds(50)),
        ])
        // One picture a second between the 10th and the 40th.
        call.tracks[1].pauses = (10..<40).map { (second: Int64) -> Range<Int64> in
            let start: Int64 = second * 1_000
            return (start + 40)..<(start + 1_000)
        }
        let outcome = try call.run()
        #expect(outcome.summary[.video]?.gapCount == 1)
        #expect(outcome.summary[.video]?.gaps.first?.cause == .silence)
        #expect(outcome.summary[.video]?.timestampJumps == 0 && outcome.summary[.audio]?.gapCount == 0)
        #expect(outcome.worstOffset() < .milliseconds(5))
    }

    /// The camera is off for 20 s, the microphone for 15 of another part.
    @Test func soundAndPictureStayTogetherOverMuteAndCameraOff() throws {
        var call = RecordedCall(tracks: [
            .audio(reports: reportTimes(from: 0.05, until: 60), until: .seconds(60)),
            .video(reports: reportTimes(from: 0.06, until: 60), until: .seconds(60)),
        ])
        call.tracks[0].pauses = [20_000..<35_000]
        call.tracks[1].pauses = [30_000..<50_000]
        let outcome = try call.run()
        #expect(outcome.summary[.audio]?.gaps.map(\.cause) == [.silence])
        #expect(outcome.summary[.video]?.gaps.map(\.cause) == [.silence])
        #expect(outcome.worstOffset() < .milliseconds(5))
        #expect(outcome.neverGoesBack && abs((outcome.summary.duration - .seconds(60)).milliseconds) < 60)
    }

    /// Capture times stand in for sender reports that never come; a track with reports does not heed them.
    @Test func captureTimesSynchroniseWhereReportsAreMissing() throws {
        func relation(captures: Bool, reports: Bool) -> TimeDelta? {
            var timeline = RecordingTimeline(expected: [.audio, .video])
            let start = NTPTime(unixNanoseconds: 1_700_000_000_000_000_000)
            func ntp(_ milliseconds: Int64) -> NTPTime {
                NTPTime(rawValue: start.rawValue &+ UInt64(milliseconds) << 32 / 1_000)
            }
            // Pictures take 300 ms longer to come than sound.
            for index in 0..<100 as Range<Int64> {
                let time = index * 20
                _ = timeline.note(.audio, timestamp: time * 48, clockRate: 48_000, at: .zero + .milliseconds(time + 20))
                _ = timeline.note(
                    .video, timestamp: time * 90, clockRate: 90_000, at: .zero + .milliseconds(time + 320))
            }
            if reports {
                timeline.noteSenderReport(.audio, ntp: ntp(1_900), timestamp: 1_900 * 48, at: .zero + .seconds(2))
                timeline.noteSenderReport(.video, ntp: ntp(1_900), timestamp: 1_900 * 90, at: .zero + .seconds(2))
            }
            if captures {
                let shift: Int64 = reports ? 500 : 0
                timeline.noteCaptureTime(.audio, ntp: ntp(1_900), timestamp: 1_900 * 48, at: .zero + .seconds(2))
                timeline.noteCaptureTime(
                    .video, ntp: ntp(1_900 + shift), timestamp: 1_900 * 90, at: .zero + .seconds(2))
            }
            timeline.settle(first: [.audio: .zero, .video: .zero])
            guard let audio = timeline.place(.audio, media: .seconds(1)),
                let video = timeline.place(.video, media: .seconds(1))
            else { return nil }
            return video - audio
        }
        #expect(abs(try #require(relation(captures: true, reports: false)).milliseconds) <= 1)
        #expect(abs(try #require(relation(captures: true, reports: true)).milliseconds) <= 1)
        #expect(try #require(relation(captures: false, reports: false)) > .milliseconds(200))
    }
}
