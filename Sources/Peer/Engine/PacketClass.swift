/// What a datagram on a multiplexed WebRTC port is, told by its first byte (RFC 7983 §7, RFC 9443) and, between RTP
/// and RTCP, by its second (RFC 5761 §4).
public enum PacketClass: String, Hashable, Sendable {
    case stun
    case zrtp
    case dtls
    case turnChannel
    case rtp
    case rtcp
    case unknown

    @inlinable public init(_ bytes: [UInt8]) {
        guard let first = bytes.first else {
            self = .unknown
            return
        }
        switch first {
        case 0...3: self = .stun
        case 16...19: self = .zrtp
        case 20...63: self = .dtls
        case 64...79: self = .turnChannel
        case 128...191:
            // RTCP packet types 192 ... 223 alias the RTP payload types 64 ... 95 with the marker bit set.
            self = bytes.count > 1 && (192...223).contains(bytes[1]) ? .rtcp : .rtp
        default: self = .unknown
        }
    }
}
