import CLinuxIO
import Glibc

/// An open descriptor with one owner; it closes when its owner goes.
struct FileDescriptor: ~Copyable {
    let raw: Int32

    /// Takes over what a shim returned: a descriptor, or the negated error number.
    init(_ result: Int32, call: String, subject: String) throws(SocketFailure) {
        guard result >= 0 else { throw SocketFailure(code: -result, call: call, subject: subject) }
        raw = result
    }

    deinit { _ = close(raw) }
}
