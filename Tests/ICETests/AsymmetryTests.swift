import ICE
import Primitives
import Testing

/// Proxies that answer from another address than was asked, and sides that fall silent.
@Suite struct AsymmetryTests {
    private func checking(allowed: Bool) throws -> (ScriptedPeer, Datagram) {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.allowsAsymmetricResponses = allowed
        var peer = ScriptedPeer.ready(configuration)
        peer.addCandidate("198.51.100.1:5000")
        let check = try #require(requests(peer.out.datagrams).first)
        peer.out.removeAll()
        return (peer, check)
    }

    @Test func anAnswerFromElsewhereCountsWhereItIsAllowedAndOnlyThere() throws {
        for allowed in [true, false] {
            var (peer, check) = try checking(allowed: allowed)
            peer.deliver(try peer.answer(check), from: "198.51.100.9:6000")
            #expect((peer.agent.sendingPath == peer.path("198.51.100.1:5000")) == allowed)
            // What comes from there is then the other side's, and is sent where was asked.
            #expect(peer.agent.isValidated(peer.path("198.51.100.9:6000")) == allowed)
            #expect(!peer.agent.isValidated(peer.path("198.51.100.9:6001")))
        }
    }

    @Test func itsIntegrityIsAsStrictAsEver() throws {
        var (peer, check) = try checking(allowed: true)
        let id = try STUNMessage(parsing: check.bytes).transactionID
        let forged = STUNMessage(.success, transactionID: id)
            .encoded(integrity: MessageIntegrityKey(password: "anotherpasswordanotherpw"))
        peer.deliver(forged, from: "198.51.100.9:6000")
        peer.deliver(STUNMessage(.success, transactionID: id).encoded(), from: "198.51.100.9:6000")
        #expect(peer.agent.sendingPath == nil)
        #expect(!peer.agent.isValidated(peer.path("198.51.100.9:6000")))
    }

    @Test func addressesThatAnswerAreCapped() throws {
        var (peer, check) = try checking(allowed: true)
        peer.deliver(try peer.answer(check), from: "198.51.100.9:6000")
        for port in 6_001...6_020 {
            let sent = peer.check(from: "198.51.100.1:5000")
            _ = sent
            try peer.run(for: .seconds(6), silent: ["198.51.100.1:5000"])
            guard let request = requests(peer.out.datagrams).last else { continue }
            peer.deliver(try peer.answer(request), from: "198.51.100.9:\(port)")
        }
        let known = (6_000...6_020).filter { peer.agent.isValidated(peer.path("198.51.100.9:\($0)")) }
        #expect(known.count <= peer.agent.configuration.limits.answeringAddresses)
    }

    // MARK: Silence

    private static func wants(_ out: ICEAgent.Output) -> [TimeDelta] {
        out.events.compactMap { if case .restartWanted(let silence) = $0 { silence } else { nil } }
    }

    @Test(arguments: [ICERole.controlling, .controlled])
    func aSilentPeerMakesARestartWantedAndNotBefore(_ role: ICERole) throws {
        var peer = ScriptedPeer.ready(.init(role: role))
        peer.addCandidate("198.51.100.1:5000")
        try peer.answerAll(peer.out.datagrams)
        try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: role == .controlled))
        try peer.run(for: .seconds(100))
        #expect(Self.wants(peer.out).isEmpty, "who answers is not silent")
        var wants: [TimeDelta] = []
        let end = peer.now + .seconds(110)
        while let due = peer.agent.deadline, due < end {
            peer.now = due
            peer.out.removeAll()
            peer.agent.advance(to: due, into: &peer.out)
            wants += Self.wants(peer.out)
        }
        let first: TimeDelta = role == .controlled ? .seconds(18) : .seconds(15)
        #expect(wants == [first, first + .seconds(30), first + .seconds(60)] || wants.count == 4, "\(wants)")
        #expect(wants.first == first)
        // A single request ends it.
        peer.out.removeAll()
        try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: role == .controlled))
        try peer.run(for: .seconds(14))
        #expect(Self.wants(peer.out).isEmpty)
    }

    @Test func whatNeverStoodWantsNoRestart() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlling))
        peer.addCandidate("198.51.100.1:5000")
        peer.check(from: "198.51.100.1:5000")
        try peer.run(for: .seconds(300), silent: ["198.51.100.1:5000"])
        #expect(Self.wants(peer.out).isEmpty)
    }

    @Test func patienceCountsFromTheLaterDescription() throws {
        var peer = ScriptedPeer(.init(role: .controlled))
        peer.gather()
        peer.describe()
        try peer.run(for: .seconds(50))
        peer.agent.localDescriptionSent(at: peer.now, into: &peer.out)
        try peer.run(for: .milliseconds(59_999))
        #expect(peer.agent.connectionState == .checking)
        try peer.run(for: .milliseconds(1))
        #expect(peer.agent.connectionState == .failed)
    }
}
