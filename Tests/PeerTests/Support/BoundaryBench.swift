import DTLSSRTP
import ICE
import Peer
import Primitives
import SDP
import SimulatedNetwork
import SimulatedTURN

/// Phones outside, a peer inside with a call for each, a port-level proxy between them, in virtual time: whole engines on
/// both sides. The inside's calls have a port each, or all share one.
///
/// Each phone is `left`, its counterpart inside `right`, of the call with the same index.
final class BoundaryBench {
    struct Call {
        var phone: ScenarioPeer
        var inside: ScenarioPeer
        var member: SharedSocketTable.Member?
        /// When the phone last got an answer, or began.
        var lastAnswer = Instant.zero
        var phoneUfrag = ""
        var mutedAt: Instant?
        /// Datagrams the inside sent to an address that is the phone's own, after a pair was selected.
        var straySends = 0
        var restartsWanted = 0
        var dtlsDepartures = 0
        var lastMediaOut: Instant?
        /// When each path last gave the inside consent to send on it.
        var lastConsent: [NetworkPath: Instant] = [:]
    }

    let options: BoundaryOptions
    let seed: UInt64
    var simulation: Simulation
    var calls: [Call] = []
    private(set) var now = Instant.zero
    let proxy: ProxyID?
    let phoneNAT: NATID?
    let insideHost: HostID
    var table = SharedSocketTable()
    /// TCP of the inside, and of each phone; all of the inside's calls share one listener.
    private(set) var insideStreams: VirtualStreams
    private(set) var phoneStreams: [VirtualStreams] = []
    private var random: RandomSource
    /// The TURN server inside, where the scenario has one.
    var relay: (host: HostID, server: TURNServer)?

    /// Changes or swallows what signalling carries: the call, whom it is for, and the text of a description or candidate.
    var filter: (_ call: Int, _ to: Side, _ text: String) -> String? = { $2 }
    /// How much later a message arrives.
    var lateness: (_ call: Int, _ to: Side, _ isDescription: Bool) -> TimeDelta = { _, _, _ in .zero }
    /// Sees what leaves or reaches the inside; `nil` swallows it.
    var onInsideArrival: ((Datagram) -> Datagram?)?
    var onPhoneArrival: ((Int, Datagram) -> Datagram?)?
    private(set) var asleep: Set<Int> = []
    /// The deadline of each peer, two a call, as of its last turn.
    private var dues: [Instant?] = []

    private enum Message {
        case description(DescriptionType, String)
        case candidate(CandidateAttribute, mid: String, index: Int)
        case end
    }
    private var signals: [(at: Instant, order: Int, call: Int, to: Side, message: Message)] = []
    private var actions: [(at: Instant, order: Int, body: (BoundaryBench) throws -> Void)] = []
    private var order = 0

    static let front = IPAddress(v4: 0xCB00_7128)
    static let frontV6 = IPAddress(v6: 0x2001_0DB8_0001_0000, 0x40)
    static let back = IPAddress(v4: 0xC000_0283)
    static let inside = IPAddress(v4: 0xC000_0285)

    init(_ options: BoundaryOptions = BoundaryOptions(), seed: UInt64 = 1) throws {
        self.options = options
        self.seed = seed
        var random = RandomSource.seeded(seed)
        var simulation = Simulation(seed: random.next())
        if options.kind == .none {
            insideHost = simulation.addHost("pc", addresses: [Self.inside])
            proxy = nil
        } else {
            let inner = simulation.addNetwork("inner", noRoute: options.egress)
            let rule = ProxyRule(
                outside: UInt16(
                    Int(options.pool.lowerBound) + options.offset)...UInt16(
                        Int(options.pool.upperBound) + options.offset),
                offset: -options.offset, target: Self.inside)
            var configuration = ProxyConfiguration(
                rules: [rule] + options.relayRules, idleTimeout: options.idle, refresh: options.refresh)
            configuration.maximumFlows = options.maximumFlows
            configuration.whenFull = options.whenFull
            configuration.passesErrors = options.kind == .nft
            configuration.carries = options.carries
            proxy = simulation.addProxy(
                "proxy", configuration, front: [Self.front, Self.frontV6], back: [Self.back], inside: inner)
            insideHost = simulation.addHost("pc", addresses: [Self.inside], in: inner)
            relay = options.turn.map { configuration in
                (simulation.addHost("turn", addresses: [Self.turn], in: inner), TURNServer(configuration, seed: seed))
            }
        }
        phoneNAT = options.nat.configuration.map {
            simulation.addNAT("phone NAT", $0, external: [IPAddress(v4: 0xCB00_7114)])
        }
        self.simulation = simulation
        self.random = random
        insideStreams = VirtualStreams(host: insideHost)
        for index in 0..<options.phones { try addCall(index) }
    }

