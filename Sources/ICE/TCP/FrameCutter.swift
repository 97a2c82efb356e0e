import Primitives

/// Cuts a TCP connection into the frames of RFC 4571: a length of 16 bits, and so many bytes.
///
/// Frames of no length are passed over, as the RFC allows them. At most one frame and what came with it is kept.
public struct FrameCutter: Sendable {
    public enum Failure: Error, Hashable, Sendable {
        case frameTooLong(Int, limit: Int)
        /// More than a chunk was given at once than may be kept.
        case chunkTooLong(Int)
    }

    private var buffer: [UInt8] = []
    private var start = 0
    /// The longest frame that is taken: short as long as nothing has authenticated the other side.
    public var limit: Int
    public let maximumChunk: Int

    public init(limit: Int = 65_535, maximumChunk: Int = 1 << 17) {
        self.limit = limit
        self.maximumChunk = maximumChunk
    }

    /// Bytes kept for the rest of their frame.
    public var bufferedBytes: Int { buffer.count - start }

    /// Takes what was read. All complete frames have to be taken out by `next` before the following call.
    public mutating func append(_ bytes: some Collection<UInt8>) throws(Failure) {
        guard bytes.count <= maximumChunk else { throw .chunkTooLong(bytes.count) }
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next complete frame without its length; `nil` when more bytes have to come first.
    public mutating func next() throws(Failure) -> [UInt8]? {
        while bufferedBytes >= 2 {
            let length = Int(buffer[start]) << 8 | Int(buffer[start + 1])
            guard length <= limit else { throw .frameTooLong(length, limit: limit) }
            guard bufferedBytes >= 2 + length else { return nil }
            let frame = Array(buffer[start + 2..<start + 2 + length])
            start += 2 + length
            if start == buffer.count {
                buffer.removeAll(keepingCapacity: true)
                start = 0
            }
            if length > 0 { return frame }
        }
        return nil
    }

    /// Appends a frame; false, and nothing appended, when it is longer than a frame can be.
    public static func append(_ bytes: [UInt8], to output: inout [UInt8]) -> Bool {
        guard bytes.count <= 65_535 else { return false }
        output.append(UInt8(truncatingIfNeeded: bytes.count >> 8))
        output.append(UInt8(truncatingIfNeeded: bytes.count))
        output.append(contentsOf: bytes)
        return true
    }
}

extension FrameCutter.Failure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .frameTooLong(let length, let limit): "a frame of \(length) bytes, of which \(limit) are the limit"
        case .chunkTooLong(let length): "\(length) bytes at once"
        }
    }
}
