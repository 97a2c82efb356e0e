import CLinuxIO
import Glibc
import Locks
import Primitives
import Synchronization

/// One thread that waits for sockets and deadlines, and is the executor of the actors that own them.
///
/// A turn of the loop has five steps:
///
/// 1. Wait in epoll: for ever when nothing is left to do, not at all when work remains from the last turn. One timerfd
///    stands for the earliest of all deadlines, at nanosecond resolution on CLOCK_MONOTONIC; one eventfd wakes the loop
///    for work from other threads. Both are edge-triggered, so they are never read.
/// 2. Take over the work that other threads left under the lock.
/// 3. Fire the timers that are due.
/// 4. Tell each ready source. Each does a bounded amount of work, and due timers fire between two sources.
/// 5. Run jobs of actors, and closures: those taken over, and those enqueued meanwhile on this thread, up to a budget;
///    due timers fire between them too. What is over the budget waits for the next turn.
///
/// So no kind of work starves another: a flood of packets delays a timer by one source's share, a flood of jobs by 64.
///
/// Isolation: everything but `shared` belongs to the loop's thread. An actor whose `unownedExecutor` is this loop may be
/// entered from a source's or a timer's callback with `assumeIsolated`, for `isIsolatingCurrentContext()` is true on this
/// thread. A job enqueued on this thread costs no lock and no system call; one from elsewhere costs a lock, and
/// a write to the eventfd only if the loop sleeps.
///
/// The end: `stop()` ends the turns; jobs already there run, sources and timers are told or dropped, the thread ends.
/// Actors outlive their loop, so jobs that come later run all the same, one after another, on a thread made for them:
/// a `Task` waiting on a dead loop would hang for ever. There is no I/O for them any more.
///
/// Life: the running thread keeps the loop alive. A loop that is never stopped is never freed.
@safe public final class IOLoop: SerialExecutor, @unchecked Sendable {
    private enum Work {
        case job(UnownedJob)
        case closure(@Sendable () -> Void)
    }

    private enum Phase {
        case running
        case stopping
        /// The thread has ended. Late work brings `.afterlife`.
        case stopped
        /// A thread runs late work.
        case afterlife
    }

    private struct Shared {
        var phase = Phase.running
        var work: [Work] = []
        var isAsleep = false
        var thread: pthread_t?
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    /// Jobs and closures run in one turn before sockets are looked at again.
    private static let jobsPerTurn = 1024
    private static let timerIdentity = UInt64.max
    private static let wakeIdentity = UInt64.max - 1

    /// The name of the thread.
    public let name: String
    private let epoll: FileDescriptor
    private let timerDescriptor: FileDescriptor
    private let wakeDescriptor: FileDescriptor
    private let shared = Locked(Shared())
    private let owner = Atomic<UInt>(0)

    // Of the loop's thread.
    private var sources = LoopSourceTable()
    var timers = LoopTimerTable()
    private var due: [LoopTimerEntry] = []
    private var local: [Work] = []
    private var localHead = 0
    private var armed: Int64?
    private var packetScratch: PacketScratch?
    private let events = UnsafeMutablePointer<postern_events>.allocate(capacity: 1)

    /// Opens the descriptors and starts the thread.
    public init(name: String = "postern-io") throws(SocketFailure) {
        self.name = name
        epoll = try FileDescriptor(postern_epoll_create(), call: "epoll_create1", subject: "I/O loop \(name)")
        timerDescriptor = try FileDescriptor(
            postern_timer_create(), call: "timerfd_create", subject: "I/O loop \(name)")
        wakeDescriptor = try FileDescriptor(postern_event_create(), call: "eventfd", subject: "I/O loop \(name)")
        let edge = postern_epoll_flags(1, 0, 1)
        for (descriptor, identity) in [
            (timerDescriptor.raw, Self.timerIdentity), (wakeDescriptor.raw, Self.wakeIdentity),
        ] {
            let result = postern_epoll_add(epoll.raw, descriptor, edge, identity)
            guard result == 0 else {
                throw SocketFailure(code: -result, call: "epoll_ctl", subject: "I/O loop \(name)")
            }
        }
        let thread = try LoopThread.start(name: name) { [self] in runThread() }
        shared.withLock { $0.thread = thread }
    }

    deinit {
        unsafe events.deallocate()
        if let thread = shared.withLock({ $0.thread }) { pthread_detach(thread) }
    }

    // MARK: time

    /// The monotonic clock, read now. From any thread.
    public var now: Instant { Instant(nanoseconds: postern_monotonic()) }

    /// The wall clock against the monotonic one, read now. From any thread.
    public var wallClock: WallClock {
        let before = postern_monotonic()
        let unix = postern_realtime()
        let after = postern_monotonic()
        return WallClock(instant: Instant(nanoseconds: before + (after - before) / 2), unixNanoseconds: unix)
    }

    // MARK: the executor

    public func enqueue(_ job: consuming ExecutorJob) { _ = enqueue(.job(UnownedJob(job)), revives: true) }

