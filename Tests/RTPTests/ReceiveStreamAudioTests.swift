import FixtureSupport
import Primitives
import RTP
import Testing

/// Sound, comfort noise and keys.
@Suite struct ReceiveStreamAudioTests {
    @Test func audioGoesOnAfterItsWait() {
        var feed = Feed(.audio, nack: false)
        feed.audio(1, at: 0)
        feed.audio(3, at: 40)
        feed.audio(4, at: 60)
        #expect(feed.frames.count == 1)
        #expect(feed.stream.deadline == Instant.zero + .milliseconds(40) + feed.stream.wait)
        feed.advance(89)
        #expect(feed.frames.count == 1)
        feed.advance(90)
        #expect(feed.frames.map(\.timestamp) == [160, 480, 640])
        #expect(feed.frames.map(\.followsLoss) == [false, true, false])
        #expect(feed.frames.allSatisfy { $0.duration == 160 && $0.codec == .pcmu })
        feed.audio(2, at: 95)
        #expect(feed.frames.count == 3)
        #expect(feed.stream.statistics.packetsDiscarded == 1)
        #expect(feed.stream.statistics.packetsLost == 0)
    }

    @Test func comfortNoiseIsAFrameAndTelephoneEventsAreEvents() {
        var feed = Feed(.audio)
        feed.audio(1, at: 0)
        feed.put(2, 320, [60], type: 13, at: 20)
        feed.put(3, 480, TelephoneEvent(event: 1, isEnd: false, volume: 10, duration: 160).payload, type: 101, at: 40)
        feed.put(4, 480, TelephoneEvent(event: 1, isEnd: true, volume: 10, duration: 320).payload, type: 101, at: 60)
        feed.put(5, 480, TelephoneEvent(event: 1, isEnd: true, volume: 10, duration: 320).payload, type: 101, at: 60)
        feed.audio(6, at: 100)
        #expect(feed.frames.map(\.codec) == [.pcmu, .comfortNoise, .pcmu])
        #expect(feed.frames.allSatisfy { !$0.followsLoss })
        #expect(feed.tones.map(\.isEnd) == [false, true])
        #expect(feed.tones.map(\.duration) == [160, 320])
        #expect(feed.tones[0].digit == "1")
    }

    @Test func anEventWhoseEndIsLostEndsWithTheNext() {
        var feed = Feed(.audio)
        feed.put(1, 800, TelephoneEvent(event: 1, isEnd: false, volume: 10, duration: 160).payload, type: 101, at: 0)
        feed.put(2, 2_400, TelephoneEvent(event: 2, isEnd: true, volume: 10, duration: 800).payload, type: 101, at: 200)
        #expect(feed.tones.map(\.event) == [1, 1, 2, 2])
        #expect(feed.tones.map(\.isEnd) == [false, true, false, true])
    }
}
