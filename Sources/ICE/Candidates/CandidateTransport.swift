import Primitives

/// UDP, or one of the three roles in a TCP connection (RFC 6544 §4.5).
public enum CandidateTransport: String, Hashable, Sendable, CaseIterable {
    case udp
    /// Makes connections; announced with port 9.
    case tcpActive
    /// Accepts them.
    case tcpPassive
    /// Both at once. Never ours, and not paired: no peer in use offers it.
    case tcpSimultaneousOpen

    public var path: PathTransport { self == .udp ? .udp : .tcp }
    public var isTCP: Bool { self != .udp }

    /// `tcptype` of RFC 6544 §4.5; none over UDP.
    public var tcpType: String? {
        switch self {
        case .udp: nil
        case .tcpActive: "active"
        case .tcpPassive: "passive"
        case .tcpSimultaneousOpen: "so"
        }
    }

    /// `direction-pref` of RFC 6544 §4.2: the likelier to pass NATs the higher.
    func directionPreference(_ type: CandidateType) -> UInt16 {
        let isOutward = type == .host || type == .relayed
        return switch self {
        case .udp: 7
        case .tcpActive: isOutward ? 6 : 4
        case .tcpPassive: isOutward ? 4 : 2
        case .tcpSimultaneousOpen: isOutward ? 2 : 6
        }
    }
}
