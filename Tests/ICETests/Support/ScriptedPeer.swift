import ICE
import Primitives
import Testing

/// A peer of which the test says every word. Its agent is under test on the other side.
struct ScriptedPeer {
    var agent: ICEAgent
    var out = ICEAgent.Output()
    var now = Instant.zero
    let credentials = ICECredentials(ufrag: "PEER", password: "peerpasswordpeerpassword")
    let base: TransportAddress
    var random = RandomSource.seeded(99)
    var role = ICERole.controlling
    var tieBreaker: UInt64 = 7

    init(_ configuration: ICEAgent.Configuration, base: String = "192.0.2.1:4000", seed: UInt64 = 5) {
        agent = ICEAgent(configuration: configuration, random: .seeded(seed))
        self.base = address(base)
        role = agent.role.opposite
    }

    mutating func gather() {
        agent.gather(bases: [LocalBase(address: base)], at: now, into: &out)
    }

    mutating func describe(isLite: Bool = false) {
        agent.setRemoteDescription(credentials: credentials, isLite: isLite, at: now, into: &out)
    }

    mutating func addCandidate(_ text: String, priority: UInt32? = nil, type: CandidateType = .host) {
        agent.addRemoteCandidate(
            Candidate(
                remoteFoundation: "1",
                priority: priority ?? CandidatePriority.candidate(type: type, localPreference: 65_535),
                address: address(text), type: type),
            at: now, into: &out)
    }

    /// Both descriptions, no candidates.
    static func ready(_ configuration: ICEAgent.Configuration) -> ScriptedPeer {
        var peer = ScriptedPeer(configuration)
        peer.gather()
        peer.describe()
        peer.out.removeAll()
        return peer
    }

    func path(_ from: String) -> NetworkPath { NetworkPath(local: base, remote: address(from)) }

    mutating func request(
        useCandidate: Bool = false, priority: UInt32? = nil, password: String? = nil, username: String? = nil,
        extra: [STUNAttribute] = []
    ) -> [UInt8] {
        var message = STUNMessage(.request, transactionID: STUNTransactionID(using: &random))
        message.attributes = [
            .username(username ?? "\(agent.localCredentials.ufrag):\(credentials.ufrag)"),
            .priority(priority ?? CandidatePriority.candidate(type: .peerReflexive, localPreference: 65_535)),
            role == .controlling ? .iceControlling(tieBreaker) : .iceControlled(tieBreaker),
        ]
        if useCandidate { message.attributes.append(.useCandidate) }
        message.attributes += extra
        return message.encoded(
            integrity: MessageIntegrityKey(password: password ?? agent.localCredentials.password))
    }

    /// Delivers bytes and gives what the agent sent.
    @discardableResult
    mutating func deliver(_ bytes: [UInt8], from: String) -> [Datagram] {
        out.removeAll()
        agent.receive(Datagram(bytes: bytes, path: path(from)), at: now, into: &out)
        return out.datagrams
    }

    @discardableResult
    mutating func check(
        from: String, useCandidate: Bool = false, priority: UInt32? = nil, extra: [STUNAttribute] = []
    ) -> [Datagram] {
        deliver(request(useCandidate: useCandidate, priority: priority, extra: extra), from: from)
    }

    /// The success response to one of the agent's checks.
    func answer(
        _ check: Datagram, mapped: TransportAddress? = nil, password: String? = nil, extra: [STUNAttribute] = []
    ) throws -> [UInt8] {
        let request = try STUNMessage(parsing: check.bytes)
        return STUNMessage(
            .success, transactionID: request.transactionID,
            attributes: [.xorMappedAddress(mapped ?? check.path.local)] + extra
        ).encoded(integrity: MessageIntegrityKey(password: password ?? credentials.password))
    }

    func error(_ check: Datagram, _ error: STUNErrorCode, isAuthenticated: Bool = true) throws -> [UInt8] {
        let request = try STUNMessage(parsing: check.bytes)
        return STUNMessage(.error, transactionID: request.transactionID, attributes: [.errorCode(error)])
            .encoded(integrity: isAuthenticated ? MessageIntegrityKey(password: credentials.password) : nil)
    }

    /// Answers each of the agent's checks among `datagrams`, and those that follow from that, up to a few rounds.
    mutating func answerAll(_ datagrams: [Datagram], except silent: Set<String> = []) throws {
        var waiting = datagrams
        for _ in 0..<10 where !waiting.isEmpty {
            var next: [Datagram] = []
            for datagram in waiting {
                let message = try STUNMessage(parsing: datagram.bytes)
                guard message.messageClass == .request, !silent.contains("\(datagram.path.remote)") else { continue }
                next += deliver(try answer(datagram), from: "\(datagram.path.remote)")
            }
            waiting = next
        }
    }

    /// Advances to a time, through every deadline before it; checks to all but `silent` are answered at once.
    mutating func run(until end: Instant, silent: Set<String> = []) throws {
        while let deadline = agent.deadline, deadline <= end {
            now = max(now, deadline)
            out.removeAll()
            agent.advance(to: now, into: &out)
            if let next = agent.deadline { #expect(next > now) }
            try answerAll(out.datagrams, except: silent)
        }
        now = end
    }

    mutating func run(for span: TimeDelta, silent: Set<String> = []) throws {
        try run(until: now + span, silent: silent)
    }
}

/// The requests among datagrams.
func requests(_ datagrams: [Datagram]) -> [Datagram] {
    datagrams.filter { (try? STUNMessage(parsing: $0.bytes))?.messageClass == .request }
}

func responses(_ datagrams: [Datagram]) -> [STUNMessage] {
    datagrams.compactMap { try? STUNMessage(parsing: $0.bytes) }.filter {
        $0.messageClass == .success || $0.messageClass == .error
    }
}
