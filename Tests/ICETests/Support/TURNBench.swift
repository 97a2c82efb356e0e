import ICE
import Primitives
import SimulatedNetwork
import SimulatedTURN
import Testing

/// A client, a TURN server and a peer that echoes, each on a host of its own, in virtual time.
final class TURNBench {
    var simulation: Simulation
    var client: TURNAllocation
    var server: TURNServer
    var events: [(time: Instant, event: TURNEvent)] = []
    var trace: [(time: Instant, entry: TURNTrace)] = []
    var arrivals: [(time: Instant, arrival: TURNArrival)] = []
    /// What reached the peer.
    var peerReceived: [(time: Instant, datagram: Datagram)] = []
    var messagesSent = 0
    /// Sees each message of the server's before it reaches the client; `false` swallows it.
    var onAnswer: ((STUNMessage) -> Bool)?
    var clientPath = NetworkPath(local: address("192.0.2.10:5000"), remote: address("198.51.100.20:3478"))
    let hosts: [HostID]

    static let peer = address("203.0.113.30:7000")

    /// - Parameter oneWay: the delay between client and server.
    init(
        oneWay: TimeDelta = .milliseconds(20), loss: Double = 0, seed: UInt64 = 1,
        client configure: (inout TURNAllocation.Configuration) -> Void = { _ in },
        server configureServer: (inout TURNServer.Configuration) -> Void = { _ in }
    ) {
        simulation = Simulation(seed: seed)
        let direction = LinkConfiguration(delay: oneWay, loss: loss == 0 ? .none : .independent(loss))
        hosts = [
            simulation.addHost(
                "client", addresses: [address("192.0.2.10:0").ip], link: Link(up: direction, down: direction)),
            simulation.addHost(
                "server", addresses: [address("198.51.100.20:0").ip, address("[2001:db8::20]:0").ip]),
            simulation.addHost("peer", addresses: [Self.peer.ip, address("[2001:db8::30]:0").ip]),
        ]
        var configuration = TURNAllocation.Configuration(
            credential: TURNCredential(username: "alice", password: "a password"))
        configure(&configuration)
        client = TURNAllocation(configuration: configuration, random: .seeded(seed &+ 1))
        var serverConfiguration = TURNServer.Configuration(
            listening: [address("198.51.100.20:3478")], relayAddresses: [address("198.51.100.20:0").ip])
        configureServer(&serverConfiguration)
        server = TURNServer(serverConfiguration, seed: seed &+ 2)
    }

    var now: Instant { simulation.now }

    /// Calls into the client now, and sends what it says.
    func act(_ body: (inout TURNAllocation, Instant, inout TURNOutput) -> Void) {
        var out: [Datagram] = []
        call(at: now, into: &out, body)
        for datagram in out { simulation.send(datagram, from: hosts[0], at: now) }
    }

    func start() { act { $0.start(at: $1, into: &$2) } }
    func send(_ text: String, to peer: TransportAddress = TURNBench.peer) {
        act { $0.send(Array(text.utf8), to: peer, at: $1, into: &$2) }
    }

    private func call(
        at now: Instant, into out: inout [Datagram], _ body: (inout TURNAllocation, Instant, inout TURNOutput) -> Void
    ) {
        var output = TURNOutput()
        body(&client, now, &output)
        messagesSent += output.messages.count
        events += output.events.map { (now, $0) }
        trace += output.trace.map { (now, $0) }
        arrivals += output.arrivals.map { (now, $0) }
        out += output.messages.map { Datagram(bytes: $0, path: clientPath) }
    }

    func run(for span: TimeDelta) throws { try run(until: now + span) }

    func run(until end: Instant) throws {
        var simulation = simulation
        defer { self.simulation = simulation }
        try simulation.run(on: hosts, until: end) { node, step, now, out in
            switch (node, step) {
            case (0, .datagram(let datagram)):
                let message = onAnswer == nil ? nil : try? STUNMessage(parsing: datagram.bytes)
                let passes = message.flatMap { onAnswer?($0) } ?? true
                if datagram.path == clientPath, passes {
                    call(at: now, into: &out) { $0.receive(datagram.bytes, at: $1, into: &$2) }
                }
            case (0, .advance):
                call(at: now, into: &out) { $0.advance(to: $1, into: &$2) }
                if let deadline = client.deadline { #expect(deadline > now) }
            case (0, .unreachable): break
            case (1, .datagram(let datagram)): server.receive(datagram, at: now, into: &out)
            case (1, .unreachable(let path, let reason)):
                server.noteUnreachable(path, reason, at: now, into: &out)
            case (1, .advance): server.advance(to: now, into: &out)
            case (_, .datagram(let datagram)):
                peerReceived.append((now, datagram))
                out.append(Datagram(bytes: Array("echo ".utf8) + datagram.bytes, path: datagram.path))
            default: break
            }
            return node == 0 ? client.deadline : node == 1 ? server.deadline : nil
        }
    }

    /// With an allocation, at 1 s.
    func allocated() throws -> Self {
        start()
        try run(until: .zero + .seconds(1))
        try #require(client.lease != nil, "\(events) \(trace)")
        return self
    }

    var leases: [TURNLease] {
        events.compactMap { if case .allocated(let lease) = $0.event { lease } else { nil } }
    }
    var failure: TURNFailure? { client.failure }
    func count(_ isWanted: (TURNTrace) -> Bool) -> Int { trace.count { isWanted($0.entry) } }
    /// When a request was sent, repetitions and those with another nonce included, in milliseconds.
    func sends(of request: TURNRequest, since start: Instant = .zero) -> [Int64] {
        trace.compactMap { time, entry in
            if case .requestSent(request, _) = entry, time >= start { time.nanoseconds / 1_000_000 } else { nil }
        }
    }
    func times(of request: TURNRequest) -> [Int64] {
        trace.compactMap { time, entry in
            if case .requestSent(request, attempt: 1) = entry {
                (time.nanoseconds + 500_000_000) / 1_000_000_000
            } else {
                nil
            }
        }
    }
    var echoes: [String] { arrivals.map { String(decoding: $0.arrival.bytes, as: UTF8.self) } }
}
