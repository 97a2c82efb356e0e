import ICE
import Primitives
import Testing

@Suite struct SecurityTests {
    private static let remote = "198.51.100.1:5000"

    @Test func whoeverHasNotOurPasswordGetsNothing() {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let ufrag = peer.agent.localCredentials.ufrag
        var noIntegrity = STUNMessage(.request, transactionID: STUNTransactionID(using: &peer.random))
        noIntegrity.attributes = [.username("\(ufrag):PEER"), .priority(1), .useCandidate]
        var noUsername = noIntegrity
        noUsername.attributes.removeFirst()
        let key = MessageIntegrityKey(password: peer.agent.localCredentials.password)
        let attempts: [[UInt8]] = [
            peer.request(password: "wrongwrongwrongwrongwrong"), peer.request(username: "nobody:PEER"),
            peer.request(username: ufrag), noIntegrity.encoded(), noUsername.encoded(integrity: key),
            peer.request(password: peer.credentials.password),
        ]
        for attempt in attempts { #expect(peer.deliver(attempt, from: Self.remote).isEmpty) }
        #expect(peer.agent.counters.unauthenticated == attempts.count)
        #expect(peer.agent.counters.requestsReceived == 0)
        #expect(peer.agent.pairs.isEmpty && peer.agent.remoteCandidates.isEmpty)
    }

    @Test func aWrongFingerprintIsDroppedAndAMissingOneIsNot() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        var bytes = peer.request()
        bytes[bytes.count - 1] ^= 1
        #expect(peer.deliver(bytes, from: Self.remote).isEmpty)
        var bare = Array(peer.request().dropLast(8))
        bare.overwrite(UInt16(bare.count - 20), at: 2)
        #expect(responses(peer.deliver(bare, from: Self.remote)).count == 1)
    }

