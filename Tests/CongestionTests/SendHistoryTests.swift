import Congestion
import Primitives
import Testing

private func at(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

@Test func aPacketIsToldOfOnceWithWhatWasSent() {
    var history = SendHistory()
    let first = history.noteSent(bytes: 1_000, at: at(1))
    let second = history.noteSent(bytes: 500, probe: 3, at: at(2))
    #expect(second == first.next)
    #expect(history.bytesInFlight == 1_500)
    var results: [PacketResult] = []
    history.acknowledge(second, arrival: .milliseconds(70), into: &results)
    history.acknowledge(second, arrival: .milliseconds(70), into: &results)
    history.acknowledge(second, arrival: nil, into: &results)
    #expect(
        results == [PacketResult(sequence: 2, bytes: 500, sentAt: at(2), arrival: at(70), probe: 3)])
    #expect(history.bytesInFlight == 1_000)
}

@Test func aPacketSaidToBeLostMayStillCome() {
    var history = SendHistory()
    let number = history.noteSent(bytes: 1_000, at: at(1))
    var results: [PacketResult] = []
    history.acknowledge(number, arrival: nil, into: &results)
    history.acknowledge(number, arrival: nil, into: &results)
    history.acknowledge(number, arrival: .milliseconds(5), into: &results)
    #expect(results.map(\.arrival) == [nil, at(5)])
    #expect(history.bytesInFlight == 0)
}

@Test func numbersNeverSentAreUnknown() {
    var history = SendHistory()
    var results: [PacketResult] = []
    history.acknowledge(SequenceNumber(1), arrival: .zero, into: &results)
    let last = history.noteSent(bytes: 1, at: .zero)
    for number in [last.next, last + 100, last - 1, last - 2, last + 32_767, last + 40_000] {
        history.acknowledge(number, arrival: .zero, into: &results)
    }
    #expect(results.isEmpty)
}

@Test func theHistoryForgetsWhatIsOlderThanItsCapacityAcrossTheWrap() {
    var history = SendHistory(capacity: 64)
    #expect(history.capacity == 64)
    var numbers: [SequenceNumber] = []
    for _ in 0..<70_000 { numbers.append(history.noteSent(bytes: 10, at: .zero)) }
    #expect(history.bytesInFlight == 640)
    var results: [PacketResult] = []
    for number in numbers.suffix(100) { history.acknowledge(number, arrival: .zero, into: &results) }
    #expect(results.map(\.sequence) == Array(69_937...70_000))
    #expect(history.bytesInFlight == 0)
    #expect(SendHistory(capacity: 1_000_000).capacity == 32_768)
}

@Test func arrivalsAreUnwrappedOverTheTwelveDaysOfTheReferenceTime() {
    var history = SendHistory()
    let period = TimeDelta.milliseconds(64) * Int64(1 << 24)
    var results: [PacketResult] = []
    for arrival in [period - .milliseconds(30), period - .milliseconds(10), .milliseconds(10), .milliseconds(30)] {
        history.acknowledge(history.noteSent(bytes: 1, at: .zero), arrival: arrival, into: &results)
    }
    // As the reference time is signed on the wire, the same again from its negative half.
    for arrival in [-period / 2 + .milliseconds(50)] {
        history.acknowledge(history.noteSent(bytes: 1, at: .zero), arrival: arrival, into: &results)
    }
    let first = results[0].arrival ?? .zero
    #expect(
        results.prefix(4).map { ($0.arrival ?? .zero) - first } == [0, 20, 40, 60].map { TimeDelta.milliseconds($0) })
}
