/// What can wake an agent.
public enum ICETimer: String, Hashable, Sendable, CaseIterable {
    /// A STUN server is asked again, given up, or its mapping kept open.
    case gathering
    /// A TURN request is repeated, an allocation, permission or channel renewed.
    case relay
    /// Ta has passed: the next waiting pair's first check.
    case pace
    /// A pair's own time: repetition, recheck, consent.
    case check
    /// Consent is 30 s old.
    case consentExpiry
    /// A request is unanswered for too long: `disconnected`.
    case disconnect
    /// The patience of RFC 8863 is over.
    case patience
    /// The incumbent of a challenge has not answered in its time.
    case challenge
    /// The other side has been silent long enough to want a restart.
    case restart
}