    @Test func attributesThatMustBeUnderstoodAndAreNotGetA420() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let sent = peer.check(
            from: Self.remote,
            extra: [
                .unknown(type: 0x7ABC, value: [1]), .unknown(type: 0xC057, value: []),
                .unknown(type: 0x0031, value: []),
            ])
        #expect(requests(sent).isEmpty)
        let response = try #require(responses(sent).first)
        #expect(response.messageClass == .error)
        #expect(response.errorCode?.code == 420)
        #expect(response.attributes.contains(.unknownAttributes([0x7ABC, 0x0031])))
        #expect(response.isIntact(under: MessageIntegrityKey(password: peer.agent.localCredentials.password)))
        #expect(response.fingerprint == .matches)
        // Optional ones alone do not matter.
        #expect(
            responses(peer.check(from: Self.remote, extra: [.unknown(type: 0xC057, value: [0, 0, 0, 9])]))
                .map(\.messageClass) == [.success])
    }

    @Test func answersSayWhereTheRequestCameFrom() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let response = try #require(responses(peer.check(from: "203.0.113.77:1234")).first)
        #expect(response.mappedAddress == address("203.0.113.77:1234"))
        #expect(response.isIntact(under: MessageIntegrityKey(password: peer.agent.localCredentials.password)))
    }

    private func checking() throws -> (ScriptedPeer, Datagram) {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        peer.addCandidate(Self.remote)
        peer.describe()
        return (peer, try #require(peer.out.datagrams.first))
    }

    @Test func aResponseFromElsewhereFailsTheCheckByName() throws {
        var (peer, check) = try checking()
        peer.deliver(try peer.answer(check), from: "203.0.113.5:5000")
        let seen = NetworkPath(local: peer.base, remote: address("203.0.113.5:5000"))
        #expect(peer.agent.pairs[0].state == .failed)
        #expect(peer.agent.pairs[0].lastError == .responseFromElsewhere(seen))
        #expect(peer.agent.sendingPath == nil)
        #expect(peer.out.trace.contains(.checkFailed(check.path, .responseFromElsewhere(seen))))
        // Its transaction is over: the same answer from the right place comes too late.
        peer.deliver(try peer.answer(check), from: Self.remote)
        #expect(peer.agent.sendingPath == nil)
    }

    @Test func aResponseToAnotherSocketFailsTheCheckToo() throws {
        var (peer, check) = try checking()
        peer.out.removeAll()
        let path = NetworkPath(local: address("192.0.2.1:4001"), remote: check.path.remote)
        peer.agent.receive(Datagram(bytes: try peer.answer(check), path: path), at: peer.now, into: &peer.out)
        #expect(peer.agent.pairs[0].lastError == .responseFromElsewhere(path))
    }

    @Test func aResponseWithoutTheRightPasswordIsNoResponse() throws {
        var (peer, check) = try checking()
        peer.deliver(try peer.answer(check, password: "not the right one at all"), from: Self.remote)
        #expect(peer.agent.pairs[0].state == .inProgress)
        let id = try STUNMessage(parsing: check.bytes).transactionID
        peer.deliver(STUNMessage(.success, transactionID: id).encoded(), from: Self.remote)
        #expect(peer.agent.pairs[0].state == .inProgress)
        #expect(peer.agent.counters.responsesReceived == 0)
        // The right one still counts afterwards, once.
        peer.deliver(try peer.answer(check), from: Self.remote)
        #expect(peer.agent.pairs[0].state == .succeeded)
        peer.deliver(try peer.answer(check), from: Self.remote)
        #expect(peer.agent.counters.unmatchedResponses == 1)
    }

    @Test func aResponseThatDemandsTheUnknownFailsTheCheck() throws {
        var (peer, check) = try checking()
        peer.deliver(try peer.answer(check, extra: [.unknown(type: 0x7001, value: [])]), from: Self.remote)
        #expect(peer.agent.pairs[0].lastError == .unknownAttributes([0x7001]))
        #expect(peer.agent.sendingPath == nil)
    }

    @Test func anErrorResponseFailsTheCheckAndThePairIsTriedAgain() throws {
        var (peer, check) = try checking()
        peer.deliver(try peer.error(check, .serverError), from: Self.remote)
        #expect(peer.agent.pairs[0].state == .failed)
        #expect(peer.agent.pairs[0].lastError == .errorResponse(.serverError))
        try peer.run(for: .seconds(3))
        #expect(peer.agent.sendingPath != nil)
    }

    @Test func indicationsAreIgnored() {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let indication = STUNMessage(.indication, transactionID: STUNTransactionID(using: &peer.random))
        #expect(peer.deliver(indication.encoded(), from: Self.remote).isEmpty)
        #expect(peer.agent.counters.indicationsReceived == 1)
        var odd = indication
        odd.messageClass = .request
        odd.method = .init(rawValue: 3)
        #expect(peer.deliver(odd.encoded(), from: Self.remote).isEmpty)
    }

    // MARK: Caps

    @Test func revealedCandidatesAreCappedAndTheQuietestGoes() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        try peer.answerAll(peer.check(from: Self.remote, useCandidate: true))
        let cap = peer.agent.configuration.limits.peerReflexiveCandidates
        for port in 0..<500 {
            peer.now += .milliseconds(1)
            let sent = peer.check(from: "203.0.113.9:\(10_000 + port)")
            #expect(responses(sent).count == 1)
            #expect(peer.agent.remoteCandidates.count <= cap)
            #expect(peer.agent.pairs.count <= cap)
        }
        #expect(peer.agent.sendingPath == peer.path(Self.remote))
        #expect(peer.agent.remoteCandidates.contains { $0.address.port == 10_499 })
        #expect(!peer.agent.remoteCandidates.contains { $0.address.port == 10_000 })
    }

    @Test func signaledCandidatesAndPairsAreCapped() {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.limits.pairs = 20
        var peer = ScriptedPeer.ready(configuration)
        for port in 1...200 { peer.addCandidate("203.0.113.9:\(port)", priority: UInt32(port)) }
        #expect(peer.agent.remoteCandidates.count == configuration.limits.remoteCandidates)
        #expect(peer.agent.pairs.count == 20)
        // The best ones stay.
        #expect(peer.agent.pairs.map(\.remote.address.port).min() == 45)
    }

    @Test func earlyChecksAndCandidatesAreCapped() {
        var peer = ScriptedPeer(.init(role: .controlled))
        peer.gather()
        for port in 1...200 {
            #expect(responses(peer.check(from: "203.0.113.9:\(port)")).count == 1)
        }
        for port in 1...200 { peer.addCandidate("203.0.113.8:\(port)") }
        peer.out.removeAll()
        peer.describe()
        let limits = peer.agent.configuration.limits
        #expect(
            peer.agent.remoteCandidates.filter { $0.address.ip == address("203.0.113.8:0").ip }.count
                == limits.earlyCandidates)
        #expect(peer.agent.remoteCandidates.count <= limits.earlyCandidates + limits.peerReflexiveCandidates)
        #expect(peer.agent.pairs.count <= limits.pairs)
    }

    @Test func basesAndServerRequestsAreCapped() {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.stunServers = (1...20).map {
            STUNServer(url: "stun:\($0)", address: address("203.0.113.\($0):3478"))
        }
        var agent = ICEAgent(configuration: configuration, random: .seeded(1))
        var out = ICEAgent.Output()
        agent.gather(
            bases: (1...50).map { LocalBase(address: address("192.0.2.\($0):4000")) }, at: .zero, into: &out)
        #expect(agent.localCandidates.count == configuration.limits.bases)
        var servers: Set<NetworkPath> = Set(out.datagrams.map(\.path))
        while let deadline = agent.deadline {
            agent.advance(to: deadline, into: &out)
            servers.formUnion(out.datagrams.map(\.path))
            out.removeAll()
        }
        #expect(servers.count == configuration.limits.serverRequests)
    }

    @Test func mappedAddressesOfAHostilePeerAreCapped() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        try peer.answerAll(peer.check(from: Self.remote, useCandidate: true))
        for port in 1...300 as ClosedRange<UInt16> {
            peer.now = try #require(peer.agent.deadline)
            peer.out.removeAll()
            peer.agent.advance(to: peer.now, into: &peer.out)
            for check in requests(peer.out.datagrams) {
                let mapped = TransportAddress(address("203.0.113.9:1").ip, port)
                peer.deliver(try peer.answer(check, mapped: mapped), from: Self.remote)
            }
        }
        #expect(peer.agent.localCandidates.count == peer.agent.configuration.limits.localCandidates)
    }

    @Test func unansweredTransactionsAreCapped() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        var checks: [Datagram] = []
        for _ in 0..<50 {
            peer.now += .milliseconds(20)
            checks += requests(peer.check(from: Self.remote))
        }
        #expect(checks.count == 50)
        let cap = peer.agent.configuration.limits.transactionsPerPair
        peer.deliver(try peer.answer(checks[50 - cap - 1]), from: Self.remote)
        #expect(peer.agent.sendingPath == nil)
        peer.deliver(try peer.answer(checks[50 - cap]), from: Self.remote)
        #expect(peer.agent.sendingPath != nil)
    }
}