    private func addCall(_ index: Int) throws {
        let link = Link.symmetric(options.link)
        let number = UInt32(index)
        let host: HostID
        if let phoneNAT {
            host = simulation.addHost(
                "phone \(index)", addresses: [IPAddress(v4: 0x0A01_000A + number)], behind: phoneNAT, link: link)
        } else {
            let v4 = IPAddress(v4: 0xCB00_7180 + number)
            let v6 = IPAddress(v6: 0x2001_0DB8_0001_0000, 0x1000 + UInt64(index))
            let addresses = options.hasIPv6Outside ? (options.hasIPv4Outside ? [v4, v6] : [v6]) : [v4]
            host = simulation.addHost("phone \(index)", addresses: addresses, link: link)
        }
        let mapping = try AddressMapping(parsing: options.kind == .none ? "" : options.rules)
        func peer(_ side: Side, _ host: HostID) throws -> ScenarioPeer {
            let certificate = try SeededRandomness.run(&random) {
                try Certificate.generate(at: ScenarioCall.unixStart / 1_000_000_000)
            }
            let isOfferer = (side == .left) == options.phoneOffers
            var configuration = PeerConfiguration(
                role: isOfferer ? .controlling : .controlled, certificate: certificate)
            configuration.clock = .virtual
            configuration.isDeterministic = true
            if side == .left {
                if options.isChromium {
                    configuration.ice.nominationPolicy = .everyCheck
                    configuration.ice.consentInterval = .milliseconds(2_660)
                    configuration.ice.disconnectAfter = .milliseconds(6_000)
                }
                options.configurePhone(&configuration)
            } else {
                configuration.ice.mapping = mapping
                options.configureInside(&configuration)
            }
            let engine = PeerEngine(
                configuration: configuration, random: random.split(),
                wallClock: WallClock(instant: .zero, unixNanoseconds: ScenarioCall.unixStart))
            let peer = ScenarioPeer(side: side, host: host, engine: engine)
            let kinds: [MediaKind] = options.hasVideo ? [.audio, .video] : [.audio]
            for (index, kind) in kinds.enumerated() {
                try peer.engine.addTransceiver(kind, direction: .sendReceive)
                peer.tracks.append(
                    SyntheticTrack(
                        kind, mid: "\(index)", interval: kind == .video ? .microseconds(33_333) : .milliseconds(20),
                        bitrate: kind == .video ? options.videoBitrate : 32_000, random: random.split()))
            }
            return peer
        }
        calls.append(Call(phone: try peer(.left, host), inside: try peer(.right, insideHost)))
        if options.isShared { calls[index].member = table.join() }
        phoneStreams.append(VirtualStreams(host: host))
    }

    subscript(call: Int, side: Side) -> ScenarioPeer { side == .left ? calls[call].phone : calls[call].inside }
    var areConnected: Bool { calls.allSatisfy { $0.phone.isConnected && $0.inside.isConnected } }
    func isConnected(_ call: Int) -> Bool { calls[call].phone.isConnected && calls[call].inside.isConnected }

    func base(of call: Int, _ side: Side) -> TransportAddress {
        if side == .right {
            return TransportAddress(Self.inside, 30_008 + (options.isShared ? 0 : UInt16(call)))
        }
        return TransportAddress(simulation.addresses(of: calls[call].phone.host)[0], 50_000)
    }

    // MARK: Doing

