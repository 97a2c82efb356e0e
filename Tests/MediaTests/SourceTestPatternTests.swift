import Primitives
import Testing

@testable import Media

@Suite struct SourceTestPatternTests {
    private func pattern(_ change: (inout SourceOptions) -> Void = { _ in }) -> TestPattern {
        var options = SourceOptions()
        change(&options)
        return TestPattern(options: options)
    }

    @Test func itIs640By480At30WithoutEnd() throws {
        let source = try MediaSources.open("test")
        #expect(source.description_.video == .init(codec: .vp8, width: 640, height: 480, frameRate: 30))
        #expect(source.description_.audio == .init(codec: .opus, channels: 1))
        #expect(source.description_.duration == nil)
        let pulled = try Pulled(source, until: .milliseconds(400))
        #expect(pulled.video.count == 12 && pulled.audio.count == 20)
        #expect(pulled.videoSteps == [3_000])
        #expect(pulled.timesInOrder && pulled.peeksAgree)
    }

    @Test func flashesAndBeepsBeginAtWholeSeconds() throws {
        let pulled = try Pulled("test", until: .milliseconds(3_200)) { $0.videoSize = VideoSize(128, 96) }
        let (flashes, beeps) = (try pulled.flashes(), try pulled.beeps())
        #expect(flashes == (0...3).map { .milliseconds(Int64($0) * 1_000) })
        #expect(beeps.count == 4)
        for (flash, beep) in zip(flashes, beeps) { #expect(abs((flash - beep).milliseconds) <= 3, "\(flash) \(beep)") }
    }

    @Test func everyFlashIsWhiteAllOverAndThreeFramesLong() throws {
        let pattern = pattern { $0.videoSize = VideoSize(64, 48) }
        for number in 0..<60 {
            let frame = try #require(pattern.nextVideo())
            #expect((frame.meanLuma == 235) == (number % 30 < 3), "frame \(number)")
        }
    }

    @Test(arguments: [15.0, 24, 25, 29.97, 50, 60]) func everyRateFlashesOnceASecond(rate: Double) throws {
        let pattern = pattern {
            $0.videoSize = VideoSize(32, 32)
            $0.fps = rate
        }
        var onsets: [TimeDelta] = []
        var white = false
        while let frame = pattern.nextVideo(), frame.time < .milliseconds(5_500) {
            if frame.meanLuma == 235, !white { onsets.append(frame.time) }
            white = frame.meanLuma == 235
        }
        #expect(onsets.count == 6)
        for (second, onset) in onsets.enumerated() {
            let late = onset - .milliseconds(Int64(second) * 1_000)
            #expect(late > .microseconds(-1) && late < .seconds(1 / rate), "\(onset)")
        }
    }

    @Test func theBeepIsAKilohertzForATenthOfASecond() throws {
        let pattern = pattern { $0.tracks = [.audio] }
        var samples: [Float] = []
        for _ in 0..<100 { samples += try #require(pattern.nextAudio()).samples }
        #expect(samples.count == 96_000)
        #expect(samples[4_800..<48_000].allSatisfy { $0 == 0 })
        #expect(samples[52_800...].allSatisfy { $0 == 0 })
        for second in [0, 48_000] {
            #expect(abs(samples[second + 12] - 0.5) < 1e-5 && abs(samples[second + 36] + 0.5) < 1e-5)
            #expect(abs(samples[second + 4_800 - 12] + 0.5) < 1e-5)
        }
        let stereo = self.pattern { $0.audioChannels = 2 }
        let frame = try #require(stereo.nextAudio()).samples
        #expect(frame.count == 1_920 && frame[24] == frame[25])
    }

    @Test func numberAndTimeAreWrittenIntoThePicture() throws {
        let pattern = pattern()
        var frame = try #require(pattern.nextVideo())
        for _ in 0..<17 { frame = try #require(pattern.nextVideo()) }
        // Read back dot by dot: 4 pixels a dot, text from 16 pixels in.
        func read(line: Int, count: Int) -> String {
            (0..<count).map { cell in
                let found = "0123456789:.".first { character in
                    (0..<BitmapFont.lineHeight).allSatisfy { row in
                        let dots = BitmapFont.dots(of: String(character), row: row)
                        return (1...5).allSatisfy { column in
                            let y = line + row * 4 + 2
                            let x = 16 + (cell * 6 + column) * 4 + 2
                            return (frame.bytes[y * 640 + x] > 128) == dots[column]
                        }
                    }
                }
                return found.map(String.init) ?? "?"
            }.joined()
        }
        #expect(read(line: 16, count: 2) == "17")
        #expect(read(line: 16 + 36, count: 12) == "00:00:00.567")
        #expect(Stripes.timecode(.milliseconds(45_296_789)) == "12:34:56.789")
    }

    @Test func picturesMove() throws {
        let pattern = pattern { $0.videoSize = VideoSize(160, 120) }
        for _ in 0..<5 { _ = pattern.nextVideo() }
        let (a, b) = (try #require(pattern.nextVideo()), try #require(pattern.nextVideo()))
        #expect(Quality.psnr(a, b) < 30)
    }

    @Test func theSmallestAndOddestSizesWork() throws {
        for size in [VideoSize(16, 16), VideoSize(17, 31), VideoSize(4_096, 16), VideoSize(16, 4_096)] {
            let pattern = pattern { $0.videoSize = size }
            for _ in 0..<6 {
                let frame = try #require(pattern.nextVideo())
                #expect((frame.width, frame.height) == (size.width & ~1, size.height & ~1))
            }
        }
    }
}
