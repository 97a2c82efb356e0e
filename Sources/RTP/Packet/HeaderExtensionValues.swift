import Primitives

/// The level of the audio in a packet (RFC 6464).
public struct AudioLevel: Hashable, Sendable {
    /// Whether the sender heard speech.
    public var hasVoice: Bool
    /// Decibels below overload: 0 is loudest, 127 is digital silence.
    public var level: UInt8

    public init(hasVoice: Bool, level: UInt8) {
        self.hasVoice = hasVoice
        self.level = Swift.min(level, 127)
    }

    public init?(parsing bytes: [UInt8], in range: Range<Int>) {
        guard let data = field(bytes, range, 1) else { return nil }
        self.init(hasVoice: data & 0x80 != 0, level: UInt8(truncatingIfNeeded: data & 0x7F))
    }

    public init(byte: UInt8) { self.init(hasVoice: byte & 0x80 != 0, level: byte & 0x7F) }

    public var byte: UInt8 { (hasVoice ? 0x80 : 0) | (level & 0x7F) }

    /// 0...1, linear: 1 is overload, 0 is digital silence.
    public var linear: Double { level >= 127 ? 0 : Self.linear[Int(level)] }

    /// 10^(-dB/20).
    private static let linear: [Double] = (0..<127).map { decibels in
        var value = 1.0
        for _ in 0..<decibels { value *= 0.891250938133745529953 }
        return value
    }
}

/// The time a packet left, in units of 2⁻¹⁸ s modulo 64 s.
public struct AbsoluteSendTime: Hashable, Sendable {
    /// 24 bits.
    public var rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue & 0xFF_FFFF }

    public init(_ instant: Instant) {
        let cycle: Int64 = 64_000_000_000
        let remainder = instant.nanoseconds % cycle
        let time = remainder < 0 ? remainder + cycle : remainder
        self.init(rawValue: UInt32(truncatingIfNeeded: (time << 18) / 1_000_000_000))
    }

    public init?(parsing bytes: [UInt8], in range: Range<Int>) {
        guard let data = field(bytes, range, 3) else { return nil }
        rawValue = UInt32(truncatingIfNeeded: data)
    }

    /// The time from `other` to this one, the shorter way round.
    public func since(_ other: AbsoluteSendTime) -> TimeDelta {
        let ticks = Int64(Int32(bitPattern: (rawValue &- other.rawValue) << 8) >> 8)
        return .nanoseconds((ticks * 1_000_000_000) >> 18)
    }
}

/// How a video must be turned to stand upright (3GPP TS 26.114 §7.4.5).
public struct VideoOrientation: Hashable, Sendable {
    public var isBackCamera: Bool
    public var isFlipped: Bool
    /// Clockwise degrees: 0, 90, 180 or 270.
    public var rotation: Int

    public init(isBackCamera: Bool = false, isFlipped: Bool = false, rotation: Int = 0) {
        self.isBackCamera = isBackCamera
        self.isFlipped = isFlipped
        self.rotation = rotation
    }

    public init?(parsing bytes: [UInt8], in range: Range<Int>) {
        guard let data = field(bytes, range, 1) else { return nil }
        self.init(isBackCamera: data & 8 != 0, isFlipped: data & 4 != 0, rotation: Int(data & 3) * 90)
    }

    public var byte: UInt8 {
        (isBackCamera ? 8 : 0) | (isFlipped ? 4 : 0) | UInt8(truncatingIfNeeded: (rotation / 90) & 3)
    }
}

/// The limits a sender sets for the receiver's playout delay, in steps of 10 ms up to 40,950 ms.
public struct PlayoutDelay: Hashable, Sendable {
    public var minimum: TimeDelta
    public var maximum: TimeDelta

    public init(minimum: TimeDelta, maximum: TimeDelta) {
        self.minimum = minimum
        self.maximum = maximum
    }

    public init?(parsing bytes: [UInt8], in range: Range<Int>) {
        guard let data = field(bytes, range, 3) else { return nil }
        self.init(
            minimum: .milliseconds(Int64(truncatingIfNeeded: data >> 12) * 10),
            maximum: .milliseconds(Int64(truncatingIfNeeded: data & 0xFFF) * 10))
    }

    public func write(into bytes: inout [UInt8]) {
        func steps(_ delay: TimeDelta) -> UInt32 { UInt32(Swift.max(0, Swift.min(0xFFF, delay.milliseconds / 10))) }
        bytes.append24(steps(minimum) << 12 | steps(maximum))
    }
}

/// When the first sample in a packet was captured, by the capturer's clock.
public struct AbsoluteCaptureTime: Hashable, Sendable {
    public var captured: NTPTime
    /// The sender's estimate of the capture clock's lead over its own, as signed 32.32 seconds.
    public var clockOffset: Int64?

    public init(captured: NTPTime, clockOffset: Int64? = nil) {
        self.captured = captured
        self.clockOffset = clockOffset
    }

    public init?(parsing bytes: [UInt8], in range: Range<Int>) {
        guard let time = field(bytes, range, 8) else { return nil }
        captured = NTPTime(rawValue: time)
        let rest = range.lowerBound + 8..<range.upperBound
        clockOffset = field(bytes, rest, 8).map { Int64(bitPattern: $0) }
    }

    public func write(into bytes: inout [UInt8]) {
        bytes.append(captured.rawValue)
        if let clockOffset { bytes.append(UInt64(bitPattern: clockOffset)) }
    }
}

/// The first `count` bytes of a range as a number, if they are there.
private func field(_ bytes: [UInt8], _ range: Range<Int>, _ count: Int) -> UInt64? {
    guard range.count >= count, range.lowerBound >= 0, range.upperBound <= bytes.count else { return nil }
    var value: UInt64 = 0
    for index in range.lowerBound..<range.lowerBound + count { value = value << 8 | UInt64(bytes[index]) }
    return value
}
