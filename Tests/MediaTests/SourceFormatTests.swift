import FixtureSupport
import Foundation
import Primitives
import Testing

@testable import Media

/// Containers and codecs as FFmpeg writes them; one run of it makes them all.
@Suite struct SourceFormatTests {
    private static let kinds: [(name: String, arguments: [String], audio: Bool, video: Bool)] = [
        ("a.mp4", ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"], true, true),
        ("b.mkv", ["-c:v", "mpeg4", "-c:a", "libvorbis"], true, true),
        ("c.webm", ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "-8", "-c:a", "libopus"], true, true),
        ("d.mov", ["-c:v", "mjpeg", "-pix_fmt", "yuvj422p", "-c:a", "pcm_s16le"], true, true),
        ("e.avi", ["-c:v", "mpeg4", "-c:a", "libmp3lame"], true, true),
        ("f.ts", ["-c:v", "mpeg2video", "-c:a", "mp2"], true, true),
        ("g.ogg", ["-vn", "-c:a", "libopus"], true, false),
        ("h.ogg", ["-vn", "-c:a", "libvorbis"], true, false),
        ("i.wav", ["-vn", "-c:a", "pcm_s16le", "-ac", "2"], true, false),
        ("j.wav", ["-vn", "-c:a", "pcm_mulaw", "-ar", "8000"], true, false),
        ("k.mp3", ["-vn", "-c:a", "libmp3lame"], true, false),
        ("l.flac", ["-vn", "-c:a", "flac"], true, false),
        ("m.m4a", ["-vn", "-c:a", "aac"], true, false),
        ("n.y4m", ["-an", "-pix_fmt", "yuv420p"], false, true),
        ("o.ivf", ["-an", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "-8"], false, true),
        ("p.h264", ["-an", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0"], false, true),
        ("q.gif", ["-an"], false, true),
    ]

    @Test func everyKindOfFileOpensAndPlaysToItsEnd() throws {
        let folder = try TemporaryFolder()
        var arguments = [
            "-f", "lavfi", "-i", "testsrc2=size=98x66:rate=25:duration=1", "-f", "lavfi", "-i",
            "sine=frequency=500:sample_rate=44100:duration=1",
        ]
        for kind in Self.kinds { arguments += kind.arguments + [folder.file(kind.name)] }
        try Tools.ffmpeg(arguments)
        for kind in Self.kinds {
            let source = try MediaSources.open(folder.file(kind.name))
            #expect((source.description_.audio != nil) == kind.audio, "\(kind.name)")
            #expect((source.description_.video != nil) == kind.video, "\(kind.name)")
            let pulled = try Pulled(source)
            #expect(pulled.timesInOrder && pulled.peeksAgree, "\(kind.name)")
            if kind.audio {
                // Codecs that cannot say how much of their last frame counts give up to 30 ms more.
                let counts = kind.name == "f.ts" || kind.name == "e.avi" ? 49...54 : 49...52
                #expect(counts.contains(pulled.audio.count), "\(kind.name): \(pulled.audio.count)")
                #expect(pulled.audioSteps == [960], "\(kind.name)")
                let start = pulled.audio.first?.time ?? .max
                #expect(start < .milliseconds(60), "\(kind.name): \(start)")
                let sound = try pulled.sound()
                var crossings = 0
                for index in 9_601..<38_400 where sound[index - 1] < 0 && sound[index] >= 0 { crossings += 1 }
                #expect(abs(crossings - 300) <= 2, "\(kind.name): \(crossings)")
            }
            if kind.video {
                #expect((24...25).contains(pulled.video.count), "\(kind.name): \(pulled.video.count)")
                let start = pulled.video.first?.time ?? .max
                #expect(start < .milliseconds(60), "\(kind.name): \(start)")
                // FFmpeg's AVI has no second picture: MPEG-4 gets a time base that lets it be late.
                let steps = pulled.videoSteps.subtracting(kind.name == "e.avi" ? [7_200] : [])
                #expect(steps.allSatisfy { abs($0 - 3_600) <= 180 }, "\(kind.name): \(pulled.videoSteps)")
                let picture = try #require(try pulled.pictures().last)
                #expect((picture.width, picture.height) == (98, 66), "\(kind.name)")
                let levels = Set(picture.bytes[picture.lumaRange].map { $0 / 32 })
                #expect(levels.count >= 4, "\(kind.name) shows a picture")
            }
        }
    }

    @Test func rawPicturesNeedTheirShape() throws {
        let folder = try TemporaryFolder()
        try Tools.ffmpeg([
            "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=1", "-pix_fmt", "yuv420p", "-f", "rawvideo",
            folder.file("raw"),
        ])
        let pulled = try Pulled(folder.file("raw")) { $0.inputFormat = "rawvideo:64x48@10:yuv420p" }
        #expect(pulled.video.count == 10)
        #expect(pulled.videoSteps == [9_000])
        #expect(throws: MediaError.self) { try MediaSources.open(folder.file("raw")) }
    }

    @Test func rawSamplesNeedTheirShape() throws {
        let folder = try TemporaryFolder()
        let bytes = tone(440, seconds: 0.5, rate: 16_000).flatMap { value in
            let bits = UInt16(bitPattern: value)
            return [UInt8(bits & 255), UInt8(bits >> 8), UInt8(bits & 255), UInt8(bits >> 8)]
        }
        let path = try folder.write(bytes, to: "raw")
        let pulled = try Pulled(path) { $0.inputFormat = "s16le:16000:2" }
        #expect(pulled.audio.count == 25)
        let source = try MediaSources.open(path, options: with { $0.inputFormat = "s16le:16000:2" })
        #expect(source.description_.audio?.channels == 2)
    }

    @Test func aPipeIsReadAsItComes() throws {
        let folder = try TemporaryFolder()
        let pipe = folder.file("pipe")
        try Tools.run("mkfifo", [pipe])
        let writer = Process()
        writer.executableURL = URL(fileURLWithPath: "/usr/bin/ffmpeg")
        writer.arguments = [
            "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=1",
            "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", pipe,
        ]
        try writer.run()
        let pulled = try Pulled(pipe) { $0.inputFormat = "y4m" }
        writer.waitUntilExit()
        #expect(pulled.video.count == 10)
        #expect(throws: MediaError.self) { try MediaSources.open(pipe, options: with { $0.loop = true }) }
    }

    @Test(arguments: [
        ("y4m", "yuv4mpegpipe"), ("wav", "wav"), ("webm", "matroska"), ("s16le:48000", "s16le"),
        ("rawvideo:640x480@29.97", "rawvideo"), ("ulaw:8000:1", "mulaw"),
    ]) func inputFormatsAreUnderstood(text: String, demuxer: String) throws {
        #expect(try InputFormat(parsing: text).demuxer == demuxer)
    }

    @Test(arguments: [
        "", ":", "wav:3", "rawvideo", "rawvideo:640x480", "rawvideo:0x4@30", "rawvideo:640x480@0",
        "rawvideo:640x480@30:yuv420p:x", "rawvideo:640x480@30:a,b", "s16le", "s16le:0", "s16le:48000:0",
        "s16le:48000:99", "s16le:48000:2:2", "../x", "a b", "rawvideo:99999x99999@30", "rawvideo:640x480@nan",
    ]) func inputFormatsThatMeanNothingAreRefused(text: String) {
        #expect(throws: MediaError.self) { try InputFormat(parsing: text) }
    }

    private func with(_ change: (inout SourceOptions) -> Void) -> SourceOptions {
        var options = SourceOptions()
        change(&options)
        return options
    }
}
