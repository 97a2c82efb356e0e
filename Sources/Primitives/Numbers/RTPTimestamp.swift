/// A 32-bit RTP timestamp (RFC 3550 §5.1). Arithmetic is modulo 2³².
public struct RTPTimestamp: Hashable, Sendable {
    public var rawValue: UInt32

    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }

    /// Ticks from `other` to this timestamp, the shorter way round.
    @inlinable public func distance(from other: RTPTimestamp) -> Int64 {
        Int64(Int32(bitPattern: rawValue &- other.rawValue))
    }
    @inlinable public static func + (a: RTPTimestamp, b: Int64) -> RTPTimestamp {
        RTPTimestamp(a.rawValue &+ UInt32(truncatingIfNeeded: b))
    }
}

extension RTPTimestamp: CustomStringConvertible {
    public var description: String { "\(rawValue)" }
}

/// Counts the wraps of a 32-bit timestamp.
public struct RTPTimestampUnwrapper: Hashable, Sendable {
    @usableFromInline var last: Int64?

    @inlinable public init() {}

    /// The extended timestamp nearest to the last one unwrapped; the first stands for itself.
    @inlinable public mutating func unwrap(_ timestamp: RTPTimestamp) -> Int64 {
        guard let last else {
            self.last = Int64(timestamp.rawValue)
            return Int64(timestamp.rawValue)
        }
        let value = last + timestamp.distance(from: RTPTimestamp(UInt32(truncatingIfNeeded: last)))
        self.last = value
        return value
    }
}

/// A synchronisation source identifier (RFC 3550 §3).
public struct SSRC: Hashable, Sendable {
    public var rawValue: UInt32
    @inlinable public init(_ rawValue: UInt32) { self.rawValue = rawValue }
}

extension SSRC: CustomStringConvertible {
    public var description: String { "\(rawValue)" }
}
