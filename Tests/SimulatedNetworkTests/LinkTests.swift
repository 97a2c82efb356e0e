import Primitives
import SimulatedNetwork
import Testing

@Test func aDelayIsExactToTheNanosecond() {
    var bench = Bench(
        left: Link(up: LinkConfiguration(delay: .microseconds(12_345))),
        right: Link(down: LinkConfiguration(delay: .nanoseconds(7))))
    bench.send(at: ms(3))
    #expect(bench.simulation.nextEvent == ms(3) + .microseconds(12_345))
    let expected = ms(3) + .nanoseconds(12_345_007)
    #expect(bench.simulation.advance(to: expected - .nanoseconds(1)).isEmpty)
    let arrivals = bench.simulation.advance(to: expected)
    #expect(arrivals.count == 1)
    #expect(arrivals.first?.instant == expected)
    #expect(arrivals.first?.host == bench.right)
    #expect(
        arrivals.first?.datagram?.path
            == NetworkPath(local: socket("198.51.100.10:2000"), remote: socket("192.0.2.10:1000")))
    #expect(bench.simulation.nextEvent == nil)
}

@Test func aRateDelaysByTheWireSizeAndQueuesWhatComesMeanwhile() {
    // 972 bytes payload + 28 = 1000 bytes = 8000 bits: 8 ms at 1 Mbit/s.
    var bench = Bench(left: Link(up: LinkConfiguration(delay: .milliseconds(10), rate: 1_000_000)))
    for number in 0..<3 { bench.send(UInt32(number), size: 972, at: .zero) }
    #expect(bench.simulation.queueDelay(of: bench.simulation.link(of: bench.left)).up == .milliseconds(24))
    let arrivals = bench.simulation.advance(to: ms(1_000))
    #expect(arrivals.map(\.instant) == [ms(18), ms(26), ms(34)])
    #expect(arrivals.map(\.number) == [0, 1, 2])
}

@Test func aQueueInMillisecondsDropsWhatWouldWaitLonger() {
    var bench = Bench(
        left: Link(up: LinkConfiguration(rate: 1_000_000, queue: .time(.milliseconds(20)))))
    for number in 0..<6 { bench.send(UInt32(number), size: 972, at: .zero) }
    // Waits: 0, 8, 16, then 24 ms is too long.
    #expect(bench.simulation.advance(to: ms(1_000)).map(\.number) == [0, 1, 2])
    let statistics = bench.simulation.statistics(of: bench.simulation.link(of: bench.left)).up
    #expect(statistics.entered == 6)
    #expect(statistics.delivered == 3)
    #expect(statistics.deliveredBytes == 3_000)
    #expect(statistics.droppedByQueue == 3)
    #expect(statistics.longestQueueDelay == .milliseconds(16))
}

@Test func aQueueInBytesHoldsThatManyWithTheOneInTransmission() {
    var bench = Bench(left: Link(up: LinkConfiguration(rate: 1_000_000, queue: .bytes(2_500))))
    for number in 0..<4 { bench.send(UInt32(number), size: 972, at: .zero) }
    bench.send(4, size: 972, at: ms(8))
    #expect(bench.simulation.advance(to: ms(1_000)).map(\.number) == [0, 1, 4])
}

@Test func independentLossIsNearItsRateAndNotInBursts() {
    var bench = Bench(seed: 11, left: Link(up: LinkConfiguration(loss: .independent(0.05))))
    let lost = losses(of: 40_000, in: &bench)
    #expect((0.045...0.055).contains(Double(lost.count { $0 }) / 40_000))
    #expect((1.0...1.15).contains(meanBurst(lost)))
}

@Test func burstLossHasTheRateAndTheMeanLengthAskedFor() {
    var bench = Bench(seed: 12, left: Link(up: LinkConfiguration(loss: .bursts(rate: 0.05, meanLength: 4))))
    let lost = losses(of: 100_000, in: &bench)
    #expect((0.044...0.056).contains(Double(lost.count { $0 }) / 100_000))
    #expect((3.6...4.4).contains(meanBurst(lost)))
}

@Test func aLossModelTellsItsMeanRate() {
    #expect(LossModel.none.meanRate == 0)
    #expect(LossModel.independent(0.25).meanRate == 0.25)
    #expect(abs(LossModel.bursts(rate: 0.05, meanLength: 4).meanRate - 0.05) < 1e-12)
    #expect(abs(LossModel.bursts(rate: 0.99, meanLength: 1).meanRate - 0.5) < 1e-12)
    let model = LossModel.gilbertElliott(toBad: 0.1, toGood: 0.3, lossInGood: 0.01, lossInBad: 0.5)
    #expect(abs(model.meanRate - (0.25 * 0.5 + 0.75 * 0.01)) < 1e-12)
}

