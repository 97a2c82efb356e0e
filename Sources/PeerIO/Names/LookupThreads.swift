import Glibc
import Locks
import Primitives

/// A few threads for lookups that block and cannot be cancelled, made on demand and gone when idle.
///
/// The caller waits for the answer, the time-out or its own cancellation, whichever is first; a lookup given up keeps its
/// thread until the system gives up too. Threads and waiting lookups are bounded.
final class LookupThreads<Value: Sendable>: Sendable {
    typealias Lookup = @Sendable () -> Result<Value, ResolveError>

    private struct Waiting {
        var lookup: Lookup
        var answer: Answer<Value>
    }

    private struct State {
        var threads = 0
        var running = 0
        var waiting: [Waiting] = []
    }

    private let threadLimit: Int
    private let waitingLimit: Int
    private let state = Locked(State())

    /// - Parameters:
    ///   - threadLimit: lookups under way at a time.
    ///   - waitingLimit: lookups that wait for a thread; one more fails with `.overloaded`.
    init(threadLimit: Int, waitingLimit: Int) {
        self.threadLimit = Swift.max(1, threadLimit)
        self.waitingLimit = Swift.max(0, waitingLimit)
    }

    /// What a lookup says; `name` is for errors.
    func answer(
        _ name: String, timeout: TimeDelta, lookup: @escaping Lookup
    ) async throws(ResolveError) -> Value {
        let answer = Answer<Value>()
        guard submit(Waiting(lookup: lookup, answer: answer)) else { throw .overloaded(name) }
        let clock = Task {
            try? await Task.sleep(for: .nanoseconds(Swift.max(0, timeout.nanoseconds)))
            answer.give(.failure(.timedOut(name, after: timeout)))
        }
        let result = await withTaskCancellationHandler {
            await answer.wait()
        } onCancel: {
            answer.give(.failure(.cancelled(name)))
        }
        clock.cancel()
        return try result.get()
    }

    /// Lookups that wait for a thread.
    var waitingCount: Int { state.withLock(\.waiting.count) }

    private func submit(_ lookup: Waiting) -> Bool {
        let (isTaken, needsThread) = state.withLock { state in
            state.waiting.removeAll { $0.answer.isGiven }
            let needsThread = state.threads < threadLimit
            guard needsThread || state.running + state.waiting.count < threadLimit + waitingLimit else {
                return (false, false)
            }
            state.waiting.append(lookup)
            if needsThread { state.threads += 1 }
            return (true, needsThread)
        }
        guard needsThread else { return isTaken }
        do {
            pthread_detach(try LoopThread.start(name: "postern-dns") { [self] in runThread() })
            return true
        } catch {
            return state.withLock { state in
                state.threads -= 1
                if state.threads == 0 { state.waiting.removeAll { $0.answer === lookup.answer } }
                return state.threads > 0
            }
        }
    }

    private func runThread() {
        while true {
            let next = state.withLock { state -> Waiting? in
                if state.waiting.isEmpty {
                    state.threads -= 1
                    return nil
                }
                state.running += 1
                return state.waiting.removeFirst()
            }
            guard let next else { return }
            if !next.answer.isGiven { next.answer.give(next.lookup()) }
            state.withLock { $0.running -= 1 }
        }
    }
}

/// A result given once by whoever is first, and awaited by one.
private final class Answer<Value: Sendable>: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Result<Value, ResolveError>, Never>)
        case given(Result<Value, ResolveError>)
    }
    private let state = Locked(State.open)

    var isGiven: Bool {
        state.withLock { state in
            if case .given = state { return true }
            return false
        }
    }

    func give(_ result: Result<Value, ResolveError>) {
        let continuation = state.withLock { state -> CheckedContinuation<Result<Value, ResolveError>, Never>? in
            switch state {
            case .given: return nil
            case .open:
                state = .given(result)
                return nil
            case .awaited(let continuation):
                state = .given(result)
                return continuation
            }
        }
        continuation?.resume(returning: result)
    }

    func wait() async -> Result<Value, ResolveError> {
        await withCheckedContinuation { continuation in
            let result = state.withLock { state -> Result<Value, ResolveError>? in
                if case .given(let result) = state { return result }
                state = .awaited(continuation)
                return nil
            }
            if let result { continuation.resume(returning: result) }
        }
    }
}
