import Primitives
import RTP
import Testing

/// Sizes of what is moved for every packet or frame: a growth is a decision, not an accident.
@Suite struct LayoutTests {
    @Test func packetsStaySmall() {
        #expect(MemoryLayout<RTPHeader>.size == 72)
        #expect(MemoryLayout<IPAddress>.size == 24)
        #expect(MemoryLayout<TransportAddress>.size == 26)
        // 66 until paths told UDP from TCP; the stride is what it was.
        #expect(MemoryLayout<Datagram>.size == 67)
        #expect(MemoryLayout<Datagram>.stride == 72)
        #expect(MemoryLayout<OutboundPacket>.size == 52)
        // 51 until senders told when a frame was captured, which makes sender reports exact; one a frame, not one a packet.
        // 67 until frames told their orientation and sound level; the stride is what it was.
        #expect(MemoryLayout<EncodedFrame>.size == 70)
        #expect(MemoryLayout<EncodedFrame>.stride == 72)
    }
}