    /// Opens sockets, gathers, and begins the exchange of a call.
    func start(_ call: Int = 0) throws {
        calls[call].lastAnswer = now
        for side in Side.allCases {
            let now = now
            let bases =
                side == .right
                ? [base(of: call, side)]
                : simulation.addresses(of: calls[call].phone.host).map { TransportAddress($0, 50_000) }
            for base in bases { simulation.open(base, on: self[call, side].host) }
            let connecting = streamBases(of: call, side)
            try turn(call, side) { [options] engine, out in
                let sockets = options.hasUDP ? bases.map { LocalBase(address: $0) } : []
                engine.gather(bases: sockets + connecting, at: now, into: &out)
            }
        }
        try offer(call, from: options.phoneOffers ? .left : .right)
    }

    func startAll() throws { for call in calls.indices { try start(call) } }

    func offer(_ call: Int, from side: Side, iceRestart: Bool = false) throws {
        let now = now
        var text = ""
        try turn(call, side) { engine, out in
            let offer = try engine.createOffer(iceRestart: iceRestart, at: now, into: &out)
            try engine.setLocalDescription(offer, type: .offer, at: now, into: &out)
            text = offer.serialized
        }
        signal(call, side.other, .description(.offer, text))
    }

    func at(_ instant: Instant, _ body: @escaping (BoundaryBench) throws -> Void) {
        order += 1
        actions.append((instant, order, body))
    }

    /// A phone that sleeps neither hears nor does anything; what reaches it meanwhile is lost.
    func setAsleep(_ isAsleep: Bool, _ call: Int = 0) {
        if isAsleep { asleep.insert(call) } else { asleep.remove(call) }
    }

    // MARK: Running

    func run(for length: TimeDelta) throws { try run(until: now + length) }

    @discardableResult
    func run(until end: Instant, stop: (BoundaryBench) -> Bool = { _ in false }) throws -> Bool {
        var arrivals: [Arrival] = []
        var stepsHere = 0
        refreshDues()
        while let due = nextDue, due <= end {
            if due > now { stepsHere = 0 }
            now = Swift.max(now, due)
            stepsHere += 1
            guard stepsHere < 50_000 else { throw BoundaryError("time stands still at \(now)", seed) }
            arrivals.removeAll(keepingCapacity: true)
            simulation.advance(to: now, into: &arrivals)
            for arrival in arrivals { try deliver(arrival) }
            if options.hasTCP { try serveStreams() }
            while let index = actions.indices.filter({ actions[$0].at <= now })
                .min(by: { (actions[$0].at, actions[$0].order) < (actions[$1].at, actions[$1].order) })
            {
                try actions.remove(at: index).body(self)
                refreshDues()
            }
            try deliverSignals()
            for call in calls.indices {
                for side in Side.allCases { try advance(call, side) }
            }
            if options.hasTCP { try serveStreams() }
            turnRelay { $0.advance(to: $1, into: &$2) }
            if stop(self) { return true }
        }
        now = Swift.max(now, end)
        return false
    }

    /// Peers can be changed between runs and by actions; else a deadline changes in a turn only.
    private func refreshDues() {
        dues = calls.flatMap { [$0.phone.deadline, $0.inside.deadline] }
    }

    private var nextDue: Instant? {
        var due = earliest(simulation.nextEvent, streamsDeadline)
        for call in calls.indices {
            for side in Side.allCases where side == .right || !asleep.contains(call) {
                due = earliest(due, dues[call * 2 + side.rawValue])
            }
        }
        for entry in signals { due = earliest(due, entry.at) }
        for action in actions { due = earliest(due, action.at) }
        due = earliest(due, relay?.server.deadline)
        return due.map { Swift.max($0, now) }
    }

    private func deliver(_ arrival: Arrival) throws {
        if deliverStream(arrival) { return }
        if arrival.host == relay?.host { return deliverToRelay(arrival.delivery) }
        if arrival.host == insideHost { return try deliverInside(arrival) }
        guard let call = calls.firstIndex(where: { $0.phone.host == arrival.host }), !asleep.contains(call) else {
            return
        }
        let now = now
        switch arrival.delivery {
        case .datagram(let datagram):
            guard let datagram = onPhoneArrival?(call, datagram) ?? (onPhoneArrival == nil ? datagram : nil) else {
                return
            }
            if isAnswer(datagram) { calls[call].lastAnswer = now }
            try turn(call, .left) { $0.receive(datagram, at: now, into: &$1) }
        case .unreachable(let path, let reason):
            try turn(call, .left) { $0.noteUnreachable(path, reason: "\(reason)", at: now, into: &$1) }
        }
    }

