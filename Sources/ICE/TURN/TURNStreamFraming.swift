import Primitives

/// Cuts a TCP or TLS connection with a TURN server into messages (RFC 8489 §6.2.2, RFC 8656 §12.5).
///
/// STUN messages and ChannelData tell their lengths in their first four bytes; ChannelData is padded to four. Anything
/// else cannot be cut, and the connection is of no use any more. At most one message, and what came with it, is kept.
public struct TURNStreamFraming: Sendable {
    public enum Failure: Error, Hashable, Sendable {
        /// Not the start of a STUN message or of ChannelData.
        case notTURN(firstByte: UInt8)
        /// More than a chunk was given at once than may be kept.
        case tooLong(Int)
    }

    private var buffer: [UInt8] = []
    private var start = 0
    /// The largest chunk `append` takes.
    public let maximumChunk: Int

    public init(maximumChunk: Int = 1 << 20) { self.maximumChunk = maximumChunk }

    /// Bytes kept for the rest of their message.
    public var bufferedBytes: Int { buffer.count - start }

    /// Takes what was read. All complete messages have to be taken out by `next` before the following call.
    public mutating func append(_ bytes: some Collection<UInt8>) throws(Failure) {
        guard bytes.count <= maximumChunk, bufferedBytes <= Self.maximumMessage else {
            throw .tooLong(bytes.count + bufferedBytes)
        }
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// The next complete message, without padding; `nil` when more bytes have to come first.
    public mutating func next() throws(Failure) -> [UInt8]? {
        guard let first = buffer.dropFirst(start).first else { return nil }
        guard first < 0x50, first < 4 || first >= 0x40 else { throw .notTURN(firstByte: first) }
        var reader = ByteReader(buffer, in: start..<buffer.count)
        guard (try? reader.skip(2)) != nil, let declared = try? reader.readUInt16() else { return nil }
        let isChannelData = first >= 0x40
        let length = Int(declared) + (isChannelData ? ChannelData.headerSize : STUNMessage.headerSize)
        let padded = isChannelData ? (length + 3) / 4 * 4 : length
        guard bufferedBytes >= padded else { return nil }
        let message = Array(buffer[start..<start + length])
        start += padded
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            start = 0
        }
        return message
    }

    /// The longest a message can be: a header and a length of sixteen bits, padded.
    private static let maximumMessage = STUNMessage.headerSize + 65_536
}