    /// Runs `body` on the loop's thread: after what is enqueued already, not within this call.
    public func execute(_ body: @escaping @Sendable () -> Void) { _ = enqueue(.closure(body), revives: true) }

    /// As `execute`, for what a stopped loop need not do any more. False if that is so.
    func executeUnlessStopped(_ body: @escaping @Sendable () -> Void) -> Bool {
        enqueue(.closure(body), revives: false)
    }

    /// As `execute`, but from the loop's thread, so that `body` need not be `Sendable`: it never leaves it.
    func executeHere(_ body: @escaping () -> Void) {
        assertOnLoop()
        let confined = Confined(body: body)
        local.append(.closure { confined.body() })
    }

    private struct Confined: @unchecked Sendable {
        let body: () -> Void
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { unsafe UnownedSerialExecutor(ordinary: self) }

    /// Whether the caller runs on the loop's thread.
    public var isOnLoop: Bool { owner.load(ordering: .relaxed) == LoopThread.current }

    public func checkIsolated() { assertOnLoop() }
    public func isIsolatingCurrentContext() -> Bool? { isOnLoop }

    func assertOnLoop() { precondition(isOnLoop, "not on the thread of the I/O loop") }

    /// Whether the work will be done.
    private func enqueue(_ work: Work, revives: Bool) -> Bool {
        if isOnLoop {
            local.append(work)
            return true
        }
        enum Next {
            case nothing
            case wake
            case revive
            case refuse
        }
        let next = shared.withLock { shared -> Next in
            if shared.phase == .stopped, !revives { return .refuse }
            shared.work.append(work)
            switch shared.phase {
            case .running, .stopping:
                defer { shared.isAsleep = false }
                return shared.isAsleep ? .wake : .nothing
            case .stopped:
                shared.phase = .afterlife
                return .revive
            case .afterlife:
                return .nothing
            }
        }
        switch next {
        case .nothing: break
        case .wake: postern_event_signal(wakeDescriptor.raw)
        case .revive: startAfterlife()
        case .refuse: return false
        }
        return true
    }

    // MARK: sources and timers, on the loop's thread

    /// Watches a descriptor until it is removed. The loop keeps `source` alive; the descriptor remains the source's.
    public func register(
        _ descriptor: Int32, for interest: Readiness, source: any LoopSource
    ) throws(SocketFailure) -> LoopRegistration {
        assertOnLoop()
        let registration = sources.add(source, descriptor: descriptor)
        let result = postern_epoll_add(epoll.raw, descriptor, flags(interest), registration.identity)
        guard result == 0 else {
            _ = sources.remove(registration)
            throw SocketFailure(code: -result, call: "epoll_ctl", subject: "descriptor \(descriptor)")
        }
        return registration
    }

    public func change(_ registration: LoopRegistration, to interest: Readiness) {
        assertOnLoop()
        guard let descriptor = sources.descriptor(of: registration) else { return }
        _ = postern_epoll_change(epoll.raw, descriptor, flags(interest), registration.identity)
    }

    /// Ends the watch. No event follows, not even one already read. Call it before closing the descriptor.
    public func remove(_ registration: LoopRegistration) {
        assertOnLoop()
        guard let descriptor = sources.remove(registration) else { return }
        _ = postern_epoll_remove(epoll.raw, descriptor)
    }

    /// A timer for one client, without a deadline at first.
    public func timer(for client: any LoopClient) -> LoopTimer {
        assertOnLoop()
        let entry = LoopTimerEntry(client: client)
        timers.add(entry)
        return LoopTimer(loop: self, entry: entry)
    }

    /// The packet buffers that all sockets of this loop share.
    func sharedScratch() -> PacketScratch {
        assertOnLoop()
        if let packetScratch { return packetScratch }
        let scratch = PacketScratch()
        packetScratch = scratch
        return scratch
    }

    // MARK: the end

    /// Asks the loop to end. From any thread, also its own; returns at once.
    public func stop() {
        let mustWake = shared.withLock { shared in
            guard shared.phase == .running else { return false }
            shared.phase = .stopping
            defer { shared.isAsleep = false }
            return shared.isAsleep
        }
        if mustWake { postern_event_signal(wakeDescriptor.raw) }
    }

    /// Waits, blocking, until the thread has ended. Not on the loop's thread. One caller waits, others return.
    public func join() {
        precondition(!isOnLoop, "the I/O loop cannot wait for its own end")
        let thread = shared.withLock { shared in
            defer { shared.thread = nil }
            return shared.thread
        }
        if let thread { _ = pthread_join(thread, nil) }
    }

