/// Why a check was sent.
public enum CheckPurpose: String, Hashable, Sendable {
    /// The first of its pair, paced (RFC 8445 §6.1.4.2).
    case ordinary
    /// In reply to a check, at once (RFC 8445 §7.3.1.4).
    case triggered
    /// The one before it is still unanswered. A fresh transaction all the same.
    case repeated
    case nomination
    case consent
    /// Consent or the incumbent of a challenge is in doubt.
    case doubt
    /// A pair that failed is tried again.
    case recheck
}
