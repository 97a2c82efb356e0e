import ICE
import Primitives
import Testing

@Suite struct ConnectivityTests {
    @Test func bothSidesCanSendAfterOneRoundTripAndAreNominatedAfterTwo() throws {
        var wire = Wire(oneWay: .milliseconds(50))
        wire.connect()
        wire.run(for: .seconds(1))
        let path = NetworkPath(local: address("192.0.2.1:4000"), remote: address("198.51.100.1:5000"))
        let first: (ICEEvent) -> Bool = { if case .sendingPathChanged = $0 { true } else { false } }
        #expect(wire.a.time(of: first) == Instant(nanoseconds: 100_000_000))
        #expect(wire.b.time(of: first) == Instant(nanoseconds: 100_000_000))
        #expect(wire.a.agent.sendingPath == path)
        #expect(wire.b.agent.sendingPath == NetworkPath(local: path.remote, remote: path.local))
        func nominated(_ node: Node) -> Instant? {
            node.trace.first { if case .nominated = $0.entry { true } else { false } }?.at
        }
        #expect(nominated(wire.a) == Instant(nanoseconds: 200_000_000))
        #expect(nominated(wire.b) == Instant(nanoseconds: 150_000_000))
        #expect(wire.a.agent.connectionState == .completed && wire.b.agent.connectionState == .completed)
        #expect(wire.a.agent.currentRoundTripTime == .milliseconds(100))
        #expect(wire.a.states == [.checking, .connected, .completed])
        #expect(wire.a.agent.isValidated(path))
        #expect(!wire.a.agent.isValidated(NetworkPath(local: path.local, remote: address("198.51.100.1:5001"))))
    }

    @Test func nothingIsSentBesidesConsentOnceAPairIsSelected() throws {
        var wire = Wire(oneWay: .milliseconds(20))
        wire.connect()
        wire.drive(\.a) { agent, _, now, out in
            for host in 10..<40 {
                agent.addRemoteCandidate(
                    Candidate(
                        remoteFoundation: "9", priority: 1_000, address: address("203.0.113.\(host):9"), type: .host),
                    at: now, into: &out)
            }
        }
        wire.run(for: .seconds(2))
        #expect(wire.a.isNominated)
        let selected = try #require(wire.a.agent.sendingPath)
        wire.run(for: .seconds(60))
        let late = wire.a.sent.filter { $0.at > Instant.zero + .seconds(1) }
        #expect(late.allSatisfy { $0.datagram.path == selected })
        // Every 5 s ± 20 %, ours; and an answer to each of theirs.
        #expect((18...30).contains(late.count))
    }

    @Test(arguments: [0, 0.02, 0.05, 0.10, 0.20])
    func lossDoesNotKeepThemApart(_ loss: Double) {
        for seed in 1...40 as ClosedRange<UInt64> {
            var wire = Wire(oneWay: .milliseconds(150), loss: loss, seed: seed)
            wire.connect()
            let limit: TimeDelta = loss == 0 ? .milliseconds(300) : .milliseconds(3_000)
            let time = wire.runUntilConnected(by: Instant.zero + limit + .milliseconds(1))
            #expect(time != nil, "seed \(seed), loss \(loss)")
            wire.run(for: .seconds(6))
            #expect(wire.a.isNominated && wire.b.isNominated, "seed \(seed), loss \(loss)")
        }
    }

    @Test func lossDoesNotBreakALongCall() {
        for seed in 1...3 as ClosedRange<UInt64> {
            var wire = Wire(oneWay: .milliseconds(100), loss: 0.10, seed: seed)
            wire.connect()
            wire.run(for: .seconds(600))
            #expect(wire.a.agent.sendingPath != nil && wire.b.agent.sendingPath != nil)
            #expect(wire.a.paths.count == 1, "seed \(seed): \(wire.a.paths)")
            #expect(!wire.a.states.contains(.failed))
        }
    }

    @Test func wrongPasswordNeverValidates() {
        var wire = Wire()
        wire.gather()
        let right = wire.b.agent.localCredentials
        wire.drive(\.a) { agent, _, now, out in
            agent.setRemoteDescription(
                credentials: ICECredentials(ufrag: right.ufrag, password: right.password.lowercased() + "x"),
                isLite: false, at: now, into: &out)
        }
        wire.describe(to: \.b, from: \.a)
        wire.exchangeCandidates()
        wire.run(for: .seconds(65))
        #expect(wire.a.agent.sendingPath == nil)
        #expect(wire.b.agent.counters.unauthenticated > 0)
        #expect(wire.b.agent.counters.requestsReceived == 0)
        #expect(wire.a.agent.connectionState == .failed)
        // B's checks are answered by A, with A's password; but A cannot check B.
        #expect(wire.a.agent.failure?.reason == .requestsWithoutResponses)
    }

