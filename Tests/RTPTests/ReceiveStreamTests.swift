import FixtureSupport
import Primitives
import RTP
import Testing

/// Frames from packets, and keyframes where one is needed.
@Suite struct ReceiveStreamTests {
    @Test func aFrameIsGivenOutWithItsLastPacket() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, last: false, key: true, data: [1, 2], at: 0)
        feed.video(12, frame: 1, first: false, data: [5], at: 1)
        #expect(feed.frames.isEmpty)
        feed.video(11, frame: 1, first: false, last: false, data: [3, 4], at: 7)
        #expect(feed.frames.count == 1)
        #expect(feed.frames[0].payload == [0x10, 1, 2, 3, 4, 5])
        #expect(feed.frames[0].isKeyframe)
        #expect(feed.frames[0].codec == .vp8)
        #expect(feed.frames[0].arrival == .zero + .milliseconds(7))
        #expect(feed.requests.isEmpty)
    }

    @Test func aMissingMarkerIsMadeUpForByTheNextFrame() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, last: false, key: true, at: 0)
        feed.video(11, frame: 2, at: 33)
        #expect(feed.frames.map(\.timestamp) == [3_000, 6_000])
    }

    @Test func packetsOfPaddingAreNoFrames() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, last: false, key: true, at: 0)
        feed.put(11, 3_000, [], type: 96, at: 1, padding: 200)
        feed.video(12, frame: 1, first: false, at: 2)
        feed.put(13, 3_000, [], type: 96, at: 3, padding: 200)
        feed.put(14, 3_000, [1, 2, 3], type: 120, at: 4)
        feed.video(15, frame: 2, at: 33)
        #expect(feed.frames.map(\.payload) == [[0x10, 7, 7], [0x11, 7]])
        #expect(feed.stream.statistics.packetsOfUnknownType == 1)
        #expect(feed.stream.statistics.packetsReceived == 6)
        #expect(feed.stream.statistics.framesDropped == 0)
    }

    @Test func keyframePacketsThatOvertakeTheFirstAreKept() {
        var feed = Feed(.video)
        feed.video(12, frame: 1, first: false, at: 0)
        feed.video(11, frame: 1, first: false, last: false, at: 1)
        feed.video(10, frame: 1, last: false, key: true, at: 5)
        #expect(feed.frames.count == 1)
        #expect(feed.requests.isEmpty)
        feed.advance(100)
        #expect(feed.requests.isEmpty)
    }

    @Test func aStreamThatBeginsWithoutAKeyframeAsksForOne() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, at: 0)
        feed.advance(20)
        #expect(feed.requests == [.start])
        feed.video(11, frame: 2, at: 33)
        feed.advance(269)
        #expect(feed.requests == [.start])
        feed.advance(270)
        #expect(feed.requests == [.start, .start])
        feed.video(12, frame: 3, key: true, at: 300)
        #expect(feed.frames.map(\.timestamp) == [9_000])
        #expect(feed.stream.deadline == nil)
        #expect(feed.stream.statistics.pliCount == 2)
    }

    @Test func whereKeyframesCannotBeAskedForOneIsWaitedFor() {
        var feed = Feed(.video) { $0.keyframeRequests = .none }
        feed.video(10, frame: 1, at: 0)
        #expect(feed.stream.deadline == nil)
        feed.video(11, frame: 2, key: true, at: 33)
        #expect(feed.requests.isEmpty)
        #expect(feed.frames.count == 1)
    }

    @Test func fullIntraRequestsAreCountedAsSuch() {
        var feed = Feed(.video) { $0.keyframeRequests = .fullIntraRequest }
        feed.video(10, frame: 1, at: 0)
        feed.advance(20)
        #expect(feed.stream.statistics.firCount == 1)
        #expect(feed.stream.statistics.pliCount == 0)
    }

    @Test func keyframeSizesAreKept() {
        var feed = Feed(.video)
        feed.put(
            10, 3_000, [0x10, 0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0xE0, 0x01], type: 96, marker: true, at: 0)
        #expect(feed.stream.statistics.frameWidth == 640)
        #expect(feed.stream.statistics.frameHeight == 480)
    }

    @Test func hostilePacketsNeverTrap() throws {
        var random = RandomSource.seeded(12)
        for kind in MediaKind.allCases {
            var feed = Feed(kind) { $0.maximumPackets = 128 }
            var time: Int64 = 0
            for _ in 0..<20_000 {
                let payload = random.bytes(Int.random(in: 0...12, using: &random))
                let isNear = Int.random(in: 0..<4, using: &random) > 0
                feed.put(
                    isNear ? UInt16.random(in: 0..<300, using: &random) : UInt16.random(in: 0...65_535, using: &random),
                    UInt32.random(in: 0...UInt32.max, using: &random), payload,
                    type: [96, 0, 13, 101, 5].randomElement(using: &random) ?? 0,
                    marker: Bool.random(using: &random), at: time,
                    isRetransmission: Int.random(in: 0..<5, using: &random) == 0)
                time += Int64.random(in: 0...30, using: &random)
                if Bool.random(using: &random) { feed.advance(time) }
                if feed.stream.heldPackets > 128 { Issue.record("too many held") }
                feed.trace.removeAll()
                feed.frames.removeAll()
            }
        }
    }
}
