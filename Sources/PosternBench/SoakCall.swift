import DTLSSRTP
import ICE
import Peer
import Primitives
import SDP
import SimulatedNetwork
import SimulatedTURN

/// Two engines on a simulated network in virtual time, sending each other synthetic audio and video for as long as asked:
/// what is looked at is whether anything grows with the length of the call.
struct SoakCall {
    struct Side {
        let host: HostID
        var engine: PeerEngine
        var tracks: [SoakTrack]
        var isConnected = false
        var wasEverLost = false

        var deadline: Instant? {
            tracks.reduce(engine.deadline) { earliest($0, $1.next) }
        }
    }

    private(set) var now = Instant.zero
    private(set) var sides: [Side]
    private(set) var datagrams = 0
    /// The negative twin: one datagram in so many is never let go of. `nil` leaks nothing.
    var leaksEach: Int?
    private var leaked: [Datagram] = []
    /// The TURN server that all goes through, where there is one: its nonces last a minute.
    private(set) var relay: (host: HostID, server: TURNServer)?
    private var simulation: Simulation
    private var out = PeerEngine.Output()

    /// Both sides connected and sending: audio at the rate of a voice (50 packets a second), video of 30 frames a second.
    init(network: String, isRelayed: Bool = false, seed: UInt64) throws {
        var random = RandomSource.seeded(seed)
        let topology = Topology.twoPeers(try NetworkSpecification(parsing: network), seed: random.next())
        simulation = topology.simulation
        let wallClock = WallClock(instant: .zero, unixNanoseconds: 1_700_000_000_000_000_000)
        sides = try [(topology.left, ICERole.controlling), (topology.right, .controlled)].map { host, role in
            let certificate = try SeededRandomness.run(&random) { try Certificate.generate(at: 1_700_000_000) }
            var configuration = PeerConfiguration(role: role, certificate: certificate)
            configuration.clock = .virtual
            configuration.isDeterministic = true
            if isRelayed {
                configuration.relayServers = [Self.server]
                configuration.ice.policy = .relay
            }
            var engine = PeerEngine(configuration: configuration, random: random.split(), wallClock: wallClock)
            try engine.addTransceiver(.audio, direction: .sendReceive)
            try engine.addTransceiver(.video, direction: .sendReceive)
            return Side(
                host: host, engine: engine,
                tracks: [
                    SoakTrack(.audio, mid: "0", interval: .milliseconds(20), bitrate: 24_000),
                    SoakTrack(.video, mid: "1", interval: .nanoseconds(33_333_333), bitrate: 200_000),
                ])
        }
        if isRelayed {
            var configuration = TURNServer.Configuration(
                listening: [Self.server.address], relayAddresses: [Self.server.address.ip])
            configuration.nonceLifetime = .seconds(60)
            let host = simulation.addHost("turn", addresses: [Self.server.address.ip])
            relay = (host, TURNServer(configuration, seed: seed))
        }
        try connect()
    }

    private static let server = RelayServer(
        url: "turn:203.0.113.20", address: TransportAddress(IPAddress(v4: 0xCB00_7114), 3_478),
        credential: TURNCredential(username: "alice", password: "a password"))

    var areConnected: Bool { sides.allSatisfy(\.isConnected) }

    private mutating func connect() throws {
        let offer = try sides[0].engine.createOffer(at: now, into: &out)
        try sides[0].engine.setLocalDescription(offer, type: .offer, at: now, into: &out)
        try sides[1].engine.setRemoteDescription(offer, type: .offer, at: now, into: &out)
        let answer = try sides[1].engine.createAnswer()
        try sides[1].engine.setLocalDescription(answer, type: .answer, at: now, into: &out)
        try sides[0].engine.setRemoteDescription(answer, type: .answer, at: now, into: &out)
        out.removeAll()
        for index in sides.indices {
            let bases = simulation.addresses(of: sides[index].host).map {
                LocalBase(address: TransportAddress($0, index == 0 ? 40_000 : 50_000))
            }
            for base in bases { simulation.open(base.address, on: sides[index].host) }
            sides[index].engine.gather(bases: bases, at: now, into: &out)
            drain(index)
        }
        run(until: now + .seconds(30)) { $0.areConnected }
        guard areConnected else { throw EnginePairError() }
    }

    /// Lets virtual time pass.
    mutating func run(until end: Instant, stop: (SoakCall) -> Bool = { _ in false }) {
        var arrivals: [Arrival] = []
        while true {
            var due = earliest(earliest(sides[0].deadline, sides[1].deadline), simulation.nextEvent)
            due = earliest(due, relay?.server.deadline)
            guard let due, due <= end else { break }
            now = max(now, due)
            arrivals.removeAll(keepingCapacity: true)
            simulation.advance(to: now, into: &arrivals)
            for arrival in arrivals { deliver(arrival) }
            for index in sides.indices { advance(index) }
            advanceRelay()
            if stop(self) { return }
        }
        now = max(now, end)
    }

    private mutating func deliver(_ arrival: Arrival) {
        guard case .datagram(let datagram) = arrival.delivery else { return }
        datagrams += 1
        if arrival.host == relay?.host {
            var answers: [Datagram] = []
            relay?.server.receive(datagram, at: now, into: &answers)
            return sendFromRelay(answers)
        }
        let index = arrival.host == sides[0].host ? 0 : 1
        if let leaksEach, datagrams % leaksEach == 0 { leaked.append(datagram) }
        sides[index].engine.receive(datagram, at: now, into: &out)
        drain(index)
    }

    private mutating func advanceRelay() {
        guard let due = relay?.server.deadline, due <= now else { return }
        var out: [Datagram] = []
        relay?.server.advance(to: now, into: &out)
        sendFromRelay(out)
    }

    private mutating func sendFromRelay(_ datagrams: [Datagram]) {
        guard let host = relay?.host else { return }
        for datagram in datagrams { simulation.send(datagram, from: host, at: now) }
    }

    private mutating func advance(_ index: Int) {
        if let due = sides[index].engine.deadline, due <= now {
            sides[index].engine.advance(to: now, into: &out)
            drain(index)
        }
        for track in sides[index].tracks.indices {
            while let frame = sides[index].tracks[track].produce(at: now) {
                sides[index].engine.send(frame, mid: sides[index].tracks[track].mid, at: now, into: &out)
                drain(index)
            }
        }
    }

    private mutating func drain(_ index: Int) {
        guard !out.isEmpty else { return }
        for datagram in out.datagrams { simulation.send(datagram, from: sides[index].host, at: now) }
        let events = out.events
        out.removeAll()
        for event in events { take(event, on: index) }
    }

    private mutating func take(_ event: PeerEvent, on index: Int) {
        switch event {
        case .connected:
            sides[index].isConnected = true
            for track in sides[index].tracks.indices { sides[index].tracks[track].start(at: now) }
        case .connectionStateChanged(.disconnected), .connectionStateChanged(.failed):
            sides[index].wasEverLost = true
        case .frame(let frame, let mid):
            guard let track = sides[index].tracks.firstIndex(where: { $0.mid == mid }) else { return }
            sides[index].tracks[track].take(frame, at: now)
        case .keyframeRequested(let mid):
            guard let track = sides[index].tracks.firstIndex(where: { $0.mid == mid }) else { return }
            sides[index].tracks[track].requestKeyframe()
        case .localCandidate(let candidate, _, _):
            var answer = PeerEngine.Output()
            sides[1 - index].engine.addRemoteCandidate(candidate, at: now, into: &answer)
            for datagram in answer.datagrams { simulation.send(datagram, from: sides[1 - index].host, at: now) }
        default: break
        }
    }
}