    private func deliverInside(_ arrival: Arrival) throws {
        let now = now
        switch arrival.delivery {
        case .datagram(let original):
            var datagram = original
            if let onInsideArrival {
                guard let changed = onInsideArrival(original) else { return }
                datagram = changed
            }
            try give(datagram)
        case .unreachable(let path, let reason):
            let concerned =
                options.isShared
                ? table.members(unreachable: path.remote).compactMap { member in
                    calls.firstIndex { $0.member == member }
                } : calls.indices.filter { base(of: $0, .right) == path.local }
            for call in concerned {
                try turn(call, .right) { $0.noteUnreachable(path, reason: "\(reason)", at: now, into: &$1) }
            }
        }
    }

    /// A datagram that reaches the inside now, whoever sent it; tells whose it was.
    @discardableResult
    func give(_ datagram: Datagram) throws -> Int? {
        let now = now
        let call: Int?
        if options.isShared {
            let member = table.member(for: datagram, at: now)
            call = calls.firstIndex { $0.member == member && member != nil }
        } else {
            call = calls.indices.first { base(of: $0, .right) == datagram.path.local }
        }
        guard let call else { return nil }
        noteConsent(datagram, call)
        try turn(call, .right) { $0.receive(datagram, at: now, into: &$1) }
        return call
    }

    private func advance(_ call: Int, _ side: Side) throws {
        guard side == .right || !asleep.contains(call), let due = dues[call * 2 + side.rawValue], due <= now else {
            return
        }
        let peer = self[call, side]
        if let due = peer.engine.deadline, due <= now {
            let now = now
            try turn(call, side) { $0.advance(to: now, into: &$1) }
            if let next = peer.engine.deadline, next <= now {
                throw BoundaryError("\(side)'s engine broke its promise at \(now): \(next)", seed)
            }
        }
        for index in peer.tracks.indices {
            while let frame = peer.tracks[index].produce(at: now) {
                let reason = peer.engine.send(frame, mid: peer.tracks[index].mid, at: now, into: &peer.out)
                if let reason { peer.tracks[index].refused(because: reason.rawValue) }
                try drain(call, peer)
            }
        }
        dues[call * 2 + side.rawValue] = peer.deadline
    }

    func turn(
        _ call: Int, _ side: Side, _ body: (inout PeerEngine, inout PeerEngine.Output) throws -> Void
    ) throws {
        let peer = self[call, side]
        do {
            try body(&peer.engine, &peer.out)
        } catch {
            throw BoundaryError("\(side) of call \(call): \(error)", seed)
        }
        try drain(call, peer)
        if !dues.isEmpty { dues[call * 2 + side.rawValue] = peer.deadline }
    }

    private func drain(_ call: Int, _ peer: ScenarioPeer) throws {
        if peer.side == .right, let member = calls[call].member {
            _ = table.setUfrags(peer.engine.localUfrags, of: member)
        }
        if options.hasTCP { streams(of: call, peer.side).setUfrags(peer.engine.localUfrags, of: call) }
        guard !peer.out.isEmpty else { return }
        for datagram in peer.out.datagrams { try depart(datagram, call, peer) }
        for entry in peer.out.trace { peer.note(entry) }
        let events = peer.out.events
        peer.out.removeAll()
        for event in events {
            peer.note(event, at: now)
            let isTold = peer.engine.signalingState != .stable || peer.engine.negotiatedSession != nil
            switch event {
            case .connectionWanted(let path): streams(of: call, peer.side).connect(path, for: call, at: now)
            case .connectionUnwanted(let path): streams(of: call, peer.side).close(path, of: call, at: now)
            case .localCandidate(let candidate, let mid, let index):
                if isTold { signal(call, peer.side.other, .candidate(candidate, mid: mid, index: index)) }
            case .gatheringComplete:
                if isTold { signal(call, peer.side.other, .end) }
            case .restartWanted:
                guard peer.side == .right else { continue }
                calls[call].restartsWanted += 1
                if options.offersRestarts, peer.engine.signalingState == .stable {
                    try offer(call, from: .right, iceRestart: true)
                }
            default: break
            }
        }
    }

