/// Why a DTLS association failed. It is the connection that fails, never only a packet.
public enum DTLSError: Error, Hashable, Sendable {
    /// The peer's certificate is not the one its description announced (RFC 8122 §6.2). No key was exported.
    case fingerprintMismatch(expected: [Fingerprint], got: Fingerprint)
    /// The handshake ended without a certificate of the peer.
    case noPeerCertificate
    /// The peer shares no SRTP protection profile with us, or does not speak use_srtp (RFC 5764 §4.1).
    case noCommonProfile
    /// The peer sent a fatal alert (RFC 5246 §7.2.2).
    case alert(UInt8)
    /// We refused what the peer sent; the reason is OpenSSL's.
    case refused(reason: String)
    /// A flight stayed unanswered for `DTLSTransport.Configuration.handshakeTimeout`.
    case timeout
    /// OpenSSL would not be set up: no memory, or a certificate it cannot use.
    case setup(reason: String)
}

extension DTLSError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .fingerprintMismatch(let expected, let got):
            let wanted = expected.map(\.description).joined(separator: " or ")
            return
                "the peer's certificate has \(got), its description announced \(wanted). The fingerprint is wrong: the "
                + "description is another peer's or was changed on its way, and nothing was sent or taken. Check what "
                + "carries the descriptions (wss:// with a token, no program that rewrites SDP), then call again"
        case .noPeerCertificate: return "the peer sent no certificate, so its fingerprint cannot be checked"
        case .noCommonProfile: return "no SRTP protection profile in common"
        case .alert(let code) where (42...48).contains(code):
            return
                "the peer sent alert \(code) (\(alertName(code))): it did not take our certificate. The fingerprint it "
                + "was told may be wrong: check that our description reaches it unchanged"
        case .alert(let code): return "the peer sent alert \(code) (\(alertName(code)))"
        case .refused(let reason): return "handshake refused: \(reason)"
        case .timeout: return "the peer did not answer the handshake"
        case .setup(let reason): return "OpenSSL could not be set up: \(reason)"
        }
    }
}

/// The names of RFC 5246 §7.2 and RFC 6066 §9 that are met in practice.
func alertName(_ code: UInt8) -> String {
    switch code {
    case 0: "close_notify"
    case 10: "unexpected_message"
    case 20: "bad_record_mac"
    case 22: "record_overflow"
    case 40: "handshake_failure"
    case 41: "no_certificate"
    case 42: "bad_certificate"
    case 43: "unsupported_certificate"
    case 44: "certificate_revoked"
    case 45: "certificate_expired"
    case 46: "certificate_unknown"
    case 47: "illegal_parameter"
    case 48: "unknown_ca"
    case 49: "access_denied"
    case 50: "decode_error"
    case 51: "decrypt_error"
    case 70: "protocol_version"
    case 71: "insufficient_security"
    case 80: "internal_error"
    case 86: "inappropriate_fallback"
    case 90: "user_canceled"
    case 100: "no_renegotiation"
    case 109: "missing_extension"
    case 110: "unsupported_extension"
    case 112: "unrecognized_name"
    case 116: "certificate_required"
    default: "unassigned"
    }
}
