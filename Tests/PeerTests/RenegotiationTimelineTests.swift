import Primitives
import RTP
import Testing

@testable import Peer

/// One timeline a section: the rules of `TrackTimelines` one by one, and what it and the routing table keep.
@Suite struct RenegotiationTimelineTests {
    private struct Section {
        var timelines = TrackTimelines()
        var order: [SSRC] = []

        mutating func place(
            _ timestamp: Int64, of ssrc: UInt32, at milliseconds: Int64, isKeyframe: Bool = true
        ) -> TrackTimelines.Placement {
            let ssrc = SSRC(ssrc)
            if !order.contains(ssrc) { order.append(ssrc) }
            let order = order
            let position = order.firstIndex(of: ssrc) ?? 0
            return timelines.place(
                EncodedFrame(codec: .vp8, payload: [0], timestamp: timestamp, isKeyframe: isKeyframe), of: ssrc,
                clockRate: 90_000, in: "v", at: Instant(nanoseconds: milliseconds * 1_000_000)
            ) { other in order.firstIndex(of: other).map { $0 < position } ?? true }
        }
    }

    private func time(_ placement: TrackTimelines.Placement) -> Int64? {
        if case .at(let time) = placement { time } else { nil }
    }

    @Test func oneStreamKeepsItsOwnTimestamps() {
        var section = Section()
        for index in Int64(0)..<50 {
            #expect(time(section.place(1_000 + index * 3_000, of: 1, at: index * 33)) == 1_000 + index * 3_000)
        }
    }

    @Test func aNewSourceGoesOnByTheTimeThatPassed() {
        var section = Section()
        _ = section.place(9_000_000, of: 1, at: 0)
        #expect(time(section.place(5, of: 2, at: 100)) == 9_009_000)
        #expect(time(section.place(3_005, of: 2, at: 133)) == 9_012_000)
        #expect(section.timelines.place(6_005, of: SSRC(2), in: "v") == 9_015_000, "reports follow")
        #expect(section.timelines.place(6_005, of: SSRC(1), in: "v") == nil)
    }

    @Test func aNewSourceBeginsWithAKeyframe() {
        var section = Section()
        _ = section.place(0, of: 1, at: 0)
        guard case .awaitsKeyframe = section.place(5, of: 2, at: 10, isKeyframe: false) else {
            Issue.record("a frame that cannot be decoded was placed")
            return
        }
        #expect(time(section.place(3_000, of: 1, at: 33)) == 3_000, "the former one goes on meanwhile")
        #expect(time(section.place(3_005, of: 2, at: 43)) == 3_900)
    }

    @Test func ofSeveralEncodingsTheNewestCountsUntilItIsSilent() {
        var section = Section()
        _ = section.place(0, of: 1, at: 0)
        _ = section.place(0, of: 2, at: 1)
        for index in Int64(1)..<10 {
            guard case .superfluous = section.place(index * 3_000, of: 1, at: index * 33) else {
                Issue.record("two pictures at once")
                return
            }
            #expect(time(section.place(index * 3_000, of: 2, at: index * 33 + 1)) != nil)
        }
        #expect(time(section.place(90_000, of: 1, at: 1_000)) != nil, "the other one fell silent")
    }

    @Test func aStreamThatIsUnwrappedAnewGoesOn() {
        var section = Section()
        let wrap = Int64(1) << 32
        _ = section.place(wrap + 500, of: 1, at: 0)
        // After a hold: the same clock, counted from the first turn again.
        #expect(time(section.place(90_500, of: 1, at: 1_000)) == wrap + 90_500)
        #expect(time(section.place(93_500, of: 1, at: 1_033)) == wrap + 93_500)
    }

    @Test func extremesOfTimestampsDoNotTrap() {
        var section = Section()
        for (index, timestamp) in [Int64.max, .min, 0, -1, .max, .min].enumerated() {
            _ = section.place(timestamp, of: UInt32(index % 3), at: Int64(index) * 700)
        }
    }

    @Test func retiredStreamsAreKeptToALimit() {
        var routes = RoutingTable()
        routes.retransmissions[SSRC(1_000)] = SSRC(5)
        for ssrc in UInt32(0)..<200 { routes.retire(SSRC(ssrc)) }
        #expect(routes.retired.count == 64 && routes.retired.last == SSRC(199))
        routes.retire(SSRC(5))
        #expect(routes.retired.contains(SSRC(1_000)), "what repairs it goes with it")
        routes.retransmissions[SSRC(1_001)] = SSRC(6)
        routes.retire(SSRC(6), except: [SSRC(1_001)])
        #expect(!routes.retired.contains(SSRC(1_001)), "unless it is named still")
    }
}
