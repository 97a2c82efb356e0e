import Primitives
import RTP
import Testing

/// Sizes of what is moved for every packet or frame: a growth is a decision, not an accident.
@Suite struct LayoutTests {
    @Test func packetsStaySmall() {
        #expect(MemoryLayout<RTPHeader>.size == 72)
        #expect(MemoryLayout<IPAddress>.size == 24)
        #expect(MemoryLayout<TransportAddress>.size == 26)
        #expect(MemoryLayout<Datagram>.size == 66)
        #expect(MemoryLayout<OutboundPacket>.size == 52)
        #expect(MemoryLayout<EncodedFrame>.size == 51)
    }
}
