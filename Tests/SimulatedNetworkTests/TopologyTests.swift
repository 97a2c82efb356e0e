import Primitives
import SimulatedNetwork
import Testing

@Test(arguments: ["rtt=100ms", "rtt=3ns", "up.delay=7ms,down.delay=20ms", "rtt=100ms,nat=symmetric/fullcone"])
func theRoundTripIsExactlyAsSpecified(text: String) throws {
    let specification = try NetworkSpecification(parsing: text)
    let world = Topology.twoPeers(specification, seed: 5)
    var simulation = world.simulation
    // Open the way back through the right peer's NAT first.
    let rightSocket = TransportAddress(world.rightAddresses[0], 2_000)
    let leftSocket = TransportAddress(world.leftAddresses[0], 1_000)
    var target = rightSocket
    if world.rightNAT != nil {
        let path = NetworkPath(local: rightSocket, remote: world.stunServers[0])
        simulation.send(Datagram(bytes: [0], path: path), from: world.right, at: .zero)
        _ = simulation.advance(to: ms(1_000))
        target = TransportAddress(ip("198.51.100.1"), 2_000)
    }
    let start = simulation.now
    simulation.send(
        Datagram(bytes: [1], path: NetworkPath(local: leftSocket, remote: target)), from: world.left, at: start)
    let there = simulation.advance(to: start + .milliseconds(1_000))
    guard let arrival = there.first, let datagram = arrival.datagram, arrival.host == world.right else {
        Issue.record("nothing arrived")
        return
    }
    #expect(arrival.instant - start == specification.up.delay)
    simulation.send(datagram, from: world.right, at: simulation.now)
    let sentBack = simulation.now
    let back = simulation.advance(to: sentBack + .milliseconds(1_000))
    #expect(back.map(\.host) == [world.left])
    #expect((arrival.instant - start) + ((back.first?.instant ?? .zero) - sentBack) == specification.roundTrip)
}

@Test func impairmentsOfADirectionAreAppliedOnce() throws {
    let world = Topology.twoPeers(try NetworkSpecification(parsing: "up.loss=30%,down.loss=0"), seed: 8)
    var simulation = world.simulation
    for (host, other) in [(world.left, world.right), (world.right, world.left)] {
        for _ in 0..<4_000 {
            let path = NetworkPath(
                local: TransportAddress(simulation.addresses(of: host)[0], 1),
                remote: TransportAddress(simulation.addresses(of: other)[0], 1))
            simulation.send(Datagram(bytes: [1], path: path), from: host, at: simulation.now)
        }
    }
    let arrivals = simulation.advance(to: ms(1))
    #expect((2_650...2_950).contains(arrivals.count { $0.host == world.right }))
    #expect(arrivals.count { $0.host == world.left } == 4_000)
}

@Test func addressesFollowTheSpecification() throws {
    var world = Topology.twoPeers(try NetworkSpecification(parsing: "nat=cone/none,ipv6=on"), seed: 1)
    #expect(world.leftAddresses == [ip("10.1.0.10"), ip("2001:db8:1::10")])
    #expect(world.rightAddresses == [ip("198.51.100.10"), ip("2001:db8:2::10")])
    #expect(world.leftNAT != nil && world.rightNAT == nil)
    #expect(world.stunServers == [socket("203.0.113.1:3478"), socket("[2001:db8:3::1]:3478")])
    world = Topology.twoPeers(try NetworkSpecification(parsing: "ipv6=only,stun=off"), seed: 1)
    #expect(world.leftAddresses == [ip("2001:db8:1::10")])
    #expect(world.stunServers.isEmpty && world.stunServerID == nil)
}

/// Who can reach whom after both learned their reflexive endpoints from STUN and sent to each other's: every pair of kinds
/// but symmetric with symmetric or port-restricted (RFC 5389's well-known table).
@Test(arguments: NATKind.allCases, NATKind.allCases)
func holePunchingWorksExactlyWhereItShould(left: NATKind, right: NATKind) throws {
    var specification = NetworkSpecification()
    specification.leftNAT = left
    specification.rightNAT = right
    let world = Topology.twoPeers(specification, seed: 77)
    var simulation = world.simulation
    let request: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + Array(repeating: 9, count: 12)
    func reflexive(_ host: HostID, _ local: TransportAddress) -> TransportAddress {
        simulation.send(
            Datagram(bytes: request, path: NetworkPath(local: local, remote: world.stunServers[0])), from: host,
            at: simulation.now)
        let bytes = simulation.advance(to: simulation.now).first?.datagram?.bytes ?? []
        guard bytes.count >= 32 else { return local }
        let port = (UInt16(bytes[26]) << 8 | UInt16(bytes[27])) ^ 0x2112
        let address = zip(bytes[28..<32], [0x21, 0x12, 0xA4, 0x42] as [UInt8]).map { $0 ^ $1 }
        return TransportAddress(IPAddress(bytes: address) ?? local.ip, port)
    }
    let leftSocket = TransportAddress(world.leftAddresses[0], 1_000)
    let rightSocket = TransportAddress(world.rightAddresses[0], 2_000)
    let leftReflexive = reflexive(world.left, leftSocket)
    let rightReflexive = reflexive(world.right, rightSocket)
    var met = false
    for _ in 0..<3 {
        // Each sends to the reflexive endpoint, and answers whatever reached it.
        simulation.send(
            Datagram(bytes: [1], path: NetworkPath(local: leftSocket, remote: rightReflexive)), from: world.left,
            at: simulation.now)
        simulation.send(
            Datagram(bytes: [1], path: NetworkPath(local: rightSocket, remote: leftReflexive)), from: world.right,
            at: simulation.now)
        for arrival in simulation.advance(to: simulation.now) {
            guard let datagram = arrival.datagram, datagram.bytes == [1] else { continue }
            simulation.send(Datagram(bytes: [2], path: datagram.path), from: arrival.host, at: simulation.now)
        }
        if simulation.advance(to: simulation.now).contains(where: { $0.datagram?.bytes == [2] }) { met = true }
    }
    let hard: Set<NATKind> = [.symmetric, .portRestricted]
    let expected = !(left == .symmetric && hard.contains(right) || right == .symmetric && hard.contains(left))
    #expect(met == expected)
}

@Test func aMinuteOfATwoWayCallIsRepeatable() throws {
    func run() throws -> [LinkStatistics] {
        let world = Topology.twoPeers(
            try NetworkSpecification(parsing: "rtt=80ms,jitter=10ms,loss=3%,burst=2,rate=2mbps,nat=none"), seed: 42)
        var simulation = world.simulation
        let there = NetworkPath(
            local: TransportAddress(world.leftAddresses[0], 1), remote: TransportAddress(world.rightAddresses[0], 1))
        let back = NetworkPath(local: there.remote, remote: there.local)
        let bytes = Array(repeating: UInt8(7), count: 1_200)
        var arrivals: [Arrival] = []
        for tick in 0..<6_000 {
            simulation.send(Datagram(bytes: bytes, path: there), from: world.left, at: ms(Int64(tick) * 10))
            simulation.send(Datagram(bytes: bytes, path: back), from: world.right, at: ms(Int64(tick) * 10))
            arrivals.removeAll(keepingCapacity: true)
            simulation.advance(to: ms(Int64(tick + 1) * 10), into: &arrivals)
        }
        let links = [world.left, world.right].map { simulation.statistics(of: simulation.link(of: $0)) }
        return links.flatMap { [$0.up, $0.down] }
    }
    let first = try run()
    #expect(try run() == first)
    #expect((0.02...0.04).contains(Double(first[0].lost) / 6_000))
}
