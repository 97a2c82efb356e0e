import Peer
import Primitives
import RTP
import SDP
import Testing

/// Keyframes: asked for until one is there, and given no oftener than they do good.
@Suite struct MediaKeyframeTests {
    /// Somebody asks fifty times a second.
    @Test(arguments: ["nack pli", "ccm fir"]) func requestsInAFloodAreGrantedAtALimitedRate(left out: String) throws {
        let call = try ScenarioCall("rtt=40ms", seed: 1)
        try call.addMedia(right: [])
        call.signalFilter = { MediaExtensionTests.removing([out], from: $0) }
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        let before = call.left.keyframeRequests
        for _ in 0..<150 {
            let now = call.now
            try call.turn(.right) { $0.requestKeyframes(at: now, into: &$1) }
            try call.run(for: .milliseconds(20))
        }
        let granted = call.left.keyframeRequests - before
        #expect((8...11).contains(granted), "\(granted) in three seconds")
        let name = out == "nack pli" ? "firCount" : "pliCount"
        #expect((call.left.statistic(name, of: .outboundRTP, kind: .video, at: call.now) ?? 0) > 100)
    }

    /// All pictures of the first seconds are lost, and most requests.
    @Test(arguments: Seeds.some(4, soak: 40)) func aKeyframeIsAskedForUntilOneIsThere(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=100ms", seed: seed)
        try call.addMedia(right: [])
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        var random = RandomSource.seeded(seed)
        // Pictures are cut off for 3 s, without the decoder's way back: requests get through one time in five.
        let end = call.now + .milliseconds(3_000)
        call.onDeparture = { [unowned call] side, datagram in
            let kind = PacketClass(datagram.bytes)
            if side == .left, kind == .rtp, datagram.bytes.count > 300 { return call.now >= end }
            if side == .right, kind == .rtcp, call.now < end + .milliseconds(500) {
                return Int.random(in: 0..<5, using: &random) == 0
            }
            return true
        }
        call.right.onEvent = { event, now in
            if case .frame(let f, "1") = event, f.isKeyframe { print("KEY", now) }
        }
        let plisBefore = call.right.statistic("pliCount", of: .inboundRTP, kind: .video, at: call.now) ?? 0
        try call.run(for: .milliseconds(3_000))
        let frames = try #require(call.right.received["1"]).count
        try call.run(for: .seconds(3))
        let track = try #require(call.right.received["1"])
        let plis = (call.right.statistic("pliCount", of: .inboundRTP, kind: .video, at: call.now) ?? 0) - plisBefore
        #expect(track.count - frames > 30, "seed \(seed): it goes on")
        #expect(track.damaged == 0)
        #expect(plis >= 2, "seed \(seed): asked again")
        #expect(plis <= 6_000 / 250, "seed \(seed): \(plis), not oftener than four times a second")
        #expect(call.now - (try #require(track.lastAt)) < .milliseconds(200))
    }

    /// Once pictures flow nobody asks any more.
    @Test func whoSeesAsksForNothing() throws {
        let call = try ScenarioCall("rtt=100ms", seed: 7)
        try call.addMedia(right: [])
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        let before = call.left.keyframeRequests
        try call.run(for: .seconds(20))
        #expect(call.left.keyframeRequests == before)
    }
}
