import Primitives

/// An RTP packet ready to leave: complete but for what is known only at departure (`stamp`) and for SRTP.
public struct OutboundPacket: Hashable, Sendable {
    /// The whole packet, with room left for the SRTP tag.
    public var bytes: [UInt8]
    public var ssrc: SSRC
    public var sequence: SequenceNumber
    /// Payload without header and padding.
    public var payloadBytes: Int
    /// Where the transport-wide sequence number goes, two bytes.
    public var transportSequenceOffset: Int?
    /// Where the absolute send time goes, three bytes.
    public var sendTimeOffset: Int?
    public var isRetransmission: Bool
    /// Padding or a packet sent again only to probe for bandwidth.
    public var isProbe: Bool
    public var marker: Bool

    /// Bytes reserved behind each packet for SRTP.
    public static let reserve = 32

    public init(
        bytes: [UInt8], ssrc: SSRC, sequence: SequenceNumber, payloadBytes: Int, transportSequenceOffset: Int? = nil,
        sendTimeOffset: Int? = nil, isRetransmission: Bool = false, isProbe: Bool = false, marker: Bool = false
    ) {
        self.bytes = bytes
        self.ssrc = ssrc
        self.sequence = sequence
        self.payloadBytes = payloadBytes
        self.transportSequenceOffset = transportSequenceOffset
        self.sendTimeOffset = sendTimeOffset
        self.isRetransmission = isRetransmission
        self.isProbe = isProbe
        self.marker = marker
    }

    /// Writes what is known only when the packet leaves.
    public mutating func stamp(transportSequence: SequenceNumber, at now: Instant) {
        if let offset = transportSequenceOffset { bytes.overwrite(transportSequence.rawValue, at: offset) }
        if let offset = sendTimeOffset {
            let time = AbsoluteSendTime(now).rawValue
            bytes.overwrite(UInt16(truncatingIfNeeded: time >> 8), at: offset)
            if offset + 2 < bytes.count { bytes[offset + 2] = UInt8(truncatingIfNeeded: time) }
        }
    }
}
