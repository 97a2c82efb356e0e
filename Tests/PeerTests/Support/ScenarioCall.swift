import DTLSSRTP
import Foundation
import ICE
import Peer
import Primitives
import RTP
import SDP
import SimulatedNetwork
import SimulatedTURN

/// Two engines, a simulated network and signalling between them, in virtual time: the rig of every scenario.
///
/// The clock moves only to the next thing that happens: an arrival, a deadline, a frame, a signal, an action of the
/// scenario. After every `advance(to: d)` the rig holds the engine to its promise, a deadline of `nil` or later than `d`,
/// and an instant that takes more than `stepBudget` steps is an error. One seed gives one run.
final class ScenarioCall {
    enum Message {
        case description(DescriptionType, String)
        case candidate(CandidateAttribute, mid: String, index: Int)
        case endOfCandidates
    }
    struct Signal {
        var at: Instant
        var to: Side
        var message: Message
    }
    /// One datagram as it leaves a peer.
    struct Departure: Hashable {
        var at: Instant
        var side: Side
        var kind: PacketClass
        var size: Int
    }

    let seed: UInt64
    var simulation: Simulation
    let topology: TwoPeers
    let left: ScenarioPeer
    let right: ScenarioPeer
    private(set) var now = Instant.zero
    private(set) var steps = 0
    var random: RandomSource
    /// A TURN server on a host of its own, where the scenario has one.
    var relay: (host: HostID, server: TURNServer)?
    /// Sees each datagram before it reaches the TURN server; `false` swallows it.
    var onRelayArrival: ((Datagram) -> Bool)?

    var signalingDelay = TimeDelta.zero
    /// Changes, delays or swallows what signalling carries.
    var signalFilter: (Signal) -> Signal? = { $0 }
    /// The side that takes its own offer back when another comes (the polite one of the W3C's perfect negotiation).
    var givesWay: Side?
    private var signals: [(order: Int, signal: Signal)] = []
    private var actions: [(at: Instant, order: Int, body: (ScenarioCall) throws -> Void)] = []
    private var order = 0

    /// Sees each datagram before it leaves a peer; `false` swallows it.
    var onDeparture: ((Side, inout Datagram) -> Bool)?
    /// Sees each datagram before it reaches a peer, as that peer sees it, and says what reaches it instead.
    var onArrival: ((Side, Datagram) -> [Datagram])?
    var keepsWire = false
    private(set) var wire: [Departure] = []
    var digestsWire = false
    private(set) var wireDigest = Digest()
    private(set) var datagrams = 0
    private(set) var bytes = 0
    private var lastDepartures: [[PacketClass: Instant]] = [[:], [:]]
    private var firstArrivals: [[PacketClass: Instant]] = [[:], [:]]
    private var departures: [[PacketClass: Int]] = [[:], [:]]
    /// When a path was last answered by a STUN success, for the rule that nothing but STUN leaves without it.
    private var lastSuccess: [[NetworkPath: Instant]] = [[:], [:]]
    private(set) var lastConsent: [Instant?] = [nil, nil]
    private var successes: [[Instant]] = [[], []]

    static let stepBudget = 20_000
    static let unixStart: Int64 = 1_700_000_000_000_000_000

    init(
        _ network: String = "rtt=100ms", seed: UInt64,
        configure: (Side, inout PeerConfiguration) -> Void = { _, _ in }
    ) throws {
        self.seed = seed
        var random = RandomSource.seeded(seed)
        let topology = Topology.twoPeers(try NetworkSpecification(parsing: network), seed: random.next())
        self.topology = topology
        simulation = topology.simulation
        func peer(_ side: Side, _ host: HostID) throws -> ScenarioPeer {
            let certificate = try SeededRandomness.run(&random) {
                try Certificate.generate(at: Self.unixStart / 1_000_000_000)
            }
            var configuration = PeerConfiguration(
                role: side == .left ? .controlling : .controlled, certificate: certificate)
            configuration.clock = .virtual
            configuration.isDeterministic = true
            configuration.stunServers = topology.stunServers.map { STUNServer(url: "stun:\($0)", address: $0) }
            configure(side, &configuration)
            let engine = PeerEngine(
                configuration: configuration, random: random.split(),
                wallClock: WallClock(instant: .zero, unixNanoseconds: Self.unixStart))
            return ScenarioPeer(side: side, host: host, engine: engine)
        }
        left = try peer(.left, topology.left)
        right = try peer(.right, topology.right)
        self.random = random
    }