    /// Stops the loop and waits for its end without blocking the caller's thread.
    public func shutdown() async {
        stop()
        await withCheckedContinuation { continuation in
            let isOver = shared.withLock { shared in
                if shared.phase == .stopped || shared.phase == .afterlife { return true }
                shared.waiters.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
        if !isOnLoop { join() }
    }

    // MARK: the thread

    private func runThread() {
        owner.store(LoopThread.current, ordering: .relaxed)
        while turn() {}
        runWork(limit: 10 * Self.jobsPerTurn)
        for source in sources.removeAll() { source.loopStopped() }
        timers.removeAll()
        packetScratch = nil
        takeSharedWork()
        runWork(limit: 10 * Self.jobsPerTurn)

        owner.store(0, ordering: .relaxed)
        let (waiters, hasWork) = shared.withLock { shared in
            let hasWork = localHead < local.count || !shared.work.isEmpty
            shared.phase = hasWork ? .afterlife : .stopped
            defer { shared.waiters = [] }
            return (shared.waiters, hasWork)
        }
        if hasWork { startAfterlife() }
        for waiter in waiters { waiter.resume() }
    }

    /// One turn. Whether another is to follow.
    private func turn() -> Bool {
        let isBusy = localHead < local.count
        let maySleep = !isBusy && armTimer() && prepareSleep()
        let count = unsafe postern_epoll_wait(epoll.raw, events, maySleep ? -1 : 0)
        precondition(count >= 0, "epoll_wait: \(errorName(-count))")
        let isStopping = takeSharedWork()

        fireTimers()
        for index in 0..<count {
            let identity = unsafe postern_event_identity(events, index)
            if identity == Self.wakeIdentity { continue }
            if identity == Self.timerIdentity {
                armed = nil
                continue
            }
            guard let source = sources.source(identity: identity) else { continue }
            source.ready(readiness(unsafe postern_event_flags(events, index)), on: self)
            fireTimers()
        }
        runWork(limit: Self.jobsPerTurn)
        return !isStopping
    }

    /// Arms the timerfd for the earliest deadline. False if that is now or past.
    ///
    /// A timer armed too early is left alone: an idle wake-up costs less than a system call a turn.
    private func armTimer() -> Bool {
        timers.settle()
        guard let earliest = timers.earliest else { return true }
        if earliest <= postern_monotonic() { return false }
        if let armed, armed <= earliest { return true }
        armed = earliest
        _ = postern_timer_set(timerDescriptor.raw, earliest)
        return true
    }

    /// Says that a wake-up is needed from now on. False if work came before that.
    private func prepareSleep() -> Bool {
        shared.withLock { shared in
            shared.isAsleep = shared.work.isEmpty && shared.phase == .running
            return shared.isAsleep
        }
    }

    /// Takes over the work of other threads. Whether the loop is to stop.
    @discardableResult
    private func takeSharedWork() -> Bool {
        shared.withLock { shared in
            shared.isAsleep = false
            if local.isEmpty {
                swap(&local, &shared.work)
            } else if !shared.work.isEmpty {
                local.append(contentsOf: shared.work)
                shared.work.removeAll(keepingCapacity: true)
            }
            return shared.phase == .stopping
        }
    }

    private func fireTimers() {
        guard let earliest = timers.earliest else { return }
        let now = now
        guard earliest <= now.nanoseconds else { return }
        var due: [LoopTimerEntry] = []
        swap(&due, &self.due)
        timers.takeDue(at: now, into: &due)
        for timer in due where timer.isDue {
            timer.isDue = false
            timer.client?.deadlineReached(at: now)
        }
        due.removeAll(keepingCapacity: true)
        swap(&due, &self.due)
    }

    /// Runs jobs and closures in order, those that they enqueue here included.
    private func runWork(limit: Int) {
        var done = 0
        while localHead < local.count, done < limit {
            let work = local[localHead]
            localHead += 1
            done += 1
            switch work {
            case .job(let job): unsafe job.runSynchronously(on: asUnownedSerialExecutor())
            case .closure(let closure): closure()
            }
            if done % 64 == 0 { fireTimers() }
        }
        if localHead == local.count {
            local.removeAll(keepingCapacity: true)
        } else {
            local.removeFirst(localHead)
        }
        localHead = 0
    }

    // MARK: after the end

    private func startAfterlife() {
        let thread = try? LoopThread.start(name: name) { [self] in runAfterlife() }
        if let thread {
            pthread_detach(thread)
        } else {
            // No thread to be had: the work waits for the next to come.
            shared.withLock { $0.phase = .stopped }
        }
    }

    private func runAfterlife() {
        owner.store(LoopThread.current, ordering: .relaxed)
        while true {
            takeSharedWork()
            runWork(limit: .max)
            let isDone = shared.withLock { shared in
                guard shared.work.isEmpty else { return false }
                owner.store(0, ordering: .relaxed)
                shared.phase = .stopped
                return true
            }
            if isDone { return }
        }
    }

    private func flags(_ interest: Readiness) -> UInt32 {
        postern_epoll_flags(interest.contains(.read) ? 1 : 0, interest.contains(.write) ? 1 : 0, 0)
    }

    private func readiness(_ flags: UInt32) -> Readiness {
        var result: Readiness = []
        if postern_is_readable(flags) != 0 { result.insert(.read) }
        if postern_is_writable(flags) != 0 { result.insert(.write) }
        if postern_is_failed(flags) != 0 { result.insert(.error) }
        if postern_is_hung_up(flags) != 0 { result.insert(.hangUp) }
        return result
    }
}
