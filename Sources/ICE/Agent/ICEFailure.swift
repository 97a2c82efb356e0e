import Primitives

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

/// What stood when the agent gave up hope. It goes on answering all the same.
public struct ICEFailure: Hashable, Sendable {
    public struct Pair: Hashable, Sendable {
        public var path: NetworkPath
        public var state: CandidatePair.State
        public var requestsSent: Int
        public var responsesReceived: Int
        public var requestsReceived: Int
        public var lastError: CheckFailure?
    }

    public var reason: ICEFailureReason
    public var counters: ICECounters
    public var pairs: [Pair]
}

extension ICEFailure: CustomStringConvertible {
    public var description: String {
        let what =
            switch reason {
            case .noLocalCandidates: "no local candidates"
            case .noRemoteCandidates: "no remote candidates, and no check came in"
            case .noUsablePair: "no local and remote candidate go together"
            case .nothingReceived: "no datagram of the other side arrived"
            case .onlyUnauthenticated: "only datagrams with wrong credentials arrived (\(counters.unauthenticated))"
            case .requestsWithoutResponses: "checks arrive (\(counters.requestsReceived)), ours are not answered"
            case .consentExpired: "nothing answered for 30 s"
            }
        let details = pairs.map { pair in
            "\(pair.path): sent \(pair.requestsSent), answered \(pair.responsesReceived), "
                + "received \(pair.requestsReceived)" + (pair.lastError.map { ", \($0)" } ?? "")
        }
        return ([what] + details).joined(separator: "; ")
    }
}

/// Datagrams an agent has seen, by their fate.
public struct ICECounters: Hashable, Sendable {
    public var requestsSent = 0
    public var responsesReceived = 0
    /// Authenticated requests.
    public var requestsReceived = 0
    public var responsesSent = 0
    public var indicationsReceived = 0
    /// Wrong or missing MESSAGE-INTEGRITY, or a user name that is not ours.
    public var unauthenticated = 0
    public var malformed = 0
    /// Responses to nothing we remember asking.
    public var unmatchedResponses = 0
    public var unreachable = 0
    public init() {}
}
