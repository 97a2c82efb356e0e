import CLinuxIO
import Glibc
import Primitives
import Synchronization
import Testing

@testable import PeerIO

@Suite(.serialized) struct IOLoopTests {
    @Test func theClockRunsAndAgreesWithTheWall() throws {
        let loop = try IOLoop()
        let first = loop.now
        let wall = loop.wallClock
        #expect(first <= wall.instant && wall.instant <= loop.now)
        #expect(abs(wall.unixNanoseconds / 1_000_000_000 - Int64(time(nil))) <= 1)
        loop.stop()
        loop.join()
    }

    @Test func theThreadBearsTheName() async throws {
        let loop = try IOLoop(name: "a-name-that-is-too-long")
        let name = try await onLoop(loop) {
            unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16) { buffer in
                unsafe buffer.initialize(repeating: 0)
                guard let base = buffer.baseAddress else { return "" }
                unsafe postern_thread_name(base)
                return unsafe String(cString: base)
            }
        }
        #expect(name == "a-name-that-is-")
        await loop.shutdown()
    }

    @Test func timersFireInTimeAndNeverEarly() async throws {
        let loop = try IOLoop(name: "timers")
        let sleeper = Sleeper(loop: loop)
        let wanted: [TimeDelta] = (0..<40).map { .microseconds(Int64($0 * 337 % 9_000)) }
        for delta in wanted {
            let start = loop.now
            await sleeper.sleep(until: start + delta)
            #expect(await eventually { await sleeper.fired != nil })
            let fired = try #require(await sleeper.fired)
            #expect(fired >= start + delta)
        }
        // The lateness of the best of many, for the machine may be busy.
        #expect(await sleeper.leastLateness < .milliseconds(2))
        await loop.shutdown()
    }

    @Test func manyTimersFireEachAtItsTime() async throws {
        let loop = try IOLoop(name: "timers")
        let sleepers = (0..<100).map { _ in Sleeper(loop: loop) }
        let start = loop.now + .milliseconds(300)
        for (index, sleeper) in sleepers.enumerated() {
            await sleeper.sleep(until: start + .microseconds(Int64(index * 7919 % 20_000)))
        }
        // Moved later, cancelled, and moved to the past.
        await sleepers[0].sleep(until: start + .milliseconds(30))
        await sleepers[1].sleep(until: nil)
        await sleepers[2].sleep(until: start - .milliseconds(1_000))
        await sleepers[3].cancel()
        #expect(await eventually { await sleepers[0].fired != nil })
        #expect(await sleepers[0].fired.map { $0 >= start + .milliseconds(30) } == true)
        #expect(await sleepers[1].fired == nil)
        #expect(await sleepers[2].fired != nil)
        #expect(await sleepers[3].fired == nil)
        for (index, sleeper) in sleepers.enumerated().dropFirst(4) {
            #expect(await sleeper.fired.map { $0 >= start + .microseconds(Int64(index * 7919 % 20_000)) } == true)
            #expect(await sleeper.count == 1)
        }
        await loop.shutdown()
    }

    @Test func aTimerThatIsAlwaysDueStarvesNothing() async throws {
        let loop = try IOLoop(name: "busy-timer")
        let busy = Sleeper(loop: loop, repeats: true)
        await busy.sleep(until: loop.now)
        #expect(await eventually { await busy.count > 1_000 })
        let (near, far) = (SocketHost(loop: loop), SocketHost(loop: loop))
        _ = try await near.open(UDPSocketConfiguration(address: .loopbackV4))
        await near.send([[1]], to: try await far.open(UDPSocketConfiguration(address: .loopbackV4)))
        #expect(await eventually { await far.receivedCount == 1 })
        await loop.shutdown()
    }

    @Test func jobsThatBreedStarveNeitherTimersNorSockets() async throws {
        let loop = try IOLoop(name: "busy-jobs")
        let isOver = Atomic(false)
        @Sendable func breed() { if !isOver.load(ordering: .relaxed) { loop.execute { breed() } } }
        breed()
        breed()
        let sleeper = Sleeper(loop: loop)
        await sleeper.sleep(until: loop.now + .milliseconds(5))
        #expect(await eventually { await sleeper.fired != nil })
        let (near, far) = (SocketHost(loop: loop), SocketHost(loop: loop))
        _ = try await near.open(UDPSocketConfiguration(address: .loopbackV4))
        await near.send([[1]], to: try await far.open(UDPSocketConfiguration(address: .loopbackV4)))
        #expect(await eventually { await far.receivedCount == 1 })
        isOver.store(true, ordering: .relaxed)
        await loop.shutdown()
    }

    @Test func aGoneClientLeavesNoTimerBehind() async throws {
        let loop = try IOLoop(name: "gone")
        do {
            let sleeper = Sleeper(loop: loop)
            await sleeper.sleep(until: loop.now + .milliseconds(1))
        }
        #expect(await eventually { (try? await onLoop(loop) { loop.timers.count }) == 0 })
        await loop.shutdown()
    }

    // MARK: the executor

    @Test func wakeUpsFromManyThreadsAllArrive() async throws {
        let loop = try IOLoop(name: "wake")
        let counter = Counter(loop: loop)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for index in 0..<2_000 {
                        if index % 2 == 0 {
                            await counter.increment()
                        } else {
                            loop.execute { counter.assumeIsolated { $0.increment() } }
                        }
                    }
                }
            }
        }
        #expect(await eventually { await counter.value == 16_000 })
        await loop.shutdown()
    }

    @Test func workOfOneThreadKeepsItsOrder() async throws {
        let loop = try IOLoop(name: "order")
        let counter = Counter(loop: loop)
        for index in 0..<5_000 { loop.execute { counter.assumeIsolated { $0.list.append(index) } } }
        #expect(await eventually { await counter.list.count == 5_000 })
        #expect(await counter.list == Array(0..<5_000))
        await loop.shutdown()
    }

    @Test func workEnqueuedOnTheLoopRunsAfterTheCallerAndBeforeOthersSleep() async throws {
        let loop = try IOLoop(name: "same-turn")
        let counter = Counter(loop: loop)
        loop.execute {
            counter.assumeIsolated { $0.list.append(1) }
            loop.execute { counter.assumeIsolated { $0.list.append(3) } }
            counter.assumeIsolated { $0.list.append(2) }
        }
        #expect(await eventually { await counter.list == [1, 2, 3] })
        await loop.shutdown()
    }

    @Test func isolationIsKnownOnTheLoopAndNowhereElse() async throws {
        let loop = try IOLoop(name: "isolation")
        #expect(loop.isIsolatingCurrentContext() == false)
        #expect(try await onLoop(loop) { loop.isIsolatingCurrentContext() } == true)
        let other = try IOLoop(name: "other")
        #expect(try await onLoop(other) { loop.isOnLoop } == false)
        await loop.shutdown()
        await other.shutdown()
    }

    @Test func anActorEnteredOffItsLoopDies() async {
        await #expect(processExitsWith: .failure) {
            let counter = Counter(loop: try IOLoop(name: "wrong"))
            func enter() { counter.assumeIsolated { $0.increment() } }
            enter()
        }
    }

    // MARK: the end

    @Test func shutdownRunsWhatWasEnqueuedAndFreesTheLoop() async throws {
        let watch = Watch()
        let ran = Atomic(0)
        do {
            let loop = try IOLoop(name: "end")
            watch.loop = loop
            for _ in 0..<100 { loop.execute { ran.add(1, ordering: .relaxed) } }
            await loop.shutdown()
            await loop.shutdown()
        }
        #expect(ran.load(ordering: .relaxed) == 100)
        #expect(await eventually { watch.loop == nil })
    }

    @Test func aLoopStoppedFromWithinEnds() async throws {
        let loop = try IOLoop(name: "suicide")
        loop.execute { loop.stop() }
        loop.join()
        #expect(loop.isIsolatingCurrentContext() == false)
    }

    @Test func anActorOutlivesItsLoop() async throws {
        let loop = try IOLoop(name: "dead")
        let counter = Counter(loop: loop)
        await loop.shutdown()
        for _ in 0..<100 { await counter.increment() }
        #expect(await counter.value == 100)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { for _ in 0..<200 { await counter.increment() } } }
        }
        #expect(await counter.value == 900)
    }

    @Test func manyLoopsComeAndGo() async throws {
        let before = try openDescriptors()
        for round in 0..<50 {
            let loop = try IOLoop(name: "round-\(round)")
            let host = SocketHost(loop: loop)
            _ = try await host.open(UDPSocketConfiguration(address: .loopbackV4))
            await loop.shutdown()
        }
        #expect(await eventually { (try? openDescriptors()) ?? .max <= before + 8 })
    }
}

