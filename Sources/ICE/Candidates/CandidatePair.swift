import Primitives

/// One of our bases and one remote address, with all that is known of the way between them.
///
/// Counters bear the names of W3C webrtc-stats `RTCIceCandidatePairStats`.
public struct CandidatePair: Sendable, Identifiable {
    /// RFC 8445 §6.1.2.6. There is no frozen state here (see `CheckList`).
    public enum State: String, Hashable, Sendable {
        case waiting
        case inProgress
        case succeeded
        case failed
    }

    public let id: Int
    /// The best local candidate on the base; peer-reflexive ones are not paired (see `CheckList`).
    public internal(set) var local: Candidate
    public internal(set) var remote: Candidate
    public let path: NetworkPath
    public internal(set) var priority: UInt64
    public internal(set) var state: State = .waiting
    public internal(set) var isNominated = false

    public internal(set) var requestsSent = 0
    public internal(set) var responsesReceived = 0
    public internal(set) var requestsReceived = 0
    public internal(set) var responsesSent = 0
    public internal(set) var consentRequestsSent = 0
    /// That of the last answered check.
    public internal(set) var currentRoundTripTime: TimeDelta?
    public internal(set) var totalRoundTripTime: TimeDelta = .zero
    public internal(set) var lastRequestSent: Instant?
    public internal(set) var lastRequestReceived: Instant?
    /// The last time a check was answered; consent runs from here (RFC 7675 §5.1).
    public internal(set) var lastResponseReceived: Instant?
    /// What the other side says it sees us as. Information only: behind a proxy it is no address of ours.
    public internal(set) var mappedAddress: TransportAddress?
    /// ICMP errors and failed sends; they slow checks down and never fail anything.
    public internal(set) var unreachableCount = 0
    /// Why the last check that failed did.
    public internal(set) var lastError: CheckFailure?

    // The schedule, owned by CheckList.
    var nextSend: Instant?
    /// Checks sent in this round, and how many the round may have.
    var sends = 0
    var budget = 0
    var transactions: [CheckTransaction] = []
    /// Since when checks have gone unanswered.
    var unansweredSince: Instant?
    var lastConsentSent: Instant?
    /// USE-CANDIDATE came before the pair was validated (RFC 8445 §7.3.1.5).
    var nominateOnSuccess = false
    /// Remote addresses that answers came from besides the pair's own, where that is allowed.
    var answeredFrom: [TransportAddress] = []
    /// Times its TCP connection was refused or ended since it was last validated.
    var connectionFailures = 0

    init(id: Int, local: Candidate, remote: Candidate, priority: UInt64) {
        self.id = id
        self.local = local
        self.remote = remote
        self.priority = priority
        path = NetworkPath(local: local.base, remote: remote.address, transport: local.transport.path)
    }

    /// Whether a direct pair over UDP takes its place where that is validated later: late media is lost media.
    var isSecondBest: Bool { isRelayed || path.transport == .tcp }
    var isRelayed: Bool { local.type == .relayed || remote.type == .relayed }
}

/// A request that may still be answered. Each has an identifier of its own, so a round trip is never ambiguous.
struct CheckTransaction: Sendable {
    var id: STUNTransactionID
    var sentAt: Instant
    var role: ICERole
    var useCandidate: Bool
}
