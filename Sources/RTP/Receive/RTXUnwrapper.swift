import Primitives

/// Undoes the retransmission payload format (RFC 4588 §4): the packet that was lost comes out as it was sent, header
/// extensions of the retransmission kept.
public struct RTXUnwrapper: Hashable, Sendable {
    /// SSRC of the stream that is repaired.
    public var mediaSSRC: SSRC
    private var payloadTypes: [UInt8: UInt8]

    /// - Parameter payloadTypes: retransmission payload type → payload type it repairs (`apt`).
    public init(mediaSSRC: SSRC, payloadTypes: [UInt8: UInt8]) {
        self.mediaSSRC = mediaSSRC
        self.payloadTypes = payloadTypes
    }

    /// Rewrites a decrypted retransmission into the original packet: SSRC, payload type, sequence number, and no
    /// padding.
    /// - Returns: `false`, with nothing changed, for an unknown payload type and for padding (bandwidth probes).
    public func unwrap(_ header: inout RTPHeader, _ packet: inout [UInt8]) -> Bool {
        let range = header.payloadRange
        guard let payloadType = payloadTypes[header.payloadType], range.count > 2,
            range.lowerBound >= RTPHeader.fixedLength, range.upperBound <= packet.count
        else { return false }
        let at = range.lowerBound
        let sequence = SequenceNumber(UInt16(packet[at]) << 8 | UInt16(packet[at + 1]))
        packet.removeLast(packet.count - range.upperBound)
        packet.removeSubrange(at..<at + 2)
        packet[0] &= ~0x20
        packet[1] = (packet[1] & 0x80) | (payloadType & 0x7F)
        packet.overwrite(sequence.rawValue, at: 2)
        packet.overwrite(mediaSSRC.rawValue, at: 8)
        header.payloadType = payloadType & 0x7F
        header.sequence = sequence
        header.ssrc = mediaSSRC
        header.payloadRange = at..<range.upperBound - 2
        header.paddingLength = 0
        return true
    }
}
