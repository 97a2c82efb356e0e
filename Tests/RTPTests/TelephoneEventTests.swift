import FixtureSupport
import Primitives
import Testing

@testable import RTP

/// Keys on the wire (RFC 4733 §2.3), beside sound of the same clock and of another one.
@Suite struct TelephoneEventTests {
    @Test(arguments: [(48_000, 48_000), (8_000, 8_000), (48_000, 8_000)])
    func durationsCountOnTheEventsClockAndTimestampsOnTheSounds(_ stream: Int, _ events: Int) throws {
        var settings = SendStreamConfiguration(
            codec: stream == 48_000 ? .opus : .pcmu, payloadType: 111, clockRate: stream, ssrc: SSRC(1), cname: "c",
            telephoneEventPayloadType: 101, telephoneEventClockRate: events)
        settings.firstTimestamp = RTPTimestamp(0)
        var random = RandomSource.seeded(1)
        var sender = SendStream(settings, random: &random)
        var receiver = ReceiveStream(
            ReceiveStreamConfiguration(
                ssrc: SSRC(1), kind: .audio, clockRate: stream,
                payloadTypes: [111: settings.codec, 101: .telephoneEvent],
                telephoneEventClockRates: [101: events]))
        var now = Instant.zero
        var told: [ReceivedTelephoneEvent] = []
        var timestamps: Set<UInt32> = []
        var packets: [OutboundPacket] = []
        var out = Outbox<ReceiveEvent, RTPTrace>()
        func pass() throws {
            for packet in packets {
                let header = try RTPHeader(parsing: packet.bytes)
                if header.payloadType == 101 { timestamps.insert(header.timestamp.rawValue) }
                receiver.receive(header, packet: packet.bytes, at: now, into: &out)
            }
            packets.removeAll()
            for case .telephoneEvent(let event) in out.events { told.append(event) }
            out.removeAll()
        }
        for step in 0..<200 {
            let frame = EncodedFrame(
                codec: settings.codec, payload: [0x78, 1, 2], timestamp: Int64(step * stream / 50), isKeyframe: true)
            sender.packetize(frame, at: now, into: &packets)
            try pass()
            if step == 5 {
                let isTaken = sender.sendTelephoneEvents("1,2", duration: .milliseconds(500), at: now)
                #expect(isTaken)
            }
            let next = now + .milliseconds(20)
            while let due = sender.deadline, due <= next {
                now = Swift.max(now, due)
                sender.advance(to: now, into: &packets)
                try pass()
            }
            now = next
        }
        let ended = told.filter(\.isEnd)
        #expect(ended.compactMap(\.digit) == ["1", "2"])
        #expect(ended.allSatisfy { $0.clockRate == events && $0.duration == Int64(events / 2) })
        #expect(ended.allSatisfy { $0.length == .milliseconds(500) })
        // One timestamp a key, on the sound's clock: half a second, the gap and the pause apart.
        #expect(timestamps.count == 2)
        let distance = Int64(try #require(timestamps.max())) - Int64(try #require(timestamps.min()))
        #expect(abs(distance - Int64(stream) * 2_570 / 1_000) <= Int64(stream / 50), "\(distance)")
    }

    /// The negative twin: told with the wrong clock, a key seems six times as long.
    @Test func theWrongClockWouldShow() {
        var event = ReceivedTelephoneEvent(event: 1, timestamp: 0, duration: 4_800, volume: 10, isEnd: true)
        event.clockRate = 48_000
        #expect(event.length == .milliseconds(100))
        event.clockRate = 8_000
        #expect(event.length == .milliseconds(600))
    }

    /// A key held for longer than 16 bits of ticks goes on in a segment, whose timestamp counts on the sound's clock.
    @Test(arguments: [1, 6] as [Int64]) func segmentsAreOneKey(ratio: Int64) {
        var receiver = TelephoneEventReceiver()
        func receive(_ duration: UInt16, _ timestamp: Int64, isEnd: Bool = false) -> [ReceivedTelephoneEvent] {
            receiver.receive(
                TelephoneEvent(event: 5, isEnd: isEnd, volume: 10, duration: duration), timestamp: timestamp,
                ratio: ratio)
        }
        #expect(receive(160, 0).count == 1)
        #expect(receive(0xFFFF, 0).isEmpty)
        #expect(receive(160, 0xFFFF * ratio).isEmpty)
        let end = receive(320, 0xFFFF * ratio, isEnd: true)
        #expect(end.count == 1 && end.first?.duration == 0xFFFF + 320)
        #expect(receive(320, 0xFFFF * ratio, isEnd: true).isEmpty, "the end is told once")
    }

    @Test func mutationsNeverTrap() {
        let seeds = (0..<16).map { TelephoneEvent(event: $0, isEnd: $0 % 2 == 0, volume: 10, duration: 160).payload }
        var mutations = Mutations(of: seeds, seed: 4_733)
        var random = RandomSource.seeded(4_733)
        var receiver = TelephoneEventReceiver()
        let edges = [0, 1, -1, 0xFFFF, Int64.max, .min, .max - 0xFFFF, 1 << 32]
        for _ in 0..<100_000 {
            let bytes = mutations.next()
            guard let event = try? TelephoneEvent(parsing: bytes, in: 0..<bytes.count) else { continue }
            let timestamp =
                Bool.random(using: &random)
                ? edges[Int.random(in: edges.indices, using: &random)] : Int64.random(in: 0...0x20000, using: &random)
            let told = receiver.receive(event, timestamp: timestamp, ratio: Bool.random(using: &random) ? 1 : 6)
            if told.count > 3 { Issue.record("\(told)") }
        }
    }
}
