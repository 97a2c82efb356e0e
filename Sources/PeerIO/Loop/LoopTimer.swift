import Primitives

/// Whoever wants to be woken at a time: as a rule the owner of an engine, with the engine's `deadline`.
///
/// An actor on the loop implements it `nonisolated` and enters itself with `assumeIsolated`.
public protocol LoopClient: AnyObject, Sendable {
    /// The deadline came: never before it, on the loop's thread. It is spent; set the next one if there is one.
    func deadlineReached(at now: Instant)
}

/// One client's deadline on an `IOLoop`. Use it on the loop's thread only.
///
/// The client is held weakly; a timer of a client that has gone removes itself when it fires.
public final class LoopTimer {
    private let loop: IOLoop
    weak var client: (any LoopClient)?
    fileprivate(set) var index: Int?
    /// Taken out of the table to be fired in this pass.
    var isDue = false

    init(loop: IOLoop, client: any LoopClient) {
        self.loop = loop
        self.client = client
    }

    /// When to wake the client; `nil` is never. A time already past fires on the loop's next turn.
    public var deadline: Instant? {
        get { index.flatMap { loop.timers.deadline(at: $0) } }
        set {
            loop.assertOnLoop()
            isDue = false
            if let index { loop.timers.set(newValue, at: index) }
        }
    }

    /// Forgets the timer for good.
    public func cancel() {
        loop.assertOnLoop()
        isDue = false
        loop.timers.remove(self)
    }
}

/// The deadlines of a loop, side by side so that finding the earliest is one pass over numbers.
struct LoopTimerTable {
    private static let never = Int64.max
    private var deadlines: [Int64] = []
    private var timers: [LoopTimer] = []
    private var isStale = false
    private var cachedEarliest = never

    /// The earliest deadline; may be earlier than the truth until the next `takeDue` or `settle`.
    var earliest: Int64? { cachedEarliest == Self.never ? nil : cachedEarliest }
    var count: Int { timers.count }

    mutating func add(_ timer: LoopTimer) {
        timer.index = timers.count
        timers.append(timer)
        deadlines.append(Self.never)
    }

    mutating func remove(_ timer: LoopTimer) {
        guard let index = timer.index else { return }
        timer.index = nil
        let last = timers.count - 1
        if index != last {
            timers.swapAt(index, last)
            deadlines.swapAt(index, last)
            timers[index].index = index
        }
        timers.removeLast()
        if deadlines.removeLast() == cachedEarliest { isStale = true }
    }

    mutating func removeAll() {
        for timer in timers { timer.index = nil }
        self = LoopTimerTable()
    }

    func deadline(at index: Int) -> Instant? {
        deadlines[index] == Self.never ? nil : Instant(nanoseconds: deadlines[index])
    }

    mutating func set(_ deadline: Instant?, at index: Int) {
        let old = deadlines[index]
        let new = deadline?.nanoseconds ?? Self.never
        deadlines[index] = new
        if new <= cachedEarliest {
            cachedEarliest = new
        } else if old == cachedEarliest {
            isStale = true
        }
    }

    /// Makes `earliest` exact.
    mutating func settle() {
        guard isStale else { return }
        isStale = false
        cachedEarliest = deadlines.min() ?? Self.never
    }

    /// Moves the timers due at `now` to `due`. Their deadlines are spent.
    mutating func takeDue(at now: Instant, into due: inout [LoopTimer]) {
        guard cachedEarliest <= now.nanoseconds, cachedEarliest != Self.never else { return }
        var next = Self.never
        for index in deadlines.indices {
            if deadlines[index] <= now.nanoseconds, deadlines[index] != Self.never {
                deadlines[index] = Self.never
                timers[index].isDue = true
                due.append(timers[index])
            } else {
                next = Swift.min(next, deadlines[index])
            }
        }
        cachedEarliest = next
        isStale = false
    }
}
