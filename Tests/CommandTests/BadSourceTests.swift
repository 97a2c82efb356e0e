import Foundation
import Testing

/// What cannot be sent is told before a call begins: exit code 10, no recording left behind.
@Suite struct BadSourceTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func refused(
        _ source: String, saying words: [String], _ more: [String] = [], leaves recording: Bool = false,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let ended = try await posternWithoutPrivileges(
            ["loopback", "--send", source, "--record", scratch.file("out.webm"), "--duration", "2"] + more,
            scratch: scratch)
        expectFailure(
            ended, 10, saying: words + (source.isEmpty ? [] : [source]), source, sourceLocation: sourceLocation)
        #expect(scratch.exists("out.webm") == recording, "\(source)", sourceLocation: sourceLocation)
        #expect(ended.output.isEmpty, sourceLocation: sourceLocation)
    }

    private func file(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
        let path = scratch.file(name)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    @Test func whatIsNoFileOfMedia() async throws {
        try await refused(scratch.file("missing.mp4"), saying: ["there is no such file"])
        try await refused(Fixture.media("empty.mp4"), saying: ["the file is empty"])
        try await refused(Fixture.media("text.mp4"), saying: ["this is text, not media"])
        try await refused(Fixture.media("no-index.mp4"), saying: ["index is missing", "Copy it again"])
        try await refused(scratch.path, saying: ["this is a directory", "Name a file"])
        try await refused("", saying: ["no file is named"])
        var random = SystemRandomNumberGenerator()
        let noise = (0..<50_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        try await refused(try file("noise.webm", noise), saying: [])
        // A head that promises media, and noise where they should be.
        let clip = try Data(contentsOf: URL(fileURLWithPath: Fixture.passable))
        try await refused(try file("head.webm", clip.prefix(60) + noise), saying: [])
    }

    /// A file that breaks off is sent as far as it goes, and the recording of that is kept.
    @Test(arguments: ["mp4", "webm"]) func aFileThatBreaksOffIsSentToThere(_ kind: String) async throws {
        let clip = try Data(contentsOf: URL(fileURLWithPath: kind == "mp4" ? Fixture.clip : Fixture.passable))
        let source = try file("cut.\(kind)", clip.prefix(clip.count / 6))
        try await refused(source, saying: ["breaks off", "damaged or was not copied to its end"], leaves: true)
        try await expectPlayable(scratch.file("out.webm"), scratch: scratch)
    }

    @Test func aFileThatMayNotBeRead() async throws {
        let path = try file("secret.mp4", Data(contentsOf: URL(fileURLWithPath: Fixture.clip)))
        try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: path)
        try await refused(path, saying: ["ermission"])
    }

    @Test func aCodecThatNobodyKnows() async throws {
        let made = scratch.file("made.mkv")
        try await run(
            "ffmpeg",
            [
                "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-c:v", "libx264", made,
            ], scratch: scratch)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: made))
        let name = try #require(bytes.range(of: Data("V_MPEG4/ISO/AVC".utf8)))
        bytes.replaceSubrange(name, with: Data("V_QUUX/NOT/HERE".utf8))
        try await refused(try file("unknown.mkv", bytes), saying: ["no decoder for its video", "Convert the file"])
    }

    @Test func aFileWithoutSoundOrPictures() async throws {
        let (text, path) = (
            try file("words.srt", "1\n00:00:00,000 --> 00:00:01,000\nhello\n".utf8), scratch.file("s.mkv")
        )
        try await run("ffmpeg", ["-nostdin", "-v", "error", "-i", text, path], scratch: scratch)
        try await refused(path, saying: ["neither audio nor video"])
    }

    @Test func onlyVP8AndOpusPassThrough() async throws {
        try await refused(Fixture.clip, saying: ["h264", "Leave out passthrough"], ["--passthrough"])
        try await refused("test", saying: ["not read from a file"], ["--passthrough"])
    }

    /// A pipe that brings something else than was said.
    @Test(arguments: ["junk", "rawvideo:", "rawvideo:0x0@30", "rawvideo:640x480@99999", "s16le:0:2", "y4m", "wav"])
    func aPipeThatIsNotWhatWasSaid(_ format: String) async throws {
        let input = Pipe()
        ignoreBrokenPipes
        let ended = try await Places.calls.taking { [scratch] in
            let program = try Program(
                posternPath,
                ["loopback", "--send", "-", "--input-format", format, "--record", scratch.file("out.webm")],
                scratch: scratch, input: input)
            try? input.fileHandleForWriting.write(contentsOf: Data(repeating: 0x55, count: 5_000))
            try? input.fileHandleForWriting.close()
            return await program.ended()
        }
        expectFailure(ended, 10, saying: ["--send -"], format)
        #expect(!scratch.exists("out.webm"))
    }
}
