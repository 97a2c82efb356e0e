import Primitives
import SDP
import Testing

@testable import Peer

/// Peers without RTX (RFC 4588): lost packets are sent again as they were, bit for bit, under their own number.
@Suite struct PlainRetransmissionTests {
    private func run(isRepaired: Bool, seed: UInt64) throws -> ScenarioCall {
        let call = try ScenarioCall("rtt=60ms", seed: seed) { _, configuration in
            for index in configuration.capabilities.video.indices {
                configuration.capabilities.video[index].retransmissionPayloadType = nil
                if !isRepaired { configuration.capabilities.video[index].feedback.removeAll { $0 == "nack" } }
            }
        }
        try call.addMedia(left: [.video], right: [], videoBitrate: 500_000)
        call.right.isThorough = true
        try call.start()
        try call.connect()
        // Loss of media alone, from here on: 5 % of what the left sends, repetitions too.
        var dice = RandomSource.seeded(seed)
        var sent: [[UInt8]: Int] = [:]
        call.onDeparture = { side, datagram in
            guard side == .left, PacketClass(datagram.bytes) == .rtp else { return true }
            sent[datagram.bytes, default: 0] += 1
            return Int.random(in: 0..<100, using: &dice) >= 5
        }
        try call.run(for: .seconds(20))
        call.onDeparture = nil
        try call.run(for: .seconds(1))
        try call.stopMedia()
        let repeated = sent.values.filter { $0 > 1 }.count
        #expect(isRepaired ? repeated > 30 : repeated == 0, "seed \(seed): \(repeated) repeated bit for bit")
        // One number never carries two contents: it would be a key stream used twice (RFC 7714 §8.1).
        let heads = Set(sent.keys.map { Array($0.prefix(12)) })
        #expect(heads.count == sent.count, "seed \(seed)")
        return call
    }

    @Test(arguments: Seeds.some(2)) func lostPacketsAreRepeatedAndDecode(seed: UInt64) throws {
        let call = try run(isRepaired: true, seed: seed)
        #expect(call.left.engine.negotiatedSession?.media[0].sendCodecs[0].retransmissionPayloadType == nil)
        let video = try #require(call.right.received["0"])
        let sent = try #require(call.left.track(.video)?.sent)
        #expect(video.count * 1_000 >= sent * 995, "seed \(seed): \(video.count) of \(sent)")
        #expect(video.damaged == 0 && video.disordered == 0)
        // The packets decrypt: the index SRTP guesses from the number is right, and none counts as replayed that was lost.
        #expect(call.right.drops[.authenticationFailed] == nil, "\(call.right.drops)")
        #expect(call.right.drops[.replayed] ?? 0 < 30, "\(call.right.drops)")
        #expect(call.left.track(.video)?.keyframesSent ?? 99 <= 3, "repaired, not begun anew")
        let again = call.left.statistic("retransmittedPacketsSent", of: .outboundRTP, at: call.now)
        #expect(again ?? 0 > 30)
    }

    /// The negative twin: where NACK was not agreed nothing is repeated, and frames are missing.
    @Test func withoutFeedbackLostPacketsStayLost() throws {
        let call = try run(isRepaired: false, seed: 1)
        let video = try #require(call.right.received["0"])
        let sent = try #require(call.left.track(.video)?.sent)
        #expect(video.count * 100 < sent * 97, "\(video.count) of \(sent)")
        #expect(call.left.track(.video)?.keyframesSent ?? 0 > 3)
    }
}
