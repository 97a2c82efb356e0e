import Foundation
import Testing

/// `--at` and `--control`: what is asked of a call while it goes on, seen from the other side.
@Suite(.timeLimit(.minutes(5))) struct ControlledCallTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private static let small = ["--video-size", "160x120"]

    /// A call of two programs in a room; the first is asked things, the second records what comes of it.
    ///
    /// - Returns: how both ended, the first one first.
    private func call(
        _ commands: [String], sending source: [String] = ["--send", "test"], duration: String? = "7",
        meanwhile: @Sendable (Program) async throws -> Void = { _ in }
    ) async throws -> (Ended, Ended) {
        try await Places.calls.taking { [self] in
            let server = try await RoomServer.start(scratch: scratch)
            let limit = duration.map { ["--duration", $0] } ?? []
            func caller(_ name: String, _ arguments: [String]) throws -> Program {
                try Program(
                    posternPath,
                    [
                        "call", server.room("r"), "--wait-for-peer", "30", "--record", scratch.file(name + ".webm"),
                        "--report", scratch.file(name + ".json"),
                    ] + Self.small + arguments, scratch: scratch)
            }
            let first = try caller("first", source + limit + commands)
            #expect(await holds(within: 20) { first.errors.contains("in room") })
            let second = try caller("second", ["--send", "test", "--loop"])
            try await meanwhile(first)
            let ends = (await first.ended(within: 60), await second.ended(within: 30))
            _ = await server.stop()
            return ends
        }
    }

    /// Gaps in what a side recorded of a kind, s.
    private func gaps(_ name: String, _ kind: String) throws -> [Double] {
        let tracks = try JSON(file: scratch.file(name + ".json"))["recording"]["tracks"].items
        let track = try #require(tracks.first { $0["kind"].text == kind }, "\(tracks)")
        return track["gaps"].items.compactMap { $0["duration"].number.map { $0 / 1000 } }
    }

    @Test func whoIsOnHoldNeitherHearsNorSees() async throws {
        let (first, second) = try await call(["--at", "2s hold", "--at", "4s resume"])
        #expect(first.status == 0 && second.status == 0, "\(first.errors)\n\(second.errors)")
        for name in ["first", "second"] {
            for kind in ["audio", "video"] {
                let gaps = try gaps(name, kind)
                #expect(gaps.contains { (1.5...5).contains($0) }, "\(name) \(kind): \(gaps)")
            }
        }
        let report = try JSON(file: scratch.file("first.json"))
        #expect(report["commands"].items.map { $0["command"].text } == ["hold", "resume"])
        #expect(report["commands"].items.allSatisfy { $0["error"] == .null })
        #expect(abs((report["commands"].items.first?["time"].number ?? 0) - 2_000) < 500)
    }

    /// Muted sound is a gap in the sound alone, on one side alone.
    @Test func whatIsMutedIsAGap() async throws {
        let (first, second) = try await call(["--at", "2s mute audio", "--at", "4s unmute"], duration: "6")
        #expect(first.status == 0 && second.status == 0, "\(first.errors)\n\(second.errors)")
        #expect(try gaps("second", "audio").contains { (1.5...5).contains($0) })
        #expect(try gaps("second", "video").isEmpty && gaps("first", "audio").isEmpty)
    }

    @Test func videoGoesAndComesBack() async throws {
        let (first, second) = try await call(["--at", "2s remove video", "--at", "4s add video"])
        #expect(first.status == 0 && second.status == 0, "\(first.errors)\n\(second.errors)")
        for name in ["first", "second"] {
            #expect(try gaps(name, "audio").isEmpty)
            let video = try gaps(name, "video")
            #expect(video.contains { (1.5...6).contains($0) }, "\(name): \(video)")
            try await expectPlayable(scratch.file(name + ".webm"), scratch: scratch)
        }
    }

    /// Another file takes the place of the one that is sent, with a kind the first did not have.
    @Test func anotherSourceTakesThePlaceOfTheFirst() async throws {
        let (first, second) = try await call(
            ["--at", "2s send \(Fixture.clip)"], sending: ["--send", Fixture.media("tone.wav"), "--loop"], duration: "6"
        )
        #expect(first.status == 0 && second.status == 0, "\(first.errors)\n\(second.errors)")
        let sent = try JSON(file: scratch.file("first.json"))
        #expect((sent["video"]["framesSent"].number ?? 0) > 60, "\(sent["video"])")
        let tracks = try JSON(file: scratch.file("second.json"))["recording"]["tracks"].items
        let video = try #require(tracks.first { $0["kind"].text == "video" }, "\(second.errors)")
        #expect((2_500...4_500).contains(video["duration"].number ?? 0), "\(video)")
        let audio = try #require(tracks.first { $0["kind"].text == "audio" })
        #expect((audio["duration"].number ?? 0) > 5_500, "\(audio)")
        try await expectPlayable(scratch.file("second.webm"), scratch: scratch)
    }

    /// What cannot be sent changes nothing for the other side; but the call did not do what its command line says.
    @Test func aMissingFileIsToldAndTheCallGoesOn() async throws {
        let (first, second) = try await call(["--at", "1s send no-such.mp4"], duration: "4")
        #expect(first.status == 10 && first.errors.contains("no-such.mp4"), "\(first.errors)")
        #expect(second.status == 0, "\(second.errors)")
        #expect(try gaps("second", "audio").isEmpty && gaps("second", "video").isEmpty)
        let command = try JSON(file: scratch.file("first.json"))["commands"].items.first
        #expect(command?["error"].text?.contains("no-such.mp4") == true)
    }

    /// Lines of a named pipe, from writers that come and go. The end of the source is not the end of the call; what is no
    /// command is told, and no failure.
    @Test func aNamedPipeIsListenedTo() async throws {
        let pipe = scratch.file("control")
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        let (first, second) = try await call(
            ["--control", pipe],
            sending: ["--send", Fixture.media("tone.wav")], duration: nil
        ) { first in
            #expect(await holds(within: 30) { scratch.exists("second.webm") })
            try await Task.sleep(for: .seconds(4))
            for line in ["# keys follow", "keys 42", "dance", "", "hangup"] {
                try write(line, to: pipe)
                try await Task.sleep(for: .milliseconds(400))
            }
        }
        #expect(first.status == 0 && second.status == 0, "\(first.errors)\n\(second.errors)")
        #expect(first.errors.contains("'dance' is no command; there are hold"), "\(first.errors)")
        let heard = try JSON(file: scratch.file("second.json"))["dtmf"].items.compactMap { $0["digit"].text }
        #expect(heard.joined() == "42")
        let asked = try JSON(file: scratch.file("first.json"))["commands"].items.compactMap { $0["command"].text }
        #expect(asked == ["keys 42", "hangup"])
    }

    private func write(_ line: String, to pipe: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: pipe))
        try file.write(contentsOf: Data((line + "\n").utf8))
        try file.close()
    }

    @Test(
        arguments: [
            (["--at", "hold"], "write a time in the call and a command"), (["--at", "5x hold"], "--at 5x"),
            (["--at", "5s dance"], "'dance' is no command"), (["--at", "5s keys E"], "write keys of 0-9"),
            (["--control", "-"], "both want standard input"), (["--control", "no-such-pipe"], "mkfifo"),
            (["--control", "."], "it is a directory"),
        ]) func whatCannotBeIsRefused(arguments: [String], message: String) async throws
    {
        let ended = try await Program(
            posternPath, ["call", "stdio:offer", "--send", "test", "--duration", "1"] + arguments, scratch: scratch
        ).ended(within: 20)
        #expect(ended.status == 64 && ended.errors.contains(message), "\(ended.status): \(ended.errors)")
    }
}
