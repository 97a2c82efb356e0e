import Congestion
import Primitives
import Testing

private func at(_ milliseconds: Double) -> Instant { .zero + .seconds(milliseconds / 1_000) }

/// A pacer without the credit of its beginning.
private func pacer(_ bitrate: Int, change: (inout Pacer<Int>.Configuration) -> Void = { _ in }) -> Pacer<Int> {
    var configuration = Pacer<Int>.Configuration()
    change(&configuration)
    var pacer = Pacer<Int>(configuration: configuration)
    pacer.setRate(bitsPerSecond: bitrate)
    var out: [Int] = []
    for _ in 0..<16 { pacer.enqueue(-1, bytes: 1_200, priority: .video, at: .zero) }
    pacer.release(at: .zero, into: &out)
    #expect(out.count == 16)
    return pacer
}

extension Pacer<Int> {
    fileprivate mutating func drain(at now: Instant) -> [Int] {
        var out: [Int] = []
        release(at: now, into: &out)
        return out
    }
    /// When each packet leaves if only deadlines drive it.
    fileprivate mutating func departures(from start: Instant) -> [(Instant, Int)] {
        var result = drain(at: start).map { (start, $0) }
        while let due = deadline {
            let released = drain(at: due)
            #expect(deadline.map { $0 > due } ?? true)
            result += released.map { (due, $0) }
        }
        return result
    }
}

@Test func anIdlePacerAddsNoDelay() {
    var pacer = pacer(1_000_000)
    for number in 0..<100 {
        let now = at(100 + Double(number) * 33)
        pacer.enqueue(number, bytes: 1_200, priority: .video, at: now)
        #expect(pacer.deadline == now)
        #expect(pacer.drain(at: now) == [number])
        #expect(pacer.deadline == nil)
    }
}

@Test func aFirstBurstOfSixteenLeavesAtOnce() {
    var pacer = Pacer<Int>()
    pacer.setRate(bitsPerSecond: 300_000)
    for number in 0..<20 { pacer.enqueue(number, bytes: 1_200, priority: .video, at: .zero) }
    // 300 kbit/s at 2.5 for 40 ms is 3750 bytes: four packets more than the credit.
    #expect(pacer.drain(at: .zero) == Array(0..<20))
    pacer.enqueue(20, bytes: 1_200, priority: .video, at: .zero)
    #expect(pacer.drain(at: .zero).isEmpty)
}

@Test func withoutARateNothingIsHeldBack() {
    var pacer = Pacer<Int>(maximumPackets: 500)
    for number in 0..<400 { pacer.enqueue(number, bytes: 1_200, priority: .video, at: .zero) }
    #expect(pacer.drain(at: .zero).count == 400)
    #expect(pacer.deadline == nil)
}

@Test func aLargeFrameLeavesAtThePacingRateInSmallBatches() {
    // 1 Mbit/s at 2.5 is 312.5 bytes a millisecond; a batch of 40 ms is 12,500 bytes: 11 packets of 1200.
    var pacer = pacer(1_000_000)
    let start = at(1_000)
    for number in 0..<60 { pacer.enqueue(number, bytes: 1_200, priority: .video, at: start) }
    let departures = pacer.departures(from: start)
    #expect(departures.map(\.1) == Array(0..<60))
    #expect(departures.filter { $0.0 == start }.count == 11)
    // 60 packets are 72,000 bytes; less the batch and its last packet, 59,500 bytes at least at 312.5 a millisecond.
    let last = (departures[59].0 - start).seconds * 1_000
    #expect(last >= (72_000 - 12_500 - 1_200) / 312.5 - 0.1)
    #expect(last <= (72_000 - 12_500) / 312.5 + 0.1)
}

@Test func atHighRatesABatchIsSixteenPacketsOrFiveMilliseconds() {
    var sixteen = pacer(10_000_000)
    let start = at(1_000)
    for number in 0..<60 { sixteen.enqueue(number, bytes: 1_200, priority: .video, at: start) }
    #expect(sixteen.drain(at: start).count == 16)
    var long = pacer(100_000_000)
    for number in 0..<400 { long.enqueue(number, bytes: 1_200, priority: .video, at: start) }
    // 250 Mbit/s for 5 ms are 156,250 bytes.
    #expect(long.drain(at: start).count == 131)
}

@Test func audioNeverWaitsAndRetransmissionsGoBeforeVideo() {
    var pacer = pacer(100_000)
    let start = at(1_000)
    for number in 0..<20 { pacer.enqueue(number, bytes: 1_200, priority: .video, at: start) }
    _ = pacer.drain(at: start)
    pacer.enqueue(200, bytes: 1_200, priority: .padding, at: start)
    pacer.enqueue(100, bytes: 1_200, priority: .retransmission, at: start)
    pacer.enqueue(300, bytes: 160, priority: .audio, at: start)
    #expect(pacer.deadline == start)
    #expect(pacer.drain(at: start) == [300])
    let order = pacer.departures(from: start).map(\.1)
    #expect(order.first == 100)
    #expect(order.last == 200)
    #expect(order.count == 20 + 2 - (20 - (order.count - 2)))
}

@Test func aQueueThatWouldTakeTooLongIsSentFaster() {
    var pacer = pacer(100_000) { $0.maximumPackets = 1_000 }
    let start = at(1_000)
    for number in 0..<300 { pacer.enqueue(number, bytes: 1_200, priority: .video, at: start) }
    let departures = pacer.departures(from: start)
    // 360 kB at 250 kbit/s would take 11.5 s. The floor shrinks with the queue: a decay with 2 s, not a cliff.
    let half = departures[150].0 - start
    #expect(half < .milliseconds(1_500))
    #expect((departures[299].0 - start) < .milliseconds(7_000))
}

