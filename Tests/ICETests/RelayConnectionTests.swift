import ICE
import Primitives
import Testing

/// TURN servers that are reached by a connection: what the agent asks of whoever makes it.
@Suite struct RelayConnectionTests {
    private static let base = LocalBase(address: address("192.0.2.1:4000"))
    private static let streamed = LocalBase(address: address("192.0.2.1:5000"))
    private static let server = RelayServer(
        url: "turns:turn.example.org:5349?transport=tcp", address: address("203.0.113.20:5349"),
        credential: TURNCredential(username: "alice", password: "x"), stream: .tls(host: "turn.example.org"))

    private var agent: ICEAgent
    private var out = ICEAgent.Output()

    init() {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.relayServers = [Self.server]
        agent = ICEAgent(configuration: configuration, random: .seeded(8))
        agent.gather(bases: [Self.base], at: .zero, into: &out)
    }

    private var wanted: [RelayServer] {
        out.events.compactMap { if case .relayConnectionWanted(let server) = $0 { server } else { nil } }
    }

    private var relayed: [Candidate] {
        out.events.compactMap { event in
            if case .localCandidate(let candidate) = event, candidate.type == .relayed { candidate } else { nil }
        }
    }

    private mutating func answer(_ kind: STUNMessage.Class, _ attributes: [STUNAttribute]) throws {
        let request = try #require(out.datagrams.last { $0.path.local == Self.streamed.address })
        let message = try STUNMessage(parsing: request.bytes)
        let response = STUNMessage(
            kind, method: message.method, transactionID: message.transactionID, attributes: attributes)
        out.removeAll()
        agent.receive(
            Datagram(bytes: response.encoded(fingerprint: false), path: request.path), at: .zero + .milliseconds(10),
            into: &out)
    }

    @Test mutating func aConnectionIsWantedOnceAndNothingIsSentBeforeItStands() {
        #expect(wanted == [Self.server])
        #expect(out.datagrams.isEmpty && agent.gatheringState == .gathering)
        agent.relayConnected(Self.server, on: Self.streamed, at: .zero, into: &out)
        #expect(out.datagrams.count == 1 && out.datagrams[0].path.remote == Self.server.address)
        agent.restart(at: .zero + .seconds(1), into: &out)
        #expect(wanted.count == 1, "the connection outlives a restart")
    }

    @Test mutating func aConnectionThatCannotBeHadEndsGatheringAndIsNamed() {
        let isWanted = agent.relayDisconnected(Self.server, from: nil, reason: "ECONNREFUSED", at: .zero, into: &out)
        #expect(isWanted && agent.gatheringState == .complete)
        #expect(
            out.trace.contains {
                if case .serverFailed(Self.server.url, _, "ECONNREFUSED", isFinal: false) = $0 { true } else { false }
            })
    }

    @Test mutating func anotherServerIsFollowedOnceByAnotherConnection() throws {
        agent.relayConnected(Self.server, on: Self.streamed, at: .zero, into: &out)
        try answer(
            .error, [.errorCode(STUNErrorCode(300, "Try Alternate")), .alternateServer(address("203.0.113.21:443"))])
        let next = try #require(wanted.first)
        #expect(
            next.address == address("203.0.113.21:443") && next.url == Self.server.url
                && next.stream == Self.server.stream)
        #expect(agent.gatheringState == .gathering)
        agent.relayConnected(next, on: Self.streamed, at: .zero + .milliseconds(20), into: &out)
        try answer(
            .error, [.errorCode(STUNErrorCode(300, "Try Alternate")), .alternateServer(address("203.0.113.22:443"))])
        #expect(wanted.isEmpty && agent.gatheringState == .complete)
    }

    @Test mutating func whoWasRefusedDoesNotConnectAgain() throws {
        agent.relayConnected(Self.server, on: Self.streamed, at: .zero, into: &out)
        try answer(.error, [.errorCode(STUNErrorCode(403, "Forbidden"))])
        #expect(agent.gatheringState == .complete && relayed.isEmpty)
        let isWanted = agent.relayDisconnected(
            Self.server, from: Self.streamed.address, reason: "closed", at: .zero + .seconds(60), into: &out)
        #expect(!isWanted)
    }
}
