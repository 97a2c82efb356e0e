import FixtureSupport
import Primitives
import Testing

@testable import Media

private func ms(_ value: Int64) -> TimeDelta { .milliseconds(value) }

/// Jitter that is the same in every run: mostly small, now and then large.
private func jitter(_ seed: UInt64, least: Int64 = 40, most: Int64 = 60, spikes: Int64 = 200) -> (TimeDelta) ->
    TimeDelta
{
    { time in
        var random = RandomSource.seeded(seed &+ UInt64(bitPattern: time.nanoseconds))
        let spike = Int.random(in: 0..<50, using: &random) == 0 ? Int64.random(in: 0..<spikes, using: &random) : 0
        return .milliseconds(Int64.random(in: least...most, using: &random) + spike)
    }
}

struct RecordingTimelineTests {
    @Test func reportsThatComeFirstPutBothTracksExactly() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.001, until: 10))
        var video = RecordedCall.Track.video(reports: reportTimes(from: 0.002, until: 10))
        audio.delay = jitter(1)
        // The picture takes 120 ms longer: only the reports can tell that this is no later capture.
        video.delay = { jitter(2)($0) + ms(120) }
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.worstOffset() < ms(2))
        #expect(outcome.summary.synchronization == .senderReports)
        #expect(outcome.audio.count == 500)
        #expect(outcome.neverGoesBack)
        // Both frames and both reports are there after about 200 ms; nothing waits for the window's end.
        #expect(try #require(outcome.firstWrite) < ms(700))
    }

    @Test func theFirstFrameIsAtZeroAndTheOtherTrackKeepsItsDistance() throws {
        var video = RecordedCall.Track.video(reports: reportTimes(from: 0.51, until: 10))
        video.start = ms(500)
        let outcome = try RecordedCall(tracks: [.audio(reports: reportTimes(from: 0.001, until: 10)), video]).run()
        #expect(outcome.audio.first?.time == .zero)
        let first = try #require(outcome.video.first?.time)
        #expect(first >= ms(499) && first <= ms(501))
    }

    @Test func videoFirstIsAtZeroToo() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.3, until: 10))
        audio.start = ms(300)
        let outcome = try RecordedCall(tracks: [audio, .video(reports: reportTimes(from: 0.01, until: 10))]).run()
        #expect(outcome.video.first?.time == .zero)
        #expect(abs((try #require(outcome.audio.first?.time) - ms(300)).microseconds) < 1_000)
    }

    @Test func lateReportsCorrectWhatTheArrivalsGotWrong() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 5, until: 20), until: ms(20_000))
        var video = RecordedCall.Track.video(reports: reportTimes(from: 4.5, until: 20), until: ms(20_000))
        audio.delay = jitter(3)
        video.delay = { jitter(4)($0) + ms(90) }
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        // Until the reports come, the arrivals make video late by the 90 ms.
        #expect(outcome.worstOffset(from: ms(2_000), to: ms(4_500)) > ms(60))
        #expect(outcome.worstOffset(from: ms(9_000)) <= ms(2))
        #expect(outcome.neverGoesBack)
        // Sound was not moved: it is as regular as it was captured.
        #expect(
            zip(outcome.audio, outcome.audio.dropFirst()).allSatisfy {
                abs(($1.time - $0.time - ms(20)).microseconds) < 50
            })
        // The frames waited a second for reports, no longer.
        #expect(try #require(outcome.firstWrite) < ms(1_400))
    }

    @Test func aLargeErrorIsMadeGoodByAStepForward() throws {
        // Video seems 600 ms late for want of reports; it cannot go back, so sound goes forward.
        let audio = RecordedCall.Track.audio(reports: reportTimes(from: 4, until: 12), until: ms(12_000))
        var video = RecordedCall.Track.video(reports: reportTimes(from: 4, until: 12), until: ms(12_000))
        video.delay = { _ in ms(650) }
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.worstOffset(from: ms(0), to: ms(3_500)) > ms(500))
        #expect(outcome.worstOffset(from: ms(5_000)) <= ms(2))
        #expect(outcome.neverGoesBack)
        let steps = zip(outcome.audio, outcome.audio.dropFirst()).filter { $1.time - $0.time > ms(100) }
        #expect(steps.count == 1)
    }

    @Test func withoutReportsTheArrivalsAlign() throws {
        var audio = RecordedCall.Track.audio(until: ms(30_000))
        var video = RecordedCall.Track.video(until: ms(30_000))
        audio.delay = jitter(5)
        video.delay = jitter(6)
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.worstOffset(from: ms(3_000)) <= ms(20))
        #expect(outcome.summary.synchronization == .arrival)
        #expect(outcome.neverGoesBack)
    }

    @Test(arguments: [100e-6, -100e-6]) func aSkewedAudioClockStaysInStepForAnHour(skew: Double) throws {
        let end = ms(3_600_000)
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.01, until: 3_600), until: end)
        audio.skew = skew
        audio.interval = ms(60)
        var video = RecordedCall.Track.video(reports: reportTimes(from: 0.02, until: 3_600), until: end)
        video.interval = ms(200)
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        // Without correction it would be 360 ms.
        #expect(outcome.worstOffset() <= ms(5))
        #expect(outcome.neverGoesBack)
    }

    @Test func aSkewedAudioClockStaysInStepWithoutReportsToo() throws {
        let end = ms(1_800_000)
        var audio = RecordedCall.Track.audio(until: end)
        audio.skew = 100e-6
        audio.interval = ms(60)
        audio.delay = jitter(7)
        var video = RecordedCall.Track.video(until: end)
        video.interval = ms(100)
        video.delay = jitter(8)
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        // Without correction it would be 180 ms at the end.
        #expect(outcome.worstOffset(from: ms(5_000)) <= ms(25))
        #expect(outcome.neverGoesBack)
    }

    @Test func silenceAndMuteAreTimeNotCut() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.01, until: 40), until: ms(40_000))
        audio.pauses = [3_000..<3_400, 10_000..<30_000]
        let video = RecordedCall.Track.video(reports: reportTimes(from: 0.01, until: 40), until: ms(40_000))
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.audio.allSatisfy { abs($0.offset.microseconds) < 1_000 })
        #expect(outcome.worstOffset() <= ms(2))
        let gaps = try #require(outcome.summary[.audio]).gaps
        #expect(gaps.map(\.cause) == [.silence, .silence])
        #expect(gaps.map { ($0.length.milliseconds + 5) / 10 } == [40, 2_000])
        #expect(gaps.map { ($0.start.milliseconds + 5) / 10 } == [300, 1_000])
    }

    @Test func timestampsThatStartAnewGoOnWhereTheOldOnesEnded() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.01, every: 2, until: 20), until: ms(20_000))
        audio.timestampShift = { $0 >= ms(8_000) ? -40_000_000_000 : 0 }
        audio.pauses = [8_000..<9_000]
        audio.delay = jitter(9)
        var video = RecordedCall.Track.video(reports: reportTimes(from: 0.01, every: 2, until: 20), until: ms(20_000))
        video.timestampShift = { $0 >= ms(12_000) ? 9_000_000_000 : 0 }
        video.delay = jitter(10)
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.neverGoesBack)
        #expect(outcome.audio.count == 950)
        // By the arrivals at first, so within the jitter; by reports again after that.
        #expect(outcome.audio.allSatisfy { abs($0.offset.milliseconds) < 250 })
        #expect(outcome.worstOffset(to: ms(8_000)) <= ms(2))
        #expect(outcome.worstOffset(from: ms(16_500)) <= ms(2))
        #expect(outcome.summary[.audio]?.timestampJumps == 1)
        #expect(outcome.summary[.video]?.timestampJumps == 1)
    }

    @Test func timestampsThatStoodStillOverAPauseDoNotSwallowIt() throws {
        var audio = RecordedCall.Track.audio(until: ms(60_000))
        audio.pauses = [10_000..<40_000]
        audio.timestampShift = { $0 >= ms(10_000) ? -30 * 48_000 : 0 }
        let outcome = try RecordedCall(tracks: [audio], expected: [.audio]).run()
        #expect(outcome.neverGoesBack)
        #expect(outcome.audio.filter { $0.capture >= ms(46_000) }.allSatisfy { abs($0.offset.milliseconds) < 100 })
    }

    @Test func aStalledNetworkIsNoPause() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.01, until: 20), until: ms(20_000))
        var video = RecordedCall.Track.video(reports: reportTimes(from: 0.01, until: 20), until: ms(20_000))
        // Nothing arrives from 8 s to 12 s, then all at once.
        let stall: (TimeDelta) -> TimeDelta = { $0 >= ms(8_000) && $0 < ms(12_000) ? ms(12_000) - $0 : ms(50) }
        audio.delay = stall
        video.delay = stall
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.worstOffset() <= ms(2))
        #expect(outcome.audio.count == 1_000)
        #expect(outcome.audio.allSatisfy { abs($0.offset.milliseconds) <= 1 })
        #expect(outcome.summary[.audio]?.gapCount == 0)
        #expect(outcome.summary[.audio]?.timestampJumps == 0)
    }

    @Test func aSenderThatSetsItsWallClockMovesNothing() throws {
        let step: (TimeDelta) -> TimeDelta = { $0 >= ms(9_000) ? ms(-700_000) : .zero }
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.01, until: 30), until: ms(30_000))
        audio.ntpShift = step
        var video = RecordedCall.Track.video(reports: reportTimes(from: 2, until: 30), until: ms(30_000))
        video.ntpShift = step
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.worstOffset(from: ms(4_000)) <= ms(2))
        #expect(outcome.neverGoesBack)
    }

    @Test func aReportThatContradictsTheArrivalsIsNotUsed() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.01, until: 20), until: ms(20_000))
        audio.ntpShift = { _ in ms(5_000) }
        let video = RecordedCall.Track.video(reports: reportTimes(from: 0.01, until: 20), until: ms(20_000))
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.worstOffset() <= ms(20))
        #expect(outcome.summary.synchronization == .arrival)
        #expect(outcome.summary.notes.contains { $0.contains("contradicted") })
    }

    @Test func aSingleWildReportMovesNothing() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.01, until: 30), until: ms(30_000))
        audio.ntpShift = { $0 > ms(14_000) && $0 < ms(16_000) ? ms(400) : .zero }
        let video = RecordedCall.Track.video(reports: reportTimes(from: 1, until: 30), until: ms(30_000))
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.worstOffset(from: ms(3_000)) <= ms(2))
    }

    @Test func reportsFromAnotherTurnOfTheTimestampsCount() throws {
        var audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.001, until: 10))
        audio.base = 0xFFFF_0000
        audio.reportShift = -0x1_0000_0000
        var video = RecordedCall.Track.video(reports: reportTimes(from: 0.001, until: 10))
        video.base = 0xFFFF_FF00
        video.reportShift = 0x3_0000_0000
        video.delay = { _ in ms(150) }
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.summary.synchronization == .senderReports)
        #expect(outcome.worstOffset() <= ms(2))
    }

    @Test func aTrackThatJoinsLaterFindsItsPlace() throws {
        let audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.01, until: 40), until: ms(40_000))
        var video = RecordedCall.Track.video(reports: reportTimes(from: 20.02, until: 40), until: ms(40_000))
        video.start = ms(20_000)
        video.delay = { _ in ms(140) }
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.opened.map(\.codec) == [.vp8, .opus])
        #expect(abs((try #require(outcome.video.first?.time) - ms(20_000)).microseconds) < 1_000)
        #expect(outcome.worstOffset() <= ms(2))
        // Sound did not wait for the picture.
        #expect(try #require(outcome.firstWrite) <= ms(1_200))
        #expect(outcome.audio.count == 2_000)
    }

    @Test func aTrackThatNeverComesHoldsNothingUp() throws {
        let outcome = try RecordedCall(tracks: [.audio()], expected: [.audio, .video]).run()
        #expect(outcome.audio.count == 500)
        #expect(try #require(outcome.firstWrite) <= ms(1_200))
        #expect(outcome.summary.notes.contains("no video came"))
    }

    @Test func reportsWithinTheFirstSecondAreWaitedFor() throws {
        let audio = RecordedCall.Track.audio(reports: reportTimes(from: 0.4, until: 10))
        var video = RecordedCall.Track.video(reports: reportTimes(from: 0.6, until: 10))
        video.delay = { _ in ms(190) }
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        // Nothing had to be corrected, not even at the start.
        #expect(outcome.worstOffset() <= ms(1))
        #expect(try #require(outcome.firstWrite) > ms(600))
    }

    @Test func leapsOfTheTimestampsDoNotMakeTheFileLongerThanTheCall() throws {
        // Every frame is 1.9 s ahead of the last one: each leap alone could be a burst after a stall.
        var audio = RecordedCall.Track.audio(until: ms(60_000))
        audio.timestampShift = { $0.milliseconds / 20 * 91_200 }
        var video = RecordedCall.Track.video(until: ms(60_000))
        video.reports = reportTimes(from: 1, every: 0.05, until: 60)
        // And reports that push the tracks to and fro.
        video.ntpShift = { ms($0.milliseconds / 500 % 2 == 0 ? 700 : -700) }
        audio.reports = video.reports
        let outcome = try RecordedCall(tracks: [audio, video]).run()
        #expect(outcome.neverGoesBack)
        #expect(outcome.summary.duration < ms(120_000))
        var alone = audio
        alone.reports = []
        #expect(try RecordedCall(tracks: [alone]).run().summary.duration < ms(70_000))
    }

    @Test func silenceWithSignsOfLifeIsOneGap() throws {
        let recorder = try Recorder(path: "null:", tracks: [TrackExpectation(.audio)])
        // Discontinuous transmission: sound for a second, then every 400 ms a packet that says "still silent".
        for time in Array(stride(from: 0, to: 1_000, by: 20)) + Array(stride(from: 1_000, to: 9_000, by: 400)) + [9_000]
        {
            let payload: [UInt8] = time < 1_000 || time == 9_000 ? [0xFC, 1, 2, 3] : [0xFC]
            try recorder.write(
                EncodedFrame(
                    codec: .opus, payload: payload, timestamp: Int64(time) * 48, arrival: .zero + ms(Int64(time))),
                track: .audio)
        }
        let track = try #require(try recorder.finish()[.audio])
        #expect(track.gaps == [RecordingSummary.Gap(start: ms(1_020), length: ms(7_980), cause: .silence)])
        #expect(track.gapCount == 1)
    }

    @Test func oneTrackAloneWaitsForNothing() throws {
        let outcome = try RecordedCall(tracks: [.audio()], expected: [.audio]).run()
        #expect(try #require(outcome.firstWrite) == ms(50))
    }

    @Test func noTimestampsWhateverTakeATrackBack() throws {
        var random = RandomSource.seeded(77)
        for _ in 0..<300 {
            let seed = random.next()
            func wild(_ track: RecordedCall.Track) -> RecordedCall.Track {
                var track = track
                track.end = ms(3_000)
                track.delay = jitter(seed, least: 0, most: 300, spikes: 4_000)
                track.timestampShift = { time in
                    var random = RandomSource.seeded(seed &+ UInt64(time.milliseconds / 400))
                    return switch Int.random(in: 0..<6, using: &random) {
                    case 0: Int64(truncatingIfNeeded: random.next())
                    case 1: Int64.random(in: -1_000_000...1_000_000, using: &random)
                    case 2: Int64.random(in: -5_000...5_000, using: &random)
                    default: 0
                    }
                }
                track.ntpShift = { time in
                    var random = RandomSource.seeded(seed ^ UInt64(bitPattern: time.nanoseconds))
                    return .nanoseconds(
                        Int64(truncatingIfNeeded: random.next()) >> Int64.random(in: 0...63, using: &random))
                }
                return track
            }
            let outcome = try RecordedCall(tracks: [
                wild(.audio(reports: reportTimes(from: 0, every: 0.3, until: 3))),
                wild(.video(reports: reportTimes(from: 0.1, every: 0.3, until: 3))),
            ]).run()
            #expect(outcome.neverGoesBack)
            #expect(outcome.audio.allSatisfy { $0.time >= .zero })
        }
    }
}
