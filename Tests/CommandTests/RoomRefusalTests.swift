import Foundation
import Testing

/// What a server of rooms does not let in: exit code 13 with the reason, and no recording.
@Suite(.timeLimit(.minutes(5))) struct RoomRefusalTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func refused(_ url: String, _ flags: [String] = [], saying words: [String]) async throws {
        let ended = try await postern(
            ["call", url, "--record", scratch.file("out.webm"), "--wait-for-peer", "2"] + flags, scratch: scratch)
        expectFailure(ended, 13, saying: words, url)
        #expect(!scratch.exists("out.webm"))
    }

    @Test func tokensRoomsAndServersThatAreNotThere() async throws {
        let server = try await RoomServer.start(["--token", "right"], scratch: scratch)
        try await refused(server.room("r"), ["--token", "wrong"], saying: ["401", "token"])
        try await refused(server.room("r"), saying: ["401", "token"])
        try await refused(server.room("r"), ["--token", "right"], saying: ["nobody came into room r within 2.0 s"])
        try await refused("ws://127.0.0.1:\(server.port)/elsewhere/room/r", ["--token", "right"], saying: ["404"])
        try await refused("wss://127.0.0.1:\(server.port)/room/r", ["--token", "right"], saying: ["TLS"])
        _ = await server.stop()
        try await refused(server.room("r"), ["--token", "right"], saying: ["cannot connect", "refused"])
    }

    /// The third is refused; the two do not notice.
    @Test func aThirdIsRefused() async throws {
        let server = try await RoomServer.start(scratch: scratch)
        try await Places.calls.taking { [scratch] in
            let small = ["--send", "test", "--video-size", "160x120", "--duration", "8"]
            let two = try ["a", "b"].map {
                try Program(
                    posternPath, ["call", server.room("r"), "--report", scratch.file($0 + ".json")] + small,
                    scratch: scratch)
            }
            #expect(await holds(within: 20) { two.allSatisfy { $0.errors.contains("in room") } })
            let third = try Program(posternPath, ["call", server.room("r")], scratch: scratch)
            expectFailure(await third.ended(within: 20), 13, saying: ["room-full"])
            for program in two {
                let ended = await program.ended(within: 40)
                #expect(ended.status == 0, "\(ended.errors)")
            }
            for name in ["a", "b"] {
                #expect(try JSON(file: scratch.file(name + ".json"))["outcome"].text == "completed")
            }
        }
        _ = await server.stop()
    }

    @Test func roomsAreCounted() async throws {
        let server = try await RoomServer.start(["--rooms", "1"], scratch: scratch)
        let first = try Program(posternPath, ["call", server.room("one"), "--wait-for-peer", "20"], scratch: scratch)
        #expect(await holds(within: 20) { first.errors.contains("in room") })
        // The first has its room when another is refused one.
        try await Task.sleep(for: .seconds(1))
        try await refused(server.room("two"), saying: ["too-many-rooms"])
        first.signal(SIGTERM)
        _ = await first.ended(within: 20)
        try await refused(server.room("two"), saying: ["nobody came into room two"])
        _ = await server.stop()
    }
}
