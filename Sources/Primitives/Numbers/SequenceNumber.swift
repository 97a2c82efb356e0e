/// A 16-bit RTP sequence number (RFC 3550 §5.1). Arithmetic is modulo 2¹⁶; order is serial-number order (RFC 1982).
public struct SequenceNumber: Hashable, Sendable {
    public var rawValue: UInt16

    @inlinable public init(_ rawValue: UInt16) { self.rawValue = rawValue }

    /// Steps from `other` to this number, the shorter way round: -32768 ... 32767.
    @inlinable public func distance(from other: SequenceNumber) -> Int {
        Int(Int16(bitPattern: rawValue &- other.rawValue))
    }
    @inlinable public func isNewer(than other: SequenceNumber) -> Bool { distance(from: other) > 0 }
    @inlinable public var next: SequenceNumber { SequenceNumber(rawValue &+ 1) }
    @inlinable public static func + (a: SequenceNumber, b: Int) -> SequenceNumber {
        SequenceNumber(a.rawValue &+ UInt16(truncatingIfNeeded: b))
    }
    @inlinable public static func - (a: SequenceNumber, b: Int) -> SequenceNumber {
        SequenceNumber(a.rawValue &- UInt16(truncatingIfNeeded: b))
    }
}

extension SequenceNumber: CustomStringConvertible {
    public var description: String { "\(rawValue)" }
}

/// Counts the wraps of a 16-bit sequence: each number becomes the nearest 64-bit one to the last seen.
public struct SequenceNumberUnwrapper: Hashable, Sendable {
    @usableFromInline var last: Int64?

    @inlinable public init() {}

    /// The extended number; the first one seen stands for itself. A number far behind the first can be negative.
    @inlinable public mutating func unwrap(_ number: SequenceNumber) -> Int64 {
        let value = peek(number)
        if last.map({ value > $0 }) ?? true { last = value }
        return value
    }

    /// As `unwrap`, without taking note of it.
    @inlinable public func peek(_ number: SequenceNumber) -> Int64 {
        guard let last else { return Int64(number.rawValue) }
        let step = number.distance(from: SequenceNumber(UInt16(truncatingIfNeeded: last)))
        return last + Int64(step)
    }
}
