import ICE
import Primitives
import Testing

@Suite struct ConsentTests {
    private static let remote = "198.51.100.1:5000"

    private static func connected(_ role: ICERole = .controlled) throws -> ScriptedPeer {
        var peer = ScriptedPeer.ready(.init(role: role))
        try peer.answerAll(peer.check(from: remote, useCandidate: true))
        #expect(peer.agent.selectedPair?.isNominated == true)
        return peer
    }

    @Test func consentIsAskedEvery5SecondsGiveOrTakeAFifth() throws {
        var peer = try Self.connected()
        var times: [Instant] = []
        var ids: Set<STUNTransactionID> = []
        while times.count < 40 {
            peer.now = try #require(peer.agent.deadline)
            peer.out.removeAll()
            peer.agent.advance(to: peer.now, into: &peer.out)
            for datagram in peer.out.datagrams {
                times.append(peer.now)
                ids.insert(try STUNMessage(parsing: datagram.bytes).transactionID)
            }
            try peer.answerAll(peer.out.datagrams)
        }
        let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
        #expect(gaps.allSatisfy { (.milliseconds(4_000)...(.milliseconds(6_000))).contains($0) })
        #expect(Set(gaps).count > 30)
        #expect(ids.count == 40)
        #expect(peer.agent.selectedPair?.consentRequestsSent == 40)
        #expect(peer.agent.connectionState == .connected)
    }

