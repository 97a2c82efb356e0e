import Congestion
import Primitives
import SimulatedNetwork
import Testing

private func bottleneck(_ rate: Int, delay: Int64 = 50, queue: Int64 = 300) -> LinkConfiguration {
    LinkConfiguration(delay: .milliseconds(delay), rate: rate, queue: .time(.milliseconds(queue)))
}

@Test func aCallFindsAMegabitLinkAndStaysBelowIt() throws {
    var call = CallBench(bottleneck(1_000_000))
    try call.run(toSecond: 10)
    let delivered = try call.deliveredBitrate(over: 20)
    #expect((700_000...1_000_000).contains(delivered))
    // The queue is not what it lives on.
    #expect(call.dropped == 0)
}

@Test func probesFindTheLinkWithinASecondsWhereGrowthTakesManyMore() throws {
    var probing = CallBench(bottleneck(1_000_000))
    try probing.run(toSecond: 2)
    #expect(probing.sender.estimator.targetBitrate > 600_000)

    var growing = CallBench(bottleneck(1_000_000)) {
        var configuration = BandwidthEstimator.Configuration(minimum: 30_000, start: 300_000, maximum: 5_000_000)
        configuration.isProbing = false
        $0.estimator = BandwidthEstimator(configuration: configuration)
    }
    try growing.run(toSecond: 2)
    #expect(growing.sender.estimator.targetBitrate < 450_000)
    try growing.run(toSecond: 25)
    #expect((700_000...1_000_000).contains(try growing.deliveredBitrate(over: 10)))
}

@Test func aFasterLinkIsFoundUpToTheMaximum() throws {
    var call = CallBench(bottleneck(20_000_000))
    try call.run(toSecond: 5)
    #expect(call.sender.estimator.targetBitrate == 5_000_000)
    #expect((4_500_000...5_200_000).contains(try call.deliveredBitrate(over: 5)))
}

@Test func aSlowLinkIsNotFlooded() throws {
    var call = CallBench(bottleneck(200_000))
    try call.run(toSecond: 8)
    #expect((120_000...200_000).contains(try call.deliveredBitrate(over: 20)))
}

@Test func aHalvedLinkIsFollowedWithinTwoSecondsAndARestoredOneTakenAgain() throws {
    var call = CallBench(bottleneck(1_000_000))
    try call.run(toSecond: 20)
    call.configure { $0.rate = 500_000 }
    try call.run(toSecond: 22)
    #expect(call.sender.estimator.targetBitrate <= 500_000)
    try call.run(toSecond: 25)
    #expect((330_000...500_000).contains(try call.deliveredBitrate(over: 15)))
    call.configure { $0.rate = 1_000_000 }
    try call.run(toSecond: 55)
    #expect((700_000...1_000_000).contains(try call.deliveredBitrate(over: 10)))
}

/// RFC 8867 §5.1: capacity 1.0, 2.5, 0.6 and 1.0 Mbit/s at 0, 40, 60 and 80 s; 50 ms one way, 300 ms of queue, and jitter.
@Test func variableCapacityIsFollowed() throws {
    var link = bottleneck(1_000_000)
    link.jitter = .milliseconds(10)
    var call = CallBench(link)
    var shares: [Double] = []
    for (rate, seconds) in [(1_000_000, 40.0), (2_500_000, 20), (600_000, 20), (1_000_000, 20)] {
        call.configure { $0.rate = rate }
        let settle = seconds / 4
        _ = try call.deliveredBitrate(over: settle)
        shares.append(Double(try call.deliveredBitrate(over: seconds - settle)) / Double(rate))
    }
    #expect(shares[0] > 0.7 && shares[2] > 0.65 && shares[3] > 0.65)
    #expect(shares[1] > 0.45)
    #expect(shares.allSatisfy { $0 <= 1.0 })
}

@Test func heavyLossTakesTheRateDown() throws {
    var call = CallBench(bottleneck(5_000_000))
    try call.run(toSecond: 10)
    let before = call.sender.estimator.targetBitrate
    call.configure { $0.loss = .independent(0.25) }
    try call.run(toSecond: 13)
    #expect(call.sender.estimator.targetBitrate < before * 3 / 4)
    #expect(call.sender.estimator.lossBasedBitrate != nil)
}

