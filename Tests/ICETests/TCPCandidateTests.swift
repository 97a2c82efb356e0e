import Primitives
import Testing

@testable import ICE

/// Candidates and pairs of RFC 6544, without a network.
@Suite struct TCPCandidateTests {
    // RFC 6544 §4.2
    @Test(arguments: [
        (CandidateType.host, CandidateTransport.tcpActive, 6), (.host, .tcpPassive, 4),
        (.host, .tcpSimultaneousOpen, 2),
        (.relayed, .tcpActive, 6), (.relayed, .tcpPassive, 4), (.peerReflexive, .tcpActive, 4),
        (.peerReflexive, .tcpPassive, 2), (.serverReflexive, .tcpSimultaneousOpen, 6),
        (.serverReflexive, .tcpActive, 4), (.serverReflexive, .tcpPassive, 2),
    ])
    func threeBitsOfThePreferenceAreTheDirections(type: CandidateType, transport: CandidateTransport, direction: Int) {
        let priority = CandidatePriority.candidate(type: type, transport: transport, localPreference: 65_535)
        #expect(Int(priority >> 8 & 0xFFFF) == direction << 13 | 8_191)
        #expect(priority & 0xFF == 255)
    }

    @Test func anyDirectUDPStandsBeforeAnyTCP() {
        let worst = CandidatePriority.candidate(type: .serverReflexive, localPreference: 0)
        for transport in [CandidateTransport.tcpActive, .tcpPassive] {
            for type in [CandidateType.host, .peerReflexive] {
                #expect(CandidatePriority.candidate(type: type, transport: transport, localPreference: 65_535) < worst)
            }
            let tcp = CandidatePriority.candidate(type: .host, transport: transport, localPreference: 0)
            #expect(tcp > CandidatePriority.candidate(type: .relayed, localPreference: 65_535))
        }
    }

    private func agent(_ bases: [LocalBase], mapping: String = "") throws -> (ICEAgent, ICEAgent.Output) {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.mapping = try AddressMapping(parsing: mapping)
        var agent = ICEAgent(configuration: configuration, random: .seeded(1))
        var out = ICEAgent.Output()
        agent.gather(bases: bases, at: .zero, into: &out)
        agent.setRemoteDescription(
            credentials: ICECredentials(ufrag: "remote", password: "passwordpasswordpassword"), isLite: false,
            at: .zero,
            into: &out)
        return (agent, out)
    }

    private let sockets: [LocalBase] = [
        LocalBase(address: address("192.0.2.1:4000")), .tcpActive(address("192.0.2.1:9").ip),
        LocalBase(address: address("192.0.2.1:4000"), transport: .tcpPassive),
    ]

    // RFC 6544 §6.2: local udp, active and passive with each kind of remote.
    @Test(arguments: [
        (CandidateTransport.udp, [CandidateTransport.udp]), (.tcpPassive, [.tcpActive]), (.tcpActive, []),
        (.tcpSimultaneousOpen, []),
    ])
    func pairsGoFromActiveToPassiveOnly(remote: CandidateTransport, locals: [CandidateTransport]) throws {
        var (agent, out) = try agent(sockets)
        agent.addRemoteCandidate(
            Candidate(
                remoteFoundation: "1", priority: 1_000, address: address("198.51.100.1:5000"), type: .host,
                transport: remote), at: .zero, into: &out)
        #expect(agent.pairs.map(\.local.transport) == locals)
    }

    @Test func theKindsHaveFoundationsAndAddressesOfTheirOwn() throws {
        let (agent, _) = try agent(sockets)
        #expect(agent.localCandidates.map(\.transport) == [.udp, .tcpActive, .tcpPassive])
        #expect(agent.localCandidates.map(\.address.port) == [4_000, 9, 4_000])
        #expect(agent.localCandidates[0].foundation != agent.localCandidates[1].foundation)
    }

