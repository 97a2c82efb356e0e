import Primitives

/// Finds out how the NAT in front of us behaves (RFC 5780), by asking a STUN server that has two addresses.
///
///     primary ──► filtering from elsewhere ──► from another port ──► mapping at the other address ──► at its other port
///         └── no answer: ended                                                                └──► hairpin ──► done
///
/// Three sockets take part, because what one has sent to would spoil what another measures: the first asks both of the
/// server's addresses and shows the mapping (§4.3), the second has asked the primary address only and waits for answers from
/// elsewhere, which shows the filtering (§4.4), and the third sends to the outside address of the first (§4.5 hairpinning).
///
/// A request is repeated at 250 ms doubling and given up after `sends` times; that nothing comes is an answer for filtering
/// and hairpinning. A server without OTHER-ADDRESS tells the outside address and no more; a second server, where there is
/// one, then stands for its other address in the test of mapping.
public struct NATProbe: NATProbing {
    /// One question, and the socket that asks it.
    private enum Question: Int, CaseIterable, Sendable {
        case primary
        case filteringPrimary
        case filteringBoth
        case filteringPort
        case mappingAddress
        case mappingPort
        case hairpin
    }

    public struct Configuration: Sendable {
        /// Of one family with the sockets.
        public var server: TransportAddress
        /// Another server at another address, for one that has none of its own.
        public var second: TransportAddress?
        public var firstWait: TimeDelta = .milliseconds(250)
        public var sends = 4

        public init(server: TransportAddress, second: TransportAddress? = nil) {
            self.server = server
            self.second = second
        }
    }

    public let configuration: Configuration
    /// Three bound sockets of ours.
    public let sockets: [TransportAddress]
    public private(set) var result: NATFindings?
    public private(set) var deadline: Instant?
    public var hasEnded: Bool { result != nil }

    private var random: RandomSource
    private var findings: NATFindings
    private var question: Question?
    private var id = STUNTransactionID(upper: 0, lower: 0)
    private var sends = 0
    private var other: TransportAddress?
    /// What the first socket is seen as at the server's other address.
    private var mappedElsewhere: TransportAddress?

    public init(configuration: Configuration, sockets: [TransportAddress], random: RandomSource) {
        precondition(sockets.count == 3, "three sockets")
        self.configuration = configuration
        self.sockets = sockets
        self.random = random
        findings = NATFindings(local: sockets[0])
    }

    public mutating func start(at now: Instant, into datagrams: inout [Datagram]) {
        ask(.primary, at: now, into: &datagrams)
    }

    public mutating func advance(to now: Instant, into datagrams: inout [Datagram]) {
        guard let due = deadline, due <= now, question != nil else { return }
        if sends < configuration.sends {
            send(at: now, into: &datagrams)
        } else {
            unanswered(at: now, into: &datagrams)
        }
    }

    public mutating func receive(_ datagram: Datagram, at now: Instant, into datagrams: inout [Datagram]) {
        guard let question, let message = try? STUNMessage(parsing: datagram.bytes), message.transactionID == id,
            message.method == .binding
        else { return }
        if question == .hairpin {
            // Our own request, come back in.
            guard message.messageClass == .request, datagram.path.local == sockets[0] else { return }
            findings.hairpins = true
            return finish()
        }
        guard datagram.path.local == sockets[socket(of: question)] else { return }
        guard message.messageClass == .success, let mapped = message.mappedAddress else {
            return unanswered(at: now, into: &datagrams)
        }
        switch question {
        case .primary:
            guard datagram.path.remote == configuration.server else { return }
            findings.mapped = mapped
            findings.hasTwoAddresses = false
            if let told = message.otherAddress, told.ip.family == mapped.ip.family, told.ip != configuration.server.ip,
                told.port != 0
            {
                other = told
                findings.hasTwoAddresses = true
            }
            ask(other == nil ? .mappingAddress : .filteringPrimary, at: now, into: &datagrams)
        case .filteringPrimary:
            ask(.filteringBoth, at: now, into: &datagrams)
        case .filteringBoth:
            // A server that does not do as asked answers from where it was asked.
            guard datagram.path.remote.ip != configuration.server.ip else {
                findings.filtering = nil
                return ask(.mappingAddress, at: now, into: &datagrams)
            }
            findings.filtering = .endpointIndependent
            ask(.mappingAddress, at: now, into: &datagrams)
        case .filteringPort:
            guard datagram.path.remote.port != configuration.server.port else { return }
            findings.filtering = .addressDependent
            ask(.mappingAddress, at: now, into: &datagrams)
        case .mappingAddress:
            mappedElsewhere = mapped
            if mapped == findings.mapped {
                findings.mapping = .endpointIndependent
                ask(.hairpin, at: now, into: &datagrams)
            } else {
                ask(.mappingPort, at: now, into: &datagrams)
            }
        case .mappingPort:
            findings.mapping = mapped == mappedElsewhere ? .addressDependent : .addressAndPortDependent
            ask(.hairpin, at: now, into: &datagrams)
        case .hairpin: break
        }
    }