    @Test func oneSideWithoutAnyCandidateOfTheOtherConnects() {
        for controllingKnows in [true, false] {
            var wire = Wire()
            wire.gather()
            wire.exchangeCredentials()
            if controllingKnows {
                wire.signalCandidates(to: \.a, from: \.b)
            } else {
                wire.signalCandidates(to: \.b, from: \.a)
            }
            wire.run(for: .seconds(1))
            #expect(wire.a.isNominated && wire.b.isNominated)
            let remote = (controllingKnows ? wire.b : wire.a).agent.remoteCandidates
            #expect(remote.map(\.type) == [.peerReflexive])
        }
    }

    @Test func checksBeforeTheDescriptionAreAnsweredAndCountWhenItComes() throws {
        var wire = Wire(oneWay: .milliseconds(10))
        wire.gather()
        // B has A's description; A waits for B's, as an offerer does.
        wire.describe(to: \.b, from: \.a)
        wire.signalCandidates(to: \.b, from: \.a)
        wire.run(for: .seconds(10))
        #expect(wire.b.agent.sendingPath != nil)
        #expect(wire.a.agent.sendingPath == nil)
        #expect(wire.a.agent.connectionState == .new)
        let start = wire.now
        wire.describe(to: \.a, from: \.b)
        wire.run(for: .milliseconds(20))
        #expect(wire.a.agent.sendingPath != nil)
        #expect(wire.a.time { if case .sendingPathChanged = $0 { true } else { false } } == start + .milliseconds(20))
        wire.run(for: .milliseconds(50))
        #expect(wire.a.isNominated && wire.b.isNominated)
    }

    @Test func checksBeforeTheBasesAreKnownCountWhenTheyAre() {
        var peer = ScriptedPeer(.init(role: .controlled))
        peer.describe()
        let answers = peer.check(from: "198.51.100.1:5000")
        #expect(responses(answers).map(\.messageClass) == [.success])
        #expect(requests(answers).isEmpty)
        peer.out.removeAll()
        peer.gather()
        #expect(requests(peer.out.datagrams).map(\.path.remote) == [address("198.51.100.1:5000")])
    }

    @Test func trickledCandidatesMayComeBeforeTheDescription() {
        var wire = Wire()
        wire.gather()
        wire.exchangeCandidates()
        wire.run(for: .seconds(1))
        #expect(wire.a.sent.isEmpty && wire.a.agent.pairs.isEmpty)
        wire.exchangeCredentials()
        wire.run(for: .milliseconds(100))
        #expect(wire.a.agent.sendingPath != nil && wire.b.agent.sendingPath != nil)
    }

    /// They may have overtaken its description. Once it has come, they are paired; those of a former one are dropped.
    @Test func candidatesOfAnotherGenerationWaitForIt() {
        var peer = ScriptedPeer(.init(role: .controlling))
        peer.gather()
        func candidate(_ host: String, _ ufrag: String?) -> Candidate {
            Candidate(remoteFoundation: "1", priority: 9, address: address(host), type: .host, ufrag: ufrag)
        }
        for early in [
            candidate("203.0.113.1:1", "OTHR"), candidate("203.0.113.2:2", "PEER"), candidate("203.0.113.3:3", nil),
        ] {
            peer.agent.addRemoteCandidate(early, at: peer.now, into: &peer.out)
        }
        peer.describe()
        peer.agent.addRemoteCandidate(candidate("203.0.113.4:4", "OTHR"), at: peer.now, into: &peer.out)
        #expect(peer.agent.remoteCandidates.map(\.address.port) == [2, 3])
        peer.agent.setRemoteDescription(
            credentials: ICECredentials(ufrag: "OTHR", password: "anotherpasswordofmanycharacters"), isLite: false,
            at: peer.now, into: &peer.out)
        #expect(peer.agent.remoteCandidates.map(\.address.port).sorted() == [1, 4])
        for _ in 0..<2 {
            peer.agent.addRemoteCandidate(candidate("203.0.113.5:5", "PEER"), at: peer.now, into: &peer.out)
        }
        let ignored = peer.out.trace.filter {
            if case .candidateIgnored(_, .otherGeneration) = $0 { true } else { false }
        }
        #expect(ignored.count == 2)
    }

