import FixtureSupport
import Primitives
import RTP
import Testing

/// RFC 4588, and what a renegotiation changes.
@Suite struct ReceiveStreamRetransmissionTests {
    @Test func retransmissionsAreUnwrappedAndCounted() throws {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, at: 33)
        var bytes: [UInt8] = []
        RTPHeader.write(
            marker: true, payloadType: 97, sequence: SequenceNumber(500), timestamp: RTPTimestamp(6_000),
            ssrc: SSRC(2), hasExtensions: false, into: &bytes)
        bytes += [0, 11, 0x10, 0x11, 9]
        var out = Outbox<ReceiveEvent, RTPTrace>()
        feed.stream.receiveRetransmission(
            try RTPHeader(parsing: bytes), packet: bytes, at: .zero + .milliseconds(60), into: &out)
        let frames = out.events.compactMap { if case .frame(let frame) = $0 { frame } else { nil } }
        #expect(frames.map(\.payload) == [[0x11, 9], [0x11, 7]])
        #expect(feed.stream.statistics.retransmittedPacketsReceived == 1)
        // The path lost it all the same (RFC 3550); the report says so.
        #expect(feed.stream.statistics.packetsLost == 1)
        #expect(feed.stream.retransmissionReport(ssrc: SSRC(2))?.highestSequence == 500)
    }

    @Test func retransmissionFixtureIsRestoredBitByBit() throws {
        let original = try Fixtures.bytes("rtp/rtx_original.bin")
        var bytes = try Fixtures.bytes("rtp/rtx_wrapped.bin")
        var header = try RTPHeader(parsing: bytes)
        let unwrapper = RTXUnwrapper(mediaSSRC: SSRC(0x1111_1111), payloadTypes: [97: 96])
        #expect(unwrapper.unwrap(&header, &bytes))
        #expect(bytes == original)
        #expect(header == (try RTPHeader(parsing: original)))
        var unknown = try RTPHeader(parsing: original)
        #expect(!unwrapper.unwrap(&unknown, &bytes))
    }

    @Test func retransmissionsBeforeAnyMediaAreDropped() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0, isRetransmission: true)
        #expect(feed.frames.isEmpty)
        #expect(!feed.stream.hasReceived)
    }

    @Test func payloadTypesOfARenegotiationAreAdopted() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.stream.adopt(payloadTypes: [100: .vp8], retransmissionPayloadTypes: [:])
        feed.put(11, 6_000, [0x10, 0x11, 7], type: 100, marker: true, at: 33)
        #expect(feed.frames.count == 2)
    }
}