@Test func aLittleLossTakesNothing() throws {
    var link = bottleneck(1_000_000)
    link.loss = .independent(0.01)
    var call = CallBench(link)
    try call.run(toSecond: 15)
    #expect((690_000...1_000_000).contains(try call.deliveredBitrate(over: 15)))
}

@Test func lossThatTheRateDoesNotCauseDoesNotStarveTheCall() throws {
    var link = bottleneck(3_000_000)
    link.loss = .independent(0.2)
    var call = CallBench(link)
    try call.run(toSecond: 30)
    #expect(try call.deliveredBitrate(over: 20) > 500_000)
}

@Test func jitterAloneIsNoCongestion() throws {
    var link = bottleneck(2_000_000)
    link.jitter = .milliseconds(20)
    var call = CallBench(link)
    try call.run(toSecond: 15)
    #expect(try call.deliveredBitrate(over: 20) > 1_000_000)
}

@Test func anApplicationThatSendsLittleDoesNotGrowItsTargetWithoutBound() throws {
    var call = CallBench(bottleneck(50_000_000)) {
        $0.encoder = 0...200_000
        $0.estimator = BandwidthEstimator(minimum: 30_000, start: 300_000, maximum: 100_000_000)
    }
    try call.run(toSecond: 60)
    #expect(call.sender.estimator.isApplicationLimited)
    // Probes may show more, up to what the link carries; nothing beyond it.
    #expect(call.sender.estimator.targetBitrate <= 50_000_000)

    var blind = CallBench(bottleneck(50_000_000)) {
        $0.encoder = 0...200_000
        var configuration = BandwidthEstimator.Configuration(minimum: 30_000, start: 300_000, maximum: 100_000_000)
        configuration.isProbing = false
        $0.estimator = BandwidthEstimator(configuration: configuration)
    }
    try blind.run(toSecond: 120)
    #expect((200_000...420_000).contains(blind.sender.estimator.targetBitrate))
}

@Test func feedbackThatStopsTakesTheTargetDownAndItComesBack() throws {
    var call = CallBench(bottleneck(1_000_000))
    try call.run(toSecond: 10)
    let before = call.sender.estimator.targetBitrate
    call.configure { $0.outages = [.zero + .seconds(10)..<Instant.zero + .seconds(15)] }
    try call.run(toSecond: 15)
    let during = call.sender.estimator.targetBitrate
    #expect(during < before / 2)
    try call.run(toSecond: 35)
    #expect(call.sender.estimator.targetBitrate > before / 10 * 7)
}

@Test func theReceiversMaximumIsACap() throws {
    var call = CallBench(bottleneck(5_000_000))
    try call.run(toSecond: 5)
    call.sender.estimator.receive(remoteMaximum: 400_000, at: call.simulation.now)
    #expect(call.sender.estimator.targetBitrate == 400_000)
    // What was under way at the higher rate comes first.
    try call.run(toSecond: 6)
    #expect((300_000...440_000).contains(try call.deliveredBitrate(over: 10)))
    call.sender.estimator.receive(remoteMaximum: 0, at: call.simulation.now)
    #expect(call.sender.estimator.targetBitrate == 30_000)
    call.sender.estimator.receive(remoteMaximum: .max, at: call.simulation.now)
    #expect(call.sender.estimator.targetBitrate > 400_000)
}

