import Primitives
import SDP
import Testing

@testable import Peer
@testable import RTP

/// Which section a packet belongs to, and what its other header extensions do at the far end.
@Suite struct MediaRoutingTests {
    private static func removing(_ parts: [String]) -> (ScenarioCall.Signal) -> ScenarioCall.Signal? {
        { MediaExtensionTests.removing(parts, from: $0) }
    }

    private func connected(
        seed: UInt64, without lines: [String]
    ) throws -> ScenarioCall {
        let call = try ScenarioCall("rtt=60ms", seed: seed)
        try call.addMedia(right: [], videoBitrate: 300_000)
        call.signalFilter = Self.removing(lines)
        call.right.keepsTrace = true
        try call.start()
        try call.connect()
        return call
    }

    private func rules(_ call: ScenarioCall) -> Set<RoutingRule> {
        Set(
            call.right.trace.compactMap { entry in
                if case .peer(.streamCreated(_, _, let rule)) = entry.detail { rule } else { nil }
            })
    }

    /// MID (RFC 8843 §9.2): two sections of one kind and one payload type, and no SSRC named in the description.
    @Test(arguments: [true, false]) func theMIDSaysWhichSectionASourceIsOf(isAgreed: Bool) throws {
        let call = try ScenarioCall("rtt=60ms", seed: 1)
        for _ in 0..<2 {
            try call.left.engine.addTransceiver(.video, direction: .sendOnly)
            try call.right.engine.addTransceiver(.video, direction: .receiveOnly)
        }
        for mid in ["0", "1"] { call.addTrack(.video, mid: mid, to: .left) }
        let unwanted = ["a=ssrc:", "a=ssrc-group:"] + (isAgreed ? [] : ["sdes:mid"])
        call.signalFilter = Self.removing(unwanted)
        call.right.keepsTrace = true
        try call.start()
        try call.connect()
        try call.run(for: .seconds(3))
        guard isAgreed else {
            // The negative twin: nothing tells them apart, so nothing is guessed.
            #expect(call.right.received.isEmpty && call.right.refusedStreams > 0)
            return
        }
        #expect(rules(call) == [.mid])
        for mid in ["0", "1"] {
            #expect(call.right.received[mid]?.count ?? 0 > 75)
            call.expectWhole(mid, at: .right)
        }
        #expect(call.right.refusedStreams == 0)
    }

    @Test func withoutMIDTheNamedSourceDecides() throws {
        let call = try connected(seed: 2, without: ["sdes:mid"])
        #expect(try call.frames("1", at: .right) > 55)
        #expect(rules(call) == [.signaledSSRC])
    }

    @Test func withoutEitherThePayloadTypeDecides() throws {
        let call = try connected(seed: 3, without: ["sdes:mid", "a=ssrc:", "a=ssrc-group:"])
        #expect(try call.frames("0", at: .right) > 95)
        #expect(rules(call) == [.payloadType])
    }

    /// RID and repaired RID (RFC 8852): of several encodings in one section each has its own repairs.
    @Test(arguments: ["q", "h", "f", "x", nil]) func aRepairFindsItsEncodingByName(name: String?) throws {
        var negotiator = Negotiator(random: .seeded(1))
        let section = try answered(try fixture("simulcast-style-offer"), by: &negotiator).session.media[1]
        #expect(section.receivedExtensions[.streamID] != nil && section.receivedExtensions[.repairedStreamID] != nil)
        var receivers = StreamTable<SSRC, ReceiverState>()
        let encodings: [(UInt32, String)] = [(1, "q"), (2, "h"), (3, "f")]
        for (ssrc, encoding) in encodings {
            var state = ReceiverState(section: section, ssrc: SSRC(ssrc), clockRate: 90_000)
            state.streamID = encoding
            receivers[SSRC(ssrc)] = state
        }
        let base = RoutingTable().base(
            ofRetransmission: SSRC(12), repairs: name, in: section, receivers: receivers)
        #expect(base == encodings.first { $0.1 == name }.map { SSRC($0.0) }, "none is guessed where several fit")
    }

    /// The absolute send time is what leaves says it is: 24 bits of the instant, in every packet, where agreed.
    @Test(arguments: [true, false]) func theSendTimeIsThatOfDeparture(isAgreed: Bool) throws {
        let call = try connected(seed: 4, without: isAgreed ? [] : ["abs-send-time"])
        let number = call.left.engine.senders["1"]?.stream.configuration.extensions[.absoluteSendTime]
        #expect((number != nil) == isAgreed)
        guard isAgreed else { return }
        var sender = try #require(call.left.engine.senders["1"]?.stream)
        var packets: [OutboundPacket] = []
        let frame = EncodedFrame(
            codec: .vp8, payload: [0x10] + Array(repeating: 1, count: 3_000), timestamp: 0, isKeyframe: true)
        sender.packetize(frame, at: call.now, into: &packets)
        #expect(packets.count == 3)
        for (index, packet) in packets.enumerated() {
            var packet = packet
            let departure = call.now + .milliseconds(Int64(index) * 7)
            packet.stamp(transportSequence: SequenceNumber(UInt16(index)), at: departure)
            let header = try RTPHeader(parsing: packet.bytes)
            let time = header.absoluteSendTime(ids: sender.configuration.extensions, in: packet.bytes)
            #expect(time == AbsoluteSendTime(departure))
        }
    }
}
