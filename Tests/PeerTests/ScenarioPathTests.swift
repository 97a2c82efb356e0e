import ICE
import Peer
import Primitives
import SDP
import Testing

/// Paths that break, come back, change and were never announced.
@Suite struct ScenarioPathTests {
    private func connected(
        _ network: String = "rtt=100ms", seed: UInt64 = 1,
        configure: (Side, inout PeerConfiguration) -> Void = { _, _ in }
    ) throws -> ScenarioCall {
        let call = try ScenarioCall(network, seed: seed, configure: configure)
        try call.addMedia(videoBitrate: 300_000)
        try call.start()
        try call.connect()
        try call.run(for: .seconds(5))
        return call
    }

    private func frames(_ call: ScenarioCall) -> [Int] {
        Side.allCases.flatMap { side in ["0", "1"].map { call[side].received[$0]?.count ?? 0 } }
    }

    /// Frames arrive on every section of both sides.
    private func expectMedia(_ call: ScenarioCall, for length: TimeDelta = .seconds(2), _ what: String) throws {
        let before = frames(call)
        try call.run(for: length)
        for (a, b) in zip(before, frames(call)) {
            #expect(Double(b - a) > length.seconds * 25, "seed \(call.seed), \(what): \(before) to \(frames(call))")
        }
    }

    // MARK: Consent (RFC 7675)

    @Test(arguments: Seeds.some(3)) func mediaStopsThirtySecondsAfterTheLastAnswer(seed: UInt64) throws {
        let call = try connected(seed: seed)
        let cut = call.now
        call.setCut(true)
        try call.run(for: .seconds(60))
        for side in Side.allCases {
            let consent = try #require(call.lastConsent[side.rawValue])
            #expect(consent <= cut + .milliseconds(50))
            for kind in [PacketClass.rtp, .rtcp, .dtls] {
                guard let last = call.lastDeparture(kind, from: side) else { continue }
                #expect(last < consent + .seconds(30), "seed \(seed), \(side) \(kind)")
            }
            let media = try #require(call.lastDeparture(.rtp, from: side))
            #expect(media > consent + .seconds(29.5), "and not before: the path may come back")
            let disconnected = try #require(call[side].states.first { $0.state == .disconnected })
            #expect(disconnected.at > cut && disconnected.at < cut + .seconds(9.1))
            guard case .failed(.ice(let why)) = call[side].state else {
                Issue.record("\(side): \(call[side].state)")
                continue
            }
            #expect(why.contains("nothing answered for 30 s"))
            #expect(call[side].track(.audio)?.refusals["noConsent"] ?? 0 > 1_000)
        }
        // A restart is what mends it.
        call.setCut(false)
        try call.offer(from: .left, iceRestart: true)
        try call.connect(within: .seconds(2))
        try expectMedia(call, "after restart")
    }

