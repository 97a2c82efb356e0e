import ICE
import Peer
import Primitives
import SDP
import SimulatedNetwork
import SimulatedTURN
import Testing

/// Calls through a TURN server: whole engines and a simulated server, in virtual time.
@Suite struct RelayCallTests {
    static let server = TransportAddress(IPAddress(v4: 0xCB00_7114), 3_478)

    /// Two peers and a TURN server at 203.0.113.20.
    private func makeCall(
        _ network: String = "rtt=40ms", seed: UInt64 = 1, policy: [ICETransportPolicy] = [.relay, .relay],
        credential: TURNCredential = TURNCredential(username: "alice", password: "a password"),
        configure: (Side, inout PeerConfiguration) -> Void = { _, _ in },
        server configureServer: (inout TURNServer.Configuration) -> Void = { _ in }
    ) throws -> ScenarioCall {
        let call = try ScenarioCall(network, seed: seed) { side, configuration in
            configuration.relayServers = [
                RelayServer(url: "turn:203.0.113.20:3478", address: Self.server, credential: credential)
            ]
            configuration.ice.policy = policy[side.rawValue]
            configure(side, &configuration)
        }
        var configuration = TURNServer.Configuration(listening: [Self.server], relayAddresses: [Self.server.ip])
        configureServer(&configuration)
        let link = Link.symmetric(LinkConfiguration(delay: .milliseconds(1)))
        let host = call.simulation.addHost("turn", addresses: [Self.server.ip], link: link)
        call.relay = (host, TURNServer(configuration, seed: seed))
        try call.addMedia(videoBitrate: 300_000)
        return call
    }

    private func connected(
        _ network: String = "rtt=40ms", seed: UInt64 = 1, policy: [ICETransportPolicy] = [.relay, .relay],
        configure: (Side, inout PeerConfiguration) -> Void = { _, _ in },
        server configureServer: (inout TURNServer.Configuration) -> Void = { _ in }
    ) throws -> ScenarioCall {
        let call = try makeCall(
            network, seed: seed, policy: policy, configure: configure, server: configureServer)
        try call.start()
        try call.connect()
        return call
    }

    private func expectMedia(_ call: ScenarioCall, for length: TimeDelta = .seconds(2), _ what: String = "") throws {
        func frames() -> [Int] {
            Side.allCases.flatMap { side in ["0", "1"].map { call[side].received[$0]?.count ?? 0 } }
        }
        let before = frames()
        try call.run(for: length)
        for (a, b) in zip(before, frames()) {
            #expect(Double(b - a) > length.seconds * 25, "\(what): \(before) to \(frames())")
        }
    }

    private func types(_ call: ScenarioCall, _ side: Side) -> [CandidateType]? {
        call[side].selectedPairs.last.map { [$0.local.type, $0.remote.type] }
    }

    // MARK: Policies

    @Test(arguments: Seeds.some(3)) func relayOnlyOnBothSidesIsACallOfWhichNothingGoesAnotherWay(seed: UInt64) throws {
        let call = try makeCall("rtt=40ms,nat=symmetric/symmetric", seed: seed)
        var elsewhere = 0
        call.onDeparture = { _, datagram in
            if datagram.path.remote != Self.server { elsewhere += 1 }
            return true
        }
        try call.start()
        try call.connect(within: .seconds(3))
        try expectMedia(call, "seed \(seed)")
        #expect(elsewhere == 0)
        for side in Side.allCases {
            #expect(types(call, side)?.first == .relayed)
            #expect(call[side].localCandidates.map(\.kind) == [.relayed])
            #expect(call[side].localCandidates.allSatisfy { $0.relatedHost == .address(.anyV4) }, "raddr tells nothing")
        }
        // Channels carry what is sent much.
        let counters = try #require(call.relay?.server.counters)
        #expect(counters.channelData > 20 * counters.sendIndications)
    }

    @Test func relayOnlyOnOneSideReachesAPeerThatKnowsNothingOfRelays() throws {
        let call = try connected("rtt=40ms,nat=symmetric/none", policy: [.relay, .hostOnly])
        try expectMedia(call)
        #expect(types(call, .left)?.first == .relayed)
        #expect(call.right.localCandidates.allSatisfy { $0.kind == .host })
        #expect(call.relay?.server.clients.count == 1)
    }

    @Test func twoSymmetricNATsMeetThroughTheRelayWhereWithoutItTheyDoNot() throws {
        let call = try connected("rtt=40ms,nat=symmetric/symmetric", policy: [.all, .all])
        try expectMedia(call)
        #expect(types(call, .left)?.contains(.relayed) == true)
        // The twin: no relay, no call.
        let without = try makeCall("rtt=40ms,nat=symmetric/symmetric", policy: [.hostOnly, .hostOnly])
        try without.start()
        try without.run(for: .seconds(20))
        #expect(!without.areConnected)
        #expect(without.relay?.server.counters.requests.isEmpty == true, "nobody asks a server")
    }

