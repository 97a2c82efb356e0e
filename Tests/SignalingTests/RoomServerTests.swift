import Foundation
import NIOCore
import Primitives
import Testing

@testable import Signaling

/// A real server and real clients on loopback.
@Suite(.timeLimit(.minutes(1))) struct RoomServerTests {
    private func withServer(
        _ change: (inout RoomServerConfiguration) -> Void = { _ in }, _ body: (RoomServer) async throws -> Void
    ) async throws {
        var configuration = RoomServerConfiguration()
        configuration.port = 0
        change(&configuration)
        let server = try await RoomServer.start(configuration, isLocalOnly: true)
        do {
            try await body(server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }

    private func url(_ server: RoomServer, _ room: String = "demo") throws -> RoomURL {
        try RoomURL(parsing: "ws://127.0.0.1:\(server.port)/room/\(room)")
    }

    private func join(_ server: RoomServer, _ room: String = "demo", session: String? = nil) async throws -> Guest {
        let guest = Guest(try await WebSocketClient.connect(to: url(server, room), token: nil))
        guest.say(ClientMessage.join(session: session, name: nil).text)
        return guest
    }

    @Test func twoMeetInARoom() async throws {
        try await withServer { server in
            var a = try await join(server)
            guard case .joined(let first) = try await a.next() else { return #expect(Bool(false)) }
            var b = try await join(server)
            guard case .joined(let second) = try await b.next() else { return #expect(Bool(false)) }
            #expect(!first.offers && second.offers && second.peers.map(\.id) == [first.id])
            guard case .peerJoined = try await a.next() else { return #expect(Bool(false)) }
            let offer = #"{"type":"offer","sdp":"\#(String(repeating: "é", count: 60_000))"}"#
            b.say(offer)
            #expect(try await a.next() == .relayed(offer))
            b.say(#"{"type":"leave"}"#)
            #expect(try await a.next() == .peerLeft(id: second.id, reason: "left"))
            #expect(try await b.isOver())
        }
    }

    @Test func aBrokenConnectionTakesItsPlaceUpAgain() async throws {
        try await withServer { server in
            var a = try await join(server)
            guard case .joined(let first) = try await a.next() else { return #expect(Bool(false)) }
            var b = try await join(server)
            _ = try await b.next()
            a.connection.breakOff()
            while try await a.hasMore() {}
            b.say(#"{"type":"offer","sdp":"v=0"}"#)
            var again = try await join(server, session: first.session)
            guard case .joined(let resumed) = try await again.next() else { return #expect(Bool(false)) }
            #expect(resumed.resumed && resumed.id == first.id)
            #expect(try await again.next() == .relayed(#"{"type":"offer","sdp":"v=0"}"#))
            guard case .peerJoined(let back) = try await b.next() else { return #expect(Bool(false)) }
            #expect(back.resumed)
        }
    }

    @Test func tokensAndRoomsAreLookedAtBeforeTheWebSocketOpens() async throws {
        try await withServer({ $0.token = "right" }) { server in
            for token in [nil, "wrong"] {
                await #expect {
                    try await WebSocketClient.connect(to: try url(server), token: token)
                } throws: { ($0 as? WebSocketError)?.kind == .refused(status: 401) }
            }
            let connection = try await WebSocketClient.connect(to: try url(server), token: "right")
            connection.close()
        }
        await #expect {
            try await WebSocketClient.connect(to: try RoomURL(parsing: "ws://127.0.0.1:1/room/x"), token: nil)
        } throws: { ($0 as? WebSocketError)?.kind == .unreachable }
    }

    @Test func aMessageBeyondTheBoundEndsItsSenderAlone() async throws {
        try await withServer { server in
            var (a, b) = (try await join(server), try await join(server, "other"))
            _ = try await a.next()
            _ = try await b.next()
            a.say(#"{"type":"offer","sdp":"\#(String(repeating: "x", count: (1 << 20) - 64))"}"#)
            guard case .error(.tooLarge, _, true) = try await a.next() else { return #expect(Bool(false)) }
            b.say("nonsense")
            guard case .error(.malformed, _, false) = try await b.next() else { return #expect(Bool(false)) }
        }
    }

    /// Connections that say nothing make way for those who want to call.
    @Test func theOldestIdleConnectionMakesWay() async throws {
        try await withServer({ $0.limits.connections = 10 }) { server in
            var caller = try await join(server)
            _ = try await caller.next()
            var idle: [WebSocketConnection] = []
            for _ in 0..<30 { idle.append(try await WebSocketClient.connect(to: url(server, "idle"), token: nil)) }
            var other = try await join(server)
            guard case .joined = try await other.next() else { return #expect(Bool(false)) }
            guard case .peerJoined = try await caller.next() else { return #expect(Bool(false)) }
        }
    }

    @Test func stoppingSaysBye() async throws {
        let server = try await RoomServer.start(
            {
                var configuration = RoomServerConfiguration()
                configuration.port = 0
                return configuration
            }(), isLocalOnly: true)
        var a = try await join(server)
        _ = try await a.next()
        await server.stop()
        #expect(try await a.next() == .relayed(#"{"type":"bye","reason":"shutting-down"}"#))
        guard case .error(.shuttingDown, _, true) = try await a.next() else { return #expect(Bool(false)) }
        #expect(try await a.isOver())
    }

    @Test func aPortThatIsTakenIsAnError() async throws {
        try await withServer { server in
            var second = RoomServerConfiguration()
            second.port = server.port
            await #expect(throws: RoomServerError.self) { try await RoomServer.start(second, isLocalOnly: true) }
        }
    }

    @Test func aResidentIsOnTheLine() async throws {
        try await withServer({ $0.hasResidents = true }) { server in
            var guest = try await join(server)
            guard case .joined(let joined) = try await guest.next() else { return #expect(Bool(false)) }
            #expect(joined.offers)
            var residents = server.residents.makeAsyncIterator()
            let resident = try #require(await residents.next())
            #expect(resident.room == "demo")
            guest.say(#"{"type":"offer","sdp":"v=0"}"#)
            var messages = resident.messages.makeAsyncIterator()
            var heard: [String] = []
            while heard.last?.contains("offer\"") != true, let text = await messages.next() { heard.append(text) }
            resident.send(#"{"type":"answer","sdp":"v=0"}"#)
            #expect(try await guest.next() == .relayed(#"{"type":"answer","sdp":"v=0"}"#))
            guest.say(#"{"type":"leave"}"#)
            while await messages.next() != nil {}
        }
    }

    /// A connection and what it has heard.
    private struct Guest {
        let connection: WebSocketConnection
        private var messages: AsyncStream<String>.Iterator

        init(_ connection: WebSocketConnection) {
            self.connection = connection
            messages = connection.messages.makeAsyncIterator()
        }

        func say(_ text: String) { connection.send(text) }

        mutating func next() async throws -> ServerMessage {
            guard let text = await messages.next() else { throw Over() }
            return try ServerMessage(parsing: text)
        }

        mutating func hasMore() async throws -> Bool { await messages.next() != nil }
        mutating func isOver() async throws -> Bool { await messages.next() == nil }

        struct Over: Error {}
    }
}
