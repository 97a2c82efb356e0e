import Primitives
import SimulatedNetwork
import Testing

/// The simulated TCP: in order and complete whatever the link does, and ended by what ends the real one.
@Suite struct SimulatedTCPTests {
    private struct Pair {
        var simulation: Simulation
        let hosts: [HostID]
        var tcp = [SimulatedTCP(), SimulatedTCP()]
        var events: [[SimulatedTCP.Event]] = [[], []]
        var now = Instant.zero

        init(_ link: LinkConfiguration = LinkConfiguration(delay: .milliseconds(10)), seed: UInt64 = 1) {
            simulation = Simulation(seed: seed)
            hosts = [
                simulation.addHost("a", addresses: [IPAddress(v4: 0xC000_0201)], link: .symmetric(link)),
                simulation.addHost("b", addresses: [IPAddress(v4: 0xC000_0202)]),
            ]
        }

        var server: TransportAddress { TransportAddress(IPAddress(v4: 0xC000_0202), 30_100) }

        mutating func connect() -> SimulatedTCP.Connection {
            tcp[0].connect(from: IPAddress(v4: 0xC000_0201), to: server, at: now)
        }

        mutating func run(for length: TimeDelta) {
            let end = now + length
            while true {
                for i in 0..<2 {
                    if let due = tcp[i].deadline, due <= now { tcp[i].advance(to: now) }
                    let output = tcp[i].takeOutput()
                    events[i] += output.events
                    for datagram in output.datagrams { simulation.send(datagram, from: hosts[i], at: now) }
                }
                let next = earliest(simulation.nextEvent, earliest(tcp[0].deadline, tcp[1].deadline))
                guard let next, next <= end else { break }
                now = max(now, next)
                for arrival in simulation.advance(to: now) {
                    let i = arrival.host == hosts[0] ? 0 : 1
                    switch arrival.delivery {
                    case .datagram(let datagram): tcp[i].receive(datagram, at: now)
                    case .unreachable(let path, let reason): tcp[i].noteUnreachable(path, reason)
                    }
                }
            }
            now = end
        }

        func received(by i: Int) -> [UInt8] {
            events[i].flatMap { event -> [UInt8] in
                guard case .received(_, let bytes) = event else { return [] }
                return bytes
            }
        }
        func ends(of i: Int) -> [SimulatedTCP.End] {
            events[i].compactMap { if case .ended(_, let end) = $0 { end } else { nil } }
        }
        var accepted: SimulatedTCP.Connection? {
            events[1].lazy.compactMap { if case .accepted(let connection, _) = $0 { connection } else { nil } }.first
        }
    }

    @Test(arguments: [0, 0.05, 0.1]) func allArrivesInOrderBothWays(loss: Double) throws {
        for seed in UInt64(1)...3 {
            var link = LinkConfiguration(delay: .milliseconds(20), jitter: .milliseconds(5))
            link.loss = .independent(loss)
            var pair = Pair(link, seed: seed)
            pair.tcp[1].listen(on: pair.server)
            let client = pair.connect()
            pair.run(for: .seconds(25))
            let server = try #require(pair.accepted, "nothing was accepted")
            var random = RandomSource.seeded(seed)
            let (up, down) = (random.bytes(50_000), random.bytes(30_000))
            pair.tcp[0].send(up, on: client, at: pair.now)
            pair.tcp[1].send(down, on: server, at: pair.now)
            pair.run(for: .seconds(120))
            let received = (pair.received(by: 1) == up, pair.received(by: 0) == down)
            #expect(received.0 && received.1, "seed \(seed)")
            #expect(pair.ends(of: 0).isEmpty && pair.ends(of: 1).isEmpty)
        }
    }

    @Test func aPortNobodyListensOnRefuses() {
        var pair = Pair()
        _ = pair.connect()
        pair.run(for: .seconds(1))
        #expect(pair.ends(of: 0) == [.refused])
    }

    @Test func aCloseIsToldAfterAllThatWasSent() throws {
        var pair = Pair()
        pair.tcp[1].listen(on: pair.server)
        let client = pair.connect()
        pair.run(for: .seconds(1))
        pair.tcp[0].send([1, 2, 3], on: client, at: pair.now)
        pair.tcp[0].close(client, at: pair.now)
        pair.run(for: .seconds(2))
        #expect(pair.received(by: 1) == [1, 2, 3])
        #expect(pair.ends(of: 1) == [.closed] && pair.ends(of: 0).isEmpty)
        #expect(pair.tcp[0].connections.isEmpty && pair.tcp[1].connections.isEmpty)
    }

    @Test func anAbortIsAReset() throws {
        var pair = Pair()
        pair.tcp[1].listen(on: pair.server)
        _ = pair.connect()
        pair.run(for: .seconds(1))
        pair.tcp[1].abort(try #require(pair.accepted, "nothing was accepted"))
        pair.run(for: .seconds(1))
        #expect(pair.ends(of: 0) == [.reset])
    }

    @Test func aDeadLinkTimesOut() throws {
        var pair = Pair()
        pair.tcp[1].listen(on: pair.server)
        let client = pair.connect()
        pair.run(for: .seconds(1))
        var link = pair.simulation.configuration(of: pair.simulation.link(of: pair.hosts[0]))
        link.up.outages = [pair.now..<pair.now + .seconds(1_000)]
        pair.simulation.configure(pair.simulation.link(of: pair.hosts[0]), link)
        pair.tcp[0].send([1], on: client, at: pair.now)
        pair.run(for: .seconds(60))
        #expect(pair.ends(of: 0) == [.timedOut])
    }
}
