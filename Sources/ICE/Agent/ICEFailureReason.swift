/// Why there is no connection, in one word; the evidence is in `ICEFailure`.
public enum ICEFailureReason: Hashable, Sendable {
    case noLocalCandidates
    case noRemoteCandidates
    /// Candidates on both sides, of which none go together (address families, link-local addresses, transports).
    case noUsablePair
    /// Checks left, and not one datagram of the other side's came.
    case nothingReceived
    /// Only datagrams with wrong credentials came: a stale description, or someone else.
    case onlyUnauthenticated
    /// Their checks arrive and ours are not answered: one direction is closed.
    case requestsWithoutResponses
    /// It worked, and then nothing was answered for 30 s.
    case consentExpired
}
