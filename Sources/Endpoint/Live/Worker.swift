import Dispatch
import Synchronization

/// A serial queue with a bound: work that takes long (muxing, writing) away from the I/O loop. When too much waits, work
/// is refused and counted, never queued without end (invariant 5).
final class Worker: Sendable {
    private let queue: DispatchQueue
    private let waiting = Atomic<Int>(0)
    private let refusals = Atomic<Int>(0)
    private let capacity: Int

    init(name: String, capacity: Int) {
        queue = DispatchQueue(label: name, qos: .userInitiated)
        self.capacity = capacity
    }

    /// How often work was refused.
    var refused: Int { refusals.load(ordering: .relaxed) }

    @discardableResult
    func submit(_ body: @escaping @Sendable () -> Void) -> Bool {
        guard waiting.add(1, ordering: .relaxed).newValue <= capacity else {
            waiting.subtract(1, ordering: .relaxed)
            refusals.add(1, ordering: .relaxed)
            return false
        }
        queue.async {
            body()
            self.waiting.subtract(1, ordering: .relaxed)
        }
        return true
    }

    /// Runs `body` after all that was submitted, and waits for it.
    func finish<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: body()) }
        }
    }
}

/// Something that one worker's queue alone touches.
final class Confined<Value>: @unchecked Sendable {
    // Safe because every access is from the one serial queue the value was given to.
    var value: Value
    init(_ value: Value) { self.value = value }
}