    subscript(side: Side) -> ScenarioPeer { side == .left ? left : right }

    var areConnected: Bool { left.isConnected && right.isConnected }
    func lastDeparture(_ kind: PacketClass, from side: Side) -> Instant? { lastDepartures[side.rawValue][kind] }
    func firstArrival(_ kind: PacketClass, at side: Side) -> Instant? { firstArrivals[side.rawValue][kind] }
    func departures(_ kind: PacketClass, from side: Side) -> Int { departures[side.rawValue][kind] ?? 0 }

    /// The first STUN success that came, those of servers before `since` left aside.
    func firstSuccess(at side: Side, since: Instant) -> Instant? { successes[side.rawValue].first { $0 >= since } }

    // MARK: Setting up

    /// One m-section of each kind, on both sides, with synthetic media where a side sends.
    func addMedia(
        left leftKinds: [MediaKind] = [.audio, .video], right rightKinds: [MediaKind] = [.audio, .video],
        videoBitrate: Int = 1_000_000, audioBitrate: Int = 32_000, audioInterval: TimeDelta = .milliseconds(20),
        videoInterval: TimeDelta = .microseconds(33_333)
    ) throws {
        let kinds = MediaKind.allCases.filter { leftKinds.contains($0) || rightKinds.contains($0) }
        for (index, kind) in kinds.enumerated() {
            for side in Side.allCases {
                let mine = (side == .left ? leftKinds : rightKinds).contains(kind)
                let theirs = (side == .left ? rightKinds : leftKinds).contains(kind)
                let direction: MediaDirection = mine ? (theirs ? .sendReceive : .sendOnly) : .receiveOnly
                try self[side].engine.addTransceiver(kind, direction: direction)
                guard mine else { continue }
                self[side].tracks.append(
                    SyntheticTrack(
                        kind, mid: "\(index)", interval: kind == .video ? videoInterval : audioInterval,
                        bitrate: kind == .video ? videoBitrate : audioBitrate, random: random.split()))
            }
        }
    }

    func bases(of side: Side) -> [LocalBase] {
        simulation.addresses(of: self[side].host).map {
            LocalBase(address: TransportAddress($0, side == .left ? 40_000 : 50_000))
        }
    }

    /// Opens the sockets and gathers.
    func gather(_ side: Side) throws {
        for base in bases(of: side) { simulation.open(base.address, on: self[side].host) }
        let (bases, now) = (bases(of: side), now)
        try turn(side) { $0.gather(bases: bases, at: now, into: &$1) }
    }

    /// Gathers on both sides and begins the exchange; what comes later is trickled.
    func start(offerer: Side = .left) throws {
        for side in Side.allCases { try gather(side) }
        try offer(from: offerer)
    }

    func offer(from side: Side, iceRestart: Bool = false) throws {
        let now = now
        var text = ""
        try turn(side) { engine, out in
            let offer = try engine.createOffer(iceRestart: iceRestart, at: now, into: &out)
            try engine.setLocalDescription(offer, type: .offer, at: now, into: &out)
            text = offer.serialized
        }
        signal(.description(.offer, text), to: side.other)
    }

    // MARK: Running

    func at(_ instant: Instant, _ body: @escaping (ScenarioCall) throws -> Void) {
        order += 1
        actions.append((instant, order, body))
    }

    func run(for length: TimeDelta) throws { try run(until: now + length) }

    /// Runs until `end`, or until `stop` says so after an instant. Returns whether `stop` did.
    @discardableResult
    func run(until end: Instant, stop: (ScenarioCall) -> Bool = { _ in false }) throws -> Bool {
        var arrivals: [Arrival] = []
        var stepsHere = 0
        while let due = nextDue, due <= end {
            if due > now { stepsHere = 0 }
            now = Swift.max(now, due)
            steps += 1
            stepsHere += 1
            guard stepsHere < Self.stepBudget else { throw ScenarioError("time stands still at \(now)", self) }
            arrivals.removeAll(keepingCapacity: true)
            simulation.advance(to: now, into: &arrivals)
            for arrival in arrivals { try deliver(arrival) }
            try performActions()
            try deliverSignals()
            for side in Side.allCases { try advance(side) }
            turnRelay { $0.advance(to: $1, into: &$2) }
            if stop(self) { return true }
        }
        now = Swift.max(now, end)
        return false
    }

