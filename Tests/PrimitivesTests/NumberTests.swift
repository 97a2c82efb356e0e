import Primitives
import Testing

@Suite struct NumberTests {
    @Test(arguments: [(65_535, 0, -1), (0, 65_535, 1), (32_768, 0, -32_768), (1, 1, 0)] as [(UInt16, UInt16, Int)])
    func sequenceDistanceIsTheShorterWayRound(_ a: UInt16, _ b: UInt16, _ expected: Int) {
        #expect(SequenceNumber(a).distance(from: SequenceNumber(b)) == expected)
    }

    @Test func unwrapperCountsWrapsAndKeepsReorderedNumbersInTheirEra() {
        var unwrapper = SequenceNumberUnwrapper()
        #expect(
            [65_534, 65_535, 0, 65_533, 1].map { unwrapper.unwrap(SequenceNumber($0)) }
                == [65_534, 65_535, 65_536, 65_533, 65_537])
    }

    @Test func timestampUnwrapperCrossesThe32BitBoundary() {
        var unwrapper = RTPTimestampUnwrapper()
        #expect(unwrapper.unwrap(RTPTimestamp(.max - 10)) == Int64(UInt32.max) - 10)
        #expect(unwrapper.unwrap(RTPTimestamp(10)) == Int64(UInt32.max) + 11)
    }

    @Test func timeArithmeticSaturatesInsteadOfTrapping() {
        #expect(TimeDelta.max + .seconds(1) == .max)
        #expect(TimeDelta.seconds(Double.nan) == .zero)
        #expect(TimeDelta.seconds(1e300) == .max)
        #expect((Instant(nanoseconds: .min) - .seconds(1)).nanoseconds == .min)
        #expect(TimeDelta.seconds(5) / 0 == .zero)
    }

    @Test func ntpTimeOfTheUnixEpochAndDistances() {
        #expect(NTPTime(unixNanoseconds: 0).rawValue == 2_208_988_800 << 32)
        let a = NTPTime(unixNanoseconds: 1_500_000_000)
        let b = NTPTime(unixNanoseconds: 250_000_000)
        #expect(abs((a.since(b) - .milliseconds(1_250)).nanoseconds) < 2)
        #expect(abs((b.since(a) + .milliseconds(1_250)).nanoseconds) < 2)
    }

    @Test func boundedQueueRefusesMoreThanItsCap() {
        var queue = BoundedQueue<Int>(capacity: 3)
        #expect([1, 2, 3, 4].map { queue.append($0) } == [true, true, true, false])
        #expect(queue.appendDroppingOldest(5) == 1)
        #expect([queue.popFirst(), queue.popFirst(), queue.popFirst(), queue.popFirst()] == [2, 3, 5, nil])
    }

    @Test func seededRandomnessRepeats() {
        var a = RandomSource.seeded(7)
        var b = RandomSource.seeded(7)
        #expect(a.bytes(37) == b.bytes(37))
        #expect(a.next() != a.next())
    }
}
