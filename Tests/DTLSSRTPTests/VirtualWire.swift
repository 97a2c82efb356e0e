import DTLSSRTP
import Primitives
import Testing

/// Two transports and the wire between them, in virtual time: delay, loss, duplication, reordering, and a hand that may
/// change what passes.
struct VirtualWire {
    struct Impairment {
        var delay = TimeDelta.milliseconds(20)
        var loss = 0.0
        var duplication = 0.0
        /// Part of the datagrams that take up to three times the delay.
        var reordering = 0.0
    }

    enum Side: Hashable { case client, server }

    struct InFlight {
        var arrival: Instant
        var order: Int
        var destination: Side
        var bytes: [UInt8]
    }

    var client: DTLSTransport
    var server: DTLSTransport
    var impairment = Impairment()
    var random: RandomSource
    var now = Instant.zero
    var clientEvents: [DTLSTransport.Event] = []
    var serverEvents: [DTLSTransport.Event] = []
    var clientTrace: [DTLSTransport.Trace] = []
    var serverTrace: [DTLSTransport.Trace] = []
    /// Every datagram sent: when, from whom, its bytes.
    var sent: [(at: Instant, from: Side, bytes: [UInt8])] = []
    /// What becomes of a datagram; the default passes it on.
    var filter: (_ from: Side, _ bytes: [UInt8], _ number: Int) -> [[UInt8]] = { _, bytes, _ in [bytes] }
    private var wire: [InFlight] = []
    private var order = 0

    init(client: DTLSTransport, server: DTLSTransport, seed: UInt64) {
        self.client = client
        self.server = server
        random = .seeded(seed)
    }

    mutating func startBoth() {
        start(.server)
        start(.client)
    }

    mutating func start(_ side: Side) {
        call(side) { transport, now, output in
            transport.start(as: side == .client ? .client : .server, at: now, into: &output)
        }
    }

    mutating func call(_ side: Side, _ body: (DTLSTransport, Instant, inout DTLSTransport.Output) -> Void) {
        var output = DTLSTransport.Output()
        body(side == .client ? client : server, now, &output)
        switch side {
        case .client:
            clientEvents += output.events
            clientTrace += output.trace
        case .server:
            serverEvents += output.events
            serverTrace += output.trace
        }
        for bytes in output.datagrams {
            sent.append((now, side, bytes))
            for passed in filter(side, bytes, sent.filter { $0.from == side }.count) { put(passed, from: side) }
        }
    }

    mutating func put(_ bytes: [UInt8], from side: Side) {
        if Double.random(in: 0..<1, using: &random) < impairment.loss { return }
        let copies = Double.random(in: 0..<1, using: &random) < impairment.duplication ? 2 : 1
        for _ in 0..<copies {
            var delay = impairment.delay
            if Double.random(in: 0..<1, using: &random) < impairment.reordering {
                delay = delay * Double.random(in: 1...3, using: &random)
            }
            order += 1
            wire.append(
                InFlight(
                    arrival: now + delay, order: order, destination: side == .client ? .server : .client, bytes: bytes))
        }
    }

    var nextDeadline: Instant? { earliest(client.deadline, server.deadline) }

    /// Lets time pass until `end` or until nothing is left to happen. Returns the steps taken.
    @discardableResult
    mutating func run(for duration: TimeDelta = .milliseconds(60_000), steps budget: Int = 20_000) -> Int {
        let end = now + duration
        var steps = 0
        while steps < budget {
            steps += 1
            let arrival = wire.min { ($0.arrival, $0.order) < ($1.arrival, $1.order) }
            guard let next = earliest(arrival?.arrival, nextDeadline), next <= end else { break }
            now = max(now, next)
            if let arrival, arrival.arrival <= now {
                wire.removeAll { $0.order == arrival.order }
                call(arrival.destination) { $0.receive(arrival.bytes, at: $1, into: &$2) }
            } else {
                for side in [Side.client, .server] { call(side) { $0.advance(to: $1, into: &$2) } }
            }
        }
        return steps
    }

    var clientAssociation: DTLSTransport.Association? { association(in: clientEvents) }
    var serverAssociation: DTLSTransport.Association? { association(in: serverEvents) }

    private func association(in events: [DTLSTransport.Event]) -> DTLSTransport.Association? {
        for case .connected(let association) in events { return association }
        return nil
    }

    func failure(of side: Side) -> DTLSError? {
        for case .failed(let error) in side == .client ? clientEvents : serverEvents { return error }
        return nil
    }
}

/// Certificates of the tests: two of ours, made once.
enum Identities {
    static let client = try? Certificate.generate()
    static let server = try? Certificate.generate()
}

func makePair(
    seed: UInt64 = 1, seededRandomness: Bool = false,
    configure: (VirtualWire.Side, inout DTLSTransport.Configuration) -> Void = { _, _ in }
) throws -> VirtualWire {
    let clientCertificate = try #require(Identities.client)
    let serverCertificate = try #require(Identities.server)
    var random = RandomSource.seeded(seed)
    func make(_ side: VirtualWire.Side, _ own: Certificate) -> DTLSTransport {
        var configuration = DTLSTransport.Configuration(certificate: own)
        configuration.clock = .virtual
        if seededRandomness { configuration.randomness = random.split() }
        configure(side, &configuration)
        return DTLSTransport(configuration)
    }
    var wire = VirtualWire(
        client: make(.client, clientCertificate), server: make(.server, serverCertificate), seed: random.next())
    let clientFingerprint = wire.client.configuration.certificate.fingerprint
    let serverFingerprint = wire.server.configuration.certificate.fingerprint
    wire.call(.client) { $0.setRemoteFingerprints([serverFingerprint], at: $1, into: &$2) }
    wire.call(.server) { $0.setRemoteFingerprints([clientFingerprint], at: $1, into: &$2) }
    return wire
}
