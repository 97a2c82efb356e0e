import Peer
import Primitives
import RTP
import SDP
import Testing

/// What arrives, and how smoothly, on networks as they are.
@Suite struct ScenarioQualityTests {
    @Test(arguments: Seeds.some(3, soak: 30)) func twoPercentLossAndJitterCostNothingToBeSeen(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=100ms,loss=2%,jitter=30ms", seed: seed)
        try call.addMedia()
        try call.start()
        try call.connect()
        try call.run(for: .seconds(2))
        for side in Side.allCases {
            for key in call[side].received.keys { call[side].received[key]?.resetGaps() }
        }
        try call.run(for: .seconds(60))
        try call.stopMedia()
        for side in Side.allCases {
            let sender = call[side.other]
            let video = try #require(call[side].received["1"])
            let audio = try #require(call[side].received["0"])
            let videoShare = Double(video.count) / Double(sender.tracks[1].sent)
            let audioShare = Double(audio.count) / Double(sender.tracks[0].sent)
            print(
                "seed \(seed) \(side): video \(videoShare * 100) %, longest gap \(video.longestGap), audio "
                    + "\(audioShare * 100) %, longest gap \(audio.longestGap)")
            #expect(videoShare >= 0.999, "seed \(seed)")
            #expect(audioShare >= 0.995, "seed \(seed)")
            #expect(video.freezes.isEmpty, "seed \(seed): \(video.freezes)")
            #expect(video.longestGap < .milliseconds(600), "seed \(seed)")
            #expect(video.damaged == 0 && audio.damaged == 0)
        }
    }

    @Test(arguments: Seeds.some(2, soak: 20)) func aSenderThatObeysDoesNotFillTheQueueOfASlowLink(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=100ms,rate=600kbps,queue=1s", seed: seed)
        try call.addMedia(left: [.audio, .video], right: [.audio])
        for index in call.left.tracks.indices where call.left.tracks[index].kind == .video {
            call.left.tracks[index].obeysTarget = true
        }
        try call.start()
        try call.connect()
        let link = call.simulation.link(of: call.left.host)
        try call.run(for: .seconds(5))
        var delays: [Double] = []
        try call.run(until: call.now + .seconds(40)) { call in
            delays.append(call.simulation.queueDelay(of: link).up.seconds)
            return false
        }
        delays.sort()
        let statistics = call.simulation.statistics(of: link).up
        let p95 = delays[delays.count * 95 / 100]
        let video = try #require(call.right.received["1"])
        let audio = try #require(call.right.received["0"])
        print(
            "seed \(seed), 600 kbit/s: queue median \(delays[delays.count / 2]) s, 95 % \(p95) s, longest "
                + "\(statistics.longestQueueDelay), dropped \(statistics.droppedByQueue), target "
                + "\(call.left.targetBitrate ?? 0), video \(video.count) of \(call.left.tracks[1].sent), bitrate "
                + "\(call.left.tracks[1].bitrate), carried \(Double(statistics.deliveredBytes) * 8 / 45_000) kbit/s")
        #expect(delays[delays.count / 2] < 0.05, "seed \(seed)")
        #expect(p95 < 0.15, "seed \(seed)")
        #expect(statistics.longestQueueDelay < .milliseconds(600), "seed \(seed)")
        #expect(statistics.droppedByQueue < 20, "seed \(seed)")
        #expect((call.left.targetBitrate ?? 0) < 750_000)
        #expect(Double(statistics.deliveredBytes) * 8 / 45 > 300_000, "and the link is used")
        #expect(Double(audio.count) > Double(call.left.tracks[0].sent) * 0.99)
        #expect(video.freezes.isEmpty, "seed \(seed): \(video.freezes)")
    }

    @Test(arguments: Seeds.some(3)) func aKeyframeIsAskedForAndGivenWhenTooMuchWasLost(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=100ms", seed: seed)
        try call.addMedia()
        try call.start()
        try call.connect()
        try call.run(for: .seconds(3))
        #expect(call.right.received["1"]?.keyframes == 1)
        // Longer than anything is kept to be sent again.
        call.setCut(true, down: false)
        try call.run(for: .milliseconds(6_000))
        call.setCut(false)
        let back = call.now
        let before = call.right.received["1"]?.count ?? 0
        #expect(try call.run(until: back + .seconds(2)) { ($0.right.received["1"]?.keyframes ?? 0) > 1 })
        print("seed \(seed): keyframe \(call.now - back) after the link came back")
        #expect(call.now < back + .milliseconds(1_200), "seed \(seed)")
        #expect(call.left.keyframeRequests >= 1)
        try call.run(for: .seconds(2))
        #expect((call.right.received["1"]?.count ?? 0) > before + 50)
        #expect((call.right.statistic("pliCount", of: .inboundRTP, kind: .video, at: call.now) ?? 0) >= 1)
        #expect((call.left.statistic("pliCount", of: .outboundRTP, kind: .video, at: call.now) ?? 0) >= 1)
        // And not for ever.
        let keyframes = call.left.tracks[1].keyframesSent
        try call.run(for: .seconds(10))
        #expect(call.left.tracks[1].keyframesSent == keyframes)
    }

    // MARK: Renegotiation