    @Test(arguments: Seeds.some(3)) func aLinkThatComesBackWithinThirtySecondsIsTakenUpAgain(seed: UInt64) throws {
        for length in [2.0, 8, 15, 25] {
            let call = try connected(seed: seed)
            for side in Side.allCases {
                for index in call[side].tracks.indices { call[side].tracks[index].obeysTarget = true }
            }
            call.setCut(true)
            let before = call.left.received["1"]?.keyframes ?? 0
            try call.run(for: .seconds(length))
            call.setCut(false)
            let back = call.now
            #expect(try call.run(until: back + .seconds(3)) { $0.areConnected }, "seed \(seed), \(length) s")
            #expect(call.now <= back + .seconds(1.3), "seed \(seed): \(length) s cut, back after \(call.now - back)")
            try call.run(for: .seconds(1))
            if length > 4 { #expect((call.left.received["1"]?.keyframes ?? 0) > before, "a keyframe to go on with") }
            try expectMedia(call, "after \(length) s")
        }
    }

    @Test(arguments: Seeds.some(2)) func oneWayOutagesEndLikeOthers(seed: UInt64) throws {
        for isUp in [true, false] {
            let call = try connected(seed: seed)
            call.setCut(true, up: isUp, down: !isUp)
            try call.run(for: .seconds(12))
            #expect(call.left.state == .disconnected && call.right.state == .disconnected)
            call.setCut(false)
            try call.run(for: .seconds(2))
            #expect(call.areConnected, "seed \(seed), \(isUp ? "up" : "down")")
            try expectMedia(call, "one way")
        }
    }

    // MARK: Restarts

    @Test(arguments: Side.allCases, Seeds.some(2)) func eitherSideRestartsICEInMidCall(side: Side, seed: UInt64) throws
    {
        let call = try connected("rtt=100ms,loss=1%", seed: seed)
        for side in Side.allCases {
            for key in call[side].received.keys { call[side].received[key]?.resetGaps() }
        }
        let old = Side.allCases.map { call[$0].localCandidates.first?.ufrag }
        call.signalingDelay = .milliseconds(200)
        let dtls = call.departures(.dtls, from: .left) + call.departures(.dtls, from: .right)
        try call.offer(from: side, iceRestart: true)
        try call.run(for: .seconds(5))
        #expect(call.areConnected)
        // From here on, nothing of the old generation is on the wire.
        var ufrags: Set<String> = []
        call.onDeparture = { _, datagram in
            if let message = try? STUNMessage(parsing: datagram.bytes), message.messageClass == .request,
                let name = message.username
            {
                ufrags.formUnion(name.split(separator: ":").map(String.init))
            }
            return true
        }
        try expectMedia(call, for: .seconds(30), "after restart")
        #expect(ufrags.count == 2)
        #expect(ufrags.isDisjoint(with: old.compactMap { $0 }), "seed \(seed): \(ufrags) and \(old)")
        for side in Side.allCases {
            #expect(call[side].states.allSatisfy { $0.state == .connecting || $0.state == .connected })
            #expect(call[side].states.last?.state == .connected)
            let gap = call[side].received["0"]?.longestGap ?? .max
            // A lost packet of audio is waited for, 300 ms at most.
            #expect(gap < .milliseconds(400), "seed \(seed): media went on, \(gap)")
        }
        #expect(call.departures(.dtls, from: .left) + call.departures(.dtls, from: .right) == dtls, "one association")
    }

    @Test func restartsWhoseAnswerNeverComesLeaveTheCallAsItWas() throws {
        let call = try connected()
        call.signalFilter = { signal in
            if case .description(.answer, _) = signal.message { return nil }
            return signal
        }
        try call.offer(from: .left, iceRestart: true)
        try expectMedia(call, for: .seconds(100), "with half a restart")
        #expect(call.areConnected)
    }

    @Test func manyRestartsInARowLeaveNothingBehind() throws {
        let call = try connected()
        var sizes: [Int] = []
        for round in 0..<20 {
            try call.offer(from: round % 2 == 0 ? .left : .right, iceRestart: true)
            try call.run(for: .seconds(3))
            #expect(call.areConnected)
            if round % 10 == 9 { sizes.append(structure(of: call.left.engine)) }
        }
        print("collections after 10 and 20 restarts: \(sizes)")
        #expect(Double(sizes[1]) < Double(sizes[0]) * 1.05 + 100)
        try expectMedia(call, "after twenty restarts")
    }

    // MARK: Roles

    /// Something between the two made of both an offerer, or of neither: RFC 8445 §7.3.1.1 settles it.
    @Test(arguments: Seeds.some(4)) func twoControllingSidesSettleTheirRoles(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=100ms", seed: seed)
        try call.addMedia(videoBitrate: 300_000)
        for side in Side.allCases { try call.gather(side) }
        call.signalFilter = { _ in nil }
        var offers: [String] = []
        for side in Side.allCases {
            let now = call.now
            try call.turn(side) { engine, out in
                let offer = try engine.createOffer(at: now, into: &out)
                try engine.setLocalDescription(offer, type: .offer, at: now, into: &out)
                offers.append(offer.serialized)
            }
        }
        func give(_ text: String, as role: String, to side: Side) throws {
            let answer = text.replacing("a=setup:actpass", with: "a=setup:\(role)")
            let now = call.now
            try call.turn(side) {
                try $0.setRemoteDescription(try SessionDescription(parsing: answer), type: .answer, at: now, into: &$1)
            }
        }
        try give(offers[1], as: "active", to: .left)
        try give(offers[0], as: "passive", to: .right)
        try call.connect(within: .seconds(2))
        try expectMedia(call, "both controlling")
        #expect(roles(call) == ["controlled", "controlling"])
    }

    @Test(arguments: Seeds.some(4)) func twoControlledSidesSettleTheirRoles(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=100ms", seed: seed)
        try call.addMedia(videoBitrate: 300_000)
        for side in Side.allCases { try call.gather(side) }
        call.signalFilter = { _ in nil }
        let now = call.now
        var offers: [String] = []
        for side in Side.allCases {
            try call.turn(side) { offers.append(try $0.createOffer(at: now, into: &$1).serialized) }
        }
        for side in Side.allCases {
            let role = side == .left ? "active" : "passive"
            let offer = offers[side.other.rawValue].replacing("a=setup:actpass", with: "a=setup:\(role)")
            try call.turn(side) { engine, out in
                try engine.setRemoteDescription(
                    try SessionDescription(parsing: offer), type: .offer, at: now, into: &out)
                try engine.setLocalDescription(try engine.createAnswer(), type: .answer, at: now, into: &out)
            }
        }
        try call.connect(within: .seconds(2))
        try expectMedia(call, "both controlled")
        #expect(roles(call) == ["controlled", "controlling"])
    }

    private func roles(_ call: ScenarioCall) -> [String] {
        Side.allCases.compactMap { side in
            guard
                case .string(let role)? = call[side].engine.statistics(at: call.now).objects(of: .transport)
                    .first?["iceRole"]
            else { return nil }
            return role
        }.sorted()
    }

    // MARK: Signalling out of step

    @Test(arguments: Seeds.some(3)) func candidatesMayComeBeforeTheDescriptionTheyBelongTo(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=100ms,nat=restricted", seed: seed)
        try call.addMedia(videoBitrate: 300_000)
        // Descriptions without candidates, which overtake them.
        call.signalFilter = { signal in
            var signal = signal
            if case .description(let type, let text) = signal.message {
                signal.message = .description(type, text.withoutCandidates)
                signal.at = signal.at + .milliseconds(700)
            }
            return signal
        }
        try call.offer(from: .left)
        for side in Side.allCases { try call.gather(side) }
        for side in Side.allCases {
            try call.run(until: call.now + .seconds(1)) { $0[side].isGatheringComplete }
            for candidate in call[side].localCandidates {
                call.signal(.candidate(candidate, mid: "0", index: 0), to: side.other)
            }
        }
        try call.connect(within: .seconds(4))
        try expectMedia(call, "early candidates")
    }

    /// Where the offerer's NAT lets nobody in before it has sent something, the answerer reports failure meanwhile, as it
    /// must (RFC 8863 §3), and goes on answering.
    @Test(arguments: Seeds.some(2), ["none", "restricted"])
    func anAnswerThatComesFortySecondsLateIsStillGood(seed: UInt64, nat: String) throws {
        let call = try ScenarioCall("rtt=100ms,nat=\(nat)", seed: seed)
        try call.addMedia(videoBitrate: 300_000)
        call.signalFilter = { signal in
            var signal = signal
            if signal.to == .left { signal.at = signal.at + .seconds(40) }
            return signal
        }
        try call.start()
        try call.run(for: .seconds(39.9))
        #expect(call.left.failure == nil && (call.right.failure == nil || nat != "none"))
        try call.connect(within: .seconds(4))
        print("answer after 40 s: connected at \(call.now)")
        try expectMedia(call, "late answer")
    }

    @Test(arguments: Side.allCases) func aSideWhoseCandidatesAreNeverToldIsFoundByItsChecks(silent: Side) throws {
        for seed in Seeds.some(2) {
            let call = try ScenarioCall("rtt=100ms,nat=fullcone/none", seed: seed)
            try call.addMedia(videoBitrate: 300_000)
            call.signalFilter = { signal in
                var signal = signal
                guard signal.to == silent.other else { return signal }
                switch signal.message {
                case .description(let type, let text): signal.message = .description(type, text.withoutCandidates)
                case .candidate: return nil
                case .endOfCandidates: break
                }
                return signal
            }
            try call.start()
            // The one that cannot begin is reached when the other knows where to: not where both are silent.
            if silent == .right {
                // Nobody can reach left behind its NAT: its own host candidate is private, so right's checks find it
                // only because left's filter lets everyone in.
                try call.connect(within: .seconds(4))
            } else {
                try call.connect(within: .seconds(2))
            }
            try expectMedia(call, "peer-reflexive only")
            let pair = try #require(call[silent.other].selectedPairs.last)
            #expect(pair.remote.type == .peerReflexive)
        }
    }

    @Test func theOtherSideMayMoveToAnotherAddress() throws {
        let call = try connected("rtt=100ms,nat=restricted/none")
        let nat = try #require(call.topology.leftNAT)
        call.simulation.flush(nat)
        var configuration = call.simulation.configuration(of: nat)
        configuration.portAllocation = .random
        call.simulation.configure(nat, configuration)
        try call.run(for: .seconds(1.5))
        #expect(call.areConnected)
        try expectMedia(call, "after the NAT forgot its mapping")
    }
}

extension String {
    /// A description without its candidates, as if nothing had been gathered.
    var withoutCandidates: String {
        split(separator: "\r\n", omittingEmptySubsequences: true)
            .filter { !$0.hasPrefix("a=candidate") && !$0.hasPrefix("a=end-of-candidates") }
            .joined(separator: "\r\n") + "\r\n"
    }
}