/// RFC 8867 §5.4: flows of one kind share a bottleneck, the second joining after 20 s.
@Test func twoCallsOnOneLinkBothLive() throws {
    var simulation = Simulation(seed: 3)
    // Both senders are behind one box, whose up link is the bottleneck.
    let nat = simulation.addNAT(
        "shared", .fullCone, external: [IPAddress(v4: 0xCB00_7101)],
        link: Link(up: bottleneck(2_000_000), down: LinkConfiguration(delay: .milliseconds(50))))
    var hosts: [HostID] = []
    var senders: [Sender] = []
    for index in 0..<2 as Range<UInt32> {
        let local = IPAddress(v4: 0xC000_0201 + index)
        let remote = IPAddress(v4: 0xC633_6401 + index)
        hosts.append(simulation.addHost("sender", addresses: [local], behind: nat))
        hosts.append(simulation.addHost("receiver", addresses: [remote]))
        var sender = Sender(random: .seeded(UInt64(index)))
        sender.path = NetworkPath(local: TransportAddress(local, 1), remote: TransportAddress(remote, 1))
        senders.append(sender)
    }
    var receivers = [Receiver(), Receiver()]
    func run(_ pairs: Int, until seconds: Double) throws {
        try simulation.run(on: Array(hosts.prefix(2 * pairs)), until: .zero + .seconds(seconds)) {
            node, call, now, out in
            let pair = node / 2
            switch (node % 2, call) {
            case (0, .datagram(let datagram)): senders[pair].receive(datagram, at: now, into: &out)
            case (0, .advance): senders[pair].advance(to: now, into: &out)
            case (1, .datagram(let datagram)): receivers[pair].receive(datagram, at: now, into: &out)
            case (1, .advance): receivers[pair].advance(to: now, into: &out)
            default: break
            }
            return node % 2 == 0 ? senders[pair].deadline : receivers[pair].deadline
        }
    }
    senders[0].estimator.start(at: .zero)
    try run(1, until: 20)
    #expect((1_300_000...2_000_000).contains(receivers[0].bytes * 8 / 20))
    senders[1].begin(at: simulation.now)
    try run(2, until: 60)
    let before = receivers.map(\.bytes)
    try run(2, until: 100)
    let bitrates = zip(receivers, before).map { ($0.bytes - $1) * 8 / 40 }
    #expect(bitrates.allSatisfy { $0 > 300_000 })
    #expect((1_300_000...2_000_000).contains(bitrates[0] + bitrates[1]))
}

@Test func withoutTransportFeedbackReceiverReportsRule() {
    var estimator = BandwidthEstimator(minimum: 30_000, start: 300_000, maximum: 5_000_000)
    var now = Instant.zero
    func send(_ seconds: Int, bitrate: Int, loss: Double) {
        for _ in 0..<seconds {
            for _ in 0..<50 {
                estimator.noteSent(bytes: bitrate / 400, at: now)
                now += .milliseconds(20)
            }
            estimator.receive(fractionLost: loss, roundTripTime: .milliseconds(60), at: now)
        }
    }
    send(10, bitrate: 300_000, loss: 0)
    #expect((440_000...465_000).contains(estimator.targetBitrate))
    // The application sends 300 kbit/s: the target stays within 1.5 times that.
    send(60, bitrate: 300_000, loss: 0)
    #expect((440_000...470_000).contains(estimator.targetBitrate))
    let before = estimator.targetBitrate
    send(1, bitrate: 300_000, loss: 0.05)
    #expect(estimator.targetBitrate == before)
    send(1, bitrate: 300_000, loss: 0.2)
    #expect(abs(estimator.targetBitrate - before * 9 / 10) < 10)
    send(200, bitrate: 300_000, loss: 1)
    #expect(estimator.targetBitrate == 30_000)
    #expect(abs((estimator.roundTrip - .milliseconds(60)).nanoseconds) < 1_000)
}

@Test func probesThatNobodyTakesAreBounded() {
    var estimator = BandwidthEstimator(minimum: 30_000, start: 300_000, maximum: 5_000_000)
    for second in 0..<20 { estimator.start(at: .zero + .seconds(Double(second))) }
    var count = 0
    while estimator.takeProbe() != nil { count += 1 }
    #expect(count == 4)
}

@Test func contradictoryBitratesAreBroughtIntoOrder() {
    let configuration = BandwidthEstimator.Configuration(minimum: 500_000, start: 10, maximum: 100)
    #expect(configuration.minimum == 500_000 && configuration.start == 500_000 && configuration.maximum == 500_000)
    #expect(BandwidthEstimator(minimum: -5, start: .max, maximum: .max).targetBitrate == 100_000_000_000)
}