    @Test func unusableCandidatesAreRefusedByName() {
        var peer = ScriptedPeer.ready(.init(role: .controlling))
        for text in ["0.0.0.0:1", "203.0.113.1:0", "224.0.0.1:5", "[::ffff:192.0.2.1]:5", "[::]:1"] {
            peer.addCandidate(text)
        }
        #expect(peer.agent.remoteCandidates.isEmpty)
        peer.agent.addRemoteCandidate(
            Candidate(foundation: "1", component: 2, priority: 1, address: address("203.0.113.1:1"), type: .host),
            at: peer.now, into: &peer.out)
        peer.agent.addRemoteCandidate(
            Candidate(
                foundation: "1", transport: .tcpPassive, priority: 1, address: address("203.0.113.1:1"), type: .host),
            at: peer.now, into: &peer.out)
        #expect(peer.agent.remoteCandidates.isEmpty)
        let reasons = peer.out.trace.compactMap {
            if case .candidateIgnored(_, let reason) = $0 { reason } else { nil }
        }
        #expect(reasons == Array(repeating: .unusableAddress, count: 5) + [.component, .transport])
    }

    @Test func addressesOfDifferentKindsAreNotPaired() {
        var wire = Wire(
            aBases: ["192.0.2.1:4000", "[2001:db8::1]:4000", "[fe80::1]:4000", "127.0.0.1:4000"],
            bBases: ["198.51.100.1:5000", "[2001:db8::2]:5000", "[fe80::2]:5000", "127.0.0.1:5000"])
        wire.connect()
        let pairs = Set(wire.a.agent.pairs.map(\.path.description))
        #expect(
            pairs == [
                "192.0.2.1:4000→198.51.100.1:5000", "[2001:db8::1]:4000→[2001:db8::2]:5000",
                "[fe80::1]:4000→[fe80::2]:5000", "127.0.0.1:4000→127.0.0.1:5000",
            ])
        wire.run(for: .seconds(1))
        #expect(wire.a.isNominated && wire.b.isNominated)
    }

    @Test func aLaterSignaledCandidateNamesWhatACheckRevealed() {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        peer.check(from: "198.51.100.1:5000")
        #expect(peer.agent.remoteCandidates.map(\.type) == [.peerReflexive])
        let before = peer.agent.pairs[0].priority
        peer.addCandidate("198.51.100.1:5000", type: .host)
        #expect(peer.agent.remoteCandidates.map(\.type) == [.host])
        #expect(peer.agent.pairs.count == 1)
        #expect(peer.agent.pairs[0].remote.type == .host)
        #expect(peer.agent.pairs[0].priority > before)
    }

    @Test func firstChecksLeaveInABurstAndThenTaApart() throws {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.checkBurst = 4
        var peer = ScriptedPeer(configuration)
        peer.gather()
        for host in 1...10 { peer.addCandidate("203.0.113.\(host):1000", priority: UInt32(host * 1_000)) }
        peer.describe()
        #expect(peer.out.datagrams.count == 4)
        #expect(peer.out.datagrams.first?.path.remote == address("203.0.113.10:1000"))
        for step in 1...6 as ClosedRange<Int64> {
            #expect(peer.agent.deadline == Instant.zero + .milliseconds(5 * step))
            peer.now = Instant.zero + .milliseconds(5 * step)
            peer.out.removeAll()
            peer.agent.advance(to: peer.now, into: &peer.out)
            #expect(peer.out.datagrams.count == 1)
        }
    }

    @Test func theSlowerPacingOfTheOtherSideIsKept() {
        var peer = ScriptedPeer(
            {
                var configuration = ICEAgent.Configuration(role: .controlling)
                configuration.checkBurst = 1
                return configuration
            }())
        peer.gather()
        peer.addCandidate("203.0.113.1:1")
        peer.addCandidate("203.0.113.2:1")
        peer.agent.setRemoteDescription(
            credentials: peer.credentials, isLite: false, pacing: .milliseconds(50), at: peer.now, into: &peer.out)
        #expect(peer.out.datagrams.count == 1)
        #expect(peer.agent.deadline == Instant.zero + .milliseconds(50))
    }

    @Test func theSameSeedSaysTheSame() {
        func run(_ seed: UInt64) -> [[UInt8]] {
            var wire = Wire(oneWay: .milliseconds(30), loss: 0.1, seed: seed)
            wire.connect()
            wire.run(for: .seconds(40))
            return wire.a.sent.map(\.datagram.bytes) + wire.b.sent.map(\.datagram.bytes)
        }
        let first = run(11)
        #expect(first == run(11))
        #expect(first != run(12))
    }
}
