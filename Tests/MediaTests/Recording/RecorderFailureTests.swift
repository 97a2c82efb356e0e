import FixtureSupport
import Foundation
import Glibc
import Primitives
import Testing

@testable import Media

private let both = [TrackExpectation(.audio), TrackExpectation(.video)]

@Suite(.enabled(if: FFmpegTools.areInstalled, "ffmpeg and ffprobe are not installed")) struct RecorderFailureTests {
    let folder: ScratchFolder
    let clip: ReceivedMedia

    init() throws {
        folder = try ScratchFolder()
        clip = try ReceivedMedia.clip.get()
    }

    private func reason(_ path: String, _ options: RecordingOptions = RecordingOptions()) -> RecordingError.Reason? {
        do {
            _ = try Recorder(path: path, tracks: both, options: options)
            return nil
        } catch {
            #expect(error.path == path && !error.advice.isEmpty && !error.detail.isEmpty)
            return error.reason
        }
    }

    @Test func aPathThatCannotBeIsRefusedBeforeAnythingComes() throws {
        #expect(reason(folder("missing/call.webm")) == .folderMissing)
        #expect(reason(folder("call.avi")) == .unknownExtension)
        try FileManager.default.createDirectory(atPath: folder("dir.webm"), withIntermediateDirectories: false)
        #expect(reason(folder("dir.webm")) == .isFolder)
        try Data([1]).write(to: URL(fileURLWithPath: folder("plain")))
        #expect(reason(folder("plain/call.webm")) == .folderMissing)
        #expect(throws: RecordingError.self) { try Recorder(path: folder("a.wav"), tracks: [TrackExpectation(.video)]) }
        #expect(!ScratchFolder.exists(folder("a.wav")))
        #expect(RecordingFile.error(EACCES, "x").reason == .notPermitted)
        #expect(RecordingFile.error(EROFS, "x").reason == .notPermitted)
        #expect(RecordingFile.error(EFBIG, "x").reason == .fileTooLarge)
        #expect(RecordingFile.error(EIO, "x").reason == .inputOutput(code: EIO))
    }

    @Test func aRecordingOfNothingLeavesNoFile() throws {
        let path = folder("none.webm")
        let recorder = try Recorder(path: path, tracks: both)
        #expect(ScratchFolder.exists(path))
        try recorder.advance(to: .zero + .milliseconds(5_000))
        // Video without a keyframe is nothing either.
        for item in clip.only(.video).frames[1..<30] { try recorder.write(item.frame, track: .video) }
        #expect(recorder.progress.needsKeyframe)
        let summary = try recorder.finish()
        #expect(summary.isEmpty && summary.duration == .zero)
        #expect(summary.notes.contains("video came, but no keyframe"))
        #expect(!ScratchFolder.exists(path))
    }

    @Test func anOldFileStaysUntilThereIsANewOne() throws {
        let path = folder("old.webm")
        let old = Data("an old recording".utf8)
        try old.write(to: URL(fileURLWithPath: path))
        _ = try Recorder(path: path, tracks: both).finish()
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == old)

        var refusing = RecordingOptions()
        refusing.existingFile = .refuse
        #expect(reason(path, refusing) == .fileExists)

        _ = try clip.record(to: path)
        #expect(try ProbedFile(path)["vp8"]?.packets == 180)
    }

    @Test(arguments: ["call.webm", "call.mp4", "call.wav", "call.y4m", "call.ogg"])
    func aFullDiskEndsTheRecordingAndKeepsWhatThereIs(name: String) throws {
        let mount = folder("tiny")
        try FileManager.default.createDirectory(atPath: mount, withIntermediateDirectories: false)
        let size = name.hasSuffix("y4m") ? "4m" : name.hasSuffix("ogg") ? "12k" : "96k"
        guard try FFmpegTools.run(["mount", "-t", "tmpfs", "-o", "size=\(size)", "tmpfs", mount]).status == 0 else {
            print("SKIPPED: a full disk (\(name)): no permission to mount a tmpfs")
            return
        }
        defer { _ = try? FFmpegTools.run(["umount", mount]) }
        let path = mount + "/" + name
        let recorder = try Recorder(path: path, tracks: both)
        var thrown: RecordingError?
        do {
            try clip.play(into: recorder)
            _ = try recorder.finish()
        } catch let error as RecordingError {
            thrown = error
        }
        #expect(thrown?.reason == .diskFull)
        #expect(thrown?.path == path)
        #expect(throws: RecordingError.self) { try recorder.advance(to: .zero + .milliseconds(9_000)) }
        let summary = try recorder.summary ?? recorder.finish()
        #expect(summary.failure?.reason == .diskFull)
        let bytes = try ScratchFolder.bytes(path)
        #expect(summary.bytes > 3_000 && Int(summary.bytes) == bytes.count)
        let probe = try ProbedFile(path)
        #expect(!probe.streams.isEmpty)
        #expect(probe.streams.allSatisfy { $0.packets > 3 })
        #expect(try FFmpegTools.complaints(path) == "")
    }

    @Test func aDeviceThatIsFullIsAnErrorToo() throws {
        let path = folder("full.webm")
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/dev/full")
        let recorder = try Recorder(path: path, tracks: both)
        #expect(throws: RecordingError.self) { try clip.play(into: recorder) }
        #expect(try recorder.finish().failure?.reason == .diskFull)
    }

    @Test func aPipeTakesARecordingInOrder() throws {
        let pipe = folder("pipe.webm")
        let path = folder("piped.webm")
        #expect(try FFmpegTools.run(["mkfifo", pipe]).status == 0)
        let reader = Process()
        reader.executableURL = URL(fileURLWithPath: "/bin/sh")
        reader.arguments = ["-c", "cat '\(pipe)' > '\(path)'"]
        try reader.run()
        let summary = try clip.record(to: pipe)
        reader.waitUntilExit()
        #expect(summary[.video]?.frames == 180)
        #expect(try ProbedFile(path)["vp8"]?.packets == 180)
        #expect(try FFmpegTools.complaints(path) == "")
    }

    @Test func afterTheEndThereIsNothingMore() throws {
        let recorder = try Recorder(path: folder("x.webm"), tracks: both)
        try clip.play(into: recorder)
        _ = try recorder.finish()
        #expect(throws: RecordingError.self) { try recorder.write(clip.frames[0].frame, track: .video) }
        #expect(throws: RecordingError.self) { try recorder.finish() }
    }

    @Test func progressGrows() throws {
        var last = RecordingProgress(duration: .zero, bytes: 0, audioFrames: 0, videoFrames: 0, needsKeyframe: false)
        _ = try clip.record(to: folder("p.webm")) { recorder, index in
            guard index % 100 == 99 else { return }
            let now = recorder.progress
            #expect(now.duration > last.duration && now.bytes > last.bytes && now.audioFrames > last.audioFrames)
            last = now
        }
        #expect(last.duration > .milliseconds(4_000))
    }
}