private func openDescriptors() throws -> Int {
    (0..<1024).filter { fcntl(Int32($0), F_GETFD) != -1 }.count
}

private final class Watch: @unchecked Sendable { weak var loop: IOLoop? }

/// Notes when it was woken.
private actor Sleeper: LoopClient {
    nonisolated let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let repeats: Bool
    private var timer: LoopTimer?
    private var wanted: Instant?
    private(set) var fired: Instant?
    private(set) var count = 0
    private(set) var leastLateness = TimeDelta.max

    init(loop: IOLoop, repeats: Bool = false) {
        self.loop = loop
        self.repeats = repeats
    }

    func sleep(until instant: Instant?) {
        let timer = self.timer ?? loop.timer(for: self)
        self.timer = timer
        fired = nil
        wanted = instant
        timer.deadline = instant
    }

    func cancel() { timer?.cancel() }

    nonisolated func deadlineReached(at now: Instant) {
        assumeIsolated { sleeper in
            sleeper.fired = now
            sleeper.count += 1
            if let wanted = sleeper.wanted { sleeper.leastLateness = min(sleeper.leastLateness, now - wanted) }
            if sleeper.repeats { sleeper.timer?.deadline = now }
        }
    }
}

private actor Counter {
    nonisolated let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    var value = 0
    var list: [Int] = []
    init(loop: IOLoop) { self.loop = loop }
    func increment() { value += 1 }
}
