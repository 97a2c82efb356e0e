import ICE
import Primitives
import Testing

/// The port-level proxy and what it does to addresses.
@Suite struct MovingTests {
    private static let phone = "203.0.113.10:5000"
    private static let server = "192.0.2.133:30008"

    /// The phone outside (a), the server inside (b) announced at the front proxy's address.
    private static func throughProxy(
        phone: ICERole, oneWay: TimeDelta = .milliseconds(20), nomination: ICEAgent.NominationPolicy = .firstValidated
    ) -> (Wire, PortProxy) {
        var outside = ICEAgent.Configuration(role: phone)
        outside.nominationPolicy = nomination
        var wire = Wire(
            a: outside, b: .init(role: phone.opposite), aBases: [Self.phone], bBases: [Self.server],
            oneWay: oneWay)
        let proxy = PortProxy(front: "203.0.113.40:30008", back: "192.0.2.131", inside: Self.server)
        wire.middlebox = proxy
        wire.gather()
        wire.exchangeCredentials()
        // The phone knows the server by the front's address; the server hears of addresses it cannot reach.
        let priority = wire.b.agent.localCandidates[0].priority
        wire.drive(\.a) { agent, _, now, out in
            agent.addRemoteCandidate(
                Candidate(remoteFoundation: "1", priority: priority, address: proxy.front, type: .host), at: now,
                into: &out)
        }
        wire.signalCandidates(to: \.b, from: \.a)
        return (wire, proxy)
    }

    @Test(arguments: [ICERole.controlling, .controlled])
    func mappedAddressesThatAreNobodysDoNotMatter(_ phone: ICERole) throws {
        var (wire, proxy) = Self.throughProxy(phone: phone)
        wire.run(for: .seconds(1))
        #expect(wire.a.isNominated && wire.b.isNominated)
        let pair = try #require(wire.b.agent.selectedPair)
        #expect(pair.remote.address.ip == proxy.back)
        #expect(pair.remote.type == .peerReflexive)
        #expect(pair.local.address == address(Self.server))
        #expect(pair.mappedAddress == proxy.front)
        // It is recorded for statistics and neither signaled nor paired.
        #expect(wire.b.agent.localCandidates.map(\.type) == [.host, .peerReflexive])
        #expect(wire.b.events.filter { if case .localCandidate = $0.event { true } else { false } }.count == 1)
        #expect(wire.b.traced { if case .seenAs(_, proxy.front) = $0 { true } else { false } } == 1)
    }

