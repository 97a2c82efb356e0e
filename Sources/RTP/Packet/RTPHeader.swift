import Primitives

/// The header of an RTP packet (RFC 3550 §5.1) and where the rest of it lies. Parsing allocates nothing.
public struct RTPHeader: Hashable, Sendable {
    public var marker: Bool
    /// 0...127.
    public var payloadType: UInt8
    public var sequence: SequenceNumber
    public var timestamp: RTPTimestamp
    public var ssrc: SSRC
    /// Contributing sources, four bytes each from byte 12: 0...15.
    public var csrcCount: Int
    /// Where the header extension lies; elements are read from it one by one.
    public var extensions: RTPHeaderExtensions
    /// The payload without padding; empty for a packet of padding only.
    public var payloadRange: Range<Int>
    /// Padding bytes at the end of the packet, the count byte included.
    public var paddingLength: Int

    /// Bytes of the fixed header.
    public static let fixedLength = 12

    /// - Throws: `RTPError` when the bytes are not an RTP packet of version 2. The packet must be decrypted: padding
    ///   is counted by its last byte.
    @inlinable public init(parsing bytes: borrowing Span<UInt8>) throws(RTPError) {
        let count = bytes.count
        guard count >= 12 else { throw .truncated(offset: count) }
        let first = bytes[0]
        guard first >> 6 == 2 else { throw .unsupportedVersion(offset: 0) }
        let second = bytes[1]
        marker = second & 0x80 != 0
        payloadType = second & 0x7F
        sequence = SequenceNumber(UInt16(bytes[2]) << 8 | UInt16(bytes[3]))
        timestamp = RTPTimestamp(
            UInt32(bytes[4]) << 24 | UInt32(bytes[5]) << 16 | UInt32(bytes[6]) << 8 | UInt32(bytes[7]))
        ssrc = SSRC(UInt32(bytes[8]) << 24 | UInt32(bytes[9]) << 16 | UInt32(bytes[10]) << 8 | UInt32(bytes[11]))
        csrcCount = Int(first & 0x0F)
        var offset = 12 + 4 * csrcCount
        if first & 0x10 != 0 {
            guard count >= offset + 4 else { throw .truncated(offset: count) }
            let profile = UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
            let length = (Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3])) * 4
            offset += 4
            guard count >= offset + length else { throw .truncated(offset: count) }
            extensions = RTPHeaderExtensions(profile: profile, range: offset..<offset + length)
            offset += length
        } else {
            guard count >= offset else { throw .truncated(offset: count) }
            extensions = .none
        }
        if first & 0x20 != 0 {
            paddingLength = count > offset ? Int(bytes[count - 1]) : 0
            guard paddingLength > 0, paddingLength <= count - offset else {
                throw .invalidPadding(offset: count - 1)
            }
        } else {
            paddingLength = 0
        }
        payloadRange = offset..<count - paddingLength
    }

    /// As `init(parsing:)` of a span.
    @inlinable public init(parsing bytes: [UInt8]) throws(RTPError) {
        try self.init(parsing: bytes.span)
    }

    /// Bytes before the payload.
    @inlinable public var headerLength: Int { payloadRange.lowerBound }

    /// Contributing sources, in order. Allocates.
    public func contributingSources(in bytes: [UInt8]) -> [SSRC] {
        (0..<csrcCount).compactMap { index in
            let at = 12 + 4 * index
            guard at + 4 <= bytes.count else { return nil }
            return SSRC(bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) })
        }
    }

    /// The SSRC of what may be an RTP packet, encrypted or not.
    @inlinable public static func ssrc(of bytes: [UInt8]) -> SSRC? {
        guard bytes.count >= 12, bytes[0] >> 6 == 2 else { return nil }
        return SSRC(UInt32(bytes[8]) << 24 | UInt32(bytes[9]) << 16 | UInt32(bytes[10]) << 8 | UInt32(bytes[11]))
    }

    /// Appends a fixed header without contributing sources and padding.
    public static func write(
        marker: Bool, payloadType: UInt8, sequence: SequenceNumber, timestamp: RTPTimestamp, ssrc: SSRC,
        hasExtensions: Bool, into bytes: inout [UInt8]
    ) {
        bytes.append(hasExtensions ? 0x90 as UInt8 : 0x80)
        bytes.append((marker ? 0x80 as UInt8 : 0) | (payloadType & 0x7F))
        bytes.append(sequence.rawValue)
        bytes.append(timestamp.rawValue)
        bytes.append(ssrc.rawValue)
    }
}
