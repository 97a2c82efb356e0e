/// A point on the monotonic clock that the driver hands to the engine.
///
/// The engine never asks for the time (invariant 1): it is told, and in a test the time is virtual.
/// The origin means nothing; only differences do. "Never" is `nil`, not a far future.
public struct Instant: Hashable, Comparable, Sendable {
    public var nanoseconds: Int64

    @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let zero = Instant(nanoseconds: 0)

    @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable public static func + (a: Instant, b: TimeDelta) -> Instant {
        Instant(nanoseconds: saturatingSum(a.nanoseconds, b.nanoseconds))
    }
    @inlinable public static func - (a: Instant, b: TimeDelta) -> Instant {
        Instant(nanoseconds: saturatingDifference(a.nanoseconds, b.nanoseconds))
    }
    @inlinable public static func - (a: Instant, b: Instant) -> TimeDelta {
        TimeDelta(nanoseconds: saturatingDifference(a.nanoseconds, b.nanoseconds))
    }
    @inlinable public static func += (a: inout Instant, b: TimeDelta) { a = a + b }
}

extension Instant: CustomStringConvertible {
    public var description: String { "\(Double(nanoseconds) / 1e6)ms" }
}

/// The earlier of two deadlines, where `nil` means never.
@inlinable public func earliest(_ a: Instant?, _ b: Instant?) -> Instant? {
    guard let a else { return b }
    guard let b else { return a }
    return Swift.min(a, b)
}