    @Test(arguments: [ICERole.controlling, .controlled])
    func sendingStops30SecondsAfterTheLastAnswerAndNotABitLater(_ role: ICERole) throws {
        var peer = try Self.connected(role)
        try peer.run(for: .seconds(20))
        let last = try #require(peer.agent.selectedPair?.lastResponseReceived)
        let end = last + .seconds(30)
        try peer.run(until: end - .nanoseconds(1), silent: [Self.remote])
        #expect(peer.agent.sendingPath != nil)
        #expect(peer.agent.connectionState == .disconnected)
        #expect(peer.agent.deadline == end)
        peer.now = end
        peer.out.removeAll()
        peer.agent.advance(to: end, into: &peer.out)
        #expect(peer.out.datagrams.isEmpty)
        #expect(
            peer.out.events == [.consentExpired, .sendingPathChanged(nil), .connectionStateChanged(.failed)])
        #expect(peer.agent.failure?.reason == .consentExpired)
        // For ever: all that is left is the wish for a restart.
        for _ in 0..<30 {
            peer.now = try #require(peer.agent.deadline)
            #expect(peer.now > end)
            peer.out.removeAll()
            peer.agent.advance(to: peer.now, into: &peer.out)
            #expect(peer.out.datagrams.isEmpty)
            #expect(peer.out.events == [.restartWanted(silence: peer.now - last)])
        }
    }

    @Test(arguments: [ICERole.controlling, .controlled])
    func afterItsEndARequestIsAnsweredAndAnAnsweredCheckBringsEverythingBack(_ role: ICERole) throws {
        var peer = try Self.connected(role)
        try peer.run(for: .seconds(60), silent: [Self.remote])
        #expect(peer.agent.connectionState == .failed)
        let sent = peer.check(from: Self.remote, useCandidate: role == .controlled)
        #expect(responses(sent).map(\.messageClass) == [.success])
        #expect(requests(sent).count == 1)
        #expect(peer.agent.sendingPath == nil)
        try peer.answerAll(sent)
        #expect(peer.agent.sendingPath == peer.path(Self.remote))
        #expect(peer.agent.connectionState == .connected)
        #expect(peer.agent.selectedPair?.isNominated == true)
        #expect(peer.agent.failure == nil)
    }

    @Test func aPairAnsweredLongAgoDoesNotStepInWhenConsentEnds() throws {
        var peer = try Self.connected()
        try peer.answerAll(peer.check(from: "198.51.100.1:6000"))
        #expect(peer.agent.pairs.map(\.state) == [.succeeded, .succeeded])
        try peer.run(for: .seconds(60))
        #expect(peer.agent.pairs.map(\.state) == [.succeeded, .succeeded])
        try peer.run(for: .seconds(40), silent: [Self.remote, "198.51.100.1:6000"])
        #expect(peer.agent.sendingPath == nil)
        let paths = peer.out.events.compactMap { if case .sendingPathChanged(let path) = $0 { path } else { nil } }
        #expect(paths.isEmpty)
    }

    @Test func aRequestOfTheOtherSideIsNoConsent() throws {
        var peer = try Self.connected()
        let last = try #require(peer.agent.selectedPair?.lastResponseReceived)
        while peer.now < last + .milliseconds(29_500) {
            try peer.run(for: .milliseconds(500), silent: [Self.remote])
            peer.check(from: Self.remote)
        }
        try peer.run(until: last + .seconds(30), silent: [Self.remote])
        #expect(peer.agent.sendingPath == nil)
    }

    @Test func aPacketAtTheEndComesTooLate() throws {
        var peer = try Self.connected()
        let last = try #require(peer.agent.selectedPair?.lastResponseReceived)
        var check: Datagram?
        while let deadline = peer.agent.deadline, deadline < last + .seconds(30) {
            peer.now = deadline
            peer.out.removeAll()
            peer.agent.advance(to: deadline, into: &peer.out)
            check = peer.out.datagrams.last ?? check
        }
        // Nobody advanced the agent; what is delivered at 30 s finds the consent gone.
        peer.now = last + .seconds(30)
        peer.deliver(try peer.answer(try #require(check)), from: Self.remote)
        #expect(peer.out.events.contains(.consentExpired))
        #expect(peer.out.events.first == .consentExpired)
    }

    @Test func aDeadPathIsDisconnectedWithin9Seconds() throws {
        var peer = try Self.connected()
        let start = peer.now
        while peer.agent.connectionState == .connected, peer.now < start + .seconds(30) {
            try peer.run(until: try #require(peer.agent.deadline), silent: [Self.remote])
        }
        #expect(peer.agent.connectionState == .disconnected)
        #expect(peer.now - start <= .milliseconds(9_000))
        #expect(peer.agent.sendingPath != nil)
        // And connected again with the next answer.
        try peer.run(for: .seconds(2))
        #expect(peer.agent.connectionState == .connected)
    }

    @Test func bothSidesNoticeAnOutageAndComeBackAlone() {
        for role in [ICERole.controlling, .controlled] {
            for seconds in [5, 10, 14, 20] as [Double] {
                var wire = Wire(a: .init(role: role), b: .init(role: role.opposite))
                let filter = Filter { packet, _ in packet }
                wire.middlebox = filter
                wire.connect()
                wire.run(for: .seconds(10))
                filter.rule = { _, _ in nil }
                wire.run(for: .seconds(seconds))
                filter.rule = { packet, _ in packet }
                wire.run(for: .seconds(3))
                for node in [wire.a, wire.b] {
                    #expect([.connected, .completed].contains(node.agent.connectionState))
                    #expect(node.paths.count == 1)
                    #expect(!node.states.contains(.failed))
                }
            }
        }
    }

    @Test func unreachableIsNeverFailure() throws {
        var peer = try Self.connected()
        for _ in 0..<100 {
            peer.agent.noteUnreachable(
                peer.path(Self.remote), reason: "port unreachable", at: peer.now, into: &peer.out)
            try peer.answerAll(peer.out.datagrams)
            try peer.run(for: .milliseconds(100))
        }
        #expect(peer.agent.sendingPath == peer.path(Self.remote))
        #expect(peer.agent.connectionState == .connected)
        #expect(peer.agent.counters.unreachable == 100)
    }

    @Test func unreachablePairsAreCheckedLessAndStillSucceed() throws {
        var peer = ScriptedPeer(.init(role: .controlled))
        peer.gather()
        peer.addCandidate(Self.remote)
        peer.describe()
        var sent = requests(peer.out.datagrams)
        while peer.now < Instant.zero + .seconds(5) {
            for _ in sent {
                peer.agent.noteUnreachable(
                    peer.path(Self.remote), reason: "host unreachable", at: peer.now, into: &peer.out)
            }
            guard let deadline = peer.agent.deadline else { break }
            peer.now = deadline
            peer.out.removeAll()
            peer.agent.advance(to: deadline, into: &peer.out)
            sent = requests(peer.out.datagrams)
        }
        #expect(peer.agent.pairs[0].requestsSent <= 8)
        #expect(peer.agent.pairs[0].lastError == .unreachable("host unreachable"))
        #expect(peer.agent.connectionState == .checking)
        try peer.run(for: .seconds(3))
        #expect(peer.agent.sendingPath != nil)
    }
}
