import ICE
import Primitives
import Testing

@Suite struct NominationTests {
    private static let first = "198.51.100.1:5000"
    private static let second = "198.51.100.1:6000"
    private static let third = "198.51.100.2:7000"

    /// A controlled agent with two validated pairs, the second of them with this priority.
    private func controlled(everyCheck: Bool = false, second priority: UInt32? = nil) throws -> ScriptedPeer {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        try peer.answerAll(peer.check(from: Self.first, useCandidate: everyCheck))
        try peer.answerAll(peer.check(from: Self.second, priority: priority))
        #expect(peer.agent.pairs.map(\.state) == [.succeeded, .succeeded])
        return peer
    }

    @Test func theControllingSideNominatesTheFirstPairThatWorksWithoutWaitingForOthers() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        // Two that are better and black holes, one that works.
        peer.addCandidate("203.0.113.1:1", priority: 2_000_000_000)
        peer.addCandidate("203.0.113.2:1", priority: 1_900_000_000)
        peer.addCandidate(Self.first, priority: 1_000)
        peer.describe()
        let check = try #require(peer.out.datagrams.first { $0.path.remote == address(Self.first) })
        #expect(try !STUNMessage(parsing: check.bytes).useCandidate)
        peer.now += .milliseconds(20)
        let nomination = peer.deliver(try peer.answer(check), from: Self.first)
        #expect(nomination.count == 1)
        #expect(nomination.first?.path.remote == address(Self.first))
        #expect(try STUNMessage(parsing: nomination[0].bytes).useCandidate)
        #expect(peer.agent.sendingPath == peer.path(Self.first))
        #expect(peer.agent.selectedPair?.isNominated == false)
        peer.now += .milliseconds(20)
        peer.deliver(try peer.answer(nomination[0]), from: Self.first)
        #expect(peer.agent.selectedPair?.isNominated == true)
        // Nothing more goes to the black holes.
        try peer.run(for: .seconds(20), silent: ["203.0.113.1:1", "203.0.113.2:1"])
        #expect(peer.agent.pairs.filter { $0.remote.address.port == 1 }.allSatisfy { $0.requestsSent <= 2 })
    }

    @Test func anUnansweredNominationIsRepeatedUntilItIs() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        peer.addCandidate(Self.first)
        peer.describe()
        try peer.deliver(peer.answer(try #require(peer.out.datagrams.first)), from: Self.first)
        var nominations: [Datagram] = []
        for _ in 0..<4 {
            peer.now = try #require(peer.agent.deadline)
            peer.out.removeAll()
            peer.agent.advance(to: peer.now, into: &peer.out)
            nominations += peer.out.datagrams
        }
        #expect(nominations.count == 4)
        #expect(try nominations.allSatisfy { try STUNMessage(parsing: $0.bytes).useCandidate })
        #expect(Set(try nominations.map { try STUNMessage(parsing: $0.bytes).transactionID }).count == 4)
        // The answer to the first of them counts.
        peer.deliver(try peer.answer(nominations[0]), from: Self.first)
        #expect(peer.agent.selectedPair?.isNominated == true)
    }

    @Test func theLatestNominationWinsAtEqualPriority() throws {
        var peer = try controlled()
        peer.check(from: Self.first, useCandidate: true)
        #expect(peer.agent.sendingPath == peer.path(Self.first))
        #expect(peer.agent.selectedPair?.isNominated == true)
        peer.check(from: Self.second, useCandidate: true)
        #expect(peer.agent.sendingPath == peer.path(Self.second))
        #expect(peer.agent.pairs.map(\.isNominated) == [false, true])
        peer.check(from: Self.first, useCandidate: true)
        #expect(peer.agent.sendingPath == peer.path(Self.first))
    }

    @Test func theLatestNominationOfARegularNominatorWinsAtLowerPriority() throws {
        var peer = try controlled(second: 1_000)
        peer.check(from: Self.first, useCandidate: true)
        peer.check(from: Self.second, useCandidate: true)
        #expect(peer.agent.sendingPath == peer.path(Self.second))
    }

    @Test func whoNominatesEveryCheckGetsTheBestPairThatAnswers() throws {
        var peer = try controlled(everyCheck: true, second: 1_000)
        #expect(peer.agent.sendingPath == peer.path(Self.first))
        for _ in 0..<5 {
            try peer.answerAll(peer.check(from: Self.second, useCandidate: true))
            try peer.run(for: .seconds(2))
            #expect(peer.agent.sendingPath == peer.path(Self.first))
        }
        // The better one falls silent; the next nomination of the other is followed soon.
        let start = peer.now
        let checks = peer.check(from: Self.second, useCandidate: true)
        try peer.answerAll(checks, except: [Self.first])
        try peer.run(for: .milliseconds(250), silent: [Self.first])
        #expect(peer.agent.sendingPath == peer.path(Self.second))
        #expect(peer.now - start <= .milliseconds(250))
        // A better pair wins at once.
        try peer.answerAll(peer.check(from: Self.third, useCandidate: true), except: [Self.first])
        #expect(peer.agent.sendingPath == peer.path(Self.third))
    }

    @Test func aNominationBeforeTheAnswerCountsWhenTheAnswerComes() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let sent = requests(peer.check(from: Self.first, useCandidate: true))
        #expect(peer.agent.sendingPath == nil)
        peer.deliver(try peer.answer(try #require(sent.first)), from: Self.first)
        #expect(peer.agent.selectedPair?.isNominated == true)
    }

    @Test func theControllingSideIgnoresUseCandidate() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlling))
        peer.tieBreaker = 0
        peer.role = .controlled
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.nominationPolicy = .never
        var passive = ScriptedPeer.ready(configuration)
        passive.role = .controlled
        try passive.answerAll(passive.check(from: Self.first, useCandidate: true))
        #expect(passive.agent.sendingPath == passive.path(Self.first))
        #expect(passive.agent.selectedPair?.isNominated == false)
    }

    @Test func withoutAnyNominationMediaFlowsOnTheBestValidatedPair() throws {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.nominationPolicy = .never
        var wire = Wire(a: configuration, aBases: ["192.0.2.1:4000", "192.0.2.9:4000"])
        wire.connect()
        wire.run(for: .seconds(60))
        #expect(wire.a.agent.connectionState == .connected && wire.b.agent.connectionState == .connected)
        #expect(!wire.a.isNominated && !wire.b.isNominated)
        #expect(wire.b.agent.sendingPath != nil)
    }

    @Test func nominatingEveryCheckNeedsNoSecondRoundTrip() {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.nominationPolicy = .everyCheck
        var wire = Wire(a: configuration, oneWay: .milliseconds(50))
        wire.connect()
        wire.run(for: .milliseconds(100))
        #expect(wire.a.isNominated && wire.b.isNominated)
    }

    @Test func aDirectPairReplacesARelayedOneThatWasFaster() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        peer.addCandidate(Self.first, type: .relayed)
        peer.addCandidate(Self.second, type: .host)
        peer.describe()
        let checks = peer.out.datagrams
        let relayed = try #require(checks.first { $0.path.remote == address(Self.first) })
        let direct = try #require(checks.first { $0.path.remote == address(Self.second) })
        try peer.answerAll(peer.deliver(try peer.answer(relayed), from: Self.first))
        #expect(peer.agent.sendingPath == peer.path(Self.first))
        peer.now += .milliseconds(400)
        try peer.answerAll(peer.deliver(try peer.answer(direct), from: Self.second))
        #expect(peer.agent.sendingPath == peer.path(Self.second))
        #expect(peer.agent.pairs.filter(\.isNominated).map(\.path) == [peer.path(Self.second)])
    }
}

