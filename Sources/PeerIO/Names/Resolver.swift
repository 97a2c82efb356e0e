import CLinuxIO
import Glibc
import Locks
import Primitives

/// Host names to addresses, with the system's resolver (`getaddrinfo`: hosts file, DNS), off every other thread.
///
/// The system's call blocks and cannot be cancelled, so it runs on a few threads of its own, made on demand and gone
/// when idle. The caller waits for the answer, the time-out or its own cancellation, whichever is first; a lookup given
/// up keeps its thread until the system gives up too. Threads and waiting lookups are bounded.
public final class Resolver: Sendable {
    /// The blocking lookup; every address of `name`, in the system's order (RFC 6724).
    typealias Lookup = @Sendable (_ name: String) -> Result<[IPAddress], ResolveError>

    private struct Waiting {
        var name: String
        var answer: Answer
    }

    private struct State {
        var threads = 0
        var running = 0
        var waiting: [Waiting] = []
    }

    private let threadLimit: Int
    private let waitingLimit: Int
    private let lookup: Lookup
    private let state = Locked(State())

    /// - Parameters:
    ///   - threadLimit: lookups under way at a time.
    ///   - waitingLimit: lookups that wait for a thread; one more fails with `.overloaded`.
    public convenience init(threadLimit: Int = 4, waitingLimit: Int = 64) {
        self.init(threadLimit: threadLimit, waitingLimit: waitingLimit, lookup: systemLookup)
    }

    init(threadLimit: Int, waitingLimit: Int, lookup: @escaping Lookup) {
        self.threadLimit = Swift.max(1, threadLimit)
        self.waitingLimit = Swift.max(0, waitingLimit)
        self.lookup = lookup
    }

    /// The addresses of `host`, at least one, most preferred first. An address in text gives itself.
    public func resolve(
        _ host: String, family: IPAddress.Family? = nil, timeout: TimeDelta = .seconds(5)
    ) async throws(ResolveError) -> [IPAddress] {
        if let literal = IPAddress(host) {
            guard family == nil || family == literal.family else { throw .notFound(host) }
            return [literal]
        }
        guard Self.isHostName(host) else { throw .invalidName(host) }
        let lowered = host.lowercased()
        if lowered.hasSuffix(".local") || lowered.hasSuffix(".local.") { throw .multicastNameUnsupported(host) }

        let addresses = try await answer(host, timeout: timeout).filter { family == nil || $0.family == family }
        guard !addresses.isEmpty else { throw .notFound(host) }
        return addresses
    }

    /// What the lookup of a name says, taken as it is.
    func answer(_ host: String, timeout: TimeDelta) async throws(ResolveError) -> [IPAddress] {
        let answer = Answer()
        guard submit(Waiting(name: host, answer: answer)) else { throw .overloaded(host) }
        let clock = Task {
            try? await Task.sleep(for: .nanoseconds(Swift.max(0, timeout.nanoseconds)))
            answer.give(.failure(.timedOut(host, after: timeout)))
        }
        let result = await withTaskCancellationHandler {
            await answer.wait()
        } onCancel: {
            answer.give(.failure(.cancelled(host)))
        }
        clock.cancel()
        return try result.get()
    }

    /// Lookups that wait for a thread.
    var waiting: Int { state.withLock(\.waiting.count) }

    /// Letters, digits, hyphens, underscores and dots, 253 bytes at most, the last label not a number (RFC 1123 §2.1, and
    /// what is met in practice).
    static func isHostName(_ text: String) -> Bool {
        let bytes = text.utf8
        guard (1...254).contains(bytes.count), bytes.count < 254 || bytes.last == 0x2E, bytes.first != 0x2E,
            !text.contains("..")
        else { return false }
        // The system would read "1" or "010.0.0.1" as addresses, and not as the user meant them.
        guard text.split(separator: ".").last.map({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) == false
        else { return false }
        return bytes.allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
            default: false
            }
        }
    }

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
            if !next.answer.isGiven { next.answer.give(lookup(next.name)) }
            state.withLock { $0.running -= 1 }
        }
    }
}

/// A result given once by whoever is first, and awaited by one.
private final class Answer: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Result<[IPAddress], ResolveError>, Never>)
        case given(Result<[IPAddress], ResolveError>)
    }
    private let state = Locked(State.open)

    var isGiven: Bool {
        state.withLock { state in
            if case .given = state { return true }
            return false
        }
    }

    func give(_ result: Result<[IPAddress], ResolveError>) {
        let continuation = state.withLock { state -> CheckedContinuation<Result<[IPAddress], ResolveError>, Never>? in
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

    func wait() async -> Result<[IPAddress], ResolveError> {
        await withCheckedContinuation { continuation in
            let result = state.withLock { state -> Result<[IPAddress], ResolveError>? in
                if case .given(let result) = state { return result }
                state = .awaited(continuation)
                return nil
            }
            if let result { continuation.resume(returning: result) }
        }
    }
}

private func systemLookup(_ name: String) -> Result<[IPAddress], ResolveError> {
    var raw: UnsafeMutablePointer<addrinfo>?
    let code = unsafe postern_resolve(name, &raw)
    guard code == 0 else {
        switch postern_resolve_verdict(code) {
        case 1: return .failure(.notFound(name))
        case 2: return .failure(.temporaryFailure(name))
        default: return .failure(.failed(name, reason: unsafe String(cString: gai_strerror(code))))
        }
    }
    defer { unsafe freeaddrinfo(raw) }
    var addresses: [IPAddress] = []
    var cursor = unsafe raw
    while let entry = unsafe cursor, addresses.count < 64 {
        var address = postern_address.none
        unsafe postern_from_sockaddr(entry.pointee.ai_addr, &address)
        if address.family != 0, !addresses.contains(address.ip) { addresses.append(address.ip) }
        unsafe cursor = entry.pointee.ai_next
    }
    return .success(addresses)
}