@Test func jitterStaysInItsBoundsAndKeepsTheOrderUnlessToldNotTo() {
    let configuration = LinkConfiguration(delay: .milliseconds(50), jitter: .milliseconds(30))
    var bench = Bench(seed: 3, left: Link(up: configuration))
    for number in 0..<1_000 { bench.send(UInt32(number), at: ms(Int64(number) * 5)) }
    let ordered = bench.simulation.advance(to: ms(10_000))
    #expect(ordered.count == 1_000)
    #expect(ordered.compactMap(\.number) == Array(0..<1_000))
    let delays = ordered.map { ($0.instant - ms(Int64($0.number ?? 0) * 5)).milliseconds }
    #expect(delays.allSatisfy { (50...80).contains($0) })
    #expect(delays.contains { $0 < 55 } && delays.contains { $0 > 75 })

    var loose = configuration
    loose.jitterReorders = true
    bench = Bench(seed: 3, left: Link(up: loose))
    for number in 0..<1_000 { bench.send(UInt32(number), at: ms(Int64(number) * 5)) }
    let shuffled = bench.simulation.advance(to: ms(10_000)).compactMap(\.number)
    #expect(shuffled.count == 1_000)
    #expect(shuffled != shuffled.sorted())
}

@Test func reorderedPacketsComeLaterThanTheirFollowers() {
    let configuration = LinkConfiguration(reorder: 0.1, reorderDelay: .milliseconds(12))
    var bench = Bench(seed: 5, left: Link(up: configuration))
    for number in 0..<1_000 { bench.send(UInt32(number), at: ms(Int64(number) * 5)) }
    let arrivals = bench.simulation.advance(to: ms(10_000))
    let late = arrivals.filter { $0.instant == ms(Int64($0.number ?? 0) * 5 + 12) }
    #expect((70...130).contains(late.count))
    #expect(late.count == bench.simulation.statistics(of: bench.simulation.link(of: bench.left)).up.reordered)
    #expect(arrivals.count == 1_000)
}

@Test func duplicatesArriveTwiceAtOneInstant() {
    var bench = Bench(seed: 6, left: Link(up: LinkConfiguration(delay: .milliseconds(1), duplicate: 0.2)))
    for number in 0..<1_000 { bench.send(UInt32(number), at: ms(Int64(number))) }
    let arrivals = bench.simulation.advance(to: ms(10_000))
    let duplicated = bench.simulation.statistics(of: bench.simulation.link(of: bench.left)).up.duplicated
    #expect((150...250).contains(duplicated))
    #expect(arrivals.count == 1_000 + duplicated)
    #expect(Set(arrivals.compactMap(\.number)).count == 1_000)
}

@Test func anOversizePacketIsReportedWithTheMTU() {
    var bench = Bench(left: Link(up: LinkConfiguration(delay: .milliseconds(20), mtu: 1_280)))
    bench.send(1, size: 1_252, at: .zero)
    bench.send(2, size: 1_253, at: .zero)
    let arrivals = bench.simulation.advance(to: ms(100))
    #expect(arrivals.count == 2)
    #expect(arrivals.contains { $0.host == bench.left && $0.unreachable == .fragmentationNeeded(mtu: 1_280) })
    #expect(arrivals.contains { $0.host == bench.right && $0.number == 1 })
    #expect(bench.simulation.statistics(of: bench.simulation.link(of: bench.left)).up.droppedByMTU == 1)
}

@Test func anOversizePacketFurtherOnIsReportedAfterTheWayThereAndBack() {
    var bench = Bench(
        left: Link(up: LinkConfiguration(delay: .milliseconds(20))), right: Link(down: LinkConfiguration(mtu: 500)))
    bench.send(size: 600, at: ms(5))
    let arrivals = bench.simulation.advance(to: ms(100))
    #expect(arrivals.map(\.instant) == [ms(45)])
    #expect(arrivals.first?.unreachable == .fragmentationNeeded(mtu: 500))
    let path = NetworkPath(local: socket("192.0.2.10:1000"), remote: socket("198.51.100.10:2000"))
    #expect(arrivals.first?.delivery == .unreachable(path, .fragmentationNeeded(mtu: 500)))
}

