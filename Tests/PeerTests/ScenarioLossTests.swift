import ICE
import Peer
import Primitives
import Testing

/// Loss from the first check to the last frame.
@Suite struct ScenarioLossTests {
    /// Percent, and the longest a setup may take, milliseconds.
    static let cases = [(0, 400), (2, 1_500), (5, 2_500), (10, 4_000)]

    @Test(arguments: cases) func aCallIsSetUpInBoundedTimeInSpiteOfLoss(percent: Int, limit: Int) throws {
        var times: [Double] = []
        for seed in Seeds.some(20, soak: 400) {
            let call = try ScenarioCall("rtt=100ms,loss=\(percent)%", seed: seed)
            try call.addMedia(videoBitrate: 300_000)
            try call.start()
            try call.connect(within: .milliseconds(Int64(limit)))
            times.append(call.now.nanosecondsAsMilliseconds)
            try call.run(for: .seconds(1.5))
            // What is still asked for again when the media ends has a second to come.
            try call.stopMedia(draining: .milliseconds(1_000))
            for side in Side.allCases {
                for track in call[side.other].tracks {
                    let count = call[side].received[track.mid]?.count ?? 0
                    // Audio is not asked for again: what is lost is lost.
                    let least = track.kind == .video ? 8 : 7
                    #expect(
                        count * 10 >= track.sent * least, "seed \(seed), \(track.kind): \(count) of \(track.sent)")
                }
            }
        }
        times.sort()
        print(
            "loss \(percent) %: median \(times[times.count / 2]) ms, longest \(times[times.count - 1]) ms of \(times.count)"
        )
    }

    @Test func burstsOfLossAreSurvivedToo() throws {
        for seed in Seeds.some(5, soak: 100) {
            let call = try ScenarioCall("rtt=100ms,loss=10%,burst=8,jitter=20ms,reorder=2%,duplicate=2%", seed: seed)
            try call.addMedia(videoBitrate: 300_000)
            try call.start()
            try call.connect(within: .milliseconds(10_000))
            try call.run(for: .seconds(5))
            #expect(call.areConnected, "seed \(seed)")
            #expect((call.left.received["0"]?.count ?? 0) > 150, "seed \(seed)")
        }
    }
}

extension Instant {
    var nanosecondsAsMilliseconds: Double { Double(nanoseconds) / 1e6 }
}
