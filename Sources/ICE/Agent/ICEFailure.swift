import Primitives

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
