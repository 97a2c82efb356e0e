import Primitives

/// Tells whether the application sends much less than it may: then the estimate has nothing to grow on.
///
/// A budget of 65 % of the target fills over half a second and is used up by what is sent. When it is four fifths full the
/// application is the limit; when it is less than half full, it no longer is.
struct ApplicationLimit: Sendable {
    private(set) var isLimiting = false
    private var budget = 0.0
    private var last: Instant?

    mutating func noteSent(_ bytes: Int, target: Int, at now: Instant) {
        update(target: target, at: now)
        let size = Self.size(target)
        budget = Swift.max(-size, budget - Double(bytes))
        judge(size)
    }

    mutating func update(target: Int, at now: Instant) {
        let size = Self.size(target)
        if let last { budget = Swift.min(size, budget + size * 2 * (now - last).seconds) }
        last = now
        judge(size)
    }

    /// Half a second at 65 % of the target, in bytes.
    private static func size(_ target: Int) -> Double { Double(target) * 0.65 / 8 / 2 }

    private mutating func judge(_ size: Double) {
        if budget > 0.8 * size { isLimiting = true } else if budget < 0.5 * size { isLimiting = false }
    }
}
