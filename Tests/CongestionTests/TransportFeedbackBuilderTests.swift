import Congestion
import Primitives
import Testing

private func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

extension TransportFeedbackBuilder {
    fileprivate mutating func note(_ number: Int, _ milliseconds: Int64) {
        noteArrival(SequenceNumber(UInt16(truncatingIfNeeded: number)), media: SSRC(9), at: at(milliseconds))
    }
}

@Test func aReportSpeaksOfAllSinceTheLastOne() {
    var builder = TransportFeedbackBuilder(interval: .milliseconds(100))
    #expect(builder.deadline == nil)
    #expect(builder.take(at: at(0)) == nil)
    builder.note(10, 5)
    builder.note(11, 6)
    builder.note(13, 8)
    #expect(builder.deadline == at(105))
    let report = builder.take(at: at(105))
    #expect(report?.base == 10)
    #expect(report?.arrivals.map(\.sequence) == [10, 11, 13])
    #expect(report?.arrivals.map(\.at) == [at(5), at(6), at(8)])
    #expect(report?.media == SSRC(9))
    #expect(report?.count == 0)
    #expect(builder.deadline == nil)
    #expect(builder.take(at: at(106)) == nil)
    builder.note(15, 120)
    let next = builder.take(at: at(220))
    #expect(next?.base == 14)
    #expect(next?.count == 1)
}

@Test func aLatePacketIsReportedAfterAll() {
    var builder = TransportFeedbackBuilder()
    for number in [1, 2, 4, 5] { builder.note(number, Int64(number)) }
    _ = builder.take(at: at(101))
    builder.note(3, 150)
    builder.note(6, 160)
    let report = builder.take(at: at(250))
    #expect(report?.base == 3)
    #expect(report?.arrivals.map(\.sequence) == [3, 4, 5, 6])
    // Long after, it is no longer of interest.
    builder.note(7, 900)
    _ = builder.take(at: at(1_000))
    builder.note(0, 1_600)
    #expect(builder.deadline == nil)
}

@Test func duplicatesCountOnceWithTheirFirstArrival() {
    var builder = TransportFeedbackBuilder()
    builder.note(1, 1)
    builder.note(1, 50)
    #expect(builder.take(at: at(101))?.arrivals == [PacketArrival(sequence: 1, at: at(1))])
    builder.note(1, 150)
    #expect(builder.take(at: at(250)) == nil)
}

@Test func numbersWrap() {
    var builder = TransportFeedbackBuilder()
    for number in 65_534...65_538 { builder.note(number, 1) }
    let report = builder.take(at: at(101))
    #expect(report?.arrivals.map(\.sequence) == Array(65_534...65_538))
}

@Test func aLongGapIsSplitIntoReportsThatFit() {
    var builder = TransportFeedbackBuilder(maximumNumbers: 100)
    for number in 0..<250 { builder.note(number, Int64(number)) }
    var reports: [ArrivalReport] = []
    while let report = builder.take(at: at(300)) { reports.append(report) }
    #expect(reports.map(\.arrivals.count) == [100, 100, 50])
    #expect(reports.map(\.count) == [0, 1, 2])
    #expect(reports.map(\.base) == [0, 100, 200])
    // A hole wider than a report begins the next one after it.
    builder.note(1_000, 400)
    #expect(builder.take(at: at(500))?.base == 1_000)
}

@Test func arrivalsFurtherApartThanADeltaCanSayAreSplit() {
    var builder = TransportFeedbackBuilder(interval: .milliseconds(10_000))
    builder.note(1, 0)
    builder.note(2, 9_000)
    #expect(builder.take(at: at(10_000))?.arrivals.map(\.sequence) == [1])
    #expect(builder.take(at: at(10_000))?.arrivals.map(\.sequence) == [2])
}

@Test func aLeapWiderThanTheRingStartsAnew() {
    var builder = TransportFeedbackBuilder(capacity: 64)
    builder.note(1, 1)
    builder.note(5_000, 2)
    let report = builder.take(at: at(110))
    #expect(report?.base == 5_000)
    #expect(report?.arrivals.count == 1)
}

@Test func randomNumbersNeverMakeAReportThatIsTooLongOrOutOfOrder() {
    var random = RandomSource.seeded(8)
    var builder = TransportFeedbackBuilder(capacity: 256, maximumNumbers: 50)
    var now = Instant.zero
    for _ in 0..<20_000 {
        builder.noteArrival(SequenceNumber(UInt16(truncatingIfNeeded: random.next())), media: SSRC(1), at: now)
        now += .milliseconds(Int64.random(in: 0...30, using: &random))
        guard let due = builder.deadline, due <= now else { continue }
        while let report = builder.take(at: now) {
            #expect(!report.arrivals.isEmpty && report.arrivals.count <= 50)
            #expect((report.arrivals.last?.sequence ?? .max) - report.base < 50)
            #expect(zip(report.arrivals, report.arrivals.dropFirst()).allSatisfy { $0.sequence < $1.sequence })
        }
        #expect(builder.deadline == nil)
    }
}
