/// A key for MESSAGE-INTEGRITY (RFC 8489 §14.5): HMAC-SHA1 (RFC 2104) with both key blocks hashed beforehand.
public struct MessageIntegrityKey: Sendable {
    private let inner: SHA1
    private let outer: SHA1

    /// The short-term credential (RFC 8489 §9.1.1): the key is the password. ICE passwords are ASCII, so no
    /// OpaqueString preparation is done.
    public init(password: String) { self.init(bytes: Array(password.utf8)) }

    public init(bytes: [UInt8]) {
        var block = bytes.count > SHA1.blockSize ? SHA1.digest(bytes) : bytes
        while block.count < SHA1.blockSize { block.append(0 as UInt8) }
        var inner = SHA1()
        inner.compress(block.map { $0 ^ 0x36 }, at: 0)
        var outer = SHA1()
        outer.compress(block.map { $0 ^ 0x5C }, at: 0)
        self.inner = inner
        self.outer = outer
    }

    /// HMAC-SHA1 of `message`: 20 bytes.
    public func code(for message: [UInt8]) -> [UInt8] {
        var inner = inner
        var outer = outer
        return outer.finish(inner.finish(message, alreadyHashed: SHA1.blockSize), alreadyHashed: SHA1.blockSize)
    }
}

/// Compares without telling by its duration where the first difference is.
func isEqualInConstantTime(_ a: [UInt8], _ b: ArraySlice<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for (x, y) in zip(a, b) { difference |= x ^ y }
    return difference == 0
}
