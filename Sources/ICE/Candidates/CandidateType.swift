/// How an address was learnt (RFC 8445 §4).
public enum CandidateType: String, Hashable, Sendable, CaseIterable {
    case host
    case serverReflexive
    case peerReflexive
    case relayed

    /// 0 ... 126 (RFC 8445 §5.1.2.2).
    public var preference: UInt32 {
        switch self {
        case .host: 126
        case .peerReflexive: 110
        case .serverReflexive: 100
        case .relayed: 0
        }
    }

    /// The same over a transport. Any UDP stands before any TCP of ours, relays excepted (RFC 6544 §4.2).
    public func preference(over transport: CandidateTransport) -> UInt32 {
        guard transport.isTCP else { return preference }
        return switch self {
        case .host: 90
        case .peerReflexive: 80
        case .serverReflexive: 70
        case .relayed: 0
        }
    }

    /// `cand-type` of RFC 8839 §5.1.
    public var sdpName: String {
        switch self {
        case .host: "host"
        case .serverReflexive: "srflx"
        case .peerReflexive: "prflx"
        case .relayed: "relay"
        }
    }

    public init?(sdpName: some StringProtocol) {
        guard let type = Self.allCases.first(where: { $0.sdpName == sdpName }) else { return nil }
        self = type
    }
}
