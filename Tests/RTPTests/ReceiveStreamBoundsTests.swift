import FixtureSupport
import Primitives
import RTP
import Testing

/// Jumps, restarts, and what is held at most.
@Suite struct ReceiveStreamBoundsTests {
    @Test func onePacketFarAwayIsIgnoredAndTwoAreARestart() {
        var feed = Feed(.audio)
        feed.audio(100, at: 0)
        feed.audio(30_000, at: 20)
        feed.audio(101, at: 20)
        #expect(feed.frames.count == 2)
        #expect(feed.stream.deadline == nil)
        feed.audio(30_000, at: 40)
        feed.audio(30_001, at: 60)
        feed.audio(30_002, at: 80)
        #expect(feed.frames.count == 4)
        #expect(feed.frames[2].followsLoss)
        #expect(feed.trace.contains(.sequenceRestarted(SSRC(1), at: SequenceNumber(30_001))))
        #expect(feed.stream.statistics.packetsLost == 0)
    }

    @Test func aRestartOfVideoAsksForAKeyframe() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(40_000, frame: 5, at: 400)
        feed.video(40_001, frame: 6, at: 433)
        #expect(feed.requests == [.restart])
        feed.video(40_002, frame: 7, key: true, at: 500)
        #expect(feed.frames.count == 2)
    }

    @Test func aGapTooWideIsGivenUpAtOnce() {
        var feed = Feed(.video) { $0.maximumMissing = 100 }
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(112, frame: 2, at: 33)
        #expect(feed.requests == [.overflow])
        #expect(feed.nacks.isEmpty)
        feed.advance(100)
        #expect(feed.nacks.isEmpty)
        feed.video(113, frame: 3, key: true, at: 110)
        #expect(feed.frames.count == 2)
        var narrow = Feed(.video) { $0.maximumMissing = 100 }
        narrow.video(10, frame: 1, key: true, at: 0)
        narrow.video(111, frame: 2, at: 33)
        narrow.advance(40)
        #expect(narrow.nacks.first?.count == 100)
    }

    @Test func aWideGapIsAskedForInSeveralMessages() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(511, frame: 2, at: 33)
        feed.advance(40)
        #expect(feed.nacks.map(\.count) == [250, 250])
    }

    @Test func packetsHeldAreBounded() {
        var video = Feed(.video) {
            $0.maximumPackets = 64; $0.longestWait = .seconds(60); $0.shortestWait = .seconds(60)
        }
        video.video(0, frame: 0, key: true, at: 0)
        var most = 0
        for sequence in 2..<500 as Range<UInt16> {
            video.video(sequence, frame: UInt32(sequence), at: Int64(sequence))
            most = max(most, video.stream.heldPackets)
        }
        #expect(most == 64 || most == 63)
        #expect(video.requests.contains(.overflow))
        var audio = Feed(.audio) {
            $0.maximumPackets = 64; $0.longestWait = .seconds(60); $0.shortestWait = .seconds(60)
        }
        audio.audio(0, at: 0)
        most = 0
        for sequence in 2..<500 as Range<UInt16> {
            audio.audio(sequence, at: Int64(sequence))
            most = max(most, audio.stream.heldPackets)
        }
        #expect(most <= 64)
        #expect(audio.frames.count > 400)
    }

    @Test func bytesHeldAreBounded() {
        var feed = Feed(.video) {
            $0.maximumBytes = 10_000; $0.longestWait = .seconds(60); $0.shortestWait = .seconds(60)
        }
        feed.video(0, frame: 0, key: true, at: 0)
        for sequence in 2..<50 as Range<UInt16> {
            feed.video(sequence, frame: UInt32(sequence), data: Array(repeating: 1, count: 1_000), at: Int64(sequence))
            #expect(feed.stream.heldPackets <= 10)
        }
        #expect(feed.requests == [.overflow])
    }

    /// A keyframe that never comes must not fill the lists.
    @Test func waitingForAKeyframeUnderLossStaysBounded() {
        var feed = Feed(.video) { $0.keyframeRequests = .none }
        for index in 0..<20_000 where index % 3 != 0 {
            feed.video(UInt16(truncatingIfNeeded: index), frame: UInt32(index), at: Int64(index) * 5)
        }
        #expect(feed.stream.heldPackets <= 2_048)
        #expect(!feed.trace.contains { if case .bufferOverflowed = $0 { true } else { false } })
        feed.video(20_000, frame: 20_000, key: true, at: 100_010)
        #expect(feed.frames.count == 1)
    }
}
