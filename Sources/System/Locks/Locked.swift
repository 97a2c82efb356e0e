import Glibc

/// State under a lock of the C library, for what crosses threads above the line.
///
/// `Synchronization.Mutex` would do the same, but ThreadSanitizer cannot see into its contended path (the kernel hands
/// the lock over) and calls every contended use of it a race; what crosses threads here shall be checked by it.
@safe public final class Locked<State>: @unchecked Sendable {
    // Safe because the state is touched under the mutex alone, and goes in and out by `sending` only.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var state: State

    public init(_ state: sending State) {
        self.state = state
        unsafe mutex.initialize(to: pthread_mutex_t())
        unsafe pthread_mutex_init(mutex, nil)
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    public func withLock<Result, Failure: Error>(
        _ body: (inout sending State) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&state)
    }
}
