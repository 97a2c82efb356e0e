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
/// The client is held weakly and keeps the timer; with the last reference to it the timer is gone.
public final class LoopTimer {
    private let loop: IOLoop
    private let entry: LoopTimerEntry
    private var isCancelled = false

    init(loop: IOLoop, entry: LoopTimerEntry) {
        self.loop = loop
        self.entry = entry
    }

    deinit {
        guard !isCancelled else { return }
        let (loop, entry) = (loop, entry)
        _ = loop.executeUnlessStopped { loop.timers.remove(entry) }
    }

    /// When to wake the client; `nil` is never. A time already past fires on the loop's next turn.
    public var deadline: Instant? {
        get { entry.index.flatMap { loop.timers.deadline(at: $0) } }
        set {
            loop.assertOnLoop()
            entry.isDue = false
            if let index = entry.index { loop.timers.set(newValue, at: index) }
        }
    }

    /// Forgets the timer for good.
    public func cancel() {
        loop.assertOnLoop()
        isCancelled = true
        loop.timers.remove(entry)
    }
}

/// What the loop knows of a timer. Of the loop's thread.
final class LoopTimerEntry: @unchecked Sendable {
    weak var client: (any LoopClient)?
    fileprivate(set) var index: Int?
    /// Taken out of the table to be fired in this pass.
    var isDue = false

    init(client: any LoopClient) { self.client = client }
}

/// The deadlines of a loop, side by side so that finding the earliest is one pass over numbers.
struct LoopTimerTable {
    private static let never = Int64.max
    private var deadlines: [Int64] = []
    private var timers: [LoopTimerEntry] = []
    private var isStale = false
    private var cachedEarliest = never

    /// The earliest deadline; may be earlier than the truth until the next `takeDue` or `settle`.
    var earliest: Int64? { cachedEarliest == Self.never ? nil : cachedEarliest }
    var count: Int { timers.count }

    mutating func add(_ timer: LoopTimerEntry) {
        timer.index = timers.count
        timers.append(timer)
        deadlines.append(Self.never)
    }

    mutating func remove(_ timer: LoopTimerEntry) {
        timer.isDue = false
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
    mutating func takeDue(at now: Instant, into due: inout [LoopTimerEntry]) {
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
