/// A span of time in nanoseconds, signed. Arithmetic saturates: a hostile or absurd value never traps.
public struct TimeDelta: Hashable, Comparable, Sendable {
    public var nanoseconds: Int64

    @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static let zero = TimeDelta(nanoseconds: 0)
    /// The longest span; stands for "as good as for ever" where a value is needed.
    public static let max = TimeDelta(nanoseconds: .max)

    @inlinable public static func nanoseconds(_ value: Int64) -> TimeDelta { TimeDelta(nanoseconds: value) }
    @inlinable public static func microseconds(_ value: Int64) -> TimeDelta {
        TimeDelta(nanoseconds: saturatingProduct(value, 1_000))
    }
    @inlinable public static func milliseconds(_ value: Int64) -> TimeDelta {
        TimeDelta(nanoseconds: saturatingProduct(value, 1_000_000))
    }
    /// Seconds, rounded to the nearest nanosecond; NaN becomes zero, the rest saturates.
    @inlinable public static func seconds(_ value: Double) -> TimeDelta {
        TimeDelta(nanoseconds: saturatingInt64((value * 1e9).rounded()))
    }

    /// Whole milliseconds, rounded toward zero.
    @inlinable public var milliseconds: Int64 { nanoseconds / 1_000_000 }
    /// Whole microseconds, rounded toward zero.
    @inlinable public var microseconds: Int64 { nanoseconds / 1_000 }
    @inlinable public var seconds: Double { Double(nanoseconds) / 1e9 }

    @inlinable public static func < (a: TimeDelta, b: TimeDelta) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable public static func + (a: TimeDelta, b: TimeDelta) -> TimeDelta {
        TimeDelta(nanoseconds: saturatingSum(a.nanoseconds, b.nanoseconds))
    }
    @inlinable public static func - (a: TimeDelta, b: TimeDelta) -> TimeDelta {
        TimeDelta(nanoseconds: saturatingDifference(a.nanoseconds, b.nanoseconds))
    }
    @inlinable public static prefix func - (a: TimeDelta) -> TimeDelta { .zero - a }
    @inlinable public static func += (a: inout TimeDelta, b: TimeDelta) { a = a + b }
    @inlinable public static func -= (a: inout TimeDelta, b: TimeDelta) { a = a - b }
    @inlinable public static func * (a: TimeDelta, b: Int64) -> TimeDelta {
        TimeDelta(nanoseconds: saturatingProduct(a.nanoseconds, b))
    }
    @inlinable public static func * (a: TimeDelta, b: Double) -> TimeDelta {
        TimeDelta(nanoseconds: saturatingInt64((Double(a.nanoseconds) * b).rounded()))
    }
    /// Division by zero gives zero: a span over nothing is a mistake upstream, not a reason to die.
    @inlinable public static func / (a: TimeDelta, b: Int64) -> TimeDelta {
        b == 0 ? .zero : TimeDelta(nanoseconds: a.nanoseconds.dividedReportingOverflow(by: b).partialValue)
    }
    /// The ratio of two spans.
    @inlinable public static func / (a: TimeDelta, b: TimeDelta) -> Double {
        Double(a.nanoseconds) / Double(b.nanoseconds)
    }
}

extension TimeDelta: CustomStringConvertible {
    public var description: String {
        nanoseconds % 1_000_000 == 0 ? "\(nanoseconds / 1_000_000)ms" : "\(Double(nanoseconds) / 1e6)ms"
    }
}

@inlinable func saturatingSum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? (b < 0 ? .min : .max) : sum
}

@inlinable func saturatingDifference(_ a: Int64, _ b: Int64) -> Int64 {
    let (difference, overflow) = a.subtractingReportingOverflow(b)
    return overflow ? (b < 0 ? .max : .min) : difference
}

@inlinable func saturatingProduct(_ a: Int64, _ b: Int64) -> Int64 {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? ((a < 0) == (b < 0) ? .max : .min) : product
}

@inlinable func saturatingInt64(_ value: Double) -> Int64 {
    if value.isNaN { return 0 }
    if value >= 0x1p63 { return .max }
    if value < -0x1p63 { return .min }
    return Int64(value)
}