struct RecorderRobustnessTests {
    private let keyframe: [UInt8] = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xF0, 0x00]

    @Test func heldFramesAndListsAreBounded() throws {
        var options = RecordingOptions()
        options.heldFrames = 50
        options.listedEvents = 20
        let collector = RecordedCall.Collector()
        let recorder = Recorder(
            path: "null:", format: .null, tracks: both, options: options, file: nil, container: collector)
        // A flood within one millisecond: no time passes, so nothing would ever settle. And then a gap before every frame.
        for index in 0..<1_000 {
            let frame = EncodedFrame(
                codec: .opus, payload: [0xFC] + [UInt8](repeating: 0, count: 8),
                timestamp: Int64(index) * (index < 500 ? 120 : 5_000),
                arrival: .zero + .milliseconds(index < 500 ? 0 : Int64(index) * 104))
            try recorder.write(frame, track: .audio)
            if index == 499 { #expect((collector.frames[.audio]?.count ?? 0) >= 450) }
        }
        let summary = try recorder.finish()
        #expect(summary[.audio]?.frames == 1_000)
        #expect(summary[.audio]?.gaps.count == 20)
        #expect((summary[.audio]?.gapCount ?? 0) > 450)
    }

    @Test func garbageIsDroppedAndCounted() throws {
        var mutations = Mutations(of: [keyframe, [0xFC, 1, 2, 3], [0xFF, 0x83, 1, 2], [0x11, 0, 0], []], seed: 5)
        var random = RandomSource.seeded(6)
        let recorder = try Recorder(path: "null:", tracks: both)
        for _ in 0..<20_000 {
            let codec = Codec.allCases.randomElement(using: &random) ?? .opus
            let frame = EncodedFrame(
                codec: codec, payload: mutations.next(), timestamp: Int64(truncatingIfNeeded: random.next()),
                duration: Int64(truncatingIfNeeded: random.next()),
                arrival: Instant(nanoseconds: Int64(random.next() >> 20)))
            try recorder.write(frame, track: MediaKind.allCases.randomElement(using: &random) ?? .audio)
            recorder.noteSenderReport(
                track: .audio, ntp: NTPTime(rawValue: random.next()), rtp: Int64(truncatingIfNeeded: random.next()))
        }
        let summary = try recorder.finish()
        #expect((summary[.audio]?.framesDropped ?? 0) > 100)
    }

    @Test func theTracksOfAHeaderAreFoundAndChangedInPlace() throws {
        let header = try matroskaHeader()
        let tracks = MatroskaTracks(header: header).entries
        #expect(tracks.map(\.kind) == [.video, .audio])
        let patches = tracks[0].resized(to: VideoSize(1_280, 720))
        #expect(patches.map(\.bytes) == [[0x05, 0x00], [0x02, 0xD0]])
        var patched = header
        for patch in patches {
            patched.replaceSubrange(patch.offset..<patch.offset + patch.bytes.count, with: patch.bytes)
        }
        #expect(tracks[0].resized(to: VideoSize(100_000, 720)).isEmpty)
        for patch in tracks[1].voided() {
            patched.replaceSubrange(patch.offset..<patch.offset + patch.bytes.count, with: patch.bytes)
        }
        #expect(patched.count == header.count)
        #expect(MatroskaTracks(header: patched).entries.map(\.kind) == [.video])
    }

    @Test func anyHeaderIsReadWithoutATrap() throws {
        let header = try matroskaHeader()
        for length in 0..<header.count { _ = MatroskaTracks(header: Array(header.prefix(length))) }
        let end = try #require(MatroskaTracks(header: header).entries.last?.range.upperBound)
        var mutations = Mutations(of: [Array(header.prefix(end))], seed: 7)
        var found = 0
        for _ in 0..<100_000 {
            let bytes = mutations.next()
            for entry in MatroskaTracks(header: bytes).entries {
                found += 1
                for patch in entry.voided() + entry.resized(to: VideoSize(640, 480)) {
                    #expect(patch.offset >= 0 && patch.offset + patch.bytes.count <= bytes.count)
                }
            }
        }
        #expect(found > 1_000)
    }

    private func matroskaHeader() throws -> [UInt8] {
        let folder = try ScratchFolder()
        let recorder = try Recorder(path: folder("h.webm"), tracks: both)
        let frame = EncodedFrame(codec: .opus, payload: [0xFC, 1, 2, 3], timestamp: 0, arrival: .zero)
        try recorder.write(frame, track: .audio)
        try recorder.advance(to: .zero + .milliseconds(2_000))
        return try ScratchFolder.bytes(folder("h.webm"))
    }
}