    private func depart(_ datagram: Datagram, _ call: Int, _ peer: ScenarioPeer) throws {
        let kind = PacketClass(datagram.bytes)
        if kind == .dtls { calls[call].dtlsDepartures += 1 }
        if peer.side == .left {
            guard !isMute(call) else { return }
        } else {
            if kind == .rtp { calls[call].lastMediaOut = now }
            if kind == .stun {
                // A lite agent asks nobody for consent: a request that it found authentic, and answered, has to do.
                if peer.engine.configuration.ice.isLite, datagram.bytes.prefix(2) == [1, 1] {
                    calls[call].lastConsent[datagram.path] = now
                }
            } else if kind != .turnChannel {
                // RFC 7675 §5.1, in every scenario: consent of this very path, less than 30 s ago.
                guard let consent = calls[call].lastConsent[datagram.path], now - consent < .seconds(30) else {
                    throw BoundaryError(
                        "call \(call) sends \(kind) on \(datagram.path) without consent at \(now)", seed)
                }
            }
            if let member = calls[call].member { table.noteSent(datagram, by: member, at: now) }
            if !peer.selectedPairs.isEmpty, datagram.path.remote.ip != Self.back, proxy != nil {
                calls[call].straySends += 1
            }
        }
        if datagram.path.transport == .tcp {
            guard !streams(of: call, peer.side).send(datagram, of: call, at: now) else { return }
            return peer.engine.noteDiscarded(datagram.path, packets: 1, bytes: datagram.bytes.count)
        }
        simulation.send(datagram, from: peer.host, at: now)
    }

    /// Chromium gives up 15 s after the last answer and is silent until its next generation.
    private func isMute(_ call: Int) -> Bool {
        guard options.isChromium else { return false }
        let ufrag = calls[call].phone.engine.localUfrags[0]
        if ufrag != calls[call].phoneUfrag {
            calls[call].phoneUfrag = ufrag
            calls[call].lastAnswer = now
            calls[call].mutedAt = nil
        }
        if calls[call].phone.engine.negotiatedSession == nil { calls[call].lastAnswer = now }
        if calls[call].mutedAt == nil, now - calls[call].lastAnswer > .seconds(15) { calls[call].mutedAt = now }
        return calls[call].mutedAt != nil
    }

    // MARK: Signalling

    private func signal(_ call: Int, _ side: Side, _ message: Message) {
        var message = message
        var isDescription = false
        switch message {
        case .description(let type, let text):
            guard let changed = filter(call, side, text) else { return }
            message = .description(type, changed)
            isDescription = true
        case .candidate(let candidate, let mid, let index):
            guard let changed = filter(call, side, candidate.description),
                let parsed = try? CandidateAttribute(parsing: changed)
            else { return }
            message = .candidate(parsed, mid: mid, index: index)
        case .end:
            guard filter(call, side, "end") != nil else { return }
        }
        order += 1
        let at = now + options.signalingDelay + lateness(call, side, isDescription)
        signals.append((at, order, call, side, message))
    }

    private func deliverSignals() throws {
        while let index = signals.indices.filter({ signals[$0].at <= now })
            .min(by: { (signals[$0].at, signals[$0].order) < (signals[$1].at, signals[$1].order) })
        {
            let signal = signals.remove(at: index)
            try take(signal.message, call: signal.call, by: signal.to)
        }
    }

    private func take(_ message: Message, call: Int, by side: Side) throws {
        let now = now
        switch message {
        case .description(.offer, let text):
            var answer = ""
            try turn(call, side) { engine, out in
                try engine.setRemoteDescription(
                    try SessionDescription(parsing: text), type: .offer, at: now, into: &out)
                let description = try engine.createAnswer()
                try engine.setLocalDescription(description, type: .answer, at: now, into: &out)
                answer = description.serialized
            }
            signal(call, side.other, .description(.answer, answer))
        case .description(let type, let text):
            try turn(call, side) { engine, out in
                try engine.setRemoteDescription(try SessionDescription(parsing: text), type: type, at: now, into: &out)
            }
        case .candidate(let candidate, let mid, let index):
            try turn(call, side) { $0.addRemoteCandidate(candidate, mid: mid, mediaIndex: index, at: now, into: &$1) }
        case .end:
            try turn(call, side) { $0.endOfRemoteCandidates(at: now, into: &$1) }
        }
    }
}
