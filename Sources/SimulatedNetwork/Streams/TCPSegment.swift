import Primitives

/// A segment of the simulated TCP. Numbers are of 64 bits and begin at zero: nothing here wraps.
struct TCPSegment: Hashable, Sendable {
    struct Flags: OptionSet, Hashable, Sendable {
        let rawValue: UInt8
        static let synchronize = Flags(rawValue: 1)
        static let acknowledge = Flags(rawValue: 2)
        static let finish = Flags(rawValue: 4)
        static let reset = Flags(rawValue: 8)
    }

    var flags: Flags
    /// The number of the first byte; SYN and FIN count as one.
    var sequence: UInt64
    /// The number expected next.
    var acknowledgment: UInt64
    var payload: [UInt8]

    /// As long as a TCP header without options.
    static let headerSize = 20

    init(_ flags: Flags, sequence: UInt64, acknowledgment: UInt64 = 0, payload: [UInt8] = []) {
        self.flags = flags
        self.sequence = sequence
        self.acknowledgment = acknowledgment
        self.payload = payload
    }

    init?(parsing bytes: [UInt8]) {
        guard bytes.count >= Self.headerSize else { return nil }
        func number(at start: Int) -> UInt64 { bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) } }
        flags = Flags(rawValue: bytes[0])
        sequence = number(at: 4)
        acknowledgment = number(at: 12)
        payload = Array(bytes[Self.headerSize...])
    }

    var bytes: [UInt8] {
        var result: [UInt8] = [flags.rawValue, 0, 0, 0]
        result.reserveCapacity(Self.headerSize + payload.count)
        for number in [sequence, acknowledgment] {
            for shift in stride(from: 56, through: 0, by: -8) {
                result.append(UInt8(truncatingIfNeeded: number >> shift))
            }
        }
        return result + payload
    }

    /// Numbers it takes.
    var length: UInt64 {
        UInt64(payload.count) + (flags.contains(.synchronize) ? 1 : 0) + (flags.contains(.finish) ? 1 : 0)
    }
}
