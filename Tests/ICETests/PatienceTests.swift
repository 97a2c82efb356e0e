import ICE
import Primitives
import Testing

@Suite struct PatienceTests {
    @Test func nothingFailsBefore60SecondsEvenWithoutCandidates() throws {
        for hasBases in [true, false] {
            var peer = ScriptedPeer(.init(role: .controlling))
            if hasBases { peer.gather() }
            peer.now += .seconds(100)
            peer.describe()
            let start = peer.now
            #expect(peer.agent.connectionState == .checking)
            try peer.run(until: start + .seconds(60) - .nanoseconds(1))
            #expect(peer.agent.connectionState == .checking)
            try peer.run(until: start + .seconds(60))
            #expect(peer.agent.connectionState == .failed)
            #expect(peer.agent.failure?.reason == (hasBases ? .noRemoteCandidates : .noLocalCandidates))
            #expect(peer.agent.deadline == nil)
        }
    }

    @Test func withoutARemoteDescriptionNothingEverFails() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        try peer.run(for: .seconds(10_000))
        #expect(peer.agent.connectionState == .new)
        #expect(peer.agent.deadline == nil)
    }

    @Test func blackHolesAreTriedUntilPatienceEndsAndTheFailureSaysSo() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        peer.addCandidate("203.0.113.1:9")
        peer.describe()
        try peer.run(for: .milliseconds(59_999), silent: ["203.0.113.1:9"])
        #expect(peer.agent.connectionState == .checking)
        #expect(peer.agent.pairs[0].state == .failed)
        // Seven at first, then every 2.5 s.
        #expect((26...34).contains(peer.agent.pairs[0].requestsSent))
        try peer.run(for: .seconds(10), silent: ["203.0.113.1:9"])
        #expect(peer.agent.connectionState == .failed)
        let failure = try #require(peer.agent.failure)
        #expect(failure.reason == .nothingReceived)
        #expect(failure.pairs.first?.lastError == .noResponse(requests: 7))
        #expect(peer.agent.failureDescription.contains("no response to 7 requests"))
    }

    @Test func anAnswerToALateRecheckConnects() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        peer.addCandidate("198.51.100.1:5000")
        peer.describe()
        try peer.run(for: .seconds(37), silent: ["198.51.100.1:5000"])
        #expect(peer.agent.pairs[0].state == .failed)
        try peer.run(for: .milliseconds(2_500))
        #expect(peer.agent.sendingPath != nil)
        #expect(peer.agent.connectionState == .connected)
    }

    @Test func aPairUnderWayIsWaitedForAtTheEndOfPatience() throws {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        peer.describe()
        try peer.run(for: .milliseconds(59_500))
        peer.addCandidate("203.0.113.1:9")
        try peer.run(for: .seconds(1), silent: ["203.0.113.1:9"])
        #expect(peer.agent.connectionState == .checking)
        try peer.run(for: .seconds(5), silent: ["203.0.113.1:9"])
        #expect(peer.agent.connectionState == .failed)
    }

    @Test func afterFailureRequestsConnect() throws {
        for role in [ICERole.controlling, .controlled] {
            var peer = ScriptedPeer.ready(.init(role: role))
            try peer.run(for: .seconds(100))
            #expect(peer.agent.connectionState == .failed)
            try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: true))
            #expect(peer.agent.connectionState == .connected)
            #expect(peer.agent.selectedPair?.isNominated == true)
            #expect(peer.agent.failure == nil)
        }
    }

    @Test func afterFailureALateCandidateConnects() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlling))
        try peer.run(for: .seconds(100))
        peer.addCandidate("198.51.100.1:5000")
        try peer.answerAll(peer.out.datagrams)
        #expect(peer.agent.connectionState == .connected)
    }

    @Test func requestsWithoutAnswersAreCalledThat() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        for _ in 0..<65 {
            peer.check(from: "198.51.100.1:5000")
            try peer.run(for: .seconds(1), silent: ["198.51.100.1:5000"])
        }
        try peer.run(for: .seconds(10), silent: ["198.51.100.1:5000"])
        #expect(peer.agent.failure?.reason == .requestsWithoutResponses)
    }

    @Test func closedMeansSilent() {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        peer.agent.close()
        #expect(peer.agent.connectionState == .closed)
        #expect(peer.agent.deadline == nil)
        #expect(peer.check(from: "198.51.100.1:5000").isEmpty)
        peer.addCandidate("198.51.100.1:5000")
        peer.agent.advance(to: peer.now + .seconds(100), into: &peer.out)
        #expect(peer.out.isEmpty)
    }
}
