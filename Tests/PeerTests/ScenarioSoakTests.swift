import Foundation
import Peer
import Primitives
import Testing

/// Long calls, whose memory must not know how long they are.
@Suite struct ScenarioSoakTests {
    /// An hour in the normal run; a day, with memory measured, in `Scripts/soak`.
    @Test func aCallOfManyHoursNeitherGrowsNorStalls() throws {
        let hours = Seeds.isSoak ? 24 : 1
        let interval = TimeDelta.milliseconds(200)
        let call = try ScenarioCall("rtt=100ms,loss=1%,jitter=10ms", seed: Seeds.some(1)[0])
        // Low-rate audio and a video frame now and then, so that retransmission has its share.
        try call.addMedia(
            videoBitrate: 4_000, audioBitrate: 2_400, audioInterval: interval, videoInterval: .milliseconds(2_000))
        let began = threadSeconds()
        try call.start()
        try call.connect()
        // The first stretch fills rings and tables.
        let warmUp = TimeDelta.seconds(hours == 24 ? 3_600 : 600)
        try call.run(for: warmUp)
        let resident = residentBytes()
        let first = footprint(of: call.left.engine)
        for side in Side.allCases {
            for key in call[side].received.keys { call[side].received[key]?.resetGaps() }
        }
        for _ in 1...hours {
            try call.run(until: call.now + .seconds(3_600) - warmUp / Int64(hours))
            #expect(call.areConnected)
        }
        let last = footprint(of: call.left.engine)
        let grown = last.filter { $0.value > (first[$0.key] ?? 0) * 5 / 4 + 64 }
        print(
            "\(hours) h: \(threadSeconds() - began) s of processor, \(call.datagrams) datagrams, resident \(resident / 1_024) KiB then "
                + "\(residentBytes() / 1_024), collections \(first.values.reduce(0, +)) then \(last.values.reduce(0, +))"
        )
        #expect(grown.isEmpty, "\(grown)")
        if Seeds.isSoak { #expect(residentBytes() < resident + 4_000_000, "memory grew") }
        for side in Side.allCases {
            let audio = try #require(call[side].received["0"])
            let video = try #require(call[side].received["1"])
            #expect(Double(audio.count) > Double(call[side.other].tracks[0].sent) * 0.995)
            #expect(Double(video.count) > Double(call[side.other].tracks[1].sent) * 0.99)
            #expect(audio.damaged + video.damaged + audio.disordered + video.disordered == 0)
            #expect(audio.longestGap < .milliseconds(1_400), "no stall: \(audio.longestGap)")
            #expect(call[side].states.last?.state == .connected)
            #expect(call[side].states.count <= 3, "\(call[side].states)")
        }
    }

    /// Resident memory of the process: tells something only where nothing else runs in it.
    private func residentBytes() -> Int {
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * 4_096 : 0
    }
}
