import FixtureSupport
import Foundation
import Media
import Primitives
import Testing

@Suite struct CodecVP8Tests {
    private func pattern(_ count: Int, _ size: VideoSize = VideoSize(320, 240)) -> [VideoFrame] {
        var scene = NoisyScene(size, seed: 7)
        let still = scene.frame(0)
        return (0..<count).map { number in
            var frame = still
            frame.time = .seconds(Double(number) / 30)
            return frame
        }
    }

    @Test func picturesSurviveEncodingAndDecoding() throws {
        let encoder = try VP8Encoder(.init(size: VideoSize(320, 240), bitrate: 1_500_000))
        let decoder = try VP8Decoder()
        var worst = 99.0
        for frame in pattern(20) {
            let encoded = try #require(try encoder.encode(frame))
            #expect(encoded.timestamp == Int64((frame.time.seconds * 90_000).rounded()))
            let decoded = try #require(try decoder.decode(encoded.payload, time: frame.time))
            #expect((decoded.width, decoded.height, decoded.time) == (320, 240, frame.time))
            if frame.time > .milliseconds(500) { worst = Swift.min(worst, Quality.psnr(frame, decoded)) }
        }
        #expect(worst > 34, "\(worst) dB")
    }

    @Test func onlyTheFirstFrameIsAKeyframeUnlessOneIsAskedFor() throws {
        let encoder = try VP8Encoder(.init(size: VideoSize(320, 240)))
        var keyframes: [Int] = []
        for (number, frame) in pattern(15).enumerated() {
            if number == 5 { encoder.requestKeyframe() }
            let encoded = try #require(try encoder.encode(frame, forceKeyframe: number == 9))
            #expect(encoded.isKeyframe == (VP8FrameHeader(encoded.payload)?.isKeyframe ?? false))
            if encoded.isKeyframe { keyframes.append(number) }
        }
        #expect(keyframes == [0, 5, 9])
    }

    @Test func bitrateChangesAreFollowed() throws {
        var scene = NoisyScene(VideoSize(160, 120), seed: 3)
        let encoder = try VP8Encoder(.init(size: scene.size, bitrate: 600_000))
        func rate(from first: Int, seconds: Int) throws -> Double {
            var bytes = 0
            for number in first..<first + seconds * 30 {
                bytes += try #require(try encoder.encode(scene.frame(number))).payload.count
            }
            return Double(bytes * 8) / Double(seconds)
        }
        _ = try rate(from: 0, seconds: 1)
        let high = try rate(from: 30, seconds: 2)
        encoder.setBitrate(250_000)
        _ = try rate(from: 90, seconds: 1)
        let low = try rate(from: 120, seconds: 2)
        encoder.setBitrate(800_000)
        _ = try rate(from: 180, seconds: 1)
        let higher = try rate(from: 210, seconds: 2)
        #expect(abs(high - 600_000) < 120_000, "\(high)")
        #expect(abs(low - 250_000) < 50_000, "\(low)")
        #expect(abs(higher - 800_000) < 160_000, "\(higher)")
    }

    /// Told a rate that the coarsest of all pictures would exceed, it leaves pictures out; at an ordinary one never.
    @Test func aRateFarBelowTheOrdinaryOneIsKeptByLeavingPicturesOut() throws {
        func run(told bitrate: Int) throws -> (rate: Double, dropped: Int) {
            var scene = NoisyScene(VideoSize(320, 240), seed: 5)
            let encoder = try VP8Encoder(.init(size: scene.size, bitrate: 600_000))
            var (bytes, dropped) = (0, 0)
            for number in 0..<300 {
                if number == 30 { encoder.setBitrate(bitrate) }
                guard let frame = try encoder.encode(scene.frame(number)) else {
                    dropped += 1
                    continue
                }
                if number >= 120 { bytes += frame.payload.count }
            }
            return (Double(bytes * 8) / 6, dropped)
        }
        let starved = try run(told: 30_000)
        #expect(starved.dropped > 30 && starved.rate < 45_000, "\(starved)")
        #expect(starved.rate > 10_000, "\(starved)")
        #expect(try run(told: 400_000).dropped == 0)
    }

