import Primitives

/// An address at which an agent may be reached (RFC 8445 §4, RFC 8839 §5.1).
public struct Candidate: Hashable, Sendable {
    /// 1 ... 32 ice-chars, equal for candidates likely to share their fate.
    public var foundation: String
    public var component: Int
    public var transport: CandidateTransport
    public var priority: UInt32
    public var address: TransportAddress
    public var type: CandidateType
    /// `raddr` and `rport`: for diagnosis, never sent to.
    public var relatedAddress: TransportAddress?
    /// Where datagrams of a local candidate are sent from, which is the real address where a mapping announces another as
    /// `address`; a remote one's equals `address`.
    public var base: TransportAddress
    public var ufrag: String?
    /// What the other side announced, where a mapping made another `address` of it.
    public var signaledAddress: TransportAddress?
    /// The STUN or TURN server a local candidate was learnt from.
    public var url: String?
    public var networkID: Int?
    public var networkCost: Int?

    public init(
        foundation: String, component: Int = 1, transport: CandidateTransport = .udp, priority: UInt32,
        address: TransportAddress, type: CandidateType, relatedAddress: TransportAddress? = nil,
        base: TransportAddress? = nil, ufrag: String? = nil, url: String? = nil, networkID: Int? = nil,
        networkCost: Int? = nil
    ) {
        self.foundation = foundation
        self.component = component
        self.transport = transport
        self.priority = priority
        self.address = address
        self.type = type
        self.relatedAddress = relatedAddress
        self.base = base ?? address
        self.ufrag = ufrag
        self.url = url
        self.networkID = networkID
        self.networkCost = networkCost
    }

    /// A candidate of the other side, as signaled.
    public init(
        remoteFoundation: String, priority: UInt32, address: TransportAddress, type: CandidateType,
        ufrag: String? = nil
    ) {
        self.init(foundation: remoteFoundation, priority: priority, address: address, type: type, ufrag: ufrag)
    }
}

extension Candidate {
    /// How a relayed candidate's server is reached: `udp`, `tcp` or `tls`, as W3C webrtc-stats has it.
    public var relayProtocol: String? {
        guard type == .relayed, let url else { return nil }
        return url.hasPrefix("turns:") ? "tls" : url.hasSuffix("transport=tcp") ? "tcp" : "udp"
    }
}

extension Candidate: CustomStringConvertible {
    public var description: String {
        let related = relatedAddress.map { " of \($0)" } ?? ""
        var text = "\(type.sdpName) \(address)\(transport == .udp ? "" : " \(transport)")\(related)"
        if type == .host, base != address { text += " for \(base)" }
        if let signaledAddress { text += " for \(signaledAddress)" }
        return text
    }
}