    // MARK: Asking

    private func socket(of question: Question) -> Int {
        switch question {
        case .primary, .mappingAddress, .mappingPort: 0
        case .filteringPrimary, .filteringBoth, .filteringPort: 1
        case .hairpin: 2
        }
    }

    private func destination(of question: Question) -> TransportAddress? {
        switch question {
        case .primary, .filteringPrimary, .filteringBoth, .filteringPort: configuration.server
        case .mappingAddress:
            other.map { TransportAddress($0.ip, configuration.server.port) } ?? configuration.second
        case .mappingPort: other
        case .hairpin: findings.mapped
        }
    }

    private mutating func ask(_ next: Question, at now: Instant, into datagrams: inout [Datagram]) {
        guard destination(of: next) != nil else {
            // Without another address nothing more can be said of mapping; with two servers it may depend on either.
            if next == .mappingPort { findings.mapping = .addressDependent }
            return next == .hairpin ? finish() : ask(.hairpin, at: now, into: &datagrams)
        }
        question = next
        id = STUNTransactionID(using: &random)
        sends = 0
        send(at: now, into: &datagrams)
    }

    private mutating func send(at now: Instant, into datagrams: inout [Datagram]) {
        guard let question, let remote = destination(of: question) else { return }
        var request = STUNMessage(.request, transactionID: id)
        switch question {
        case .filteringBoth: request.attributes = [.changeRequest(address: true, port: true)]
        case .filteringPort: request.attributes = [.changeRequest(address: false, port: true)]
        default: break
        }
        sends += 1
        deadline = now + configuration.firstWait * Int64(1 << min(sends - 1, 10))
        datagrams.append(
            Datagram(bytes: request.encoded(), path: NetworkPath(local: sockets[socket(of: question)], remote: remote)))
    }

    private mutating func unanswered(at now: Instant, into datagrams: inout [Datagram]) {
        switch question {
        case .primary, nil: finish()
        case .filteringPrimary, .mappingAddress: ask(.hairpin, at: now, into: &datagrams)
        case .filteringBoth: ask(.filteringPort, at: now, into: &datagrams)
        case .filteringPort:
            findings.filtering = .addressAndPortDependent
            ask(.mappingAddress, at: now, into: &datagrams)
        case .mappingPort:
            findings.mapping = .addressDependent
            ask(.hairpin, at: now, into: &datagrams)
        case .hairpin:
            findings.hairpins = false
            finish()
        }
    }

    private mutating func finish() {
        question = nil
        deadline = nil
        result = findings
    }
}

/// How something tells endpoints apart (RFC 4787 §4.1, §5).
public enum NATDependence: String, Hashable, Sendable, CaseIterable {
    case endpointIndependent = "endpoint-independent"
    case addressDependent = "address-dependent"
    case addressAndPortDependent = "address-and-port-dependent"
}

/// What a probe found; `nil` is what could not be found out.
public struct NATFindings: Hashable, Sendable {
    public var local: TransportAddress
    /// Our address as the server sees it; none where it did not answer.
    public var mapped: TransportAddress?
    /// Whether the server can tell about filtering at all (RFC 5780 §7.4).
    public var hasTwoAddresses: Bool?
    public var mapping: NATDependence?
    public var filtering: NATDependence?
    /// Whether two of us behind it reach each other by their outside addresses (RFC 4787 §6).
    public var hairpins: Bool?
    /// How long an idle mapping is kept, where it was measured.
    public var lifetime: NATLifetime?

    public init(local: TransportAddress) { self.local = local }

    public var isTranslated: Bool? { mapped.map { $0 != local } }
    public var preservesPort: Bool? { mapped.map { $0.port == local.port } }
}

extension STUNAttribute {
    /// CHANGE-REQUEST (RFC 5780 §7.2): the answer is to come from the server's other address, its other port, or both.
    public static func changeRequest(address: Bool, port: Bool) -> STUNAttribute {
        .unknown(type: 0x0003, value: [0, 0, 0, (address ? 4 : 0) | (port ? 2 : 0)])
    }
}

extension STUNMessage {
    /// OTHER-ADDRESS (RFC 5780 §7.4), or CHANGED-ADDRESS of RFC 3489's time.
    public var otherAddress: TransportAddress? {
        for case .unknown(let type, let value) in attributes where type == 0x802C || type == 0x0005 {
            guard value.count == 8 || value.count == 20, let ip = IPAddress(bytes: Array(value[4...])) else { continue }
            return TransportAddress(ip, UInt16(value[2]) << 8 | UInt16(value[3]))
        }
        return nil
    }
}