    /// Runs until both sides are connected; an error after `limit`.
    func connect(within limit: TimeDelta = .milliseconds(30_000)) throws {
        guard try run(until: now + limit, stop: { $0.areConnected }) else {
            throw ScenarioError("no connection within \(limit): left \(left.state), right \(right.state)", self)
        }
    }

    private var nextDue: Instant? {
        var due = earliest(left.deadline, right.deadline)
        due = earliest(due, simulation.nextEvent)
        for entry in signals { due = earliest(due, entry.signal.at) }
        for action in actions { due = earliest(due, action.at) }
        due = earliest(due, relay?.server.deadline)
        return due
    }

    private func deliver(_ arrival: Arrival) throws {
        if arrival.host == relay?.host { return deliverToRelay(arrival.delivery) }
        let side: Side = arrival.host == left.host ? .left : .right
        let now = now
        switch arrival.delivery {
        case .datagram(let datagram):
            for datagram in onArrival?(side, datagram) ?? [datagram] { try inject(datagram, to: side) }
        case .unreachable(let path, let reason):
            try turn(side) { $0.noteUnreachable(path, reason: "\(reason)", at: now, into: &$1) }
        }
    }

    private func deliverToRelay(_ delivery: Delivery) {
        switch delivery {
        case .datagram(let datagram):
            guard onRelayArrival?(datagram) ?? true else { return }
            turnRelay { $0.receive(datagram, at: $1, into: &$2) }
        case .unreachable(let path, let reason):
            turnRelay { $0.noteUnreachable(path, reason, at: $1, into: &$2) }
        }
    }

    private func turnRelay(_ body: (inout TURNServer, Instant, inout [Datagram]) -> Void) {
        guard let host = relay?.host else { return }
        var out: [Datagram] = []
        if relay != nil { body(&relay!.server, now, &out) }
        for datagram in out { simulation.send(datagram, from: host, at: now) }
    }

    /// A datagram that reaches a peer now, whoever sent it.
    func inject(_ datagram: consuming Datagram, to side: Side) throws {
        let now = now
        let kind = PacketClass(datagram.bytes)
        if firstArrivals[side.rawValue][kind] == nil { firstArrivals[side.rawValue][kind] = now }
        if kind == .stun, datagram.bytes.prefix(2) == [1, 1], !topology.stunServers.contains(datagram.path.remote) {
            lastSuccess[side.rawValue][datagram.path] = now
            lastConsent[side.rawValue] = now
            if successes[side.rawValue].count < 100 { successes[side.rawValue].append(now) }
        }
        let peer = self[side]
        peer.engine.receive(datagram, at: now, into: &peer.out)
        try drain(peer)
    }

    private func advance(_ side: Side) throws {
        let peer = self[side]
        if let due = peer.engine.deadline, due <= now {
            peer.engine.advance(to: now, into: &peer.out)
            if let next = peer.engine.deadline, next <= now {
                throw ScenarioError(
                    "\(side)'s engine broke its promise: advanced to \(now), deadline \(next) of "
                        + (peer.engine.nextTimer?.rawValue ?? "nothing"), self)
            }
            try drain(peer)
        }
        for index in peer.tracks.indices {
            while let frame = peer.tracks[index].produce(at: now) {
                let reason = peer.engine.send(frame, mid: peer.tracks[index].mid, at: now, into: &peer.out)
                if let reason { peer.tracks[index].refused(because: reason.rawValue) }
                try drain(peer)
            }
        }
    }

    /// Calls the engine and takes what it wants done.
    func turn(_ side: Side, _ body: (inout PeerEngine, inout PeerEngine.Output) throws -> Void) throws {
        let peer = self[side]
        do {
            try body(&peer.engine, &peer.out)
        } catch {
            throw ScenarioError("\(side): \(error)", self)
        }
        try drain(peer)
    }

    private func drain(_ peer: ScenarioPeer) throws {
        guard !peer.out.isEmpty else { return }
        for datagram in peer.out.datagrams { try depart(datagram, from: peer) }
        for entry in peer.out.trace { peer.note(entry) }
        let events = peer.out.events
        peer.out.removeAll()
        for event in events {
            peer.note(event, at: now)
            switch event {
            case .localCandidate(let candidate, let mid, let index):
                // What is known when a description is made is in it; what comes later is trickled.
                if peer.engine.signalingState != .stable || peer.engine.negotiatedSession != nil {
                    signal(.candidate(candidate, mid: mid, index: index), to: peer.side.other)
                }
            case .gatheringComplete:
                if peer.engine.signalingState != .stable || peer.engine.negotiatedSession != nil {
                    signal(.endOfCandidates, to: peer.side.other)
                }
            default: break
            }
        }
    }

