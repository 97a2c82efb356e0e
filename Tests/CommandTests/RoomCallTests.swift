import Foundation
import Testing

/// Calls of two processes that meet in a room of a third.
@Suite(.timeLimit(.minutes(5))) struct RoomCallTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// One peer, with its recording, report and events under its name.
    private func caller(
        _ name: String, in url: String, _ arguments: [String], environment: [String: String] = [:]
    ) throws -> Program {
        try Program(
            posternPath,
            [
                "call", url, "--wait-for-peer", "30", "--record", scratch.file(name + ".webm"), "--report",
                scratch.file(name + ".json"), "--events", scratch.file(name + ".ndjson"),
            ] + arguments, scratch: scratch, environment: environment)
    }

    private func isInRoom(_ program: Program) async -> Bool {
        await holds(within: 20) { program.errors.contains("in room") }
    }

    private func stands(_ name: String) async -> Bool {
        await holds(within: 30) { scratch.text(name + ".ndjson").contains("dtlsConnected") }
    }

    @Test func whatIsSentIsRecorded() async throws {
        try await Places.calls.taking { [self] in
            let server = try await RoomServer.start(["--token", "open-sesame"], scratch: scratch)
            let secret = ["POSTERN_TOKEN": "open-sesame"]
            let first = try caller("first", in: server.room("r"), ["--send", Fixture.clip], environment: secret)
            #expect(await isInRoom(first))
            let second = try caller(
                "second", in: server.room("r"), ["--send", Fixture.passable, "--passthrough"], environment: secret)
            for program in [first, second] {
                let ended = await program.ended(within: 60)
                #expect(ended.status == 0, "\(ended.errors)")
                #expect(!ended.errors.contains("open-sesame"))
            }
            #expect(await server.stop().status == 0)
        }
        try await expectWhole(scratch.file("first.webm"), source: Fixture.passable, scratch: scratch)
        try await expectWhole(scratch.file("second.webm"), source: Fixture.clip, scratch: scratch)
        let report = try JSON(file: scratch.file("second.json"))
        #expect(report["call"].text == "room" && report["outcome"].text == "completed")
        // Who came second found the other there, offered at once and was answered.
        let phases = ["connected", "joined", "peerPresent", "offered", "answered"].map {
            report["signaling"][$0].number ?? -1
        }
        #expect(phases.allSatisfy { $0 >= 0 } && phases == phases.sorted(), "\(report["signaling"])")
        #expect((report["signaling"]["bothDescriptionsKnown"].number ?? -1) >= phases[3])
        #expect(!scratch.text("second.json").contains("open-sesame"))
    }

    /// The keys of `--send-dtmf` are in the other side's report and events, each once and in order.
    @Test func keysAreHeardBothWays() async throws {
        try await Places.calls.taking { [self] in
            let server = try await RoomServer.start(scratch: scratch)
            let first = try caller(
                "first", in: server.room("keys"),
                ["--send", "test", "--video-size", "160x120", "--send-dtmf", "12#@0.5s", "--duration", "4"])
            #expect(await isInRoom(first))
            let second = try caller(
                "second", in: server.room("keys"),
                ["--send", "test", "--video-size", "160x120", "--send-dtmf", "9,*D", "--duration", "4"])
            for program in [first, second] {
                let ended = await program.ended(within: 40)
                #expect(ended.status == 0, "\(ended.errors)")
            }
            _ = await server.stop()
        }
        for (name, heard) in [("first", "9*D"), ("second", "12#")] {
            let report = try JSON(file: scratch.file(name + ".json"))
            #expect(report["dtmf"].items.compactMap { $0["digit"].text }.joined() == heard, "\(report["dtmf"])")
            #expect(report["dtmf"].items.allSatisfy { ($0["duration"].number ?? 0) >= 40 })
            let ends = scratch.text(name + ".ndjson").split(separator: "\n").compactMap {
                try? JSON(parsing: String($0))
            }
            .filter { $0["event"].text == "telephoneEvent" && $0["isEnd"] == .bool(true) }
            #expect(ends.compactMap { $0["digit"].text }.joined() == heard)
        }
    }

    /// A side that sends no sound presses no keys: it is told why, and the call goes on.
    @Test func keysNeedSound() async throws {
        try await Places.calls.taking { [self] in
            let server = try await RoomServer.start(scratch: scratch)
            let first = try caller("first", in: server.room("keys"), ["--send-dtmf", "1@500ms", "--duration", "2"])
            #expect(await isInRoom(first))
            let second = try caller(
                "second", in: server.room("keys"), ["--send", "test", "--video-size", "160x120", "--duration", "2"])
            let (one, other) = (await first.ended(within: 40), await second.ended(within: 40))
            #expect(one.status == 0 && one.errors.contains("--send-dtmf"), "\(one.errors)")
            #expect(try JSON(file: scratch.file("second.json"))["dtmf"].items.isEmpty, "\(other.errors)")
            _ = await server.stop()
        }
    }

    /// The TCP connection of one side breaks for some seconds, with a reset or without a word. The call goes on, the place
    /// is kept, and the goodbye at the end comes through it.
    @Test(arguments: TroubledRelay.Trouble.allCases) func aBrokenConnectionKeepsPlaceAndCall(
        _ trouble: TroubledRelay.Trouble
    ) async throws {
        try await Places.calls.taking { [self] in
            let server = try await RoomServer.start(scratch: scratch)
            let relay = try await TroubledRelay(to: server.port, scratch: scratch)
            let small = ["--send", "test", "--video-size", "160x120"]
            let first = try caller("first", in: server.room("r", port: relay.port), small + ["--duration", "24"])
            #expect(await isInRoom(first))
            let second = try caller("second", in: server.room("r"), small)
            #expect(await stands("first"))
            relay.make(trouble)
            #expect(await holds(within: 20) { first.errors.contains("connecting again") }, "\(first.errors)")
            try await Task.sleep(for: .seconds(trouble == .cut ? 3 : 0))
            relay.mend()
            #expect(await holds(within: 10) { first.errors.contains("is back") }, "\(first.errors)")
            for program in [first, second] {
                let ended = await program.ended(within: 60)
                #expect(ended.status == 0, "\(ended.errors)")
                #expect(!ended.errors.contains("call goes on without"), "\(ended.errors)")
            }
            await relay.stop()
            _ = await server.stop()
        }
        for name in ["first", "second"] {
            let report = try JSON(file: scratch.file(name + ".json"))
            #expect(report["outcome"].text == "completed")
            #expect(report["recording"]["tracks"].items.allSatisfy { $0["gapCount"].integer == 0 })
            #expect((report["duration"].number ?? 0) > 20_000)
            // What stood goes on as it was: no new keys, no new path.
            let events = scratch.text(name + ".ndjson")
            #expect(events.ranges(of: "\"dtlsConnected\"").count == 1 && !events.contains("restartWanted"))
        }
    }

    /// What was said while nobody could hear it is heard: the other comes while our connection is broken.
    @Test func aPlaceIsKeptForWhoWaits() async throws {
        try await Places.calls.taking { [self] in
            let server = try await RoomServer.start(scratch: scratch)
            let relay = try await TroubledRelay(to: server.port, scratch: scratch)
            let small = ["--send", "test", "--video-size", "160x120", "--duration", "2"]
            let first = try caller("first", in: server.room("r", port: relay.port), small)
            #expect(await isInRoom(first))
            relay.make(.cut)
            let second = try caller("second", in: server.room("r"), small)
            #expect(await isInRoom(second))
            try await Task.sleep(for: .seconds(2))
            relay.mend()
            for program in [first, second] {
                let ended = await program.ended(within: 40)
                #expect(ended.status == 0, "\(ended.errors)")
            }
            await relay.stop()
            _ = await server.stop()
        }
    }

    /// The server is told to stop: it says so to the calls it relays, which end well, and ends well itself.
    @Test func aServerThatStopsSaysGoodbye() async throws {
        try await Places.calls.taking { [self] in
            let server = try await RoomServer.start(scratch: scratch)
            let small = ["--send", "test", "--video-size", "160x120"]
            let first = try caller("first", in: server.room("r"), small)
            #expect(await isInRoom(first))
            let second = try caller("second", in: server.room("r"), small)
            #expect(await stands("second"))
            try await Task.sleep(for: .seconds(2))
            let ended = await server.stop()
            #expect(ended.status == 0 && !ended.wasSignalled, "\(ended.errors)")
            #expect(!ended.errors.contains("ERROR"), "\(ended.errors)")
            for program in [first, second] {
                let ended = await program.ended(within: 15)
                #expect(ended.status == 0, "\(ended.errors)")
            }
        }
        for name in ["first", "second"] { try await expectPlayable(scratch.file(name + ".webm"), scratch: scratch) }
    }

    /// The same for calls the server answers itself: their recordings and reports are finished before it ends.
    @Test func aServerThatAnswersFinishesItsRecordings() async throws {
        try await Places.calls.taking { [self] in
            let folder = scratch.file("calls")
            let server = try await RoomServer.start(
                ["--answer", "test", "--video-size", "160x120", "--record", folder], scratch: scratch)
            let guest = try caller("guest", in: server.room("desk"), ["--send", "test", "--video-size", "160x120"])
            #expect(await stands("guest"))
            try await Task.sleep(for: .seconds(3))
            let ended = await server.stop()
            #expect(ended.status == 0 && !ended.wasSignalled, "\(ended.errors)")
            #expect(ended.errors.contains("answered 1 calls") && !ended.errors.contains("ERROR"), "\(ended.errors)")
            #expect(await guest.ended(within: 15).status == 0)
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(names.count == 2 && names.allSatisfy { $0.hasPrefix("desk-") }, "\(names)")
            for name in names where name.hasSuffix(".webm") {
                try await expectPlayable(folder + "/" + name, scratch: scratch)
            }
            for name in names where name.hasSuffix(".json") {
                let report = try JSON(file: folder + "/" + name)
                #expect(report["outcome"].text == "completed" && (report["duration"].number ?? 0) > 2_000)
            }
        }
    }
}
