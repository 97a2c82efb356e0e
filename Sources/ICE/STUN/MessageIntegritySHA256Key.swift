/// A key for MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6): HMAC-SHA256 with both key blocks hashed beforehand.
public struct MessageIntegritySHA256Key: Sendable {
    private let inner: SHA256
    private let outer: SHA256

    public init(bytes: [UInt8]) {
        var block = bytes.count > SHA256.blockSize ? SHA256.digest(bytes) : bytes
        while block.count < SHA256.blockSize { block.append(0 as UInt8) }
        var inner = SHA256()
        inner.compress(block.map { $0 ^ 0x36 }, at: 0)
        var outer = SHA256()
        outer.compress(block.map { $0 ^ 0x5C }, at: 0)
        self.inner = inner
        self.outer = outer
    }

    /// HMAC-SHA256 of `message`: 32 bytes.
    public func code(for message: [UInt8]) -> [UInt8] {
        var inner = inner
        var outer = outer
        return outer.finish(inner.finish(message, alreadyHashed: SHA256.blockSize), alreadyHashed: SHA256.blockSize)
    }
}