    private func depart(_ datagram: Datagram, from peer: ScenarioPeer) throws {
        var datagram = datagram
        guard onDeparture?(peer.side, &datagram) ?? true else { return }
        let kind = PacketClass(datagram.bytes)
        if kind != .stun, kind != .turnChannel {
            // RFC 7675 §5.1, in every scenario: consent of this very path, less than 30 s ago.
            guard let consent = lastSuccess[peer.side.rawValue][datagram.path], now - consent < .milliseconds(30_000)
            else { throw ScenarioError("\(peer.side) sends \(kind) on \(datagram.path) without consent", self) }
        }
        lastDepartures[peer.side.rawValue][kind] = now
        departures[peer.side.rawValue][kind, default: 0] += 1
        datagrams += 1
        bytes += datagram.bytes.count
        if keepsWire { wire.append(Departure(at: now, side: peer.side, kind: kind, size: datagram.bytes.count)) }
        if digestsWire {
            wireDigest.combine(UInt64(truncatingIfNeeded: now.nanoseconds))
            wireDigest.combine(UInt64(datagram.path.remote.port) << 16 | UInt64(datagram.path.local.port))
            wireDigest.combine(datagram.bytes)
        }
        simulation.send(datagram, from: peer.host, at: now)
    }

    // MARK: Signalling and actions

    func signal(_ message: Message, to side: Side) {
        guard let signal = signalFilter(Signal(at: now + signalingDelay, to: side, message: message)) else { return }
        order += 1
        signals.append((order, signal))
    }

    private func deliverSignals() throws {
        while let index = signals.indices.filter({ signals[$0].signal.at <= now })
            .min(by: { (signals[$0].signal.at, signals[$0].order) < (signals[$1].signal.at, signals[$1].order) })
        {
            let signal = signals.remove(at: index).signal
            try take(signal.message, by: signal.to)
        }
    }

    private func take(_ message: Message, by side: Side) throws {
        let now = now
        switch message {
        case .description(.offer, let text):
            var answer = ""
            try turn(side) { engine, out in
                if engine.signalingState == .haveLocalOffer, givesWay == side {
                    try engine.rollback(at: now, into: &out)
                }
                try engine.setRemoteDescription(
                    try SessionDescription(parsing: text), type: .offer, at: now, into: &out)
                let description = try engine.createAnswer()
                try engine.setLocalDescription(description, type: .answer, at: now, into: &out)
                answer = description.serialized
            }
            signal(.description(.answer, answer), to: side.other)
        case .description(let type, let text):
            try turn(side) { engine, out in
                try engine.setRemoteDescription(try SessionDescription(parsing: text), type: type, at: now, into: &out)
            }
        case .candidate(let candidate, let mid, let index):
            try turn(side) { $0.addRemoteCandidate(candidate, mid: mid, mediaIndex: index, at: now, into: &$1) }
        case .endOfCandidates:
            try turn(side) { $0.endOfRemoteCandidates(at: now, into: &$1) }
        }
    }

    private func performActions() throws {
        while let index = actions.indices.filter({ actions[$0].at <= now })
            .min(by: { (actions[$0].at, actions[$0].order) < (actions[$1].at, actions[$1].order) })
        {
            try actions.remove(at: index).body(self)
        }
    }

    /// Stops the sources and lets what is under way arrive.
    func stopMedia(draining length: TimeDelta = .milliseconds(2_000)) throws {
        for side in Side.allCases {
            for index in self[side].tracks.indices { self[side].tracks[index].isPaused = true }
        }
        try run(for: length)
    }

    // MARK: The network

    /// Cuts or mends the link of a side, both ways or one.
    func setCut(_ isCut: Bool, _ side: Side = .left, up: Bool = true, down: Bool = true) {
        let id = simulation.link(of: self[side].host)
        var link = simulation.configuration(of: id)
        let outages = isCut ? [now..<Instant(nanoseconds: .max)] : []
        if up { link.up.outages = outages }
        if down { link.down.outages = outages }
        simulation.configure(id, link)
    }
}

struct ScenarioError: Error, CustomStringConvertible {
    var description: String
    init(_ text: String, _ call: ScenarioCall) {
        description = "\(text) (seed \(call.seed), at \(call.now); replay with SIM_SEED=\(call.seed))"
    }
}

/// Seconds of processor time this thread has used.
func threadSeconds() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