    @Test func aDirectPathIsPreferredToTheRelay() throws {
        let call = try connected("rtt=40ms", policy: [.all, .all])
        try call.run(for: .seconds(3))
        for side in Side.allCases { #expect(types(call, side)?.contains(.relayed) == false) }
    }

    @Test func whatComesDirectlyToARelayOnlyPeerIsNotAnswered() throws {
        let call = try makeCall(policy: [.relay, .relay])
        var offer = ""
        call.signalFilter = { signal in
            if case .description(.offer, let text) = signal.message { offer = text }
            return signal
        }
        try call.start()
        try call.connect()
        var answers = 0
        call.onDeparture = { side, datagram in
            if side == .left, datagram.path.remote != Self.server { answers += 1 }
            return true
        }
        // A check with good credentials, from the other side's own socket to ours.
        let ufrags = (call.left.engine.localUfrags[0], call.right.engine.localUfrags[0])
        let line = try #require(offer.split(whereSeparator: \.isNewline).first { $0.hasPrefix("a=ice-pwd:") })
        let password = String(line.dropFirst("a=ice-pwd:".count))
        var check = STUNMessage(.request, transactionID: STUNTransactionID(using: &call.random))
        check.attributes = [.username("\(ufrags.0):\(ufrags.1)"), .priority(1), .iceControlled(1), .useCandidate]
        let path = NetworkPath(
            local: call.bases(of: .left)[0].address, remote: call.bases(of: .right)[0].address)
        let bytes = check.encoded(integrity: MessageIntegrityKey(password: password))
        try call.inject(Datagram(bytes: bytes, path: path), to: .left)
        try call.run(for: .seconds(1))
        #expect(answers == 0)
        #expect(types(call, .left)?.first == .relayed)
        // The twin: the same check on the relayed path is answered.
        let requests = call.left.statistic("requestsReceived", of: .candidatePair, at: call.now) ?? 0
        #expect(requests > 0)
    }

    // MARK: Time

    /// A quarter of an hour sees every timer run out and be renewed: permissions 5 min, allocations and channels 10 min.
    @Test func aNonceOfAMinuteAndAllTimersAreRenewedInTime() throws {
        let call = try connected(server: { $0.nonceLifetime = .seconds(60) })
        for side in Side.allCases { for i in call[side].tracks.indices { call[side].tracks[i].interval = .seconds(1) } }
        try call.run(for: .seconds(900))
        #expect(call.areConnected)
        #expect(call.left.states.allSatisfy { $0.state != .disconnected }, "\(call.left.states)")
        let counters = try #require(call.relay?.server.counters)
        #expect(counters.expired == 0 && counters.refusedPeers == 0)
        // Each renewal but the first finds the nonce stale: permissions at 240, 480, 720 s, allocation and channel at 540 s.
        #expect((counters.errors[438] ?? 0) >= 8, "\(counters)")
        #expect(counters.errors[401] == 2 && counters.errors.keys.sorted() == [401, 438], "\(counters)")
    }

    @Test(arguments: Seeds.some(3)) func aServerThatIsStartedAnewCostsAGapAndNotTheCall(seed: UInt64) throws {
        let call = try connected(seed: seed)
        try call.run(for: .seconds(5))
        call.relay?.server.restart()
        let cut = call.now
        let isBack = try call.run(until: cut + .seconds(20)) { call in
            call.relay?.server.clients.count == 2 && Side.allCases.allSatisfy { call[$0].state == .connected }
                && call[.left].selectedPairs.last.map { $0.at > cut } ?? false
                && call[.right].selectedPairs.last.map { $0.at > cut } ?? false
        }
        #expect(isBack, "seed \(seed): \(call.left.states) \(call.right.states)")
        #expect(call.now - cut < .seconds(12), "seed \(seed): after \(call.now - cut)")
        try expectMedia(call, "seed \(seed), after the restart")
    }

    @Test func aServerThatGoesAwayForGoodLeavesTheDirectPath() throws {
        // The direct way opens only when the relay is gone: until then its packets are lost.
        let call = try makeCall(policy: [.all, .all])
        var isOpen = false
        call.onDeparture = { _, datagram in isOpen || datagram.path.remote == Self.server }
        try call.start()
        try call.connect()
        #expect(types(call, .left)?.contains(.relayed) == true)
        try call.run(for: .seconds(3))
        call.relay?.server.isSilent = true
        isOpen = true
        try call.run(for: .seconds(15))
        for side in Side.allCases { #expect(types(call, side)?.contains(.relayed) == false, "\(side)") }
        try expectMedia(call)
    }

    @Test func anAllocationThatIsLostToANewMappingIsAskedForAgain() throws {
        let call = try connected("rtt=40ms,nat=symmetric/none", policy: [.relay, .all])
        try call.run(for: .seconds(3))
        let nat = try #require(call.topology.leftNAT)
        call.simulation.flush(nat)
        let cut = call.now
        #expect(
            try call.run(until: cut + .seconds(20)) { call in
                call.left.selectedPairs.last.map { $0.at > cut } ?? false
            }, "\(call.left.states)")
        try expectMedia(call)
    }

    // MARK: The end

    @Test func closingFreesTheAllocations() throws {
        let call = try connected(server: { $0.nonceLifetime = .seconds(2) })
        // Past the nonce's life, so that the first Refresh is challenged.
        try call.run(for: .seconds(5))
        let now = call.now
        for side in Side.allCases { try call.turn(side) { $0.close(at: now, into: &$1) } }
        #expect(!call.left.engine.areRelaysReleased)
        try call.run(for: .seconds(1))
        #expect(call.relay?.server.clients.isEmpty == true)
        #expect(call.relay?.server.counters.released == 2)
        for side in Side.allCases {
            #expect(call[side].engine.areRelaysReleased && call[side].engine.deadline == nil)
        }
    }

    @Test func closingBeforeTheServerHasAnsweredFreesWhatItThenGives() throws {
        let call = try makeCall()
        try call.gather(.left)
        try call.run(for: .milliseconds(45))
        let now = call.now
        try call.turn(.left) { $0.close(at: now, into: &$1) }
        try call.run(for: .seconds(5))
        #expect(call.relay?.server.clients.isEmpty == true)
        #expect(call.left.engine.areRelaysReleased && call.left.engine.deadline == nil)
    }

    // MARK: Faults

    @Test func aWrongPasswordIsNamedAndNoCandidateComes() throws {
        let call = try makeCall(credential: TURNCredential(username: "alice", password: "wrong, very secret"))
        call.left.keepsTrace = true
        try call.start()
        try call.run(for: .seconds(10))
        #expect(call.left.localCandidates.isEmpty && call.left.isGatheringComplete)
        let lines = call.left.trace.map { "\($0.detail)" }
        #expect(lines.contains { $0.contains("401, wrong user name or password") }, "\(lines)")
        #expect(!lines.contains { $0.contains("very secret") })
    }

    @Test func aServerThatIsNotThereDelaysNothingButTheEndOfGathering() throws {
        let call = try makeCall(policy: [.all, .all])
        call.relay?.server.isSilent = true
        try call.start()
        try call.connect(within: .seconds(2))
        try call.run(until: .zero + .seconds(6))
        #expect(call.left.isGatheringComplete)
        try expectMedia(call)
    }

    @Test func aPeerThatTheServerForbidsIsNamed() throws {
        let call = try makeCall(
            policy: [.relay, .hostOnly], server: { $0.deniedPeers = [IPAddress(v4: 0xC633_640A)] })
        call.left.keepsTrace = true
        try call.start()
        try call.run(for: .seconds(5))
        #expect(!call.areConnected)
        #expect(
            call.left.trace.contains {
                if case .ice(.relayRefused(_, _, let error)) = $0.detail { error.code == 403 } else { false }
            })
    }

