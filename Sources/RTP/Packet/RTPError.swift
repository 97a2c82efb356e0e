/// Why bytes from the network are not an RTP or RTCP packet or payload. It reaches no further than the packet: drop it.
/// Offsets are bytes into the input.
public enum RTPError: Error, Hashable, Sendable {
    /// The input ended before the value did.
    case truncated(offset: Int)
    /// The version field is not 2 (RFC 3550 §5.1).
    case unsupportedVersion(offset: Int)
    /// The padding count is zero or larger than what it could pad (RFC 3550 §5.1, §6.4.1).
    case invalidPadding(offset: Int)
    /// A length field contradicts what it measures.
    case invalidLength(offset: Int)
    /// A field has a value its format does not define.
    case invalidValue(offset: Int)
    /// More elements than the caller's limit.
    case limitExceeded(offset: Int)
}