@Test func absurdFeedbackEndsInATargetWithinBounds() {
    var random = RandomSource.seeded(4)
    var estimator = BandwidthEstimator(minimum: 30_000, start: 300_000, maximum: 5_000_000)
    var now = Instant.zero
    for _ in 0..<20_000 {
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            _ = estimator.stamp(
                bytes: Int.random(in: 0...1_500, using: &random), probe: Int.random(in: 0...9, using: &random), at: now)
        }
        var arrivals: [(SequenceNumber, TimeDelta?)] = []
        for _ in 0..<Int.random(in: 0...6, using: &random) {
            let arrival: TimeDelta? =
                Bool.random(using: &random) ? .nanoseconds(Int64(truncatingIfNeeded: random.next())) : nil
            arrivals.append((SequenceNumber(UInt16.random(in: 0...50_000, using: &random)), arrival))
        }
        estimator.receive(arrivals: arrivals, at: now)
        estimator.receive(fractionLost: Double(bitPattern: random.next()), roundTripTime: .max, at: now)
        now += .milliseconds(Int64.random(in: 0...20, using: &random))
        if let due = estimator.deadline, due <= now { estimator.advance(to: now) }
        _ = estimator.takeProbe()
        #expect((30_000...5_000_000).contains(estimator.targetBitrate))
    }
}

@Test func afterAdvanceTheDeadlineIsLaterOrNone() throws {
    var call = CallBench(bottleneck(1_000_000))
    try call.run(toSecond: 3)
    var estimator = call.sender.estimator
    for _ in 0..<20 {
        guard let due = estimator.deadline else { break }
        estimator.advance(to: due)
        #expect(estimator.deadline.map { $0 > due } ?? true)
    }
}

/// Fifty packets a second for `seconds`, each answered.
private func answered(_ estimator: inout BandwidthEstimator, from start: Instant, seconds: Int64) -> Instant {
    var now = start
    for packet in 0..<seconds * 50 {
        now = start + .milliseconds(packet * 20)
        let number = estimator.stamp(bytes: 1_000, at: now)
        if let due = estimator.deadline, due <= now { estimator.advance(to: now) }
        estimator.receive(arrivals: [(number, .milliseconds(packet * 20))], at: now)
    }
    return now
}

@Test func aSenderThatWasSilentIsNotHeldToHaveLostItsFeedback() {
    var estimator = BandwidthEstimator(minimum: 30_000, start: 300_000, maximum: 5_000_000)
    let end = answered(&estimator, from: .zero + .seconds(1), seconds: 5)
    let target = estimator.targetBitrate
    // On hold for a minute; then the first packet, and time to hear of it.
    let back = end + .seconds(60)
    _ = estimator.stamp(bytes: 1_000, at: back)
    #expect(estimator.deadline.map { $0 > back } ?? true)
    for wait: Int64 in [0, 500, 1_000, 1_400] {
        estimator.advance(to: back + .milliseconds(wait))
        #expect(estimator.targetBitrate == target)
    }
    // And now it would have come.
    estimator.advance(to: back + .milliseconds(1_500))
    #expect(estimator.targetBitrate < target)
}

@Test func packetsThatFeedbackDoesNotTellOfAreNotMissed() {
    var estimator = BandwidthEstimator(minimum: 30_000, start: 300_000, maximum: 5_000_000)
    let end = answered(&estimator, from: .zero + .seconds(1), seconds: 5)
    let target = estimator.targetBitrate
    for step: Int64 in 1...500 {
        let now = end + .milliseconds(20 * step)
        estimator.noteSent(bytes: 160, at: now)
        estimator.advance(to: now)
    }
    #expect(estimator.targetBitrate == target)
}

/// What the first burst leaves at a narrow bottleneck is gone in seconds, and the link is used well after.
@Test(arguments: [150_000, 200_000]) func theQueueOfTheFirstBurstIsDrained(_ rate: Int) throws {
    var call = CallBench(bottleneck(rate, queue: 2_000))
    try call.run(toSecond: 1)
    let atFirst = try #require(call.delay)
    #expect(atFirst > .milliseconds(300))
    try call.run(toSecond: 4)
    #expect(try #require(call.delay) < .milliseconds(200))
    #expect(try call.deliveredBitrate(over: 20) > rate / 10 * 7)
}

/// Somebody else's queue that was there before is no reason to hold back.
@Test func anOpenLinkIsNotDrained() throws {
    var call = CallBench(bottleneck(5_000_000, delay: 300))
    try call.run(toSecond: 4)
    #expect(call.sender.targets.allSatisfy { $0.target >= 300_000 })
}
