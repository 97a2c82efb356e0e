import Primitives

/// Sends telephone events one after the other (RFC 4733 §2.5.1).
///
/// An event is a run of packets with one timestamp, the moment the key went down, and a growing duration: one at the
/// beginning with the marker bit, one each 20 ms, and at the end three with the E bit, 10 ms apart, so that the end
/// survives two losses. A duration that outgrows its 16 bits goes on in a new segment with a new timestamp (§2.5.1.3).
/// Between two keys there is a gap, in which audio may sound again.
///
/// Events share SSRC and timestamps with the audio, so their clock should be its (RFC 4733 §2.1). Peers exist that take
/// Opus and events at 8 kHz only (Firefox): as libwebrtc does, their timestamps then stay on the audio's clock, and
/// durations are counted on the events' own.
struct TelephoneEventSender: Hashable, Sendable {
    struct Tone: Hashable, Sendable {
        /// `nil` is a pause.
        var event: UInt8?
        var duration: TimeDelta
        var gap: TimeDelta
    }

    private enum Phase: Hashable {
        case idle
        /// The next packet of the event is due; `began` is the moment the key went down.
        case sounding(Tone, began: Instant, next: Instant)
        case ending(Tone, began: Instant, left: Int, next: Instant)
        case gap(until: Instant)
    }

    /// One packet to send.
    struct Packet: Hashable, Sendable {
        var event: TelephoneEvent
        /// Ticks of the stream's clock since the key went down at which this packet's segment began.
        var segmentStart: Int64
        var began: Instant
        var marker: Bool
    }

    /// Hz of durations.
    private let clockRate: Int
    /// Hz of timestamps.
    private let streamClockRate: Int
    private var queue: [Tone] = []
    private var phase = Phase.idle
    private var isFirst = false

    static let capacity = 256
    private static let interval: TimeDelta = .milliseconds(20)
    private static let endInterval: TimeDelta = .milliseconds(10)

    init(_ configuration: SendStreamConfiguration) {
        streamClockRate = configuration.clockRate
        clockRate = configuration.telephoneEventClockRate ?? configuration.clockRate
    }

    var queued: Int { queue.count }

    var isSounding: Bool {
        switch phase {
        case .sounding, .ending: true
        case .idle, .gap: false
        }
    }

    var deadline: Instant? {
        switch phase {
        case .idle: nil
        case .sounding(_, _, let next), .ending(_, _, _, let next): next
        case .gap(let until): until
        }
    }

    mutating func append(_ tones: [Tone], at now: Instant) {
        queue.append(contentsOf: tones.prefix(Swift.max(0, Self.capacity - queue.count)))
        if case .idle = phase { begin(at: now) }
    }

    private mutating func begin(at now: Instant) {
        guard !queue.isEmpty else {
            phase = .idle
            return
        }
        let tone = queue.removeFirst()
        if tone.event == nil {
            phase = .gap(until: now + tone.duration)
        } else {
            isFirst = true
            phase = .sounding(tone, began: now, next: now)
        }
    }

    /// The next packet due, if one is. Call until `nil`.
    mutating func next(at now: Instant) -> Packet? {
        while let deadline, deadline <= now {
            switch phase {
            case .idle: return nil
            case .gap(let until): begin(at: until)
            case .sounding(let tone, let began, let next):
                let elapsed = next - began
                if elapsed >= tone.duration {
                    phase = .ending(tone, began: began, left: 3, next: next)
                    continue
                }
                phase = .sounding(tone, began: began, next: Swift.min(next + Self.interval, began + tone.duration))
                defer { isFirst = false }
                return packet(tone, began: began, elapsed: elapsed, isEnd: false)
            case .ending(let tone, let began, let left, let next):
                if left == 1 {
                    phase = .gap(until: Swift.max(next, began + tone.duration + tone.gap))
                } else {
                    phase = .ending(tone, began: began, left: left - 1, next: next + Self.endInterval)
                }
                return packet(tone, began: began, elapsed: tone.duration, isEnd: true)
            }
        }
        return nil
    }

    private func packet(_ tone: Tone, began: Instant, elapsed: TimeDelta, isEnd: Bool) -> Packet {
        let total = Swift.max(0, ticks(elapsed, clockRate: clockRate))
        let segments = total / 0xFFFF
        return Packet(
            event: TelephoneEvent(
                event: tone.event ?? 0, isEnd: isEnd, volume: 10,
                duration: UInt16(truncatingIfNeeded: total - segments * 0xFFFF)),
            segmentStart: segments * 0xFFFF * Int64(streamClockRate) / Int64(Swift.max(1, clockRate)), began: began,
            marker: isFirst)
    }
}

extension SendStream {
    /// Sends telephone events for `tones`: `0`…`9`, `A`…`D`, `*`, `#`; a comma is a pause of two seconds. Other characters
    /// are passed over, as `RTCDTMFSender.insertDTMF` demands of the caller to check.
    ///
    /// Durations are clamped to 40...6,000 ms and gaps to 30...6,000 ms (W3C WebRTC §7.2). At most 256 tones wait.
    /// - Returns: `false` where telephone events were not negotiated.
    @discardableResult
    public mutating func sendTelephoneEvents(
        _ tones: String, duration: TimeDelta = .milliseconds(100), gap: TimeDelta = .milliseconds(70), at now: Instant
    ) -> Bool {
        guard configuration.telephoneEventPayloadType != nil else { return false }
        let length = clamp(duration, .milliseconds(40), .milliseconds(6_000))
        let pause = clamp(gap, .milliseconds(30), .milliseconds(6_000))
        var list: [TelephoneEventSender.Tone] = []
        for character in tones.prefix(TelephoneEventSender.capacity) {
            if character == "," {
                list.append(.init(event: nil, duration: .milliseconds(2_000), gap: .zero))
            } else if let event = TelephoneEvent.event(of: character) {
                list.append(.init(event: event, duration: length, gap: pause))
            }
        }
        self.tones.append(list, at: now)
        return true
    }

    /// How many more may wait.
    public var roomForTelephoneEvents: Int { TelephoneEventSender.capacity - tones.queued }

    /// Whether a telephone event sounds, and audio is held back.
    public var isSendingTelephoneEvent: Bool { tones.isSounding }

    /// When `advance(to:)` has something to send; `nil` for never.
    public var deadline: Instant? { tones.deadline }

    /// Sends the telephone event packets that are due.
    public mutating func advance(to now: Instant, into packets: inout [OutboundPacket]) {
        guard let payloadType = configuration.telephoneEventPayloadType else { return }
        while let packet = tones.next(at: now) {
            if packet.marker { toneBegan = clock.timestamp(at: packet.began) ?? 0 }
            append(
                payload: packet.event.payload, payloadType: payloadType,
                timestamp: rtpTimestamp(of: toneBegan + packet.segmentStart), marker: packet.marker, at: now,
                into: &packets)
        }
    }
}
