import Primitives

/// Spans of time in ticks of an RTP clock, and back. Rates outside 1...1,000,000 Hz are clamped: they come from SDP.
func ticks(_ span: TimeDelta, clockRate: Int) -> Int64 {
    let rate = Int64(Swift.max(1, Swift.min(clockRate, 1_000_000)))
    let (seconds, rest) = span.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return seconds * rate + rest * rate / 1_000_000_000
}

func duration(ofTicks ticks: Int64, clockRate: Int) -> TimeDelta {
    let rate = Int64(Swift.max(1, Swift.min(clockRate, 1_000_000)))
    let (seconds, rest) = ticks.quotientAndRemainder(dividingBy: rate)
    return .nanoseconds(1_000_000_000) * seconds + .nanoseconds(rest * 1_000_000_000 / rate)
}

extension TimeDelta {
    /// In units of 2⁻¹⁶ s, as RTCP carries delays (RFC 3550 §6.4.1). Negative becomes 0, the rest saturates.
    var compact: UInt32 {
        if nanoseconds <= 0 { return 0 }
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        guard seconds < 65_536 else { return .max }
        return UInt32(truncatingIfNeeded: seconds << 16 | (rest << 16) / 1_000_000_000)
    }

    /// From units of 2⁻¹⁶ s.
    init(compact: UInt32) {
        self = .nanoseconds((Int64(compact) * 1_000_000_000) >> 16)
    }
}

func clamp<Value: Comparable>(_ value: Value, _ lower: Value, _ upper: Value) -> Value {
    Swift.min(Swift.max(value, lower), Swift.max(lower, upper))
}