@Suite struct RoleTests {
    @Test(arguments: [ICERole.controlling, .controlled])
    func bothInOneRoleConnectWithOneOfEach(_ role: ICERole) {
        for seed in 1...20 as ClosedRange<UInt64> {
            var wire = Wire(a: .init(role: role), b: .init(role: role), seed: seed)
            wire.connect()
            wire.run(for: .seconds(1))
            #expect(wire.a.agent.role == wire.b.agent.role.opposite)
            #expect(wire.a.isNominated && wire.b.isNominated, "seed \(seed)")
            // One switched, and only once.
            let switches = [wire.a, wire.b].map { $0.traced { if case .roleSwitched = $0 { true } else { false } } }
            #expect(switches.sorted() == [0, 1])
        }
    }

    @Test(arguments: [
        (ICERole.controlling, UInt64.max, ICERole.controlled, true), (.controlling, 0, .controlling, false),
        (.controlled, UInt64.max, .controlled, false), (.controlled, 0, .controlling, true),
    ])
    func theTieBreakerDecides(_ role: ICERole, _ theirs: UInt64, _ result: ICERole, _ isAccepted: Bool) {
        var peer = ScriptedPeer.ready(.init(role: role))
        peer.role = role
        peer.tieBreaker = theirs
        let answers = responses(peer.check(from: "198.51.100.1:5000"))
        #expect(answers.map(\.messageClass) == [isAccepted ? .success : .error])
        #expect(answers.first?.errorCode?.code == (isAccepted ? nil : 487))
        #expect(peer.agent.role == result)
    }

