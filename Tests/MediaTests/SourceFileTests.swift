import FixtureSupport
import Foundation
import Primitives
import Testing

@testable import Media

@Suite struct SourceFileTests {
    static let clip = Fixtures.path("media/clip-h264-aac.mp4")

    @Test func aClipGivesAllItsPicturesAndSound() throws {
        let source = try MediaSources.open(Self.clip)
        #expect(source.description_.audio == .init(codec: .opus, channels: 1, duration: .milliseconds(6_000)))
        #expect(
            source.description_.video
                == .init(codec: .vp8, width: 640, height: 480, frameRate: 30, duration: .milliseconds(6_000)))
        #expect(source.description_.duration == .milliseconds(6_000))
        let pulled = try Pulled(source)
        #expect(pulled.video.count == 180)
        #expect((300...301).contains(pulled.audio.count))
        #expect(pulled.videoSteps == [3_000])
        #expect(pulled.audioSteps == [960])
        #expect(pulled.audio.first?.frame.timestamp == 0)
        #expect(pulled.video.first?.frame.timestamp == 0)
        #expect(pulled.timesInOrder && pulled.peeksAgree)
        #expect(pulled.video.filter(\.frame.isKeyframe).first?.time == .zero)
        #expect(try source.peekTime() == nil)
        #expect(try source.next() == nil)
    }

    @Test func flashAndBeepOfAClipStayTogether() throws {
        let pulled = try Pulled(Self.clip, until: .milliseconds(2_500)) { $0.videoSize = VideoSize(160, 120) }
        let (flashes, beeps) = (try pulled.flashes(), try pulled.beeps())
        #expect(flashes == [.zero, .milliseconds(1_000), .milliseconds(2_000)])
        #expect(beeps.count == 3)
        for (flash, beep) in zip(flashes, beeps) { #expect(abs((flash - beep).milliseconds) <= 5, "\(flash) \(beep)") }
    }

    @Test func oneTrackAloneKeepsTheCommonTime() throws {
        let folder = try TemporaryFolder()
        let late = folder.file("late.mkv")
        // Sound that starts 700 ms after the pictures.
        try Tools.ffmpeg([
            "-f", "lavfi", "-i", "testsrc2=size=64x64:rate=10:duration=2", "-itsoffset", "0.7", "-f", "lavfi", "-i",
            "sine=duration=1:sample_rate=48000", "-c:v", "mpeg4", "-c:a", "pcm_s16le", late,
        ])
        let both = try Pulled(late)
        let sound = try Pulled(late) { $0.tracks = [.audio] }
        let pictures = try Pulled(late) { $0.tracks = [.video] }
        #expect(abs((both.audio.first?.time.milliseconds ?? 0) - 700) <= 1)
        #expect(both.video.first?.time == .zero)
        #expect(sound.audio.map(\.frame) == both.audio.map(\.frame))
        #expect(pictures.video.map(\.frame) == both.video.map(\.frame))
        #expect(sound.video.isEmpty && pictures.audio.isEmpty)
        #expect((49...51).contains(sound.audio.count))
    }

    @Test func resamplingKeepsPitchAndLength() throws {
        let pulled = try Pulled(Fixtures.path("media/tone.wav"))
        #expect(pulled.audio.count == 50)
        let sound = try pulled.sound()
        var crossings = 0
        for index in 4_801..<43_200 where sound[index - 1] < 0 && sound[index] >= 0 { crossings += 1 }
        #expect(abs(crossings - 352) <= 1, "\(crossings) periods of 440 Hz in 0.8 s")
    }

    @Test func gSevenElevenGoesInFramesOf160Bytes() throws {
        for codec in [Codec.pcmu, .pcma] {
            let pulled = try Pulled(Fixtures.path("media/tone.wav")) { $0.audioCodec = codec }
            #expect(pulled.audio.count == 50)
            #expect(pulled.audio.allSatisfy { $0.frame.codec == codec && $0.frame.payload.count == 160 })
            #expect(pulled.audioSteps == [160])
            let samples = pulled.audio.flatMap { G711(codec)?.decode($0.frame.payload) ?? [] }
            var crossings = 0
            for index in 801..<7_200 where samples[index - 1] < 0 && samples[index] >= 0 { crossings += 1 }
            #expect(abs(crossings - 352) <= 1)
        }
    }

    @Test func theRateAndSizeAskedForAreKept() throws {
        let pulled = try Pulled(Self.clip, until: .milliseconds(1_000)) {
            $0.fps = 12
            $0.videoSize = VideoSize(321, 121)
            $0.tracks = [.video]
        }
        #expect(pulled.video.count == 12)
        #expect(pulled.videoSteps == [7_500])
        let picture = try #require(try pulled.pictures().last)
        #expect((picture.width, picture.height) == (320, 120))
        // 4:3 in 320x120 leaves 80 black pixels at each side; the pattern fills the middle.
        let row = Array(picture.bytes[60 * 320..<61 * 320])
        #expect(row[..<70].allSatisfy { $0 < 32 } && row[250...].allSatisfy { $0 < 32 })
        #expect(row[90..<230].contains { $0 > 100 })
    }

    @Test func largePicturesAreReducedAndFastOnesThinnedUnlessAskedFor() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("large.mp4")
        try Tools.ffmpeg([
            "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=60:duration=0.2", "-c:v", "mpeg4", "-q:v", "20", file,
        ])
        let reduced = try MediaSources.open(file)
        #expect(reduced.description_.video.map { VideoSize($0.width, $0.height) } == VideoSize(1_280, 720))
        #expect(reduced.description_.video?.frameRate == 30)
        #expect(try Pulled(reduced).video.count == 6)
        var options = SourceOptions()
        options.videoSize = VideoSize(1_920, 1_080)
        options.fps = 60
        let asked = try MediaSources.open(file, options: options)
        #expect(asked.description_.video.map { VideoSize($0.width, $0.height) } == VideoSize(1_920, 1_080))
        #expect(try Pulled(asked).video.count == 12)
    }

    @Test func picturesOfAPhoneHeldUprightStandUpright() throws {
        let folder = try TemporaryFolder()
        // The upper half white, turned by the file's display matrix; ffmpeg turns it by itself.
        try Tools.ffmpeg([
            "-f", "lavfi", "-i", "color=black:size=128x64:rate=10:duration=0.3", "-vf",
            "drawbox=y=0:h=32:color=white:t=fill", "-c:v", "mpeg4", "-q:v", "2", folder.file("flat.mp4"),
        ])
        try Tools.ffmpeg([
            "-i", folder.file("flat.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90", folder.file("turned.mp4"),
        ])
        try Tools.ffmpeg([
            "-i", folder.file("turned.mp4"), "-pix_fmt", "yuv420p", "-f", "rawvideo", folder.file("upright"),
        ])
        let picture = try #require(try Pulled(folder.file("turned.mp4")).pictures().first)
        #expect((picture.width, picture.height) == (64, 128))
        let length = VideoFrame.byteCount(width: 64, height: 128)
        let upright = Array(try Data(contentsOf: URL(fileURLWithPath: folder.file("upright"))).prefix(length))
        let theirs = try #require(VideoFrame(width: 64, height: 128, bytes: upright))
        #expect(Quality.psnr(picture, theirs) > 30)
        // The white half is at a side now.
        let row = theirs.bytes[64 * 64..<65 * 64]
        #expect(row.contains { $0 < 60 } && row.contains { $0 > 190 })
    }

    @Test func whatAnEditHidesTakesNoTime() throws {
        let folder = try TemporaryFolder()
        // Cut between keyframes without encoding: the pictures from the keyframe on are there, and hidden.
        try Tools.ffmpeg(["-ss", "2.3", "-i", Self.clip, "-c", "copy", folder.file("cut.mp4")])
        let pulled = try Pulled(folder.file("cut.mp4")) { $0.videoSize = VideoSize(64, 48) }
        #expect(pulled.video.first?.time ?? .max < .milliseconds(34))
        #expect(pulled.audio.first?.time ?? .max < .milliseconds(34))
        #expect((109...111).contains(pulled.video.count))
        #expect(abs(try #require(try pulled.flashes().first).milliseconds - 700) <= 34)
        #expect(abs(try #require(try pulled.beeps().first).milliseconds - 700) <= 34)
    }

    @Test func targetsAreFollowedWhilePlaying() throws {
        var options = SourceOptions()
        options.tracks = [.video]
        options.videoBitrate = 1_000_000
        let source = try MediaSources.open(Self.clip, options: options)
        var sizes: [Int] = []
        var keyframes: [Int] = []
        while let next = try source.next(), sizes.count < 120 {
            if sizes.count == 60 { source.setTargetBitrate(150_000, for: .video) }
            if sizes.count == 99 { source.requestKeyframe() }
            sizes.append(next.frame.payload.count)
            if next.frame.isKeyframe { keyframes.append(sizes.count - 1) }
        }
        #expect(keyframes.contains(100))
        let before = sizes[30..<60].reduce(0, +)
        let after = sizes[63..<93].reduce(0, +)
        #expect(after * 2 < before, "\(after) bytes a second after, \(before) before")
    }

    @Test func aClosedSourceIsAtItsEnd() throws {
        let source = try MediaSources.open(Self.clip)
        _ = try source.next()
        source.close()
        #expect(try source.peekTime() == nil)
        #expect(try source.next() == nil)
    }

    @Test func silenceIsLeftOutWithDTX() throws {
        let whole = try Pulled(Self.clip) { $0.tracks = [.audio] }
        let sparse = try Pulled(Self.clip) {
            $0.tracks = [.audio]
            $0.dtx = true
        }
        #expect(sparse.audio.count < whole.audio.count * 2 / 3, "\(sparse.audio.count) of \(whole.audio.count)")
        #expect(sparse.peeksAgree)
        #expect(sparse.audio.contains { $0.frame.marker })
        #expect(sparse.audio.allSatisfy { $0.frame.timestamp % 960 == 0 })
    }
}
