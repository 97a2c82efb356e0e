import Primitives
import Testing

@testable import RTP

@Suite struct AccountingTests {
    /// RFC 3550 A.8 in floating point, as a reference.
    @Test func jitterFollowsTheReference() {
        var random = RandomSource.seeded(3)
        var accounting = ReceptionAccounting(clockRate: 8_000)
        var reference = 0.0
        var lastTransit: Double?
        for index in 0..<2_000 as Range<Int64> {
            let arrival = index * 20_000 + Int64.random(in: 0...30_000, using: &random)
            accounting.receive(sequence: index, timestamp: index * 160, at: .zero + .microseconds(arrival))
            let transit = Double(arrival) * 0.008 - Double(index * 160)
            if let lastTransit { reference += (abs(transit - lastTransit) - reference) / 16 }
            lastTransit = transit
        }
        #expect(reference > 50)
        #expect(abs(Double(accounting.jitterTicks) - reference) < 2)
        #expect(abs(accounting.jitter.seconds - reference / 8_000) < 0.000_5)
    }

    @Test func fractionAndCumulativeLossAreOfTheirIntervals() {
        var accounting = ReceptionAccounting(clockRate: 8_000)
        for sequence in 0..<100 as Range<Int64> where sequence % 4 != 3 {
            accounting.receive(sequence: sequence, timestamp: sequence, at: .zero)
        }
        var block = accounting.report(ssrc: SSRC(1))
        // 0...98 are expected; 24 of them are missing.
        #expect(block.cumulativeLost == 24)
        #expect(block.fractionLost == UInt8(24 * 256 / 99))
        #expect(block.highestSequence == 98)
        for sequence in 99..<200 as Range<Int64> { accounting.receive(sequence: sequence, timestamp: 0, at: .zero) }
        block = accounting.report(ssrc: SSRC(1))
        #expect(block.fractionLost == 0)
        #expect(block.cumulativeLost == 24)
        accounting.receive(sequence: 299, timestamp: 0, at: .zero)
        block = accounting.report(ssrc: SSRC(1))
        #expect(block.fractionLost == 253)
        accounting.receive(sequence: 299, timestamp: 0, at: .zero)
        accounting.receive(sequence: 3, timestamp: 0, at: .zero)
        #expect(accounting.packetsLost == 24 + 99 - 2)
        #expect(accounting.report(ssrc: SSRC(1)).fractionLost == 0)
    }

    @Test func cyclesAreInTheUpperHalfOfTheHighestNumber() {
        var tracker = SequenceTracker()
        var accounting = ReceptionAccounting(clockRate: 8_000)
        for number in [65_534, 65_535, 1, 0, 2] as [UInt16] {
            guard case .fresh(let sequence) = tracker.receive(SequenceNumber(number), mayRestart: true) else {
                Issue.record("not fresh")
                return
            }
            accounting.receive(sequence: sequence, timestamp: 0, at: .zero)
        }
        #expect(accounting.report(ssrc: SSRC(1)).highestSequence == 0x0001_0002)
        #expect(accounting.packetsLost == 0)
    }

    @Test func reorderingAroundTheFirstPacketIsNotNegativeLoss() {
        var accounting = ReceptionAccounting(clockRate: 8_000)
        for sequence in [10, 9, 8, 11] as [Int64] { accounting.receive(sequence: sequence, timestamp: 0, at: .zero) }
        #expect(accounting.packetsLost == 0)
    }

    @Test func lossSurvivesARestart() {
        var accounting = ReceptionAccounting(clockRate: 8_000)
        accounting.receive(sequence: 1, timestamp: 0, at: .zero)
        accounting.receive(sequence: 5, timestamp: 0, at: .zero)
        accounting.restart()
        #expect(accounting.packetsLost == 3)
        accounting.receive(sequence: 70_000, timestamp: 0, at: .zero)
        #expect(accounting.packetsLost == 3)
    }