    @Test(arguments: Side.allCases) func eitherSideHoldsAndResumes(side: Side) throws {
        let call = try ScenarioCall("rtt=100ms", seed: 1)
        call.signalingDelay = .milliseconds(100)
        try call.addMedia(videoBitrate: 300_000)
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        func set(_ direction: MediaDirection) throws {
            for transceiver in call[side].engine.transceivers {
                try call.turn(side) { engine, _ in try engine.setDirection(direction, of: transceiver.id) }
            }
            try call.offer(from: side)
            try call.run(for: .seconds(1))
        }
        func flow() throws -> [Bool] {
            let before = counts(call)
            try call.run(for: .seconds(1))
            return zip(before, counts(call)).map { $1 > $0 }
        }
        #expect(try flow() == [true, true, true, true])
        // Hold: the other side may listen, and not send.
        try set(.sendOnly)
        let sends = side == .left ? [false, false, true, true] : [true, true, false, false]
        #expect(try flow() == sends)
        #expect(call[side.other].tracks.allSatisfy { $0.refusals["directionInactive"] ?? 0 > 20 })
        try set(.inactive)
        #expect(try flow() == [false, false, false, false])
        #expect(call.areConnected)
        try set(.receiveOnly)
        #expect(try flow() == sends.map { !$0 })
        try set(.sendReceive)
        #expect(try flow() == [true, true, true, true])
        for side in Side.allCases {
            for track in call[side].received.values { #expect(track.damaged == 0 && track.disordered == 0) }
        }
        try call.run(for: .seconds(40))
        #expect(try flow() == [true, true, true, true])
    }

    /// What arrived: left's audio and video, right's audio and video.
    private func counts(_ call: ScenarioCall) -> [Int] {
        Side.allCases.flatMap { side in ["0", "1"].map { call[side].received[$0]?.count ?? 0 } }
    }

    @Test func aSectionAddedInMidCallCarriesMedia() throws {
        let call = try ScenarioCall("rtt=100ms", seed: 1)
        try call.addMedia(left: [.audio], right: [.audio])
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        let now = call.now
        for side in Side.allCases {
            try call.turn(side) { engine, _ in try engine.addTransceiver(.video, direction: .sendReceive) }
            var track = SyntheticTrack(
                .video, mid: "1", interval: .microseconds(33_333), bitrate: 500_000, random: call.random.split())
            track.start(at: now + .milliseconds(500))
            call[side].tracks.append(track)
        }
        try call.offer(from: .right)
        try call.run(for: .seconds(3))
        try call.stopMedia()
        for side in Side.allCases {
            let video = try #require(call[side].received["1"], "\(side)")
            #expect(video.count == call[side.other].tracks[1].sent)
        }
    }

    @Test(arguments: [false, true]) func anOfferThatIsRolledBackLeavesTheCallAsItWas(isRestart: Bool) throws {
        let call = try ScenarioCall("rtt=100ms", seed: 1)
        try call.addMedia(videoBitrate: 300_000)
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        call.signalFilter = { _ in nil }
        try call.turn(.left) { engine, _ in
            try engine.setDirection(.inactive, of: engine.transceivers[1].id)
        }
        try call.offer(from: .left, iceRestart: isRestart)
        #expect(call.left.engine.signalingState == .haveLocalOffer)
        try call.run(for: .seconds(1))
        let now = call.now
        try call.turn(.left) { try $0.rollback(at: now, into: &$1) }
        #expect(call.left.engine.signalingState == .stable)
        let before = counts(call)
        try call.run(for: .seconds(60))
        #expect(call.areConnected)
        #expect(zip(before, counts(call)).allSatisfy { $1 - $0 > 1_500 })
        // And the next exchange is as good as the first, from either side.
        call.signalFilter = { $0 }
        try call.turn(.left) { engine, _ in
            try engine.setDirection(.sendReceive, of: engine.transceivers[1].id)
        }
        for side in [Side.right, .left] {
            try call.offer(from: side)
            try call.run(for: .seconds(1))
            let before = counts(call)
            try call.run(for: .seconds(45))
            #expect(call.areConnected)
            #expect(zip(before, counts(call)).allSatisfy { $1 - $0 > 1_200 }, "\(side): \(before) \(counts(call))")
        }
        let ufrags = Side.allCases.map { side in
            call[side].engine.statistics(at: call.now).objects(of: .transport).first?["iceLocalUsernameFragment"]
        }
        try call.offer(from: .right, iceRestart: true)
        try call.run(for: .seconds(2))
        for side in Side.allCases {
            let new = call[side].engine.statistics(at: call.now).objects(of: .transport).first
            #expect(new?["iceLocalUsernameFragment"] != ufrags[side.rawValue])
        }
        #expect(call.areConnected)
    }

    @Test func offersThatMeetAreSettledByTheOneThatGivesWay() throws {
        let call = try ScenarioCall("rtt=100ms", seed: 1)
        call.signalingDelay = .milliseconds(150)
        try call.addMedia(videoBitrate: 300_000)
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        // Right is impolite: it drops what meets its own offer. Left gives way.
        call.signalFilter = { signal in
            guard signal.to == .right, case .description(.offer, _) = signal.message else { return signal }
            return nil
        }
        call.givesWay = .left
        try call.offer(from: .left, iceRestart: true)
        try call.offer(from: .right, iceRestart: true)
        try call.run(for: .seconds(3))
        for side in Side.allCases { #expect(call[side].engine.signalingState == .stable) }
        let before = counts(call)
        try call.run(for: .seconds(60))
        #expect(call.areConnected)
        #expect(zip(before, counts(call)).allSatisfy { $1 - $0 > 1_500 }, "\(before) \(counts(call))")
    }
}
