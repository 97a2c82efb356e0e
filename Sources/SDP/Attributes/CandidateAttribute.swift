import Primitives

/// A candidate as signalling carries it (RFC 8839 §5.1), in a description or trickled.
public struct CandidateAttribute: Hashable, Sendable {
    public enum Transport: Hashable, Sendable {
        case udp
        case tcp
        /// Kept, not used (RFC 8839 §5.1: candidates of unknown transports are to be ignored).
        case other(String)
    }
    public enum Kind: Hashable, Sendable {
        case host
        case serverReflexive
        case peerReflexive
        case relayed
        case other(String)
    }
    /// RFC 6544 §4.5
    public enum TCPType: String, Hashable, Sendable {
        case active
        case passive
        case simultaneousOpen = "so"
    }
    /// An address, or a name that somebody has to resolve (mDNS names end in `.local`).
    public enum Host: Hashable, Sendable {
        case address(IPAddress)
        case name(String)

        public var address: IPAddress? { if case .address(let ip) = self { ip } else { nil } }
    }
    /// A name and a value after the fields the grammar knows: `generation 0`, `network-cost 50`.
    public struct Extension: Hashable, Sendable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// 1 to 32 letters, digits, `+` or `/`.
    public var foundation: String
    /// 1 for RTP (and everything multiplexed with it), 2 for RTCP; up to 256.
    public var component: Int
    public var transport: Transport
    public var priority: UInt32
    public var host: Host
    public var port: UInt16
    public var kind: Kind
    public var relatedHost: Host?
    public var relatedPort: UInt16?
    public var tcpType: TCPType?
    /// In the order written.
    public var extensions: [Extension]

    public init(
        foundation: String, component: Int = 1, transport: Transport = .udp, priority: UInt32, host: Host,
        port: UInt16, kind: Kind, relatedHost: Host? = nil, relatedPort: UInt16? = nil, tcpType: TCPType? = nil,
        extensions: [Extension] = []
    ) {
        self.foundation = foundation
        self.component = component
        self.transport = transport
        self.priority = priority
        self.host = host
        self.port = port
        self.kind = kind
        self.relatedHost = relatedHost
        self.relatedPort = relatedPort
        self.tcpType = tcpType
        self.extensions = extensions
    }

    /// Parses a candidate with or without a leading `candidate:` or `a=candidate:`.
    ///
    /// An IPv6 zone (`fe80::1%eth0`) is refused: it means something on the sender's machine only (RFC 8445 §5.1.1.1).
    /// The empty string, which trickle signalling uses for "no more candidates", is an error here.
    public init(parsing text: String) throws(SDPError) {
        var reader = FieldReader(text.trimmingLineEnds)
        reader.skipSpaces()
        _ = reader.skip(prefix: "a=")
        _ = reader.skip(prefix: "candidate:")
        do throws(Malformed) { self = try CandidateAttribute(reading: &reader) } catch {
            throw SDPError(error, line: 0, text: text)
        }
    }

    public func value(of name: String) -> String? { extensions.first { $0.name == name }?.value }
    public var generation: Int? { value(of: "generation").flatMap { Int($0) } }
    /// The user fragment this candidate belongs to (RFC 8840 §4.1.1.3), where the sender says so.
    public var ufrag: String? { value(of: "ufrag") }
    public var networkID: Int? { value(of: "network-id").flatMap { Int($0) } }
    public var networkCost: Int? { value(of: "network-cost").flatMap { Int($0) } }
}

extension CandidateAttribute: CustomStringConvertible {
    /// `candidate:…`, the form trickle signalling uses.
    public var description: String {
        var text = "candidate:\(foundation) \(component) \(transport) \(priority) \(host) \(port) typ \(kind)"
        if let relatedHost { text += " raddr \(relatedHost)" }
        if let relatedPort { text += " rport \(relatedPort)" }
        if let tcpType { text += " tcptype \(tcpType.rawValue)" }
        for pair in extensions { text += " \(pair.name) \(pair.value)" }
        return text
    }
}

extension CandidateAttribute.Transport: CustomStringConvertible {
    public var description: String {
        switch self {
        case .udp: "udp"
        case .tcp: "tcp"
        case .other(let name): name
        }
    }
}

extension CandidateAttribute.Kind: CustomStringConvertible {
    public var description: String {
        switch self {
        case .host: "host"
        case .serverReflexive: "srflx"
        case .peerReflexive: "prflx"
        case .relayed: "relay"
        case .other(let name): name
        }
    }
}

extension CandidateAttribute.Host: CustomStringConvertible {
    public var description: String {
        switch self {
        case .address(let ip): ip.description
        case .name(let name): name
        }
    }
}

/// `a=remote-candidates` (RFC 8839 §5.2): what the controlling agent had selected.
public struct RemoteCandidate: Hashable, Sendable {
    public var component: Int
    public var host: CandidateAttribute.Host
    public var port: UInt16

    public init(component: Int, host: CandidateAttribute.Host, port: UInt16) {
        self.component = component
        self.host = host
        self.port = port
    }
}

extension RemoteCandidate: CustomStringConvertible {
    public var description: String { "\(component) \(host) \(port)" }
}

extension String {
    fileprivate var trimmingLineEnds: String {
        guard let last = utf8.last, last == 10 || last == 13 else { return self }
        var scalars = unicodeScalars
        while let scalar = scalars.last, scalar == "\r" || scalar == "\n" { scalars.removeLast() }
        return String(scalars)
    }
}
