import Primitives
import SimulatedNetwork
import Testing

/// Sends `count` datagrams, one every `interval`, and notes what comes.
private struct Ticker: SimulatedNode {
    var path: NetworkPath
    var interval: TimeDelta
    var left: Int
    var next: Instant?
    var received: [Instant] = []
    var unreachable: [UnreachableReason] = []
    var echoes = false

    init(from local: String, to remote: String, count: Int, every interval: TimeDelta, echoes: Bool = false) {
        path = NetworkPath(local: socket(local), remote: socket(remote))
        self.interval = interval
        left = count
        next = count > 0 ? .zero : nil
        self.echoes = echoes
    }

    var deadline: Instant? { next }

    mutating func receive(_ datagram: Datagram, at now: Instant, into out: inout [Datagram]) {
        received.append(now)
        if echoes { out.append(Datagram(bytes: datagram.bytes, path: datagram.path)) }
    }

    mutating func noteUnreachable(
        _ path: NetworkPath, _ reason: UnreachableReason, at now: Instant, into out: inout [Datagram]
    ) {
        unreachable.append(reason)
    }

    mutating func advance(to now: Instant, into out: inout [Datagram]) {
        while let at = next, at <= now {
            out.append(Datagram(bytes: [1, 2, 3], path: path))
            left -= 1
            next = left > 0 ? at + interval : nil
        }
    }
}

/// A node whose deadline never moves.
private struct Stuck: SimulatedNode {
    var calls = 0
    var deadline: Instant? { .zero + .milliseconds(40) }
    mutating func receive(_ datagram: Datagram, at now: Instant, into out: inout [Datagram]) {}
    mutating func advance(to now: Instant, into out: inout [Datagram]) { calls += 1 }
}

@Test func nodesAndNetworkMoveTogetherToTheExactInstants() throws {
    let world = Topology.twoPeers(try NetworkSpecification(parsing: "rtt=100ms"), seed: 1)
    var simulation = world.simulation
    var left = Ticker(from: "192.0.2.10:1", to: "198.51.100.10:1", count: 3, every: .milliseconds(30))
    var right = Ticker(
        from: "198.51.100.10:1", to: "192.0.2.10:1", count: 0, every: .milliseconds(30), echoes: true)
    try simulation.run(&left, on: world.left, &right, on: world.right, until: ms(500))
    #expect(right.received == [ms(50), ms(80), ms(110)])
    #expect(left.received == [ms(100), ms(130), ms(160)])
    #expect(simulation.now == ms(500))
}

@Test func aRunEndsWhereItsConditionHolds() throws {
    let world = Topology.twoPeers(try NetworkSpecification(parsing: "rtt=100ms"), seed: 1)
    var simulation = world.simulation
    var nodes = [
        Ticker(from: "192.0.2.10:1", to: "198.51.100.10:1", count: 100, every: .milliseconds(10)),
        Ticker(from: "198.51.100.10:1", to: "192.0.2.10:1", count: 0, every: .milliseconds(10)),
    ]
    try simulation.run(&nodes, on: [world.left, world.right], until: ms(5_000)) { _, nodes in
        nodes[1].received.count == 5
    }
    #expect(simulation.now == ms(90))
    try simulation.run(&nodes, on: [world.left, world.right], until: ms(5_000))
    #expect(nodes[1].received.count == 100)
}

@Test func anErrorAboutADatagramReachesItsNode() throws {
    var bench = Bench()
    var nodes = [Ticker(from: "192.0.2.10:1", to: "203.0.113.9:1", count: 2, every: .milliseconds(10))]
    try bench.simulation.run(&nodes, on: [bench.left], until: ms(100))
    #expect(nodes[0].unreachable == [.hostUnreachable, .hostUnreachable])
}

@Test func aMachineThatNeverSettlesIsAnErrorWithItsName() {
    var bench = Bench()
    var left = Ticker(from: "192.0.2.10:1", to: "198.51.100.10:1", count: 3, every: .milliseconds(30))
    var right = Stuck()
    #expect(
        throws: SimulationError.neverSettles(node: "right", at: ms(40), calls: 1_001, deadline: ms(40))
    ) {
        try bench.simulation.run(&left, on: bench.left, &right, on: bench.right, until: ms(100), stepBudget: 1_000)
    }
    #expect(right.calls > 1_000)
}

@Test func twoMachinesThatAnswerEachOtherForEverAtOneInstantAreAnError() {
    var bench = Bench()
    var left = Ticker(from: "192.0.2.10:1", to: "198.51.100.10:1", count: 1, every: .zero, echoes: true)
    var right = Ticker(from: "198.51.100.10:1", to: "192.0.2.10:1", count: 0, every: .zero, echoes: true)
    #expect(throws: SimulationError.self) {
        try bench.simulation.run(&left, on: bench.left, &right, on: bench.right, until: ms(1), stepBudget: 500)
    }
}
