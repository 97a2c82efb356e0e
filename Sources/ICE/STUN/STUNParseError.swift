/// Why bytes are no STUN message. Each costs one datagram and nothing more.
public enum STUNParseError: Error, Hashable, Sendable {
    /// Shorter than the 20 bytes of the header.
    case tooShort
    /// The first two bits are not zero, or the magic cookie is not there (RFC 8489 §5).
    case notSTUN
    /// The header's length is no multiple of four or not what is there.
    case lengthMismatch(declared: Int, actual: Int)
    /// An attribute reaches over the end.
    case attributeOverrun(type: UInt16)
    case tooManyAttributes
    /// MESSAGE-INTEGRITY not of 20 bytes, FINGERPRINT not of 4, or something after FINGERPRINT.
    case malformedTrailer
}
