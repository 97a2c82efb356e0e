import FixtureSupport
import Media
import Primitives
import Testing

@Suite struct SourceLoopTests {
    @Test func aLoopedToneHasNeitherGapNorStep() throws {
        let folder = try TemporaryFolder()
        // A whole number of periods, so that the seam can be heard only if samples are lost or added.
        let path = folder.file("tone.wav")
        try Tools.ffmpeg([
            "-f", "lavfi", "-i", "sine=frequency=500:sample_rate=48000:duration=0.73", "-c:a", "pcm_s16le", path,
        ])
        let pulled = try Pulled(path, until: .milliseconds(4_000)) {
            $0.loop = true
            $0.audioCodec = .pcma
        }
        #expect(pulled.audio.count == 200)
        #expect(pulled.audioSteps == [160])
        let samples = pulled.audio.flatMap { G711.a.decode($0.frame.payload) }
        // 500 Hz at 8 kHz is a period of 16 samples, all the way through five seams.
        var worst = 0
        for index in 400..<31_000 { worst = Swift.max(worst, abs(Int(samples[index]) - Int(samples[index + 16]))) }
        let peak = samples.map { abs(Int($0)) }.max() ?? 0
        #expect(worst < peak / 5, "a step of \(worst) under a peak of \(peak)")
    }

    @Test func picturesAndSoundLoopTogether() throws {
        let clip = Fixtures.path("media/clip-h264-aac.mp4")
        func pull(_ tracks: Set<MediaKind>) throws -> Pulled {
            try Pulled(clip, until: .milliseconds(13_300)) {
                $0.loop = true
                $0.tracks = tracks
                $0.videoSize = VideoSize(64, 48)
            }
        }
        let both = try pull([.audio, .video])
        #expect(both.video.count == 399)
        #expect(both.videoSteps == [3_000])
        #expect(both.audio.count == 665)
        #expect(both.audioSteps == [960])
        #expect(both.timesInOrder && both.peeksAgree)
        let (flashes, beeps) = (try both.flashes(), try both.beeps())
        #expect(flashes == (0...13).map { .milliseconds(Int64($0) * 1_000) })
        #expect(beeps.count == 14)
        for (flash, beep) in zip(flashes, beeps) { #expect(abs((flash - beep).milliseconds) <= 8, "\(flash) \(beep)") }
        // Two readers with a track each stay in step with the one that reads both.
        #expect(try pull([.audio]).audio.map(\.frame.timestamp) == both.audio.map(\.frame.timestamp))
        #expect(try pull([.video]).video.map(\.frame.timestamp) == both.video.map(\.frame.timestamp))
    }

    @Test func aShorterTrackWaitsForTheLongerOne() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("uneven.mkv")
        try Tools.ffmpeg([
            "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=0.5", "-f", "lavfi", "-i",
            "sine=duration=1:sample_rate=48000", "-c:v", "mpeg4", "-c:a", "pcm_s16le", path,
        ])
        let pulled = try Pulled(path, until: .milliseconds(3_000)) { $0.loop = true }
        #expect(pulled.audio.count == 150)
        let starts = pulled.video.map(\.time.milliseconds).filter { $0 % 1_000 < 5 }
        #expect(starts == [0, 1_000, 2_000])
        #expect(pulled.video.count == 15)
    }

    @Test func withoutLoopTheEndIsTheEnd() throws {
        let pulled = try Pulled(Fixtures.path("media/tone.wav"))
        #expect(pulled.audio.last?.time == .milliseconds(980))
    }
}