@Test func anOutageSwallowsWhatEntersAndLetsThroughWhatIsUnderWay() {
    let up = LinkConfiguration(delay: .milliseconds(50), outages: [ms(100)..<ms(200)])
    var bench = Bench(left: Link(up: up))
    for (number, time) in [99, 100, 199, 200].enumerated() { bench.send(UInt32(number), at: ms(Int64(time))) }
    #expect(bench.simulation.advance(to: ms(1_000)).map(\.number) == [0, 3])
    #expect(bench.simulation.statistics(of: bench.simulation.link(of: bench.left)).up.droppedByOutage == 2)
}

@Test func directionsOfALinkAreIndependent() {
    var bench = Bench(
        left: Link(up: LinkConfiguration(delay: .milliseconds(5)), down: LinkConfiguration(delay: .milliseconds(70))))
    bench.send(at: .zero)
    #expect(bench.simulation.advance(to: ms(5)).count == 1)
    let path = NetworkPath(local: socket("198.51.100.10:2000"), remote: socket("192.0.2.10:1000"))
    bench.simulation.send(Datagram(bytes: [1], path: path), from: bench.right, at: ms(5))
    #expect(bench.simulation.advance(to: ms(1_000)).map(\.instant) == [ms(75)])
}

@Test func aLinkChangedMidwayHoldsForWhatEntersLater() {
    var bench = Bench(left: Link(up: LinkConfiguration(delay: .milliseconds(100))))
    let link = bench.simulation.link(of: bench.left)
    bench.send(1, at: .zero)
    bench.simulation.configure(link, Link(up: LinkConfiguration(delay: .milliseconds(10))))
    bench.send(2, at: ms(50))
    bench.send(3, at: ms(95))
    let arrivals = bench.simulation.advance(to: ms(1_000))
    // The second cannot overtake the first on a link that keeps the order.
    #expect(arrivals.map(\.number) == [1, 2, 3])
    #expect(arrivals.map(\.instant) == [ms(100), ms(100), ms(105)])
}

@Test func theNextPacketsCanBeLostByName() {
    var bench = Bench()
    bench.simulation.loseNext(up: 2, on: bench.simulation.link(of: bench.left))
    for number in 0..<4 { bench.send(UInt32(number), at: .zero) }
    #expect(bench.simulation.advance(to: ms(1)).map(\.number) == [2, 3])
}

@Test func packetsInFlightAreBounded() {
    var simulation = Simulation(seed: 1, maximumInFlight: 10)
    let host = simulation.addHost(
        "left", addresses: [Bench.leftIP], link: Link(up: LinkConfiguration(delay: .milliseconds(10))))
    _ = simulation.addHost("right", addresses: [Bench.rightIP])
    let path = NetworkPath(local: socket("192.0.2.10:1"), remote: socket("198.51.100.10:2"))
    for _ in 0..<15 { simulation.send(Datagram(bytes: [1], path: path), from: host, at: .zero) }
    #expect(simulation.packetsInFlight == 10)
    #expect(simulation.statistics.droppedOverCap == 5)
    #expect(simulation.advance(to: ms(100)).count == 10)
    #expect(simulation.packetsInFlight == 0)
}

@Test func oneSeedGivesOneRunAndAnotherSeedAnother() {
    func run(_ seed: UInt64) -> [Arrival] {
        let link = LinkConfiguration(
            delay: .milliseconds(20), jitter: .milliseconds(30), jitterReorders: true,
            loss: .bursts(rate: 0.1, meanLength: 3), duplicate: 0.05, reorder: 0.05, rate: 2_000_000)
        var bench = Bench(seed: seed, left: Link(up: link), right: .symmetric(link))
        for number in 0..<2_000 { bench.send(UInt32(number), size: 500, at: ms(Int64(number))) }
        return bench.simulation.advance(to: ms(10_000))
    }
    #expect(run(7) == run(7))
    #expect(run(7) != run(8))
}

private func losses(of count: Int, in bench: inout Bench) -> [Bool] {
    var lost = Array(repeating: true, count: count)
    for number in 0..<count {
        bench.send(UInt32(number), size: 4, at: ms(Int64(number)))
        for arrival in bench.simulation.advance(to: ms(Int64(number))) { lost[Int(arrival.number ?? 0)] = false }
    }
    return lost
}

private func meanBurst(_ lost: [Bool]) -> Double {
    var bursts = 0
    for index in lost.indices where lost[index] && (index == 0 || !lost[index - 1]) { bursts += 1 }
    return Double(lost.count { $0 }) / Double(Swift.max(1, bursts))
}
