import FixtureSupport
import Primitives
import RTP
import Testing

/// What is asked for again, and when it is given up.
@Suite struct ReceiveStreamLossTests {
    @Test func missingPacketsAreAskedForAfterTheToleranceAndAgainEachRoundTrip() {
        var feed = Feed(.video)
        feed.stream.roundTripTime = .milliseconds(80)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(14, frame: 3, at: 33)
        #expect(feed.nacks.isEmpty)
        feed.advance(37)
        #expect(feed.nacks.isEmpty)
        feed.advance(38)
        #expect(feed.nacks == [[11, 12, 13]])
        feed.video(12, frame: 2, first: false, last: false, at: 100, isRetransmission: true)
        feed.advance(125)
        #expect(feed.nacks.count == 1)
        feed.advance(127)
        #expect(feed.nacks.last == [11, 13])
        #expect(feed.stream.statistics.nackCount == 2)
        #expect(feed.stream.statistics.nackedPackets == 5)
    }

    @Test func aPacketThatIsOnlyLateIsNotAskedFor() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, at: 33)
        feed.video(11, frame: 2, at: 36)
        feed.advance(60)
        #expect(feed.nacks.isEmpty)
        #expect(feed.frames.count == 3)
    }

    @Test func aPacketIsAskedForTenTimesAtMost() {
        var feed = Feed(.video) {
            $0.longestWait = .seconds(60); $0.shortestWait = .seconds(60)
        }
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, at: 33)
        for time in 34..<20_000 as Range<Int64> { feed.advance(time) }
        #expect(feed.nacks == Array(repeating: [11], count: 10))
    }

    @Test func videoGivesUpAfterItsWaitAndGoesOnAtTheNextKeyframe() {
        var feed = Feed(.video, nack: false) { $0.longestWait = .milliseconds(60) }
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, at: 33)
        feed.advance(92)
        #expect(feed.requests.isEmpty)
        feed.advance(93)
        #expect(feed.requests == [.loss])
        #expect(feed.trace.contains(.packetsSkipped(SSRC(1), count: 1)))
        feed.video(13, frame: 4, at: 100)
        #expect(feed.frames.count == 1)
        feed.video(14, frame: 5, key: true, at: 140)
        feed.video(15, frame: 6, at: 170)
        #expect(feed.frames.map(\.timestamp) == [3_000, 15_000, 18_000])
        #expect(feed.frames.map(\.followsLoss) == [false, true, false])
        #expect(feed.stream.statistics.packetsSkipped == 1)
        #expect(feed.stream.statistics.packetsLost == 1)
    }

    @Test func aKeyframeBehindTheGapIsUsedWithoutAskingForAnother() {
        var feed = Feed(.video, nack: false)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, key: true, at: 33)
        feed.video(13, frame: 4, at: 40)
        feed.advance(600)
        #expect(feed.frames.map(\.timestamp) == [3_000, 9_000, 12_000])
        #expect(feed.requests.isEmpty)
    }

    @Test func theDecoderMayAskForAKeyframe() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        var out = Outbox<ReceiveEvent, RTPTrace>()
        feed.stream.requireKeyframe(at: .zero + .milliseconds(10), into: &out)
        #expect(out.events == [.requestKeyframe(.decoder)])
        feed.video(11, frame: 2, at: 33)
        #expect(feed.frames.count == 1)
        feed.video(12, frame: 3, key: true, at: 66)
        #expect(feed.frames.count == 2)
    }

    @Test func malformedPayloadsCostAKeyframeNotTheProcess() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.put(11, 6_000, [0x90], type: 96, marker: true, at: 33)
        #expect(feed.requests == [.malformed])
        #expect(feed.stream.statistics.packetsMalformed == 1)
        feed.video(12, frame: 3, key: true, at: 66)
        #expect(feed.frames.count == 2)
        // A frame whose beginning is missing without a gap in the numbers.
        feed.video(13, frame: 4, first: false, at: 400)
        #expect(feed.requests.last == .malformed)
    }
}