    @Test func aChangeOfSizeGivesAKeyframeOfThatSize() throws {
        let encoder = try VP8Encoder(.init(size: VideoSize(160, 120)))
        let decoder = try VP8Decoder()
        for (size, key) in [
            (VideoSize(160, 120), true), (VideoSize(160, 120), false), (VideoSize(320, 240), true),
            (VideoSize(64, 48), true), (VideoSize(64, 48), false),
        ] {
            let encoded = try #require(try encoder.encode(VideoFrame(width: size.width, height: size.height)))
            #expect(encoded.isKeyframe == key)
            let decoded = try #require(try decoder.decode(encoded.payload))
            #expect(VideoSize(decoded.width, decoded.height) == size)
        }
    }

    @Test func timesThatStandStillDoNotStopTheEncoder() throws {
        let encoder = try VP8Encoder(.init(size: VideoSize(64, 64)))
        let timestamps = try (0..<3).map { _ in
            try #require(try encoder.encode(VideoFrame(width: 64, height: 64, time: .milliseconds(40)))).timestamp
        }
        #expect(timestamps == [3_600, 3_601, 3_602])
    }

    @Test func twoEncodersOfTheSamePicturesGiveTheSameBytes() throws {
        func run() throws -> [[UInt8]] {
            let encoder = try VP8Encoder(.init(size: VideoSize(320, 240)))
            return try pattern(8).map { try #require(try encoder.encode($0)).payload }
        }
        #expect(try run() == run())
    }

    @Test func impossibleSizesAreRefused() {
        #expect(throws: CodecError.self) { try VP8Encoder(.init(size: VideoSize(0, 10))) }
        #expect(throws: CodecError.self) { try VP8Encoder(.init(size: VideoSize(20_000, 10))) }
        #expect(VideoFrame(width: 3, height: 2, bytes: [0, 0, 0]) == nil)
        #expect(VideoFrame(width: 2, height: 2, bytes: [0, 0, 0]) == nil)
        let cropped = VideoFrame(width: 33, height: 17)
        #expect((cropped.width, cropped.height) == (32, 16))
    }

    @Test func aDecoderWithoutAKeyframeAsksForOne() throws {
        let encoder = try VP8Encoder(.init(size: VideoSize(64, 64)))
        let frames = try (0..<2).map {
            try #require(try encoder.encode(VideoFrame(width: 64, height: 64, time: .milliseconds($0 * 33))))
        }
        let decoder = try VP8Decoder()
        do {
            _ = try decoder.decode(frames[1].payload)
            Issue.record("decoded without a keyframe")
        } catch { #expect(error.kind == .needsKeyframe) }
        #expect(try decoder.decode(frames[0].payload) != nil)
        #expect(try decoder.decode(frames[1].payload) != nil)
    }

    @Test func aKeyframeLargerThanAllowedIsRefusedBeforeDecoding() throws {
        let encoder = try VP8Encoder(.init(size: VideoSize(320, 240)))
        var payload = try #require(try encoder.encode(VideoFrame(width: 320, height: 240))).payload
        let decoder = try VP8Decoder(maximumPixels: 320 * 240)
        #expect(try decoder.decode(payload) != nil)
        payload[7] = 0x3F
        do {
            _ = try decoder.decode(payload)
            Issue.record("decoded a picture that is too large")
        } catch { #expect(error.kind == .tooLarge) }
    }

    @Test func mutatedFramesEndInAPictureOrAnError() throws {
        let encoder = try VP8Encoder(.init(size: VideoSize(64, 64)))
        var scene = NoisyScene(VideoSize(64, 64), seed: 1)
        let frames = try (0..<6).map { try #require(try encoder.encode(scene.frame($0))).payload }
        var mutations = Mutations(of: frames, seed: 11)
        let decoder = try VP8Decoder(maximumPixels: 256 * 256)
        var errors = 0
        for _ in 0..<3_000 {
            do throws(CodecError) { _ = try decoder.decode(mutations.next()) } catch { errors += 1 }
        }
        #expect(errors > 100)
        for cut in 0..<frames[0].count {
            do throws(CodecError) { _ = try decoder.decode(Array(frames[0].prefix(cut))) } catch {}
        }
        #expect(try decoder.decode(frames[0]) != nil)
    }

    @Test func mutatedHeadersEndInAHeaderOrNothing() throws {
        let encoder = try VP8Encoder(.init(size: VideoSize(64, 64)))
        var seeds = try (0..<2).map {
            try #require(try encoder.encode(VideoFrame(width: 64, height: 64, time: .milliseconds($0 * 33)))).payload
        }
        #expect(VP8FrameHeader(seeds[0])?.keyframeSize == VideoSize(64, 64))
        #expect(VP8FrameHeader(seeds[1])?.isKeyframe == false)
        seeds = seeds.map { Array($0.prefix(12)) }
        for cut in 0..<10 { #expect(VP8FrameHeader(Array(seeds[0].prefix(cut))) == nil) }
        var mutations = Mutations(of: seeds, seed: 4)
        var refused = 0
        for _ in 0..<100_000 {
            guard let header = VP8FrameHeader(mutations.next()) else {
                refused += 1
                continue
            }
            if let size = header.keyframeSize, size.width > 16_383 || size.height > 16_383 { Issue.record("\(size)") }
        }
        #expect(refused > 1_000 && refused < 99_000)
    }

    /// Against `vpxenc --rt` with the same rate control, on moving pictures of ffmpeg's.
    @Test func qualityIsThatOfVpxenc() throws {
        guard Tools.path("vpxenc") != nil, Tools.path("ffmpeg") != nil else {
            print("SKIPPED qualityIsThatOfVpxenc: vpxenc (vpx-tools) or ffmpeg is not installed")
            return
        }
        let folder = try TemporaryFolder()
        let raw = folder.file("raw.yuv")
        try Tools.ffmpeg([
            "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=3", "-vf", "noise=alls=8:allf=t:all_seed=1",
            "-pix_fmt", "yuv420p", "-f", "rawvideo", raw,
        ])
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: raw)))
        let length = 320 * 240 * 3 / 2
        let frames: [VideoFrame] = (0..<bytes.count / length).compactMap { (number: Int) -> VideoFrame? in
            VideoFrame(
                width: 320, height: 240, bytes: Array(bytes[number * length..<(number + 1) * length]),
                time: .seconds(Double(number) / 30))
        }
        #expect(frames.count == 90)
        try Tools.run(
            "vpxenc",
            [
                "--codec=vp8", "--rt", "--cpu-used=-6", "--end-usage=cbr", "--target-bitrate=400", "--min-q=2",
                "--max-q=56", "--undershoot-pct=100", "--overshoot-pct=15", "--buf-sz=1000", "--buf-initial-sz=500",
                "--buf-optimal-sz=600", "--lag-in-frames=0", "--kf-max-dist=3000", "--threads=1", "--passes=1",
                "--width=320", "--height=240", "--fps=30/1", "--i420", "--ivf", "-q", "-o", folder.file("v.ivf"), raw,
            ])
        let theirs = try Pulled(folder.file("v.ivf")) { $0.passthrough = true }
        let encoder = try VP8Encoder(.init(size: VideoSize(320, 240), bitrate: 400_000))
        let ours = try frames.map { try #require(try encoder.encode($0)).payload }
        func judge(_ payloads: [[UInt8]]) throws -> (psnr: Double, rate: Double) {
            let decoder = try VP8Decoder()
            var sum = 0.0
            for (payload, frame) in zip(payloads, frames) {
                sum += Quality.psnr(frame, try #require(try decoder.decode(payload)))
            }
            let bytes = payloads.map(\.count).reduce(0, +)
            return (sum / Double(payloads.count), Double(bytes * 8) / 3)
        }
        let (our, their) = (try judge(ours), try judge(theirs.video.map(\.frame.payload)))
        print("VP8 320x240@30, 400 kbit/s: ours \(our), vpxenc \(their)")
        #expect(theirs.video.count == 90)
        #expect(our.psnr > their.psnr - 1)
        #expect(our.rate < their.rate * 1.1)
    }
}