@Test func queuesAreBoundedByKind() {
    var pacer = pacer(100_000) {
        $0.maximumPackets = 40
        $0.maximumAudioPackets = 10
        $0.maximumPaddingPackets = 5
    }
    var taken = [PacerPriority: Int]()
    for priority in PacerPriority.allCases {
        for number in 0..<100 {
            if pacer.enqueue(number, bytes: 100, priority: priority, at: .zero) { taken[priority, default: 0] += 1 }
        }
    }
    #expect(taken == [.audio: 10, .retransmission: 40, .video: 40, .padding: 5])
    #expect(pacer.refusedPackets == 400 - 95)
    #expect(pacer.queuedPackets == 95)
    #expect(pacer.queuedBytes == 9_500)
}

@Test func roomIsSaidToEndBeforeTheQueueDoes() {
    var pacer = pacer(1_000) { $0.maximumPackets = 80 }
    #expect(pacer.hasRoom)
    for number in 0..<70 { pacer.enqueue(number, bytes: 1_000, priority: .video, at: .zero) }
    #expect(!pacer.hasRoom)
    let isTaken = pacer.enqueue(71, bytes: 1_000, priority: .video, at: .zero)
    #expect(isTaken)
}

@Test func audioDebtDoesNotShutVideoOutForLong() {
    var pacer = pacer(20_000)
    var now = at(1_000)
    // Audio alone is three times the pacing rate.
    for _ in 0..<500 {
        pacer.enqueue(0, bytes: 400, priority: .audio, at: now)
        _ = pacer.drain(at: now)
        now += .milliseconds(20)
    }
    pacer.enqueue(1, bytes: 1_200, priority: .video, at: now)
    #expect(pacer.deadline.map { $0 - now < .milliseconds(700) } ?? false)
}

@Test func aProbeTakesItsRateFromMediaAndPadding() {
    var pacer = pacer(300_000) { $0.hasPadding = true }
    let start = at(1_000)
    let probe = Probe(id: 7, bitrate: 900_000)
    #expect(probe.minimumBytes == 1_687 && probe.minimumPackets == 5)
    pacer.start(probe)
    pacer.enqueue(1, bytes: 500, priority: .video, at: start)
    var sent: [(Instant, Int)] = []
    var now = start
    for _ in 0..<200 {
        for size in pacer.drain(at: now) where pacer.releasedProbe == 7 { sent.append((now, size)) }
        let padding = pacer.paddingNeeded(at: now)
        if padding > 0 {
            pacer.enqueue(2, bytes: 250, priority: .padding, at: now)
            continue
        }
        guard let due = pacer.deadline else { break }
        now = Swift.max(now, due)
    }
    #expect(sent.count == 6)
    #expect(sent.map(\.1) == [1, 2, 2, 2, 2, 2])
    // 500 + 4 × 250 bytes before the last one leaves, at 900 kbit/s: 13.3 ms, less the allowance of 2 ms.
    let took = (sent[5].0 - sent[0].0).seconds * 1_000
    #expect((10.5...13.5).contains(took))
    #expect(pacer.releasedProbe == 7)
    pacer.enqueue(3, bytes: 100, priority: .video, at: now + .milliseconds(100))
    #expect(pacer.drain(at: now + .milliseconds(100)) == [3])
    #expect(pacer.releasedProbe == nil)
}

@Test func aProbeWithoutPaddingWaitsForEnoughMediaAndIsGivenUpInTheEnd() {
    var pacer = pacer(300_000)
    pacer.start(Probe(id: 1, bitrate: 900_000))
    let start = at(1_000)
    pacer.enqueue(0, bytes: 500, priority: .video, at: start)
    #expect(pacer.drain(at: start) == [0])
    #expect(pacer.releasedProbe == nil)
    #expect(pacer.paddingNeeded(at: start) == 0)
    #expect(pacer.deadline == nil)
    let later = at(2_000)
    for number in 0..<8 { pacer.enqueue(number, bytes: 1_000, priority: .video, at: later) }
    _ = pacer.drain(at: later)
    #expect(pacer.releasedProbe == 1)
}

@Test func paddingThatIsNeverMadeDoesNotSpin() {
    var pacer = pacer(300_000) { $0.hasPadding = true }
    let start = at(1_000)
    pacer.start(Probe(id: 1, bitrate: 900_000))
    _ = pacer.drain(at: start)
    var calls = 0
    while let due = pacer.deadline, calls < 20_000 {
        _ = pacer.drain(at: due)
        #expect(pacer.deadline.map { $0 > due } ?? true)
        calls += 1
    }
    #expect(calls < 6_000)
    #expect(pacer.deadline == nil)
}

@Test func probesWaitingAreBounded() {
    var pacer = pacer(300_000) { $0.hasPadding = true }
    for id in 0..<10 { pacer.start(Probe(id: id, bitrate: 900_000)) }
    var seen: Set<Int> = []
    var now = at(1_000)
    for _ in 0..<1_000 {
        _ = pacer.drain(at: now)
        if let id = pacer.releasedProbe { seen.insert(id) }
        if pacer.paddingNeeded(at: now) > 0 {
            pacer.enqueue(0, bytes: 250, priority: .padding, at: now)
            continue
        }
        guard let due = pacer.deadline else { break }
        now = Swift.max(now, due)
    }
    #expect(seen == [0, 1, 2, 3])
}
