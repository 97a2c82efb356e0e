import Foundation
import Testing

/// Where nothing can be written, and where it comes to an end: exit code 11, what was recorded stays playable.
@Suite struct BadRecordingTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func refused(
        _ flag: String, _ path: String, saying words: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let before = scratch.contents.filter { !$0.hasPrefix(".") }
        let ended = try await posternWithoutPrivileges(
            ["loopback", "--send", "test", "--duration", "1", flag, path], scratch: scratch)
        expectFailure(ended, 11, saying: words + ["\(flag) \(path)"], path, sourceLocation: sourceLocation)
        #expect(scratch.contents.filter { !$0.hasPrefix(".") } == before, sourceLocation: sourceLocation)
    }

    @Test func aPathThatCannotBeRecordedTo() async throws {
        try await refused(
            "--record", scratch.file("none/out.webm"), saying: ["No such file or directory", "make the folder"])
        try await refused("--record", scratch.file("out.foo"), saying: ["extension", ".webm .mkv .mp4"])
        try await refused("--record", scratch.file("out"), saying: ["extension"])
        try FileManager.default.createDirectory(atPath: scratch.file("a.webm"), withIntermediateDirectories: false)
        try await refused("--record", scratch.file("a.webm"), saying: ["irectory"])
        try FileManager.default.createDirectory(atPath: scratch.file("locked"), withIntermediateDirectories: false)
        try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: scratch.file("locked"))
        try await refused("--record", scratch.file("locked/out.webm"), saying: ["ermission denied"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.file("locked")).isEmpty)
    }

    @Test(arguments: ["--report", "--events"]) func aReportOrTraceThatCannotBeWritten(_ flag: String) async throws {
        try FileManager.default.createDirectory(atPath: scratch.file("locked"), withIntermediateDirectories: false)
        try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: scratch.file("locked"))
        for path in ["none/out.json", "locked", "locked/out.json"] {
            try await refused(flag, scratch.file(path), saying: [])
        }
        // One that can be opened, and then takes nothing.
        try await refused(flag, "/dev/full", saying: ["space"])
    }

    @Test func aDiskThatIsFullEndsTheRecordingAndKeepsIt() async throws {
        let probe = try await inMountNamespace(
            "mount -t tmpfs none \"$1\"", [scratch.path], scratch: scratch)
        guard probe.status == 0 else {
            // Containers may forbid it; the size limit below takes the same way.
            print("no mount namespaces here (\(probe.errors)): a full disk is not tried")
            return
        }
        for (name, limit) in [("out.webm", "200k"), ("out.wav", "300k"), ("out.mp4", "200k")] {
            let ended = try await inMountNamespace(
                """
                mkdir -p small && mount -t tmpfs -o size="$2" none small
                status=0
                "$1" loopback --send "$4" --video-bitrate 2M --duration 6 --record "small/$3" || status=$?
                cp "small/$3" "$3"
                exit $status
                """, [posternPath, limit, name, Fixture.clip], scratch: scratch)
            expectFailure(ended, 11, saying: ["No space left on device", name], name)
            try await expectPlayable(scratch.file(name), scratch: scratch)
            #expect((try await seconds(scratch.file(name))) > 0.4, "\(name)")
        }
    }

    @Test func aFileThatMayGrowNoFurtherIsKept() async throws {
        let recording = scratch.file("out.webm")
        let ended = try await Places.calls.taking { [scratch] in
            try await Program(
                tool("sh"),
                [
                    "-c", "ulimit -f 300; exec \"$@\"", "sh", posternPath, "loopback", "--send", Fixture.clip,
                    "--video-bitrate", "2M", "--record", recording,
                ], scratch: scratch
            ).ended()
        }
        expectFailure(ended, 11, saying: [recording])
        try await expectPlayable(recording, scratch: scratch)
        #expect((try await seconds(recording)) > 0.4)
    }

    /// Killed without a chance to end it, the recording plays to within a second of that moment.
    @Test(arguments: ["webm", "mkv", "mp4"]) func aKilledRecorderLeavesAPlayableFile(_ kind: String) async throws {
        let recording = scratch.file("out." + kind)
        let ended = try await Places.calls.taking { [scratch] in
            let program = try Program(
                posternPath, ["loopback", "--send", Fixture.clip, "--record", recording], scratch: scratch)
            try await Task.sleep(for: .seconds(3))
            program.signal(SIGKILL)
            return await program.ended()
        }
        #expect(ended.wasSignalled && ended.status == SIGKILL)
        // A demuxer may say that it ends early; what it must not do is to fail.
        let played = try await run(
            "ffmpeg", ["-nostdin", "-v", "fatal", "-i", recording, "-f", "null", "-"], scratch: scratch)
        #expect(played.errors.isEmpty)
        #expect((try await seconds(recording)) > 1.2, "\(kind)")
    }

    /// By the last packet, as a file that was not finished tells no length.
    private func seconds(_ path: String) async throws -> Double {
        let ended = try await run(
            "ffprobe", ["-v", "fatal", "-show_entries", "packet=pts_time", "-of", "csv=p=0", path], scratch: scratch)
        return ended.output.split(whereSeparator: { $0 == "\n" || $0 == "," }).compactMap { Double($0) }.max() ?? 0
    }
}