    @Test(arguments: ["0.0.0.0:0", "[2001:db8::1]:9", "192.0.2.1:9", "255.255.255.255:65535"])
    func anyMappedAddressIsAsGoodAsAnother(_ mapped: String) throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let check = try #require(requests(peer.check(from: "198.51.100.1:5000", useCandidate: true)).first)
        peer.deliver(try peer.answer(check, mapped: address(mapped)), from: "198.51.100.1:5000")
        #expect(peer.agent.selectedPair?.isNominated == true)
    }

    @Test func noMappedAddressAtAllIsFineToo() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let check = try #require(requests(peer.check(from: "198.51.100.1:5000", useCandidate: true)).first)
        let id = try STUNMessage(parsing: check.bytes).transactionID
        peer.deliver(
            STUNMessage(.success, transactionID: id)
                .encoded(integrity: MessageIntegrityKey(password: peer.credentials.password)),
            from: "198.51.100.1:5000")
        #expect(peer.agent.selectedPair?.isNominated == true)
    }

    @Test(arguments: [ICERole.controlling, .controlled])
    func aFlushedMappingIsFollowedWithinARoundTripAndAHalfOfThePhonesNextCheck(_ phone: ICERole) throws {
        var (wire, proxy) = Self.throughProxy(phone: phone)
        wire.run(for: .seconds(10))
        let before = try #require(wire.b.agent.sendingPath)
        let flushed = wire.now
        proxy.flush()
        wire.run(for: .seconds(8))
        let after = try #require(wire.b.agent.sendingPath)
        #expect(after != before)
        #expect(after.local == before.local && after.remote.ip == before.remote.ip)
        // Counted from the first check that came through the new mapping.
        let heard = try #require(
            wire.b.trace.first {
                if case .requestAnswered(let path, _) = $0.entry { path == after } else { false }
            }?.at)
        let moved = try #require(
            wire.b.events.last { if case .sendingPathChanged = $0.event { true } else { false } }?.at)
        #expect(moved >= flushed)
        #expect(moved - heard <= .milliseconds(40 + 40))
        #expect(!wire.b.states.contains(.failed))
        // And both go on for as long as one likes.
        wire.run(for: .seconds(100))
        #expect(wire.b.agent.sendingPath == after)
        #expect(wire.a.agent.sendingPath != nil)
        #expect(wire.b.agent.connectionState == .completed || wire.b.agent.connectionState == .connected)
    }

    @Test func flushesAgainAndAgainAreFollowedAndLeaveNoTrail() throws {
        var (wire, proxy) = Self.throughProxy(phone: .controlling)
        wire.run(for: .seconds(1))
        for _ in 0..<60 {
            proxy.flush()
            wire.run(for: .seconds(7))
            let path = try #require(wire.b.agent.sendingPath)
            #expect(wire.a.agent.sendingPath != nil)
            #expect(wire.b.agent.pairs.first { $0.path == path }?.state == .succeeded)
        }
        #expect(wire.b.agent.remoteCandidates.count <= 17)
        #expect(wire.b.agent.pairs.count <= 17)
    }

    @Test func aPeerThatPutsUseCandidateInEveryCheckIsFollowedAtOnce() throws {
        var (wire, proxy) = Self.throughProxy(phone: .controlling, nomination: .everyCheck)
        wire.run(for: .seconds(10))
        proxy.flush()
        wire.run(for: .seconds(8))
        let heardToMoved = try #require(wire.b.agent.selectedPair)
        #expect(heardToMoved.isNominated)
        #expect(wire.b.paths.count == 2)
    }

    @Test func aLivingIncumbentIsNotLeftForANewcomer() throws {
        for role in [ICERole.controlling, .controlled] {
            var peer = ScriptedPeer.ready(.init(role: role))
            try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: role == .controlled))
            try peer.run(for: .seconds(20))
            #expect(peer.agent.selectedPair?.isNominated == true)
            try peer.answerAll(peer.check(from: "198.51.100.1:6000"))
            try peer.run(for: .seconds(10))
            #expect(peer.agent.sendingPath == peer.path("198.51.100.1:5000"))
            #expect(peer.agent.isValidated(peer.path("198.51.100.1:6000")))
        }
    }

    @Test func aSilentIncumbentIsLeftForANewcomer() throws {
        for role in [ICERole.controlling, .controlled] {
            var peer = ScriptedPeer.ready(.init(role: role))
            try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: role == .controlled))
            try peer.run(for: .seconds(20))
            let silent: Set = ["198.51.100.1:5000"]
            let start = peer.now
            try peer.answerAll(peer.check(from: "198.51.100.1:6000"), except: silent)
            try peer.run(for: .milliseconds(200), silent: silent)
            #expect(peer.agent.sendingPath == peer.path("198.51.100.1:6000"))
            #expect(peer.now - start <= .milliseconds(200))
            #expect(peer.agent.connectionState == .connected)
            if role == .controlling {
                #expect(peer.agent.selectedPair?.isNominated == true)
            }
        }
    }

    @Test func anICMPErrorOfTheIncumbentSettlesItSooner() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: true))
        try peer.run(for: .seconds(20))
        let silent: Set = ["198.51.100.1:5000"]
        let sent = peer.check(from: "198.51.100.1:6000")
        peer.agent.noteUnreachable(
            peer.path("198.51.100.1:5000"), reason: "port unreachable", at: peer.now, into: &peer.out)
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:5000"))
        try peer.answerAll(sent, except: silent)
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:6000"))
    }

    @Test func recordedRequestsFromElsewhereMoveNothing() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let recorded = peer.request(useCandidate: true)
        try peer.answerAll(peer.deliver(recorded, from: "198.51.100.1:5000"))
        try peer.run(for: .seconds(20))
        let attacker = "203.0.113.66:6666"
        for _ in 0..<20 {
            let sent = peer.deliver(recorded, from: attacker)
            // An answer, and at most one check of the attacker and one of the incumbent.
            #expect(sent.count <= 3)
            try peer.run(for: .milliseconds(500), silent: [attacker])
            #expect(peer.agent.sendingPath == peer.path("198.51.100.1:5000"))
        }
        #expect(!peer.agent.isValidated(peer.path(attacker)))
    }

    @Test func mediaFromAnUnknownPathOnlyCausesACheck() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: true))
        try peer.run(for: .seconds(20))
        peer.out.removeAll()
        for _ in 0..<100 {
            peer.agent.noteTraffic(on: peer.path("198.51.100.1:6000"), at: peer.now, into: &peer.out)
        }
        let sent = peer.out.datagrams
        #expect(sent.filter { $0.path.remote.port == 6000 }.count == 1)
        #expect(sent.count == 2)
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:5000"))
        try peer.answerAll(sent, except: ["198.51.100.1:5000"])
        try peer.run(for: .milliseconds(200), silent: ["198.51.100.1:5000"])
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:6000"))
    }

    /// A handshake record proves nothing: it is worth a check of the host the call is with, and none of any other.
    @Test func aHandshakeFromAnUnknownPathCausesACheckOfAKnownHostOnly() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: true))
        try peer.run(for: .seconds(20))
        peer.out.removeAll()
        for _ in 0..<100 {
            peer.agent.noteTraffic(
                on: peer.path("203.0.113.66:6666"), isAuthentic: false, at: peer.now, into: &peer.out)
        }
        #expect(peer.out.datagrams.isEmpty)
        for _ in 0..<100 {
            peer.agent.noteTraffic(
                on: peer.path("198.51.100.1:6000"), isAuthentic: false, at: peer.now, into: &peer.out)
        }
        #expect(peer.out.datagrams.filter { $0.path.remote.port == 6000 }.count == 1)
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:5000"))
    }

    @Test func anAlternativePathTakesOverWhenTheOneInUseDies() {
        // Two bases at one side; the path between the first ones is cut.
        for role in [ICERole.controlling, .controlled] {
            var wire = Wire(
                a: .init(role: role), b: .init(role: role.opposite), aBases: ["192.0.2.1:4000", "192.0.2.2:4000"])
            wire.connect()
            wire.run(for: .seconds(10))
            guard let used = wire.a.agent.sendingPath else {
                Issue.record("not connected")
                return
            }
            wire.middlebox = Filter { packet, _ in
                packet.source == used.local || packet.destination == used.local ? nil : packet
            }
            let cut = wire.now
            wire.run(for: .seconds(12))
            #expect(wire.a.agent.sendingPath != nil && wire.a.agent.sendingPath != used)
            #expect(wire.b.agent.sendingPath?.remote != used.local)
            let change = wire.a.events.last { if case .sendingPathChanged = $0.event { true } else { false } }
            #expect((change?.at).map { $0 - cut <= .seconds(10) } ?? false)
            #expect(!wire.a.states.contains(.failed))
        }
    }
}