    @Test func aMappingIsForListenersAndForAddressesToConnectFrom() throws {
        let (agent, _) = try agent(sockets, mapping: "local 192.0.2.1:4000-4100 = 203.0.113.40:14000-14100")
        #expect(
            agent.localCandidates.map { "\($0.address)" } == [
                "203.0.113.40:14000", "203.0.113.40:9", "203.0.113.40:14000",
            ])
        #expect(agent.localCandidates.map(\.base.port) == [4_000, 9, 4_000])
    }

    @Test func withoutTCPOfOursItsCandidatesAreIgnoredByName() throws {
        var (agent, out) = try agent([sockets[0]])
        out.removeAll()
        agent.addRemoteCandidate(
            Candidate(
                remoteFoundation: "1", priority: 1_000, address: address("198.51.100.1:5000"), type: .host,
                transport: .tcpPassive), at: .zero, into: &out)
        #expect(
            out.trace.contains { if case .candidateIgnored(_, .transport) = $0 { true } else { false } })
        #expect(agent.pairs.isEmpty)
    }

    // MARK: Connections

    private func connecting(_ change: (inout ICEAgent.Configuration) -> Void = { _ in }) throws -> (
        ICEAgent, ICEAgent.Output, NetworkPath
    ) {
        var configuration = ICEAgent.Configuration(role: .controlling)
        change(&configuration)
        var agent = ICEAgent(configuration: configuration, random: .seeded(1))
        var out = ICEAgent.Output()
        agent.gather(bases: [sockets[1], sockets[2]], at: .zero, into: &out)
        agent.setRemoteDescription(
            credentials: ICECredentials(ufrag: "remote", password: "passwordpasswordpassword"), isLite: false,
            at: .zero,
            into: &out)
        agent.addRemoteCandidate(
            Candidate(
                remoteFoundation: "1", priority: 1_000, address: address("198.51.100.1:5000"), type: .host,
                transport: .tcpPassive), at: .zero, into: &out)
        let path = NetworkPath(local: address("192.0.2.1:9"), remote: address("198.51.100.1:5000"), transport: .tcp)
        return (agent, out, path)
    }

    @Test func aCheckWaitsForItsConnection() throws {
        var (agent, out, path) = try connecting()
        #expect(out.events.contains(.connectionWanted(path)))
        #expect(out.datagrams.isEmpty)
        agent.connected(path, from: address("192.0.2.1:40001"), at: .zero + .milliseconds(30), into: &out)
        #expect(out.datagrams.map(\.path) == [path])
    }

    @Test func aConnectionThatTakesTooLongIsGivenUpAndMadeAnew() throws {
        var (agent, out, path) = try connecting()
        out.removeAll()
        agent.advance(to: .zero + .seconds(10), into: &out)
        #expect(out.events.contains(.connectionUnwanted(path)))
        let due = try #require(agent.deadline)
        #expect(due == .zero + .milliseconds(10_250))
        out.removeAll()
        agent.advance(to: due, into: &out)
        #expect(out.events.contains(.connectionWanted(path)))
    }

    @Test func refusalsAreWaitedWithLongerEachTime() throws {
        var (agent, out, path) = try connecting()
        var now = Instant.zero
        var waits: [TimeDelta] = []
        for _ in 0..<6 {
            agent.disconnected(path, reason: "refused", at: now, into: &out)
            let due = try #require(agent.deadline)
            waits.append(due - now)
            now = due
            agent.advance(to: now, into: &out)
        }
        #expect(waits == [250, 500, 1_000, 2_000, 2_500, 2_500].map { TimeDelta.milliseconds($0) })
    }

    @Test func aConnectionNobodyWaitsForIsClosed() throws {
        var (agent, out, path) = try connecting()
        agent.disconnected(path, reason: "refused", at: .zero, into: &out)
        out.removeAll()
        agent.connected(path, from: nil, at: .zero, into: &out)
        #expect(out.events == [.connectionUnwanted(path)])
        #expect(out.datagrams.isEmpty)
    }

    /// A request as the other side would send it.
    private func request(_ agent: ICEAgent, password: String? = nil) -> [UInt8] {
        var random = RandomSource.seeded(7)
        var message = STUNMessage(.request, transactionID: STUNTransactionID(using: &random))
        message.attributes = [
            .username("\(agent.localCredentials.ufrag):remote"), .priority(1_000), .iceControlled(1),
        ]
        return message.encoded(integrity: MessageIntegrityKey(password: password ?? agent.localCredentials.password))
    }

    private func accepted(_ port: UInt16) -> NetworkPath {
        NetworkPath(
            local: address("192.0.2.1:4000"), remote: TransportAddress(address("198.51.100.9:1").ip, port),
            transport: .tcp)
    }

    @Test func whoConnectsIsPeerReflexiveWhenItAuthenticates() throws {
        var (agent, out, _) = try connecting()
        out.removeAll()
        agent.receive(Datagram(bytes: request(agent), path: accepted(6_000)), at: .zero, into: &out)
        // An answer and a check in reply, on the same connection.
        #expect(out.datagrams.map(\.path) == [accepted(6_000), accepted(6_000)])
        let pair = try #require(agent.pairs.first { $0.path == accepted(6_000) })
        #expect(pair.remote.type == .peerReflexive && pair.remote.transport == .tcpActive)
        #expect(pair.local.transport == .tcpPassive)
    }

    @Test func whoDoesNotAuthenticateGetsNothing() throws {
        var (agent, out, _) = try connecting()
        out.removeAll()
        agent.receive(
            Datagram(bytes: request(agent, password: "wrongwrongwrongwrongwrong"), path: accepted(6_000)), at: .zero,
            into: &out)
        #expect(out.datagrams.isEmpty && out.events.isEmpty)
        #expect(!agent.pairs.contains { $0.path == accepted(6_000) })
    }

    @Test func thePairOfAnAcceptedConnectionThatEndedIsNeverCheckedAgain() throws {
        var (agent, out, _) = try connecting()
        agent.receive(Datagram(bytes: request(agent), path: accepted(6_000)), at: .zero, into: &out)
        agent.disconnected(accepted(6_000), reason: "closed", at: .zero + .seconds(1), into: &out)
        #expect(agent.pairs.first { $0.path == accepted(6_000) }?.state == .failed)
        let ended = out.datagrams.count
        for _ in 0..<200 {
            guard let due = agent.deadline else { break }
            agent.advance(to: due, into: &out)
        }
        #expect(!out.datagrams[ended...].contains { $0.path == accepted(6_000) })
        #expect(!out.events.contains(.connectionWanted(accepted(6_000))))
    }

    @Test func acceptedConnectionsAreBounded() throws {
        var (agent, out, _) = try connecting { $0.limits.acceptedConnections = 8 }
        out.removeAll()
        for port in UInt16(6_000)..<6_030 {
            agent.receive(Datagram(bytes: request(agent), path: accepted(port)), at: .zero, into: &out)
        }
        #expect(agent.context.connections.accepted.count == 8)
        let closed = out.events.filter { if case .connectionUnwanted = $0 { true } else { false } }
        #expect(closed.count == 22)
    }

    @Test func withOnlyRelaysAllowedAConnectionGetsNothing() throws {
        var (agent, out, _) = try connecting { $0.policy = .relay }
        #expect(agent.localCandidates.isEmpty)
        #expect(!out.events.contains { if case .connectionWanted = $0 { true } else { false } })
        out.removeAll()
        agent.receive(Datagram(bytes: request(agent), path: accepted(6_000)), at: .zero, into: &out)
        #expect(out.datagrams.isEmpty)
    }
}