    @Test func trackerTellsDuplicatesJumpsAndRestarts() {
        var tracker = SequenceTracker()
        func see(_ number: UInt16, _ mayRestart: Bool = true) -> SequenceTracker.Verdict {
            tracker.receive(SequenceNumber(number), mayRestart: mayRestart)
        }
        #expect(see(5) == .fresh(5))
        #expect(see(5) == .duplicate(5))
        #expect(see(7) == .fresh(7))
        #expect(see(6) == .fresh(6))
        #expect(see(6) == .duplicate(6))
        #expect(see(2) == .fresh(2))
        #expect(see(65_535) == .fresh(-1))
        #expect(see(3_006) == .fresh(3_006))
        #expect(see(7) == .duplicate(7))
        #expect(see(6_006) == .jump)
        #expect(see(6_007, false) == .jump)
        #expect(see(3_007) == .fresh(3_007))
        #expect(see(6_100) == .jump)
        #expect(see(6_101) == .restarted(65_536 + 6_101))
        #expect(see(6_101) == .duplicate(65_536 + 6_101))
    }

    @Test func theListOfMissingPacketsIsBounded() {
        var nacks = NACKGenerator(isEnabled: true, capacity: 10, maximumTries: 3)
        #expect(nacks.noteMissing(0..<10, at: .zero) == true)
        #expect(nacks.noteMissing(11..<12, at: .zero) == false)
        #expect(nacks.count == 10)
        nacks.forget(below: 5)
        #expect(nacks.count == 5)
        #expect(nacks.since(4) == nil)
        #expect(nacks.since(5) == .zero)
        #expect(nacks.noteMissing(11..<12, at: .zero + .milliseconds(1)) == true)
    }

    @Test func reorderingTeachesPatience() {
        var nacks = NACKGenerator(isEnabled: true, capacity: 100, maximumTries: 10)
        var now = Instant.zero
        func firstWish() -> TimeDelta? {
            #expect(nacks.noteMissing(1_000_000..<1_000_001, at: now) == true)
            defer { nacks.removeAll() }
            return nacks.deadline.map { $0 - now }
        }
        #expect(firstWish() == .milliseconds(5))
        for sequence in 0..<200 as Range<Int64> {
            _ = nacks.noteMissing(sequence..<sequence + 1, at: now)
            now += .milliseconds(15)
            nacks.noteArrival(sequence, at: now, rtt: .milliseconds(100), isRetransmission: false)
        }
        let taught = firstWish() ?? .zero
        #expect(taught > .milliseconds(20) && taught <= .milliseconds(30))
        for sequence in 1_000..<1_400 as Range<Int64> {
            _ = nacks.noteMissing(sequence..<sequence + 1, at: now)
            now += .milliseconds(100)
            nacks.noteArrival(sequence, at: now, rtt: .milliseconds(100), isRetransmission: true)
        }
        #expect(firstWish() == .milliseconds(5))
    }

    @Test func theRingGrowsToItsCapacityAndKeepsWhatIsNewer() {
        func entry(_ sequence: Int64) -> PacketRing.Entry {
            PacketRing.Entry(
                sequence: sequence, timestamp: 0, arrival: .zero, data: 0..<1, codec: .vp8, flags: [])
        }
        var ring = PacketRing(capacity: 64, maximumBytes: 100)
        for sequence in -5..<59 as Range<Int64> { #expect(ring.insert(entry(sequence), packet: [1]) == true) }
        #expect(ring.count == 64)
        #expect(ring.insert(entry(60), packet: [1]) == true)
        #expect(ring[-4] == nil)
        #expect(ring.insert(entry(-4), packet: [1]) == false)
        #expect(ring.bytes == 64)
        #expect(ring.insert(entry(59), packet: Array(repeating: 0, count: 37)) == false)
        ring.remove(60)
        ring.remove(60)
        #expect(ring.count == 63)
        #expect(ring.bytes == 63)
    }
}
