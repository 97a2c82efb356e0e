import CLinuxIO
import Glibc
import Primitives

/// A socket or loop that could not be set up: what was asked for, what the system said, and what to do.
public struct SocketFailure: Error, Hashable, Sendable {
    /// The system's error number, `errno`.
    public var code: Int32
    /// The system call that gave it, such as `bind`.
    public var call: String
    /// What it was about, such as `port range 30008-30010 on 127.0.0.1`.
    public var subject: String
    /// What was found and what to do, such as `is taken: free a port or widen the range`. May be empty.
    public var advice: String

    public init(code: Int32, call: String, subject: String, advice: String = "") {
        self.code = code
        self.call = call
        self.subject = subject
        self.advice = advice
    }

    /// The symbolic name of the error number, such as `EADDRINUSE`.
    public var name: String { errorName(code) }
}

extension SocketFailure: CustomStringConvertible {
    public var description: String {
        "\(subject) \(advice.isEmpty ? "failed" : advice) (\(call): \(name), \(errorText(code)))"
    }
}

/// `EADDRINUSE` for 98, and so on.
func errorName(_ code: Int32) -> String {
    guard let name = unsafe strerrorname_np(code) else { return "errno \(code)" }
    return unsafe String(cString: name)
}

func errorText(_ code: Int32) -> String {
    unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
        guard let base = buffer.baseAddress else { return "error \(code)" }
        unsafe base.pointee = 0
        guard unsafe strerror_r(code, base, 128) == 0 else { return "error \(code)" }
        return unsafe String(cString: base)
    }
}
