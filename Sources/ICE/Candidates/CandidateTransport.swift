/// UDP, or one of the three roles in a TCP connection (RFC 6544 §4.5).
public enum CandidateTransport: String, Hashable, Sendable, CaseIterable {
    case udp
    case tcpActive
    case tcpPassive
    case tcpSimultaneousOpen
}
