import Peer
import Primitives
import RTP
import SDP
import Testing

/// Header extensions from one end to the other: said here, heeded there.
@Suite struct MediaExtensionTests {
    private func connected(
        seed: UInt64, without lines: [String] = [], right: [MediaKind] = []
    ) throws -> ScenarioCall {
        let call = try ScenarioCall("rtt=60ms", seed: seed)
        try call.addMedia(right: right)
        call.signalFilter = { Self.removing(lines, from: $0) }
        try call.start()
        try call.connect()
        return call
    }

    static func removing(_ parts: [String], from signal: ScenarioCall.Signal) -> ScenarioCall.Signal {
        guard case .description(let type, let text) = signal.message else { return signal }
        var signal = signal
        let lines = text.split(separator: "\r\n").filter { line in !parts.contains { line.contains($0) } }
        signal.message = .description(type, lines.joined(separator: "\r\n") + "\r\n")
        return signal
    }

    @Test(arguments: [true, false]) func theLevelOfTheSoundIsInTheFarEndsStatistics(isAgreed: Bool) throws {
        let call = try connected(seed: 1, without: isAgreed ? [] : ["ssrc-audio-level"])
        var levels: [UInt8?] = []
        call.right.onEvent = { event, _ in
            if case .frame(let frame, "0") = event { levels.append(frame.audioLevel) }
        }
        call.left.tracks[0].isPaused = true
        try call.run(for: .milliseconds(200))
        levels = []
        for index in 0..<50 {
            let now = call.now
            try call.turn(.left) { engine, out in
                var frame = EncodedFrame(
                    codec: .opus, payload: [0x78] + Array(repeating: 7, count: 40),
                    timestamp: 1_000_000 + Int64(index) * 960, duration: 960)
                frame.audioLevel = 0x80 | 20
                #expect(engine.send(frame, mid: "0", at: now, into: &out) == nil)
            }
            try call.run(for: .milliseconds(20))
        }
        try call.run(for: .milliseconds(100))
        #expect(levels.count == 50)
        #expect(levels.allSatisfy { $0 == (isAgreed ? 0x80 | 20 : nil) })
        let level = call.right.statistic("audioLevel", of: .inboundRTP, kind: .audio, at: call.now)
        guard isAgreed else {
            #expect(level == nil)
            return
        }
        #expect(abs((level ?? 0) - 0.1) < 1e-6, "20 dB below overload")
        let energy = call.right.statistic("totalAudioEnergy", of: .inboundRTP, kind: .audio, at: call.now)
        let duration = call.right.statistic("totalSamplesDuration", of: .inboundRTP, kind: .audio, at: call.now)
        #expect(abs((duration ?? 0) - 1) < 1e-6 && abs((energy ?? 0) - 0.01) < 1e-6)
    }

    /// What is not known is not told: silence would be a lie.
    @Test func soundOfUnknownLevelHasNone() throws {
        let call = try connected(seed: 2)
        try call.run(for: .seconds(1))
        #expect(call.right.received["0"]?.count ?? 0 > 40)
        #expect(call.right.statistic("audioLevel", of: .inboundRTP, kind: .audio, at: call.now) == nil)
    }

    @Test(arguments: [true, false]) func capturesAreToldByTheSendersClock(isAgreed: Bool) throws {
        let call = try connected(seed: 3, without: isAgreed ? [] : ["abs-capture-time"])
        var captures: [String: [(ntp: NTPTime, timestamp: Int64)]] = [:]
        var reports: [String: (ntp: NTPTime, timestamp: Int64)] = [:]
        call.right.onEvent = { event, _ in
            switch event {
            case .captureTime(let mid, let ntp, let timestamp):
                captures[mid, default: []].append((ntp, timestamp))
            case .senderReport(let mid, let ntp, let timestamp): reports[mid] = (ntp, timestamp)
            default: break
            }
        }
        try call.run(for: .seconds(10))
        guard isAgreed else {
            #expect(captures.isEmpty)
            return
        }
        for (mid, rate) in [("0", 48_000.0), ("1", 90_000.0)] {
            let told = try #require(captures[mid])
            #expect((8...20).contains(told.count), "about one a second: \(told.count)")
            let report = try #require(reports[mid])
            let last = try #require(told.last)
            // A sender report and a capture time are two points of one line.
            let byReport = report.ntp.since(last.ntp).seconds
            let byTimestamp = Double(report.timestamp - last.timestamp) / rate
            #expect(abs(byReport - byTimestamp) < 0.002, "\(mid): \(byReport) \(byTimestamp)")
        }
    }

    /// The camera is turned in mid-call; packets get lost meanwhile.
    @Test(arguments: Seeds.some(3)) func theOrientationComesWithItsPictures(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=60ms,loss=5%", seed: seed)
        try call.addMedia(right: [])
        call.left.tracks[1].quarterTurns = { $0 < 30 ? 1 : $0 < 60 ? 2 : $0 < 90 ? 0 : 3 }
        try call.start()
        try call.connect()
        var seen: [(index: Int, turns: UInt8)] = []
        call.right.onEvent = { event, _ in
            guard case .frame(let frame, "1") = event else { return }
            seen.append((frame.payload[1...4].reduce(0) { $0 << 8 | Int($1) }, frame.quarterTurns))
        }
        try call.run(for: .seconds(5))
        #expect(seen.count > 100)
        for frame in seen {
            let expected: UInt8 = frame.index < 30 ? 1 : frame.index < 60 ? 2 : frame.index < 90 ? 0 : 3
            #expect(frame.turns == expected, "seed \(seed), frame \(frame.index)")
        }
        #expect(call.right.statistic("rotation", of: .inboundRTP, kind: .video, at: call.now) == 270)
    }

    @Test func withoutAgreementThereIsNoOrientation() throws {
        let call = try connected(seed: 4, without: ["video-orientation"])
        call.left.tracks[1].quarterTurns = { _ in 1 }
        var turned = 0
        call.right.onEvent = { event, _ in
            if case .frame(let frame, "1") = event, frame.quarterTurns != 0 { turned += 1 }
        }
        try call.run(for: .seconds(1))
        #expect(call.right.received["1"]?.count ?? 0 > 20 && turned == 0)
    }

    /// RFC 3611: whoever sends no media learns the round trip by reference times.
    @Test(arguments: [true, false]) func whoOnlyReceivesKnowsTheRoundTrip(isAgreed: Bool) throws {
        let call = try connected(seed: 5, without: isAgreed ? [] : ["rtcp-xr"])
        try call.run(for: .seconds(10))
        let roundTrip = call.right.statistic("roundTripTime", of: .remoteOutboundRTP, kind: .video, at: call.now)
        let measured = call.right.statistic(
            "roundTripTimeMeasurements", of: .remoteOutboundRTP, kind: .video, at: call.now)
        guard isAgreed else {
            #expect(roundTrip == nil && measured == 0)
            return
        }
        #expect(abs((roundTrip ?? 0) - 0.06) < 0.005, "\(roundTrip ?? 0)")
        #expect((measured ?? 0) >= 5)
        let sent = call.right.statistic("packetsSent", of: .remoteOutboundRTP, kind: .audio, at: call.now)
        #expect((sent ?? 0) > 300)
    }
}
