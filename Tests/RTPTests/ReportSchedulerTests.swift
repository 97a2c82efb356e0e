import Primitives
import RTP
import Testing

@Suite struct ReportSchedulerTests {
    @Test func theFirstReportLeavesWithTheFirstMedia() {
        var scheduler = ReportScheduler(random: .seeded(1))
        #expect(scheduler.deadline == nil)
        let now = Instant.zero + .milliseconds(500)
        scheduler.noteMediaSent(at: now)
        #expect(scheduler.deadline == now)
        #expect(scheduler.advance(to: now) == .regular)
        #expect(scheduler.advance(to: now) == nil)
        scheduler.noteMediaSent(at: now)
        #expect((scheduler.deadline ?? now) > now)
    }

    @Test func aReceiverReportsWithinHalfAnInterval() {
        var scheduler = ReportScheduler(random: .seeded(1))
        scheduler.noteMediaReceived(at: .zero)
        let first = scheduler.deadline ?? .zero
        #expect(first >= .zero + .milliseconds(100) && first <= .zero + .milliseconds(500))
    }

    @Test func intervalsAreSpreadAroundTheirMean() {
        var scheduler = ReportScheduler(random: .seeded(2))
        scheduler.noteMediaSent(at: .zero)
        var now = Instant.zero
        var intervals: [TimeDelta] = []
        for _ in 0..<1_000 {
            #expect(scheduler.advance(to: now) == .regular)
            scheduler.noteSent(bytes: 100, at: now)
            let next = scheduler.deadline ?? now
            #expect(next > now)
            intervals.append(next - now)
            now = next
        }
        #expect((intervals.min() ?? .zero) >= .milliseconds(500))
        #expect((intervals.max() ?? .zero) <= .milliseconds(1_500))
        #expect(Set(intervals).count > 900)
        let mean = (now - .zero).seconds / 1_000
        #expect(abs(mean - 1) < 0.05)
    }

    @Test func aNarrowSessionReportsLessOften() {
        var scheduler = ReportScheduler(sessionBandwidth: 64_000, random: .seeded(3))
        scheduler.noteMediaSent(at: .zero)
        var now = Instant.zero
        for _ in 0..<200 {
            now = scheduler.deadline ?? now
            _ = scheduler.advance(to: now)
            scheduler.noteSent(bytes: 972, at: now)
        }
        // 2 × 1,000 bytes at 400 bytes a second: five seconds.
        let mean = (now - .zero).seconds / 200
        #expect(abs(mean - 5) < 0.5)
    }

    @Test func feedbackIsEarlyWhileTheShareLasts() {
        var scheduler = ReportScheduler(sessionBandwidth: 320_000, random: .seeded(4))
        scheduler.noteMediaSent(at: .zero)
        _ = scheduler.advance(to: .zero)
        var now = Instant.zero
        var early = 0
        var bytes = 0
        while now < .zero + .milliseconds(20_000) {
            scheduler.requestFeedback(at: now)
            if let due = scheduler.advance(to: now) {
                if due == .early { early += 1 }
                scheduler.noteSent(bytes: 72, at: now)
                bytes += 100
            }
            now += .milliseconds(1)
        }
        #expect(early > 300)
        // A twentieth of 320 kbit/s is 2,000 bytes a second, and the burst once.
        #expect(bytes < 20 * 2_000 + 4_500)
        #expect(bytes > 20 * 2_000 - 2_000)
    }

    @Test func waitingFeedbackGoesWithARegularReport() {
        var scheduler = ReportScheduler(random: .seeded(5))
        scheduler.requestFeedback(at: .zero)
        #expect(scheduler.deadline == .zero)
        scheduler.reportSoon(at: .zero)
        #expect(scheduler.advance(to: .zero) == .regular)
        #expect(scheduler.advance(to: .zero) == nil)
    }

    @Test func receiversMeasureTheirRoundTrip() throws {
        let clock = WallClock(instant: .zero, unixNanoseconds: 1_700_000_000_000_000_000)
        var receiver = ReceiverClock()
        var sender = ReceiverClock()
        #expect(sender.answer(at: .zero) == nil)
        let question = ExtendedReport(ssrc: SSRC(5), blocks: [receiver.reference(wallClock: clock, at: .zero)])
        sender.receive(question, own: [SSRC(6)], at: .zero + .milliseconds(40))
        let answer = try #require(sender.answer(at: .zero + .milliseconds(140)))
        let packet = RTCPPacket.extendedReport(ExtendedReport(ssrc: SSRC(6), blocks: [answer]))
        guard case .extendedReport(let back) = try RTCPPacket.parseCompound(RTCPPacket.bytes(of: [packet]))[0] else {
            Issue.record("not XR")
            return
        }
        var other = receiver
        other.receive(back, own: [SSRC(77)], at: .zero + .milliseconds(200))
        #expect(other.roundTripTime == nil)
        receiver.receive(back, own: [SSRC(5)], at: .zero + .milliseconds(200))
        #expect(abs((receiver.roundTripTime ?? .zero).microseconds - 100_000) < 50)
    }

    @Test func theReceiversRememberedAreBounded() {
        var clock = ReceiverClock()
        for ssrc in 0..<100 as Range<UInt32> {
            let report = ExtendedReport(ssrc: SSRC(ssrc), blocks: [.receiverReferenceTime(NTPTime(rawValue: 1 << 20))])
            clock.receive(report, own: [], at: .zero)
            clock.receive(report, own: [], at: .zero)
        }
        guard case .delaySinceLastReceiverReport(let answers)? = clock.answer(at: .zero) else {
            Issue.record("no answer")
            return
        }
        #expect(answers.count == ReceiverClock.capacity)
        #expect(answers.last?.ssrc == SSRC(99))
    }
}
