import COpenSSL
import Primitives

/// Makes OpenSSL's randomness come from a seeded source while a closure runs: for virtual runs, never for a real call.
///
/// Equal seeds then give equal keys, equal hello randoms and equal ECDSA signatures, whose length varies with their
/// random number, and so equal datagrams. The means is `RAND_METHOD`, which `RAND_bytes` and `RAND_priv_bytes` consult
/// first in every OpenSSL 3.x, the default provider's key generation, signatures and nonces included. It is installed once,
/// the first time a seed is used, and passes to OpenSSL's own generator every call from a thread on which no closure is
/// running, so other threads, and this one outside the closure, notice nothing.
public enum SeededRandomness {
    /// Runs `body` with OpenSSL drawing from `source` on this thread. Nested uses restore the outer source.
    public static func run<Result, Failure: Error>(
        _ source: inout RandomSource, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let isInstalled = installed
        let drawing = DrawingSource(source)
        guard isInstalled else { return try body() }
        let outer = unsafe CRYPTO_THREAD_get_local(threadKey)
        let pointer = unsafe Unmanaged.passUnretained(drawing).toOpaque()
        _ = unsafe CRYPTO_THREAD_set_local(threadKey, pointer)
        defer {
            _ = unsafe CRYPTO_THREAD_set_local(threadKey, outer)
            source = drawing.source
        }
        return try withExtendedLifetime(drawing) { () throws(Failure) in try body() }
    }

    /// Whether OpenSSL took the method. Evaluated once, by the language's own guarantee.
    private static let installed: Bool = {
        guard unsafe threadKey != nil else { return false }
        return unsafe RAND_set_rand_method(method) == 1
    }()

    /// Lives as long as the process: OpenSSL keeps the pointer.
    private static nonisolated(unsafe) let method: UnsafeMutablePointer<RAND_METHOD> = {
        let pointer = UnsafeMutablePointer<RAND_METHOD>.allocate(capacity: 1)
        unsafe pointer.initialize(
            to: RAND_METHOD(
                seed: { buffer, count in unsafe RAND_OpenSSL().pointee.seed?(buffer, count) ?? 1 },
                bytes: { buffer, count in unsafe drawBytes(buffer, count) },
                cleanup: nil,
                add: { buffer, count, entropy in unsafe RAND_OpenSSL().pointee.add?(buffer, count, entropy) ?? 1 },
                pseudorand: { buffer, count in unsafe drawBytes(buffer, count) },
                status: { unsafe RAND_OpenSSL().pointee.status?() ?? 1 }))
        return unsafe pointer
    }()
}

private final class DrawingSource {
    var source: RandomSource
    init(_ source: RandomSource) { self.source = source }
}

/// One thread-local pointer, `nil` on every thread that is not inside `SeededRandomness.run`. Lives as long as the process;
/// after its initialiser OpenSSL's accessors only read the key.
private nonisolated(unsafe) let threadKey: UnsafeMutablePointer<CRYPTO_THREAD_LOCAL>? = {
    let pointer = UnsafeMutablePointer<CRYPTO_THREAD_LOCAL>.allocate(capacity: 1)
    unsafe pointer.initialize(to: 0)
    guard unsafe CRYPTO_THREAD_init_local(pointer, nil) == 1 else { return nil }
    return unsafe pointer
}()

private func drawBytes(_ buffer: UnsafeMutablePointer<UInt8>?, _ count: Int32) -> Int32 {
    guard let buffer = unsafe buffer, count >= 0 else { return 0 }
    guard let pointer = unsafe CRYPTO_THREAD_get_local(threadKey) else {
        return unsafe RAND_OpenSSL().pointee.bytes?(buffer, count) ?? 0
    }
    let drawing = unsafe Unmanaged<DrawingSource>.fromOpaque(pointer).takeUnretainedValue()
    var index = 0
    while index < Int(count) {
        var word = drawing.source.next()
        for _ in 0..<Swift.min(8, Int(count) - index) {
            unsafe buffer[index] = UInt8(truncatingIfNeeded: word)
            word >>= 8
            index += 1
        }
    }
    return 1
}
