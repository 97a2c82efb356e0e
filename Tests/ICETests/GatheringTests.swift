import ICE
import Primitives
import Testing

@Suite struct GatheringTests {
    private static let server = STUNServer(url: "stun:stun.example.org", address: address("203.0.113.50:3478"))

    private struct Gathering {
        var agent: ICEAgent
        var out = ICEAgent.Output()

        init(
            _ servers: [STUNServer] = [GatheringTests.server],
            configure: (inout ICEAgent.Configuration) -> Void = { _ in }
        ) {
            var configuration = ICEAgent.Configuration(role: .controlling)
            configuration.stunServers = servers
            configure(&configuration)
            agent = ICEAgent(configuration: configuration, random: .seeded(4))
        }

        mutating func gather(_ bases: String..., at now: Instant = .zero) {
            let bases = bases.enumerated().map {
                LocalBase(address: address($1), interfaceName: "eth\($0)", preference: UInt16(65_535 - $0))
            }
            agent.gather(bases: bases, at: now, into: &out)
        }

        mutating func gather(_ bases: [LocalBase]) { agent.gather(bases: bases, at: .zero, into: &out) }

        /// The bases that a server was asked from.
        func asked(_ server: String) -> [TransportAddress] {
            out.datagrams.filter { $0.path.remote == address(server) }.map(\.path.local)
        }

        var candidates: [Candidate] {
            out.events.compactMap { if case .localCandidate(let candidate) = $0 { candidate } else { nil } }
        }

        mutating func answer(
            _ request: Datagram, _ attributes: [STUNAttribute], _ kind: STUNMessage.Class = .success, at now: Instant
        )
            throws
        {
            let id = try STUNMessage(parsing: request.bytes).transactionID
            agent.receive(
                Datagram(
                    bytes: STUNMessage(kind, transactionID: id, attributes: attributes).encoded(fingerprint: false),
                    path: request.path),
                at: now, into: &out)
        }
    }

