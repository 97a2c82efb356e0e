import Primitives

/// Generic NACK (RFC 4585 §6.2.1): the packets a receiver misses.
public struct GenericNACK: Hashable, Sendable {
    public var senderSSRC: SSRC
    public var mediaSSRC: SSRC
    /// In the order of the packet; ascending when written by `ReceiveStream`'s wishes.
    public var lost: [SequenceNumber]

    public init(senderSSRC: SSRC, mediaSSRC: SSRC, lost: [SequenceNumber]) {
        self.senderSSRC = senderSSRC
        self.mediaSSRC = mediaSSRC
        self.lost = lost
    }

    init(body reader: inout RTCPReader) throws(RTPError) {
        senderSSRC = SSRC(try reader.uint32())
        mediaSSRC = SSRC(try reader.uint32())
        lost = []
        while !reader.isAtEnd {
            let packet = SequenceNumber(try reader.uint16())
            var bits = try reader.uint16()
            lost.append(packet)
            var number = packet
            while bits != 0 {
                number = number.next
                if bits & 1 != 0 { lost.append(number) }
                bits >>= 1
            }
        }
    }

    func write(into bytes: inout [UInt8]) {
        writeRTCP(type: 205, count: 1, into: &bytes) { bytes in
            bytes.append(senderSSRC.rawValue)
            bytes.append(mediaSSRC.rawValue)
            var index = 0
            while index < lost.count {
                let packet = lost[index]
                var bits: UInt16 = 0
                index += 1
                while index < lost.count {
                    let step = lost[index].distance(from: packet)
                    guard (1...16).contains(step) else { break }
                    bits |= 1 << UInt16(truncatingIfNeeded: step - 1)
                    index += 1
                }
                bytes.append(packet.rawValue)
                bytes.append(bits)
            }
        }
    }
}
