import Primitives

/// The 96 bits that bind a response to its request (RFC 8489 §5).
public struct STUNTransactionID: Hashable, Sendable {
    let upper: UInt32
    let lower: UInt64

    init(upper: UInt32, lower: UInt64) {
        self.upper = upper
        self.lower = lower
    }

    /// From twelve bytes, network order; what is missing counts as zero.
    init(bytes: ArraySlice<UInt8>) {
        upper = bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        lower = bytes.dropFirst(4).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    public init(using random: inout RandomSource) {
        upper = UInt32(truncatingIfNeeded: random.next())
        lower = random.next()
    }

    /// Twelve bytes, network order.
    public var bytes: [UInt8] {
        var result: [UInt8] = []
        result.append(upper)
        result.append(lower)
        return result
    }
}

extension STUNTransactionID: CustomStringConvertible {
    public var description: String { bytes.hexadecimal }
}
