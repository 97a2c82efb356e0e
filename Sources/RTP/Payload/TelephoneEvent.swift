import Primitives

/// The payload of a telephone event (RFC 4733 §2.3): a key held down.
public struct TelephoneEvent: Hashable, Sendable {
    /// 0...9 the digits, 10 `*`, 11 `#`, 12...15 `A`...`D`; other numbers are other registries.
    public var event: UInt8
    /// E: the key is up.
    public var isEnd: Bool
    /// dBm0 below zero: 0...63.
    public var volume: UInt8
    /// Ticks of the RTP clock since the timestamp of the packet.
    public var duration: UInt16

    public init(event: UInt8, isEnd: Bool, volume: UInt8, duration: UInt16) {
        self.event = event
        self.isEnd = isEnd
        self.volume = Swift.min(volume, 63)
        self.duration = duration
    }

    /// Reads the first event of a payload.
    public init(parsing bytes: [UInt8], in range: Range<Int>) throws(RTPError) {
        let at = range.lowerBound
        let end = Swift.min(range.upperBound, bytes.count)
        guard at >= 0, end - at >= 4 else { throw .truncated(offset: Swift.max(0, end)) }
        event = bytes[at]
        isEnd = bytes[at + 1] & 0x80 != 0
        volume = bytes[at + 1] & 0x3F
        duration = UInt16(bytes[at + 2]) << 8 | UInt16(bytes[at + 3])
    }

    /// Four bytes.
    public var payload: [UInt8] {
        [
            event, (isEnd ? 0x80 : 0) | (volume & 0x3F), UInt8(truncatingIfNeeded: duration >> 8),
            UInt8(truncatingIfNeeded: duration),
        ]
    }

    /// The key of an event 0...15.
    public static func digit(of event: UInt8) -> Character? {
        Int(event) < digits.count ? digits[Int(event)] : nil
    }

    /// The event of a key: `0`...`9`, `*`, `#`, `A`...`D` in either case.
    public static func event(of digit: Character) -> UInt8? {
        let upper: Character = ("a"..."d").contains(digit) ? Character(digit.uppercased()) : digit
        return digits.firstIndex(of: upper).map { UInt8(truncatingIfNeeded: $0) }
    }

    private static let digits: [Character] = Array("0123456789*#ABCD")
}

/// A telephone event as it was received: told once when it begins and once when it ends.
public struct ReceivedTelephoneEvent: Hashable, Sendable {
    public var event: UInt8
    /// Unwrapped RTP timestamp of its beginning.
    public var timestamp: Int64
    /// Ticks of the events' clock it has lasted so far.
    public var duration: Int64
    public var volume: UInt8
    /// Whether it is over.
    public var isEnd: Bool
    /// Ticks of `duration` a second.
    public var clockRate = 8_000

    public init(event: UInt8, timestamp: Int64, duration: Int64, volume: UInt8, isEnd: Bool) {
        self.event = event
        self.timestamp = timestamp
        self.duration = duration
        self.volume = volume
        self.isEnd = isEnd
    }

    public var digit: Character? { TelephoneEvent.digit(of: event) }
    /// How long it has lasted so far.
    public var length: TimeDelta { RTP.duration(ofTicks: duration, clockRate: clockRate) }
}

/// Puts the packets of telephone events together (RFC 4733 §2.5.2): repeats are dropped, long events in segments are
/// one, and an event whose end packets were all lost ends when the next one begins.
struct TelephoneEventReceiver: Hashable, Sendable {
    private var current: ReceivedTelephoneEvent?
    /// Timestamp and ticks of the segment under way.
    private var segmentStart: Int64 = 0
    private var segmentDuration: Int64 = 0
    /// Ticks of the segments before it.
    private var earlier: Int64 = 0

    /// - Parameter ratio: ticks of the timestamps to one of the durations, where the stream's clock is a faster one.
    /// - Returns: what is to be told, in order: at most three changes.
    mutating func receive(
        _ packet: TelephoneEvent, timestamp: Int64, ratio: Int64 = 1
    ) -> [ReceivedTelephoneEvent] {
        var told: [ReceivedTelephoneEvent] = []
        if var event = current {
            if timestamp < segmentStart { return [] }
            if timestamp == segmentStart {
                guard event.event == packet.event, !event.isEnd else { return [] }
                segmentDuration = Swift.max(segmentDuration, Int64(packet.duration))
                event.duration = earlier + segmentDuration
                event.isEnd = packet.isEnd
                current = event
                return packet.isEnd ? [event] : []
            }
            if !event.isEnd, event.event == packet.event, timestamp &- segmentStart == 0xFFFF &* ratio {
                earlier &+= 0xFFFF
                segmentStart = timestamp
                segmentDuration = Int64(packet.duration)
                event.duration = earlier + segmentDuration
                event.isEnd = packet.isEnd
                current = event
                return packet.isEnd ? [event] : []
            }
            if !event.isEnd {
                event.isEnd = true
                told.append(event)
            }
        }
        var event = ReceivedTelephoneEvent(
            event: packet.event, timestamp: timestamp, duration: Int64(packet.duration), volume: packet.volume,
            isEnd: false)
        segmentStart = timestamp
        segmentDuration = Int64(packet.duration)
        earlier = 0
        told.append(event)
        if packet.isEnd {
            event.isEnd = true
            told.append(event)
        }
        current = event
        return told
    }
}