    @Test func permissionsForTheAddressAPeerIsSeenAsLetItsChecksIn() throws {
        // The other side announces its inside address only, and comes from that of its NAT.
        for isTold in [true, false] {
            let call = try makeCall(
                "rtt=40ms,nat=none/symmetric", policy: [.relay, .hostOnly],
                configure: { side, configuration in
                    if side == .left, isTold { configuration.ice.relayPeers = [IPAddress(v4: 0xC633_6401)] }
                })
            try call.start()
            try call.run(for: .seconds(5))
            #expect(call.areConnected == isTold)
            #expect((call.relay?.server.counters.refusedPeers ?? 0 > 0) == !isTold)
        }
    }

    // MARK: Restarts and caps

    @Test func anICERestartKeepsTheAllocations() throws {
        let call = try connected()
        try call.run(for: .seconds(2))
        try call.offer(from: .left, iceRestart: true)
        try call.run(for: .seconds(3))
        #expect(call.areConnected)
        #expect(call.relay?.server.counters.requests[0x003] == 4, "two challenges, two allocations")
        try expectMedia(call)
    }

    @Test func allocationsAreCapped() throws {
        let call = try makeCall(
            policy: [.all, .all],
            configure: { _, configuration in
                configuration.ice.limits.relays = 2
                configuration.relayServers = (0..<5).map { index in
                    RelayServer(
                        url: "turn:\(index)", address: TransportAddress(Self.server.ip, 3_478 + index),
                        credential: TURNCredential(username: "alice", password: "a password"))
                }
            })
        call.left.keepsTrace = true
        try call.gather(.left)
        let refused = call.left.trace.count {
            if case .ice(.serverFailed(_, _, let reason, _)) = $0.detail {
                reason.contains("2 allocations")
            } else {
                false
            }
        }
        #expect(refused == 3)
    }
}
