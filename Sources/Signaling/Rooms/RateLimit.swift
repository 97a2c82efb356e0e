import Primitives

/// A token bucket: `burst` at once, then `perSecond`.
struct RateLimit: Hashable, Sendable {
    private let burst: Double
    private let perSecond: Double
    private var level: Double
    private var last: Instant

    init(burst: Int, perSecond: Int, at now: Instant) {
        self.burst = Double(burst)
        self.perSecond = Double(perSecond)
        level = Double(burst)
        last = now
    }

    /// Whether so much more is within the limit.
    mutating func take(_ cost: Int = 1, at now: Instant) -> Bool {
        level = min(burst, level + max(0, (now - last).seconds) * perSecond)
        last = max(last, now)
        guard level >= Double(cost) else { return false }
        level -= Double(cost)
        return true
    }
}
