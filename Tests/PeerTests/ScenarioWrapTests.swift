import Peer
import Primitives
import Testing

/// Sequence numbers and timestamps that come round, in RTP, SRTP, retransmissions and transport-wide numbers.
@Suite struct ScenarioWrapTests {
    private static func begin(at sequence: UInt16, _ timestamp: UInt32) -> (Side, inout PeerConfiguration) -> Void {
        { _, configuration in
            configuration.firstSequenceNumber = SequenceNumber(sequence)
            configuration.firstTimestamp = RTPTimestamp(timestamp)
        }
    }

    @Test func everyAudioFrameArrivesOverTwoWrapsWithReordering() throws {
        let seed = Seeds.some(1)[0]
        let call = try ScenarioCall(
            "rtt=60ms,reorder=3%,duplicate=1%", seed: seed, configure: Self.begin(at: 65_000, .max - 48_000))
        try call.addMedia(left: [.audio], right: [], audioBitrate: 300_000, audioInterval: .milliseconds(1))
        call.right.isThorough = true
        try call.start()
        try call.connect()
        try call.run(for: .seconds(68))
        try call.stopMedia()
        let sent = call.left.tracks[0].sent
        let received = try #require(call.right.received["0"])
        #expect(sent > 65_536 + 536 + 1_000, "two wraps")
        #expect(received.count == sent, "seed \(seed)")
        #expect(received.damaged == 0 && received.disordered == 0)
        #expect(call.right.drops.keys.allSatisfy { $0 == .replayed }, "\(call.right.drops)")
    }

    @Test func everyVideoFrameArrivesOverWrapsWithLossAndReordering() throws {
        let seed = Seeds.some(1)[0]
        // The retransmissions wrap as well, since they begin at the same number.
        let call = try ScenarioCall(
            "rtt=60ms,loss=1%,reorder=2%,jitter=5ms", seed: seed, configure: Self.begin(at: 65_400, .max - 900_000))
        try call.addMedia(left: [.video], right: [], videoBitrate: 3_000_000)
        call.right.isThorough = true
        try call.start()
        try call.connect()
        try call.run(for: .seconds(Seeds.isSoak ? 700 : 20))
        // What is lost of the very last frame is not missed by anybody: nothing comes behind it. So these count.
        let counted = call.left.tracks[0].sent
        try call.run(for: .milliseconds(500))
        let wraps = (65_400 + Int(call.left.statistic("packetsSent", of: .outboundRTP, at: call.now) ?? 0)) / 65_536
        try call.stopMedia()
        let sent = call.left.tracks[0].sent
        let received = try #require(call.right.received["0"])
        #expect(wraps >= (Seeds.isSoak ? 3 : 1))
        #expect(received.damaged == 0 && received.disordered == 0)
        #expect(received.last >= counted - 1, "seed \(seed): the last one is \(received.last) of \(sent)")
        // The first ones come before there is a call to speak of; after them each is there, in its turn.
        let missing = received.last + 1 - received.count
        #expect(Double(missing) <= Double(sent) * 0.001, "seed \(seed): \(received.count) of \(sent)")
        #expect((call.left.statistic("retransmittedPacketsSent", of: .outboundRTP, at: call.now) ?? 0) > 50)
    }
}
