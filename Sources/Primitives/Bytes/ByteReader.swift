/// The input ended before the value did.
public struct Truncated: Error, Hashable, Sendable {
    /// Bytes into the input at which more were needed.
    public var offset: Int
    @inlinable public init(offset: Int) { self.offset = offset }
}

/// Reads big-endian fields from bytes in order. Every read is checked; nothing traps (invariant 4).
public struct ByteReader: Sendable {
    @usableFromInline let bytes: [UInt8]
    @usableFromInline var position: Int
    /// One past the last readable byte.
    public let end: Int

    @inlinable public init(_ bytes: [UInt8]) {
        self.bytes = bytes
        position = 0
        end = bytes.count
    }

    /// Reads `range` of `bytes`; the range is clamped to what there is.
    @inlinable public init(_ bytes: [UInt8], in range: Range<Int>) {
        self.bytes = bytes
        position = Swift.max(0, Swift.min(range.lowerBound, bytes.count))
        end = Swift.max(position, Swift.min(range.upperBound, bytes.count))
    }

    /// Index of the next byte.
    @inlinable public var offset: Int { position }
    @inlinable public var remaining: Int { end - position }
    @inlinable public var isAtEnd: Bool { offset >= end }

    @inlinable mutating func take(_ count: Int) throws(Truncated) -> Int {
        guard count >= 0, count <= remaining else { throw Truncated(offset: offset) }
        defer { position += count }
        return position
    }

    @inlinable public mutating func readUInt8() throws(Truncated) -> UInt8 { bytes[try take(1)] }
    @inlinable public mutating func readUInt16() throws(Truncated) -> UInt16 {
        let i = try take(2)
        return UInt16(bytes[i]) << 8 | UInt16(bytes[i + 1])
    }
    /// Three bytes, as RTCP and VP8 use them.
    @inlinable public mutating func readUInt24() throws(Truncated) -> UInt32 {
        let i = try take(3)
        return UInt32(bytes[i]) << 16 | UInt32(bytes[i + 1]) << 8 | UInt32(bytes[i + 2])
    }
    @inlinable public mutating func readUInt32() throws(Truncated) -> UInt32 {
        let i = try take(4)
        return UInt32(bytes[i]) << 24 | UInt32(bytes[i + 1]) << 16 | UInt32(bytes[i + 2]) << 8 | UInt32(bytes[i + 3])
    }
    @inlinable public mutating func readUInt64() throws(Truncated) -> UInt64 {
        let upper = try readUInt32()
        return UInt64(upper) << 32 | UInt64(try readUInt32())
    }
    @inlinable public mutating func readBytes(_ count: Int) throws(Truncated) -> [UInt8] {
        let i = try take(count)
        return Array(bytes[i..<i + count])
    }
    /// The range of the next `count` bytes, which are passed over.
    @inlinable public mutating func readRange(_ count: Int) throws(Truncated) -> Range<Int> {
        let i = try take(count)
        return i..<i + count
    }
    @inlinable public mutating func skip(_ count: Int) throws(Truncated) { _ = try take(count) }
    @inlinable public mutating func readRemaining() -> [UInt8] {
        defer { position = end }
        return Array(bytes[offset..<end])
    }
    /// A reader of the next `count` bytes, which this one passes over.
    @inlinable public mutating func readSlice(_ count: Int) throws(Truncated) -> ByteReader {
        let i = try take(count)
        return ByteReader(bytes, in: i..<i + count)
    }
    @inlinable public func peekUInt8() -> UInt8? { isAtEnd ? nil : bytes[offset] }
}
