import Primitives

/// An input of several datagrams and the time between them: per datagram two bytes, of which the upper four bits choose
/// the time that passes before it and the lower twelve are its length; then its bytes. The last one may be short.
struct Records: Sequence, IteratorProtocol {
    private var reader: ByteReader
    private static let steps: [Int64] = [
        0, 1, 2, 5, 10, 20, 33, 50, 100, 200, 500, 1_000, 2_500, 5_000, 10_000, 40_000,
    ]
    /// More make an input slow without making it new.
    private var left = 64

    init(_ bytes: some Collection<UInt8>) { reader = ByteReader(Array(bytes)) }

    mutating func next() -> (after: TimeDelta, bytes: [UInt8])? {
        guard left > 0, let word = try? reader.readUInt16() else { return nil }
        left -= 1
        let length = Swift.min(Int(word & 0x0FFF), reader.remaining)
        guard let bytes = try? reader.readBytes(length) else { return nil }
        return (.milliseconds(Self.steps[Int(word >> 12)]), bytes)
    }

    static func append(_ bytes: [UInt8], after: TimeDelta, to input: inout [UInt8]) {
        let step = steps.lastIndex { .milliseconds($0) <= after } ?? 0
        input.append(UInt16(step) << 12 | UInt16(Swift.min(bytes.count, 0x0FFF)))
        input.append(contentsOf: bytes.prefix(0x0FFF))
    }
}
