import FixtureSupport
import Primitives
import RTP
import Testing

/// Freezes and reports.
@Suite struct ReceiveStreamReportTests {
    @Test func freezesAreCountedAsTheW3CDefinesThem() {
        var feed = Feed(.video)
        var time: Int64 = 0
        var sequence: UInt16 = 0
        func frames(_ count: Int, every interval: Int64) {
            for _ in 0..<count {
                feed.video(sequence, frame: UInt32(sequence), key: sequence == 0, at: time)
                sequence += 1
                time += interval
            }
        }
        frames(31, every: 33)
        // 33 + 150 = 183 ms is the threshold: an interval of 33 + 149 is none, of 33 + 151 is one.
        time += 148
        frames(40, every: 33)
        #expect(feed.stream.statistics.freezeCount == 0)
        time += 152
        frames(10, every: 33)
        #expect(feed.stream.statistics.freezeCount == 1)
        #expect(abs(feed.stream.statistics.totalFreezesDuration - 0.185) < 1e-9)
        time += 6_000
        frames(2, every: 33)
        #expect(feed.stream.statistics.freezeCount == 1)
        #expect(feed.stream.statistics.pauseCount == 1)
        let last = Double(time - 33) / 1_000
        #expect(abs(feed.stream.statistics.totalInterFrameDelay - last) < 1e-9)
    }

    @Test func theReportCarriesTheSendersClock() throws {
        var feed = Feed(.audio)
        #expect(feed.stream.receptionReport(at: .zero) == nil)
        feed.audio(1, at: 0)
        #expect(feed.stream.receptionReport(at: .zero)?.lastSenderReport == 0)
        #expect(feed.stream.captureTime(of: 160) == nil)
        let ntp = NTPTime(rawValue: 0xE000_0001_8000_0000)
        feed.stream.noteSenderReport(ntp: ntp, rtp: RTPTimestamp(8_160), at: .zero + .milliseconds(100))
        let reported = feed.stream.receptionReport(at: .zero + .milliseconds(600))
        let block = try #require(reported)
        #expect(block.lastSenderReport == 0x0001_8000)
        #expect(block.delaySinceLastSenderReport == 32_768)
        #expect(block.highestSequence == 1)
        // One second before the report's timestamp is one second before its NTP time.
        #expect(feed.stream.captureTime(of: 160) == NTPTime(rawValue: 0xE000_0000_8000_0000))
        #expect(feed.stream.captureTime(of: 8_164)?.since(ntp).microseconds == 499)
        #expect(feed.stream.receptionReport(at: .zero + .milliseconds(9_000)) == nil)
    }
}
