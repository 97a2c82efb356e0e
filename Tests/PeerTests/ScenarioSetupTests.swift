import ICE
import Peer
import Primitives
import SimulatedNetwork
import Testing

/// How fast a call stands when both descriptions are known at zero and the round trip is 100 ms.
///
///     0      checks leave on both sides
///     50     they arrive and are answered; checks in reply
///     100    both sides have a validated pair; ClientHello leaves
///     150    the server answers with its flight
///     200    the client sends its certificate and Finished
///     250    the server has the keys: its Finished and its first RTP leave
///     300    the client has the keys and the server's first RTP; its own first RTP leaves
///     350    the server has the client's first RTP
///
/// Where only one side's candidates are known, the other's are found by its checks. If the side that was told where to
/// check is the DTLS client, nothing changes. If it is the side that was told nothing, its first check leaves at 50 ms and
/// is answered at 150 ms: consent to send a ClientHello cannot be had earlier (RFC 8445 §7.2.5.3, RFC 7675), so all that
/// follows is 50 ms later. That is the protocol's own time, not ours.
@Suite struct ScenarioSetupTests {
    struct Case: CustomTestStringConvertible {
        var name: String
        var network: String
        /// Whose candidates are not told.
        var silent: Side?
        /// The offerer of the call, which controls, is the left side.
        var client: Side
        var allowance = TimeDelta.zero
        var types: (CandidateType, CandidateType)
        var testDescription: String { "\(name), \(client) is the DTLS client" }
    }

    static let cases: [Case] = Side.allCases.flatMap { client in
        [
            Case(name: "host", network: "", client: client, types: (.host, .host)),
            Case(
                name: "full cones", network: ",nat=fullcone", client: client,
                types: (.serverReflexive, .serverReflexive)),
            Case(
                name: "restricted cones", network: ",nat=restricted", client: client,
                types: (.serverReflexive, .serverReflexive)),
            Case(
                name: "port-restricted cones", network: ",nat=port-restricted", client: client,
                types: (.serverReflexive, .serverReflexive)),
            Case(
                name: "peer-reflexive, left is not told of", network: "", silent: .left, client: client,
                allowance: client == .right ? .milliseconds(50) : .zero, types: (.peerReflexive, .host)),
            Case(
                name: "peer-reflexive, right is not told of", network: "", silent: .right, client: client,
                allowance: client == .left ? .milliseconds(50) : .zero, types: (.host, .peerReflexive)),
        ]
    }

    @Test(arguments: cases) func theFirstMediaArrivesAsEarlyAsTheProtocolsAllow(_ test: Case) throws {
        for seed in Seeds.some(3, soak: 50) {
            let call = try ScenarioCall("rtt=100ms" + test.network, seed: seed)
            try call.addMedia()
            call.keepsWire = true
            for side in Side.allCases { try call.gather(side) }
            // Gathered before; then everything is known at once.
            try call.run(until: .zero + .seconds(1)) { $0.left.isGatheringComplete && $0.right.isGatheringComplete }
            try call.run(until: .zero + .seconds(1))
            let origin = call.now
            call.signalFilter = { signal in
                var signal = signal
                guard case .description(let type, var text) = signal.message else { return signal }
                if signal.to == test.silent?.other { text = text.withoutCandidates }
                if type == .offer, test.client == .left {
                    text = text.replacing("a=setup:actpass", with: "a=setup:active")
                }
                signal.message = .description(type, text)
                return signal
            }
            try call.offer(from: .left)
            try call.connect(within: .seconds(2))
            try call.run(for: .seconds(1))

            let server = test.client.other
            let atClient = try #require(call.firstArrival(.rtp, at: test.client)) - origin
            let atServer = try #require(call.firstArrival(.rtp, at: server)) - origin
            if seed == 1 { print("\(test.testDescription): client \(atClient), server \(atServer)") }
            #expect(atClient <= .milliseconds(310) + test.allowance, "seed \(seed), \(test.name): client \(atClient)")
            #expect(atServer <= .milliseconds(360) + test.allowance, "seed \(seed), \(test.name): server \(atServer)")
            #expect(call.departures(.dtls, from: test.client) > 0)
            let first = try #require(call.wire.first { $0.kind == .dtls })
            #expect(first.side == test.client, "the ClientHello comes first")
            let pair = try #require(call.right.selectedPairs.first)
            #expect(pair.remote.type == test.types.0, "seed \(seed): \(pair)")
            try expectMilestonesOnTheWire(call, origin)
        }
    }

    /// The phases a report shows are what the wire saw.
    private func expectMilestonesOnTheWire(_ call: ScenarioCall, _ origin: Instant) throws {
        for side in Side.allCases {
            let peer = call[side]
            func milestone(_ which: Milestone) throws -> Instant {
                let time = try #require(peer.milestones[which], "\(side) \(which)")
                #expect(peer.engine.milestones[which] == time)
                return time
            }
            func first(_ kind: PacketClass) throws -> Instant {
                try #require(call.wire.first { $0.side == side && $0.kind == kind && $0.at >= origin }).at
            }
            #expect(try milestone(.bothDescriptionsKnown) == origin)
            #expect(try milestone(.firstCheckSent) >= origin, "requests to STUN servers are no checks")
            let answers = try #require(call.firstSuccess(at: side, since: origin))
            #expect(try milestone(.iceConnected) == answers)
            #expect(try milestone(.pairSelected) >= answers)
            #expect(try milestone(.dtlsStarted) == answers)
            let keys = try milestone(.dtlsConnected)
            #expect(try keys == #require(peer.connectedAt))
            #expect(try milestone(.firstRTPSent) == first(.rtp))
            #expect(try milestone(.firstRTPSent) == keys)
            #expect(try milestone(.firstAudioFrameSent) == keys)
            let arrival = try #require(call.firstArrival(.rtp, at: side))
            #expect(try milestone(.firstRTPReceived) == max(arrival, keys))
            #expect(try milestone(.firstAudioFrameReceived) == #require(peer.received["0"]?.firstAt))
            #expect(try milestone(.firstVideoFrameReceived) == #require(peer.received["1"]?.firstAt))
            #expect(try milestone(.gatheringStarted) == .zero)
            #expect(try milestone(.gatheringComplete) <= origin)
        }
        #expect(call.left.milestones[.firstCheckSent] == origin || call.right.milestones[.firstCheckSent] == origin)
    }
}
