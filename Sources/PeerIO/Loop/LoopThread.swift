import CLinuxIO
import Glibc

/// Starting a thread that runs one closure.
enum LoopThread {
    private final class Body {
        let name: String
        let run: @Sendable () -> Void
        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// Starts a thread under `name` (the system keeps 15 bytes of it), to be joined or detached by the caller.
    static func start(name: String, _ run: @escaping @Sendable () -> Void) throws(SocketFailure) -> pthread_t {
        let body = unsafe Unmanaged.passRetained(Body(name: name, run: run))
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                let body = unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                unsafe String(body.name.prefix(15)).withCString { unsafe postern_name_thread($0) }
                body.run()
                return nil
            }, body.toOpaque())
        guard code == 0 else {
            unsafe body.release()
            throw SocketFailure(code: code, call: "pthread_create", subject: "thread \(name)")
        }
        return thread
    }

    /// The calling thread; never 0.
    static var current: UInt { UInt(pthread_self()) }
}
