import ICE
import Primitives
import Testing

/// What the network carries: addresses as they are on the wire at that point.
struct Packet {
    var source: TransportAddress
    var destination: TransportAddress
    var bytes: [UInt8]
}

/// A place in the network that rewrites packets, or swallows them.
protocol Middlebox: AnyObject {
    /// `nil` drops it.
    func forward(_ packet: Packet, at now: Instant) -> Packet?
}

/// One agent with all it ever said.
struct Node {
    var agent: ICEAgent
    var bases: [TransportAddress]
    var out = ICEAgent.Output()
    var events: [(at: Instant, event: ICEEvent)] = []
    var trace: [(at: Instant, entry: ICETrace)] = []
    var sent: [(at: Instant, datagram: Datagram)] = []
    /// Datagrams that are not delivered to it, for tests of one-way networks.
    var isDeaf = false

    /// The first time an event of this kind was seen.
    func time(of matches: (ICEEvent) -> Bool) -> Instant? { events.first { matches($0.event) }?.at }
    var states: [ICEConnectionState] {
        events.compactMap { if case .connectionStateChanged(let state) = $0.event { state } else { nil } }
    }
    var paths: [NetworkPath?] {
        events.compactMap { if case .sendingPathChanged(let path) = $0.event { .some(path) } else { nil } }
    }
    func sends(after time: Instant) -> Int { sent.filter { $0.at > time }.count }
    func traced(_ matches: (ICETrace) -> Bool) -> Int { trace.filter { matches($0.entry) }.count }
}

/// Two agents and the network between them, in virtual time.
struct Wire {
    var a: Node
    var b: Node
    var now = Instant.zero
    var oneWay: TimeDelta
    var loss: Double
    var middlebox: (any Middlebox)?
    private var random: RandomSource
    private var flying: [(at: Instant, order: Int, packet: Packet)] = []
    private var order = 0
    /// After a broken promise nothing more is learnt by going on.
    private var isBroken = false

    init(
        a: ICEAgent.Configuration = .init(role: .controlling), b: ICEAgent.Configuration = .init(role: .controlled),
        aBases: [String] = ["192.0.2.1:4000"], bBases: [String] = ["198.51.100.1:5000"],
        oneWay: TimeDelta = .milliseconds(50), loss: Double = 0, seed: UInt64 = 1
    ) {
        random = .seeded(seed)
        self.oneWay = oneWay
        self.loss = loss
        self.a = Node(
            agent: ICEAgent(configuration: a, random: random.split()), bases: aBases.map { address($0) })
        self.b = Node(
            agent: ICEAgent(configuration: b, random: random.split()), bases: bBases.map { address($0) })
    }

    /// Gathers on both sides, then exchanges descriptions with all candidates.
    mutating func connect() {
        gather()
        exchangeCredentials()
        exchangeCandidates()
    }

    mutating func gather() {
        drive(\.a) { agent, bases, now, out in agent.gather(bases: bases, at: now, into: &out) }
        drive(\.b) { agent, bases, now, out in agent.gather(bases: bases, at: now, into: &out) }
    }

    mutating func exchangeCredentials() {
        describe(to: \.a, from: \.b)
        describe(to: \.b, from: \.a)
    }

    mutating func describe(to receiver: WritableKeyPath<Wire, Node>, from sender: WritableKeyPath<Wire, Node>) {
        let credentials = self[keyPath: sender].agent.localCredentials
        let isLite = self[keyPath: sender].agent.configuration.isLite
        drive(receiver) { agent, _, now, out in
            agent.setRemoteDescription(credentials: credentials, isLite: isLite, at: now, into: &out)
        }
    }

    mutating func exchangeCandidates() {
        signalCandidates(to: \.a, from: \.b)
        signalCandidates(to: \.b, from: \.a)
    }

    mutating func signalCandidates(
        to receiver: WritableKeyPath<Wire, Node>, from sender: WritableKeyPath<Wire, Node>
    ) {
        let candidates = self[keyPath: sender].agent.localCandidates.filter { $0.type != .peerReflexive }
        for candidate in candidates {
            drive(receiver) { agent, _, now, out in
                agent.addRemoteCandidate(remoteForm(of: candidate), at: now, into: &out)
            }
        }
        drive(receiver) { agent, _, now, out in agent.endOfRemoteCandidates(at: now, into: &out) }
    }

