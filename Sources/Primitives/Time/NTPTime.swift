/// A 64-bit NTP timestamp: seconds since 1900-01-01 in the upper half, 2⁻³² s in the lower (RFC 3550 §4).
public struct NTPTime: Hashable, Sendable {
    public var rawValue: UInt64

    @inlinable public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The wall clock as nanoseconds since the Unix epoch.
    @inlinable public init(unixNanoseconds: Int64) {
        let (seconds, remainder) = unixNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        let wholeSeconds = remainder < 0 ? seconds - 1 : seconds
        let nanoseconds = remainder < 0 ? remainder + 1_000_000_000 : remainder
        let upper = UInt64(truncatingIfNeeded: wholeSeconds &+ 2_208_988_800) << 32
        rawValue = upper | ((UInt64(nanoseconds) << 32) / 1_000_000_000)
    }

    /// The middle 32 bits, as reports carry them (RFC 3550 §6.4.1 LSR), in units of 2⁻¹⁶ s.
    @inlinable public var compact: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 16) }

    /// The distance from `other` to this time; NTP eras wrap, so it is the shorter way round.
    @inlinable public func since(_ other: NTPTime) -> TimeDelta {
        let ticks = Int64(truncatingIfNeeded: rawValue &- other.rawValue)
        let seconds = ticks >> 32
        let fraction = UInt64(truncatingIfNeeded: ticks) & 0xFFFF_FFFF
        return .milliseconds(seconds * 1_000) + .nanoseconds(Int64((fraction * 1_000_000_000) >> 32))
    }
}

/// How the wall clock stood at one instant, so that the engine can stamp reports without asking for the time.
public struct WallClock: Hashable, Sendable {
    public var instant: Instant
    public var unixNanoseconds: Int64

    @inlinable public init(instant: Instant, unixNanoseconds: Int64) {
        self.instant = instant
        self.unixNanoseconds = unixNanoseconds
    }

    @inlinable public func ntp(at now: Instant) -> NTPTime {
        NTPTime(unixNanoseconds: saturatingSum(unixNanoseconds, (now - instant).nanoseconds))
    }
}
