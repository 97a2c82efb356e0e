import Primitives
import Testing

@testable import RTP

/// Header extensions that a stream heeds, in the one-byte and the two-byte form.
@Suite struct ReceiveStreamExtensionTests {
    private static let map: HeaderExtensionMap = [
        .audioLevel: 1, .videoOrientation: 2, .playoutDelay: 3, .absoluteCaptureTime: 4,
    ]

    private func feed(_ kind: MediaKind, map: HeaderExtensionMap = map) -> Feed {
        Feed(kind) { $0.extensions = map }
    }

    private func picture(
        _ feed: inout Feed, _ sequence: UInt16, key: Bool = false, _ extensions: [HeaderExtensionElement] = [],
        at milliseconds: Int64
    ) {
        feed.put(
            sequence, UInt32(sequence) &* 3_000, [0x10, key ? 0x10 : 0x11, 7], type: 96, marker: true,
            at: milliseconds, extensions: extensions)
    }

    @Test func anOrientationStandsUntilTheNext() {
        var feed = feed(.video)
        picture(&feed, 1, key: true, [.init(id: 2, data: [3])], at: 0)
        picture(&feed, 2, at: 33)
        picture(&feed, 3, [.init(id: 2, data: [8])], at: 66)
        picture(&feed, 4, at: 99)
        #expect(feed.frames.map(\.quarterTurns) == [3, 3, 0, 0])
    }

    @Test func unknownNumbersAndEmptyElementsSayNothing() {
        var feed = feed(.video, map: [.videoOrientation: 2])
        picture(&feed, 1, key: true, [.init(id: 7, data: [1]), .init(id: 2, data: [])], at: 0)
        picture(&feed, 2, [.init(id: 3, data: [0, 0, 0])], at: 33)
        #expect(feed.frames.map(\.quarterTurns) == [0, 0])
        #expect(feed.stream.statistics.playoutDelay == nil)
    }

    /// The sender's limits bound how long a missing packet is waited for, within our own.
    @Test func aPlayoutDelayBoundsTheWait() {
        func wait(_ minimum: Int64, _ maximum: Int64) -> (wait: TimeDelta, delay: PlayoutDelay?) {
            var feed = feed(.video)
            feed.stream.roundTripTime = .milliseconds(50)
            var data: [UInt8] = []
            PlayoutDelay(minimum: .milliseconds(minimum), maximum: .milliseconds(maximum)).write(into: &data)
            picture(&feed, 1, key: true, [.init(id: 3, data: data)], at: 0)
            return (feed.stream.wait, feed.stream.statistics.playoutDelay)
        }
        let usual = feed(.video).stream.wait
        #expect(wait(0, 0).wait == .milliseconds(60), "the least we wait")
        #expect(wait(0, 100).wait == .milliseconds(100))
        #expect(wait(400, 1_000).wait == .milliseconds(400))
        #expect(wait(10_000, 40_000).wait == .milliseconds(500), "the most we wait")
        #expect(wait(300, 100).wait == .milliseconds(100), "limits that contradict each other trap nothing")
        #expect(wait(0, 40_950).delay?.maximum == .milliseconds(40_950))
        #expect(usual > .milliseconds(100) && usual < .milliseconds(500))
    }

    @Test func captureTimesAreToldTwiceASecondAtMostAndByTheSendersClock() {
        var feed = feed(.audio)
        for index in 0..<100 as Range<UInt16> {
            var data: [UInt8] = []
            let captured = NTPTime(rawValue: 0xE000_0000_0000_0000 + UInt64(index) << 27)
            AbsoluteCaptureTime(captured: captured, clockOffset: 1 << 32).write(into: &data)
            feed.put(
                index, UInt32(index) * 160, Array(repeating: 0xFF, count: 160), type: 0, at: Int64(index) * 20,
                extensions: [.init(id: 4, data: data)])
        }
        #expect(feed.captures.count == 4)
        #expect(feed.captures.first?.ntp == NTPTime(rawValue: 0xDFFF_FFFF_0000_0000))
        #expect(feed.captures.last?.timestamp == Int64(12_000))
        #expect(feed.stream.statistics.captureTimesReceived == 100)
    }

    @Test func levelsAddUpToEnergy() {
        var feed = feed(.audio)
        for index in 0..<50 as Range<UInt16> {
            feed.put(
                index, UInt32(index) * 160, Array(repeating: 0xFF, count: 160), type: 0, at: Int64(index) * 20,
                extensions: [.init(id: 1, data: [index < 25 ? 0 : 127])])
        }
        let statistics = feed.stream.statistics
        #expect(abs(statistics.totalAudioEnergy - 0.5) < 1e-9 && abs(statistics.totalSamplesDuration - 1) < 1e-9)
        #expect(statistics.audioLevel == 0)
        #expect(feed.frames.first?.audioLevel == 0 && feed.frames.last?.audioLevel == 127)
    }

    // MARK: Sending

    private func profiles(ids: HeaderExtensionMap, mid: String, isMixed: Bool) -> Set<UInt16> {
        var random = RandomSource.seeded(1)
        var stream = SendStream(
            SendStreamConfiguration(
                codec: .opus, payloadType: 111, clockRate: 48_000, ssrc: SSRC(1), cname: "a", mid: mid,
                extensions: ids, allowsMixedExtensions: isMixed), random: &random)
        var packets: [OutboundPacket] = []
        for index in 0..<20 {
            let now = Instant.zero + .milliseconds(Int64(index) * 20)
            stream.packetize(
                EncodedFrame(
                    codec: .opus, payload: [0x78, 1], timestamp: Int64(index) * 960, duration: 960,
                    audioLevel: index % 2 == 0 ? 30 : nil),
                captured: NTPTime(rawValue: 1 << 40), at: now, into: &packets)
            if index == 10 {
                _ = stream.senderReport(wallClock: WallClock(instant: .zero, unixNanoseconds: 0), at: now)
                stream.receive(
                    report: ReportBlock(
                        ssrc: SSRC(1), fractionLost: 0, cumulativeLost: 0, highestSequence: 0, jitter: 0,
                        lastSenderReport: 0, delaySinceLastSenderReport: 0), at: now)
            }
        }
        return Set(packets.compactMap { try? RTPHeader(parsing: $0.bytes).extensions.profile })
    }

    /// RFC 8285 §4.1.2: without `extmap-allow-mixed` a stream keeps to one form.
    @Test func formsAreMixedOnlyWhereThatWasAgreed() {
        let long = String(repeating: "m", count: 17)
        let small: HeaderExtensionMap = [.mid: 4, .audioLevel: 1, .absoluteCaptureTime: 9]
        let large: HeaderExtensionMap = [.mid: 4, .audioLevel: 20, .absoluteCaptureTime: 9]
        #expect(profiles(ids: small, mid: "0", isMixed: false) == [0xBEDE])
        #expect(profiles(ids: small, mid: long, isMixed: false) == [0x1000])
        #expect(profiles(ids: small, mid: long, isMixed: true) == [0xBEDE, 0x1000])
        #expect(profiles(ids: large, mid: "0", isMixed: false) == [0x1000])
        #expect(profiles(ids: large, mid: "0", isMixed: true) == [0xBEDE, 0x1000])
    }
}