    @Test func a487TurnsTheRoleAndTheCheckIsSentAgain() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        peer.addCandidate("198.51.100.1:5000")
        peer.describe()
        let check = try #require(peer.out.datagrams.first)
        let before = try STUNMessage(parsing: check.bytes).iceControlling
        peer.now += .milliseconds(30)
        let again = peer.deliver(try peer.error(check, .roleConflict), from: "198.51.100.1:5000")
        #expect(peer.agent.role == .controlled)
        let request = try STUNMessage(parsing: try #require(again.first).bytes)
        #expect(request.iceControlled != nil && request.iceControlled != before)
        #expect(request.iceControlling == nil)
    }

    @Test func aForged487ChangesNothing() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        peer.addCandidate("198.51.100.1:5000")
        peer.describe()
        let check = try #require(peer.out.datagrams.first)
        peer.deliver(try peer.error(check, .roleConflict, isAuthenticated: false), from: "198.51.100.1:5000")
        #expect(peer.agent.role == .controlling)
        #expect(peer.agent.pairs[0].lastError == .unauthenticatedErrorResponse(.roleConflict))
        // The true answer still counts.
        peer.deliver(try peer.answer(check), from: "198.51.100.1:5000")
        #expect(peer.agent.sendingPath != nil)
    }
}

@Suite struct LiteTests {
    private static var lite: ICEAgent.Configuration {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.isLite = true
        return configuration
    }

    @Test func aFullAgentControlsALiteOne() {
        var wire = Wire(a: .init(role: .controlled), b: Self.lite)
        wire.connect()
        #expect(wire.a.agent.role == .controlling && wire.b.agent.role == .controlled)
        wire.run(for: .seconds(120))
        #expect(wire.a.isNominated && wire.b.isNominated)
        #expect(wire.a.agent.connectionState == .completed && wire.b.agent.connectionState == .completed)
        // No checks of its own, but keepalives on the pair in use, about every 5 s.
        let kept = wire.b.sent.filter { !requests([$0.datagram]).isEmpty }
        #expect((20...30).contains(kept.count))
        #expect(kept.allSatisfy { $0.at >= .zero + .seconds(3) })
    }

    @Test func aLiteAgentSendsOnlyAfterTheNomination() {
        var peer = ScriptedPeer.ready(Self.lite)
        #expect(requests(peer.check(from: "198.51.100.1:5000")).isEmpty)
        #expect(peer.agent.sendingPath == nil)
        peer.check(from: "198.51.100.1:5000", useCandidate: true)
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:5000"))
    }

    @Test func aLiteAgentFollowsAPeerThatMovedOnceItsNewPathAnswers() throws {
        var peer = ScriptedPeer.ready(Self.lite)
        peer.check(from: "198.51.100.1:5000", useCandidate: true)
        peer.now += .milliseconds(500)
        let sent = peer.check(from: "198.51.100.1:6000", useCandidate: true)
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:5000"))
        try peer.answerAll(sent)
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:6000"))
    }

    @Test func aLiteAgentStopsSendingWithoutRequestsFor30Seconds() throws {
        var peer = ScriptedPeer.ready(Self.lite)
        peer.check(from: "198.51.100.1:5000", useCandidate: true)
        try peer.run(for: .milliseconds(29_999), silent: ["198.51.100.1:5000"])
        #expect(peer.agent.sendingPath != nil)
        try peer.run(for: .milliseconds(1), silent: ["198.51.100.1:5000"])
        #expect(peer.agent.sendingPath == nil)
        #expect(peer.agent.connectionState == .failed)
        peer.check(from: "198.51.100.1:5000", useCandidate: true)
        #expect(peer.agent.sendingPath != nil)
        #expect(peer.agent.connectionState == .connected)
    }
}
