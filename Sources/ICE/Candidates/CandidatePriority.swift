/// The formulas of RFC 8445 §5.1.2 and §6.1.2.3.
public enum CandidatePriority {
    /// A priority is at most 2³¹ - 1; a greater one from the network counts as that.
    public static let maximum: UInt32 = 0x7FFF_FFFF

    /// RFC 8445 §5.1.2.1, over TCP RFC 6544 §4.2, where three bits of the local preference are the direction's.
    /// `component` is 1 ... 256; what is outside is clamped.
    public static func candidate(
        type: CandidateType, transport: CandidateTransport = .udp, localPreference: UInt16, component: Int = 1
    ) -> UInt32 {
        let preference =
            transport.isTCP
            ? transport.directionPreference(type) << 13 | localPreference >> 3 : localPreference
        return type.preference(over: transport) << 24 | UInt32(preference) << 8
            | UInt32(256 - min(max(component, 1), 256))
    }

    /// What a check says in PRIORITY: that of a peer-reflexive candidate on the same base (RFC 8445 §7.1.1).
    public static func peerReflexive(of local: UInt32, over transport: CandidateTransport = .udp) -> UInt32 {
        local & 0x00FF_FFFF | CandidateType.peerReflexive.preference(over: transport) << 24
    }

    /// RFC 8445 §6.1.2.3, from the priorities of the controlling (G) and the controlled (D) agent's candidate.
    public static func pair(controlling: UInt32, controlled: UInt32) -> UInt64 {
        let g = UInt64(min(controlling, maximum))
        let d = UInt64(min(controlled, maximum))
        return min(g, d) << 32 + 2 * max(g, d) + (g > d ? 1 : 0)
    }
}
