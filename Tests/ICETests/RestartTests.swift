import ICE
import Primitives
import Testing

@Suite struct RestartTests {
    private static func connected() -> Wire {
        var wire = Wire(oneWay: .milliseconds(20))
        wire.connect()
        wire.run(for: .seconds(10))
        return wire
    }

    @Test func aRestartKeepsSendingAndEndsOnTheNewGeneration() throws {
        var wire = Self.connected()
        let before = wire.a.agent.localCredentials
        let pair = try #require(wire.a.agent.selectedPair)
        wire.drive(\.a) { agent, _, now, out in agent.restart(at: now, into: &out) }
        #expect(wire.a.agent.localCredentials != before)
        #expect(wire.a.agent.localCandidates.allSatisfy { $0.ufrag == wire.a.agent.localCredentials.ufrag })
        #expect(wire.a.agent.localCandidates.first?.foundation == pair.local.foundation)
        // The offer takes its time; everything goes on under the old credentials.
        wire.run(for: .seconds(40))
        #expect(wire.a.agent.selectedPair?.id == pair.id)
        #expect(wire.b.agent.sendingPath != nil)

        wire.describe(to: \.b, from: \.a)
        #expect(wire.b.events.contains { $0.event == .restartedByRemote })
        #expect(wire.b.agent.remoteCredentials == wire.a.agent.localCredentials)
        wire.signalCandidates(to: \.b, from: \.a)
        wire.run(for: .milliseconds(200))
        wire.describe(to: \.a, from: \.b)
        wire.signalCandidates(to: \.a, from: \.b)
        wire.run(for: .seconds(1))
        #expect(wire.a.agent.selectedPair?.id != pair.id)
        #expect(wire.a.isNominated && wire.b.isNominated)
        #expect(wire.a.agent.connectionState == .completed && wire.b.agent.connectionState == .completed)
        // Nothing is asked under the old names any more.
        let settled = wire.now
        wire.run(for: .seconds(20))
        let late = try requests(wire.a.sent.filter { $0.at > settled }.map(\.datagram)).map {
            try #require(try STUNMessage(parsing: $0.bytes).username)
        }
        let names = "\(wire.b.agent.localCredentials.ufrag):\(wire.a.agent.localCredentials.ufrag)"
        #expect(!late.isEmpty && late.allSatisfy { $0 == names })
        // The path is the same one, and sending never paused.
        #expect(wire.a.paths.count == 1 && wire.b.paths.count == 1)
        #expect(!wire.a.states.contains(.disconnected) && !wire.a.states.contains(.failed))
        wire.run(for: .seconds(100))
        #expect(wire.a.paths.count == 1 && wire.b.paths.count == 1)
    }

    @Test func bothUfragsAreAnsweredDuringAndAfterTheChange() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let old = peer.agent.localCredentials
        try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: true))
        peer.agent.restart(at: peer.now, into: &peer.out)
        let underOld = peer.request(password: old.password, username: "\(old.ufrag):PEER")
        #expect(responses(peer.deliver(underOld, from: "198.51.100.1:5000")).map(\.messageClass) == [.success])
        #expect(responses(peer.check(from: "198.51.100.1:5000")).map(\.messageClass) == [.success])
        // Each with its own password only.
        let crossed = peer.request(username: "\(old.ufrag):PEER")
        #expect(peer.deliver(crossed, from: "198.51.100.1:5000").isEmpty)
        // Two restarts on, the first generation is unknown, unless it is the one in use.
        peer.agent.restart(at: peer.now, into: &peer.out)
        #expect(responses(peer.deliver(underOld, from: "198.51.100.1:5000")).count == 1)
        #expect(peer.agent.sendingPath != nil)
    }

    @Test func theSameDescriptionAgainChangesNothing() {
        var wire = Self.connected()
        let sent = wire.a.sent.count
        let pairs = wire.a.agent.pairs.map(\.id)
        wire.exchangeCredentials()
        #expect(wire.a.sent.count == sent)
        #expect(wire.a.agent.pairs.map(\.id) == pairs)
        #expect(!wire.a.events.contains { $0.event == .restartedByRemote })
        // Also in the middle of our own restart.
        wire.drive(\.a) { agent, _, now, out in agent.restart(at: now, into: &out) }
        let credentials = wire.a.agent.localCredentials
        wire.describe(to: \.a, from: \.b)
        #expect(wire.a.agent.remoteCredentials == nil)
        #expect(wire.a.agent.localCredentials == credentials)
    }

    @Test func aRestartAfterTheMappingWasLostComesBack() throws {
        var wire = Self.connected()
        let filter = Filter { _, _ in nil }
        wire.middlebox = filter
        wire.run(for: .seconds(60))
        #expect(wire.a.agent.connectionState == .failed && wire.b.agent.connectionState == .failed)
        filter.rule = { packet, _ in packet }
        wire.drive(\.a) { agent, _, now, out in agent.restart(at: now, into: &out) }
        wire.describe(to: \.b, from: \.a)
        wire.signalCandidates(to: \.b, from: \.a)
        wire.describe(to: \.a, from: \.b)
        wire.signalCandidates(to: \.a, from: \.b)
        #expect(wire.a.agent.connectionState == .checking)
        wire.run(for: .milliseconds(100))
        #expect(wire.a.isNominated && wire.b.isNominated)
    }

    @Test func checksOfTheNewGenerationMayComeBeforeItsDescription() throws {
        var wire = Self.connected()
        wire.drive(\.a) { agent, _, now, out in agent.restart(at: now, into: &out) }
        wire.describe(to: \.b, from: \.a)
        wire.signalCandidates(to: \.b, from: \.a)
        wire.run(for: .seconds(2))
        // B's generation is validated (A answers); A learns B's credentials only now.
        #expect(wire.a.traced { if case .requestKept = $0 { true } else { false } } == 1)
        wire.describe(to: \.a, from: \.b)
        wire.run(for: .milliseconds(80))
        #expect(wire.a.agent.pairs.count == 1)
        #expect(wire.a.isNominated)
        #expect(wire.a.paths.count == 1)
    }

    @Test func promisedCredentialsAreUsed() {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        let promised = ICECredentials(ufrag: "promised", password: "abcdefghijklmnopqrstuvwx")
        peer.agent.restart(credentials: promised, at: peer.now, into: &peer.out)
        #expect(peer.agent.localCredentials == promised)
        #expect(responses(peer.check(from: "198.51.100.1:5000")).count == 1)
    }

    @Test func aRestartBeforeAnythingHappenedIsJustNewCredentials() {
        var wire = Wire()
        wire.drive(\.a) { agent, _, now, out in agent.restart(at: now, into: &out) }
        wire.connect()
        wire.run(for: .seconds(1))
        #expect(wire.a.isNominated && wire.b.isNominated)
    }
}