    /// Calls into an agent and puts what it says where it belongs.
    mutating func drive(
        _ node: WritableKeyPath<Wire, Node>,
        _ body: (inout ICEAgent, [LocalBase], Instant, inout ICEAgent.Output) -> Void
    ) {
        let bases = self[keyPath: node].bases.map { LocalBase(address: $0) }
        var out = self[keyPath: node].out
        body(&self[keyPath: node].agent, bases, now, &out)
        for event in out.events { self[keyPath: node].events.append((now, event)) }
        for entry in out.trace { self[keyPath: node].trace.append((now, entry)) }
        for datagram in out.datagrams {
            self[keyPath: node].sent.append((now, datagram))
            launch(
                Packet(
                    source: datagram.path.local, destination: datagram.path.remote, bytes: datagram.bytes))
        }
        out.removeAll()
        self[keyPath: node].out = out
    }

    /// Puts a packet on the wire.
    mutating func launch(_ packet: Packet) {
        if loss > 0, Double.random(in: 0..<1, using: &random) < loss { return }
        var packet = packet
        if let middlebox {
            guard let forwarded = middlebox.forward(packet, at: now) else { return }
            packet = forwarded
        }
        order += 1
        flying.append((now + oneWay, order, packet))
    }

    mutating func run(for span: TimeDelta) { run(until: now + span) }

    mutating func run(until end: Instant) {
        for _ in 0..<200_000 where !isBroken {
            let arrival = flying.min { ($0.at, $0.order) < ($1.at, $1.order) }
            let next = earliest(arrival?.at, earliest(a.agent.deadline, b.agent.deadline))
            guard let next, next <= end else {
                now = max(now, end)
                return
            }
            now = max(now, next)
            if let arrival, arrival.at <= now {
                flying.removeAll { $0.order == arrival.order }
                deliver(arrival.packet)
                continue
            }
            if a.agent.deadline.map({ $0 <= now }) ?? false { advance(\.a) }
            if b.agent.deadline.map({ $0 <= now }) ?? false { advance(\.b) }
        }
        isBroken = true
        Issue.record("the step budget is used up at \(now)")
    }

    /// Runs until both can send, and gives the time; `nil` when they cannot by `end`.
    mutating func runUntilConnected(by end: Instant) -> Instant? {
        while now < end {
            if a.agent.sendingPath != nil, b.agent.sendingPath != nil { return now }
            run(until: min(end, now + .milliseconds(1)))
        }
        return nil
    }

    private mutating func deliver(_ packet: Packet) {
        let path = NetworkPath(local: packet.destination, remote: packet.source)
        let datagram = Datagram(bytes: packet.bytes, path: path)
        if a.bases.contains(packet.destination) {
            guard !a.isDeaf else { return }
            drive(\.a) { agent, _, now, out in agent.receive(datagram, at: now, into: &out) }
        } else if b.bases.contains(packet.destination) {
            guard !b.isDeaf else { return }
            drive(\.b) { agent, _, now, out in agent.receive(datagram, at: now, into: &out) }
        }
    }

    private mutating func advance(_ node: WritableKeyPath<Wire, Node>) {
        let seen = self[keyPath: node].trace.count
        drive(node) { agent, _, now, out in agent.advance(to: now, into: &out) }
        if !self[keyPath: node].trace[seen...].contains(where: { if case .timer = $0.entry { true } else { false } }) {
            isBroken = true
            Issue.record("woken at \(now) and no timer says why")
        }
        if let deadline = self[keyPath: node].agent.deadline, deadline <= now {
            Issue.record("deadline \(deadline) is not after \(now)")
            isBroken = true
        }
    }
}

func address(_ text: String) -> TransportAddress {
    guard let address = TransportAddress(text) else {
        Issue.record("\(text) is no address")
        return TransportAddress(.anyV4, 0)
    }
    return address
}

/// A candidate as the other side gets to know it: without what only concerns us.
func remoteForm(of candidate: Candidate) -> Candidate {
    Candidate(
        remoteFoundation: candidate.foundation, priority: candidate.priority, address: candidate.address,
        type: candidate.type, ufrag: candidate.ufrag)
}

extension Node {
    var isNominated: Bool { agent.selectedPair?.isNominated ?? false }
}
