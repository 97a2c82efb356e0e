import DTLSSRTP
import Testing

@testable import PosternBench

@Suite(.enabled(if: Meter.countsAllocations, "a sanitizer's allocator is not counted"))
struct AllocationTests {
    @Test(arguments: SRTPProfile.allCases)
    func aPacketAllocatesLittleMoreThanItself(_ profile: SRTPProfile) throws {
        let cost = try EngineCost(profile: profile, frames: 60, warmUp: 60)
        #expect(cost.frames == 60)
        #expect(CostLimits.current.breaches(of: cost) == [])
    }

    @Test(arguments: RelayedBench.Form.allCases) func aRelayedPacketToo(_ form: RelayedBench.Form) throws {
        let cost = try EngineCost(relay: RelayedBench(form), frames: 60, warmUp: 60)
        #expect(cost.frames == 60)
        #expect(CostLimits.relayed(form).breaches(of: cost) == [])
    }

    /// The count must be able to fail.
    @Test func anAllocationIsCounted() {
        let nothing = Meter.measure {}
        var kept: [[UInt8]] = []
        kept.reserveCapacity(8)
        let some = Meter.measure { for size in 1...8 { kept.append(Array(repeating: 1, count: size * 100)) } }
        #expect(nothing.allocations == 0)
        #expect(some.allocations == 8)
        #expect(kept.count == 8)
    }
}
