/// Why a packet was not protected or unprotected. Always the packet's fault alone: drop it and go on.
public enum SRTPError: Error, Hashable, Sendable {
    /// The tag does not fit: another key, or a forgery.
    case authenticationFailed
    /// The packet was here before, or is too old to tell (RFC 3711 §3.3.2).
    case replayed
    /// Not an RTP or RTCP packet, too short for its tag, or RTCP that is not encrypted.
    case malformed
    /// More SSRCs than a session takes.
    case tooManyStreams
    /// The packet index of this SSRC is used up under this key (RFC 3711 §9.2).
    case keyExhausted
    /// The cryptographic library failed for a reason of its own.
    case backend(code: Int)
}

/// The packet transforms of SRTP, both directions, with all state per SSRC inside (RFC 3711, RFC 7714).
///
/// All four work in place. Protecting appends up to `SRTPProfile.rtcpOverhead` bytes: the caller who reserved the room
/// saves an allocation. After an error the bytes of the packet mean nothing.
public protocol SRTPBackend: AnyObject {
    func protectRTP(_ packet: inout [UInt8]) throws(SRTPError)
    func unprotectRTP(_ packet: inout [UInt8]) throws(SRTPError)
    func protectRTCP(_ packet: inout [UInt8]) throws(SRTPError)
    func unprotectRTCP(_ packet: inout [UInt8]) throws(SRTPError)
}

/// What every backend holds to.
enum SRTPLimits {
    /// SSRCs a direction keeps state for. A call has a handful; a mesh of simulcast streams with RTX some dozens.
    static let streams = 256
    /// Packets behind the newest that are still told apart; more than a NACK can ask back (RFC 3711 §3.3.2: at least 64).
    static let window = 1_024
}

/// The fields of the two headers that protection needs, checked against the packet's length.
enum SRTPHeader {
    /// Bytes of the RTP header with contributing sources and extension, `nil` where it is no RTP packet of `limit` bytes.
    @inline(__always)
    static func rtpLength(_ packet: [UInt8], limit: Int) -> Int? {
        guard limit >= 12, limit <= packet.count, packet[0] >> 6 == 2 else { return nil }
        var length = 12 + 4 * Int(packet[0] & 0x0F)
        if packet[0] & 0x10 != 0 {
            guard length + 4 <= limit else { return nil }
            length += 4 + 4 * (Int(packet[length + 2]) << 8 | Int(packet[length + 3]))
        }
        return length <= limit ? length : nil
    }

    @inline(__always)
    static func isRTCP(_ packet: [UInt8], limit: Int) -> Bool {
        limit >= 8 && limit <= packet.count && packet[0] >> 6 == 2
    }

    @inline(__always)
    static func rtpSSRC(_ packet: [UInt8]) -> UInt32 { word(packet, at: 8) }

    @inline(__always)
    static func rtcpSSRC(_ packet: [UInt8]) -> UInt32 { word(packet, at: 4) }

    @inline(__always)
    static func word(_ packet: [UInt8], at offset: Int) -> UInt32 {
        guard offset >= 0, offset + 4 <= packet.count else { return 0 }
        return UInt32(packet[offset]) << 24 | UInt32(packet[offset + 1]) << 16 | UInt32(packet[offset + 2]) << 8
            | UInt32(packet[offset + 3])
    }
}