    @Test func hostCandidatesComeAtOnceAndWithoutServersThatIsAll() throws {
        var gathering = Gathering([])
        gathering.gather("192.0.2.1:4000", "[2001:db8::1]:4001")
        let candidates = gathering.candidates
        #expect(candidates.map(\.address) == [address("192.0.2.1:4000"), address("[2001:db8::1]:4001")])
        #expect(candidates.map(\.priority) == [2_130_706_431, 2_130_706_431 - 256])
        #expect(candidates.map(\.foundation) == ["1", "2"])
        #expect(candidates.allSatisfy { $0.type == .host && $0.base == $0.address })
        #expect(candidates.allSatisfy { $0.ufrag == gathering.agent.localCredentials.ufrag })
        #expect(gathering.agent.gatheringState == .complete)
        #expect(
            gathering.out.events.first == .gatheringStateChanged(.gathering)
                && gathering.out.events.last == .gatheringStateChanged(.complete))
    }

    @Test func addressesThatMakeNoCandidatesAreRefused() {
        var gathering = Gathering([]) { $0.families = [.ipv4] }
        gathering.gather("0.0.0.0:1", "[2001:db8::1]:4001", "224.0.0.1:1", "192.0.2.1:4000", "192.0.2.1:4000")
        #expect(gathering.candidates.map(\.address) == [address("192.0.2.1:4000")])
    }

    /// RFC 8828 §5.2, mode 3; the twin is what is announced without it.
    @Test func privateAddressesAreUsedAndNotAnnouncedWhereTheyAreHidden() throws {
        let bases = ["10.1.2.3:4000", "192.0.2.1:4000", "[fd00::1]:4000", "[2001:db8::1]:4000"]
        for isHidden in [false, true] {
            var gathering = Gathering { $0.hidesPrivateAddresses = isHidden }
            gathering.gather(bases[0], bases[1], bases[2], bases[3])
            let announced = isHidden ? [bases[1], bases[3]] : bases
            #expect(gathering.candidates.map(\.address) == announced.map { address($0) })
            #expect(gathering.agent.localCandidates.count == 4, "checks are sent from all of them")
            let request = try #require(gathering.out.datagrams.first { $0.path.local == address(bases[0]) })
            gathering.out.removeAll()
            try gathering.answer(request, [.xorMappedAddress(address("203.0.113.1:6000"))], at: .zero)
            let reflexive = try #require(gathering.candidates.first)
            #expect(reflexive.address == address("203.0.113.1:6000"))
            #expect(reflexive.relatedAddress == address(isHidden ? "0.0.0.0:9" : bases[0]))
        }
        var mapped = Gathering([]) {
            $0.hidesPrivateAddresses = true
            $0.mapping = (try? AddressMapping(parsing: "local any = 198.51.100.40 (ipv4, add-raw)")) ?? .identity
        }
        mapped.gather(bases[0])
        #expect(mapped.candidates.map(\.address) == [address("198.51.100.40:4000")])
    }

    @Test func theServersViewBecomesAServerReflexiveCandidate() throws {
        var gathering = Gathering()
        gathering.gather("192.0.2.1:4000")
        #expect(gathering.agent.gatheringState == .gathering)
        let request = try #require(gathering.out.datagrams.first)
        #expect(request.path.remote == Self.server.address)
        let message = try STUNMessage(parsing: request.bytes)
        #expect(message.username == nil && !message.hasIntegrity && message.attributes.isEmpty)
        gathering.out.removeAll()
        try gathering.answer(request, [.xorMappedAddress(address("203.0.113.1:6000"))], at: .zero + .milliseconds(80))
        let candidate = try #require(gathering.candidates.first)
        #expect(candidate.type == .serverReflexive)
        #expect(candidate.address == address("203.0.113.1:6000"))
        #expect(candidate.relatedAddress == address("192.0.2.1:4000"))
        #expect(candidate.base == address("192.0.2.1:4000"))
        #expect(candidate.priority == 1_694_498_815)
        #expect(candidate.url == "stun:stun.example.org")
        #expect(candidate.foundation == "2")
        #expect(gathering.agent.gatheringState == .complete)
        // Reflexive candidates are paired as their bases are: no second pair for one path.
        gathering.agent.setRemoteDescription(
            credentials: ICECredentials(ufrag: "PEER", password: "peerpasswordpeerpassword"), isLite: false, at: .zero,
            into: &gathering.out)
        gathering.agent.addRemoteCandidate(
            Candidate(remoteFoundation: "1", priority: 5, address: address("198.51.100.1:1"), type: .host), at: .zero,
            into: &gathering.out)
        #expect(gathering.agent.pairs.map(\.local.type) == [.host])
    }

    @Test func aServerOfRFC3489sTimeIsUnderstood() throws {
        var gathering = Gathering()
        gathering.gather("192.0.2.1:4000")
        let request = gathering.out.datagrams[0]
        try gathering.answer(request, [.mappedAddress(address("203.0.113.1:6000"))], at: .zero)
        #expect(gathering.candidates.last?.address == address("203.0.113.1:6000"))
    }

    @Test func noNATMeansNoReflexiveCandidate() throws {
        var gathering = Gathering()
        gathering.gather("192.0.2.1:4000")
        try gathering.answer(gathering.out.datagrams[0], [.xorMappedAddress(address("192.0.2.1:4000"))], at: .zero)
        #expect(gathering.candidates.count == 1)
        #expect(gathering.agent.gatheringState == .complete)
    }

    @Test func anUnreachableServerIsAskedOnScheduleAndIsNotFatal() throws {
        var gathering = Gathering { $0.gatheringLimit = .seconds(60) }
        gathering.gather("192.0.2.1:4000")
        var times = [Instant.zero]
        let id = try STUNMessage(parsing: gathering.out.datagrams[0].bytes).transactionID
        while gathering.agent.gatheringState == .gathering {
            let now = try #require(gathering.agent.deadline)
            gathering.out.removeAll()
            gathering.agent.advance(to: now, into: &gathering.out)
            for datagram in gathering.out.datagrams {
                #expect(try STUNMessage(parsing: datagram.bytes).transactionID == id)
                times.append(now)
            }
            if gathering.out.datagrams.isEmpty { times.append(now) }
            gathering.agent.noteUnreachable(
                NetworkPath(local: address("192.0.2.1:4000"), remote: Self.server.address), reason: "refused", at: now,
                into: &gathering.out)
        }
        // Rc = 7 requests, then Rm = 16 first timeouts (RFC 8489 §6.2.1), with 250 ms for 500 ms.
        #expect(times.map { $0.nanoseconds / 1_000_000 } == [0, 250, 750, 1_750, 3_750, 7_750, 15_750, 19_750])
        #expect(gathering.agent.localCandidates.map(\.type) == [.host])
    }

    @Test func gatheringEndsAfter5SecondsAtTheLatest() throws {
        var gathering = Gathering()
        gathering.gather("192.0.2.1:4000")
        var now = Instant.zero
        while gathering.agent.gatheringState == .gathering {
            now = try #require(gathering.agent.deadline)
            gathering.agent.advance(to: now, into: &gathering.out)
        }
        #expect(now == .zero + .seconds(5))
        #expect(gathering.agent.deadline == nil)
        let failed = gathering.out.trace.contains { if case .serverFailed = $0 { true } else { false } }
        #expect(failed)
    }

    @Test func anAlternateServerIsFollowedOnce() throws {
        var gathering = Gathering()
        gathering.gather("192.0.2.1:4000")
        let first = gathering.out.datagrams[0]
        gathering.out.removeAll()
        let elsewhere: [STUNAttribute] = [.errorCode(.tryAlternate), .alternateServer(address("203.0.113.51:3479"))]
        try gathering.answer(first, elsewhere, .error, at: .zero)
        let second = try #require(gathering.out.datagrams.first)
        #expect(second.path.remote == address("203.0.113.51:3479"))
        #expect(try STUNMessage(parsing: second.bytes).transactionID != STUNMessage(parsing: first.bytes).transactionID)
        gathering.out.removeAll()
        try gathering.answer(second, elsewhere, .error, at: .zero)
        #expect(gathering.out.datagrams.isEmpty)
        #expect(gathering.agent.gatheringState == .complete)
    }

    @Test func anAnswerFromElsewhereIsNotBelieved() throws {
        var gathering = Gathering()
        gathering.gather("192.0.2.1:4000")
        var request = gathering.out.datagrams[0]
        request.path.remote = address("203.0.113.66:3478")
        try gathering.answer(request, [.xorMappedAddress(address("203.0.113.1:6000"))], at: .zero)
        #expect(gathering.candidates.count == 1)
        #expect(gathering.agent.gatheringState == .gathering)
    }

    @Test func onlyFittingBasesAskAServer() {
        var gathering = Gathering()
        gathering.gather("192.0.2.1:4000", "[2001:db8::1]:4000", "127.0.0.1:4000", "169.254.0.9:4000")
        #expect(gathering.out.datagrams.map(\.path.local) == [address("192.0.2.1:4000")])
    }

    @Test func aMappingIsKeptOpenUntilAPairIsInUse() throws {
        var peer = ScriptedPeer(
            {
                var configuration = ICEAgent.Configuration(role: .controlled)
                configuration.stunServers = [Self.server]
                return configuration
            }())
        peer.gather()
        let first = try #require(peer.out.datagrams.first)
        let ids = try STUNMessage(parsing: first.bytes).transactionID
        func answer(_ request: Datagram, _ peer: inout ScriptedPeer) throws {
            let id = try STUNMessage(parsing: request.bytes).transactionID
            peer.deliver(
                STUNMessage(.success, transactionID: id, attributes: [.xorMappedAddress(address("203.0.113.1:6000"))])
                    .encoded(fingerprint: false), from: "203.0.113.50:3478")
        }
        try answer(first, &peer)
        for step in 1...4 as ClosedRange<Int64> {
            #expect(peer.agent.deadline == .zero + .milliseconds(15_000 * step))
            peer.now = .zero + .milliseconds(15_000 * step)
            peer.out.removeAll()
            peer.agent.advance(to: peer.now, into: &peer.out)
            let keepalive = try #require(peer.out.datagrams.first)
            #expect(try STUNMessage(parsing: keepalive.bytes).transactionID != ids)
            try answer(keepalive, &peer)
            #expect(peer.out.events.isEmpty)
        }
        peer.describe()
        try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: true))
        let sent = peer.agent.pairs[0].requestsSent
        try peer.run(for: .seconds(60))
        #expect(peer.agent.pairs[0].requestsSent > sent)
        #expect(peer.agent.sendingPath != nil)
        let asked = peer.out.datagrams.contains { $0.path.remote == Self.server.address }
        #expect(!asked)
    }

    @Test func basesMayComeLater() {
        var gathering = Gathering([])
        gathering.gather("192.0.2.1:4000")
        gathering.out.removeAll()
        gathering.gather("192.0.2.1:4000", "192.0.2.2:4000")
        #expect(gathering.candidates.map(\.address) == [address("192.0.2.2:4000")])
        #expect(gathering.agent.localCandidates.count == 2)
    }

    /// A socket beside one that calls share: TURN servers are reached from it, and nothing is told of it.
    @Test func aBaseForRelaysIsNoCandidateAndTheOnlyOneThatRelaysAreAskedFrom() throws {
        for isShared in [true, false] {
            var gathering = Gathering {
                $0.relayServers = [RelayServer(url: "turn:turn.example.org", address: address("203.0.113.60:3478"))]
            }
            let bases = [
                LocalBase(address: address("192.0.2.1:4000")),
                LocalBase(address: address("192.0.2.1:4001"), isForRelays: isShared),
            ]
            gathering.gather(bases)
            #expect(gathering.candidates.map(\.address) == (isShared ? [bases[0].address] : bases.map(\.address)))
            #expect(gathering.asked("203.0.113.60:3478") == (isShared ? [bases[1].address] : bases.map(\.address)))
            #expect(gathering.asked("203.0.113.50:3478") == (isShared ? [bases[0].address] : bases.map(\.address)))
        }
    }
}
