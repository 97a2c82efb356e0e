import Foundation
import Media
import Peer
import PeerIO
import Primitives
import Synchronization

/// Runs a `Publisher` in real time on a thread of its own: sleeps until a frame is due by the absolute media clock, makes
/// it, hands it to the connection. What the call tells the encoder comes in through a bounded mailbox.
///
/// The frames of time zero are made before the call stands. Whoever starts the clock, which is the connection's loop in
/// the turn in which the keys came, sends them in that very turn: no thread has to wake up first.
final class PublisherThread: @unchecked Sendable {
    // `publisher` belongs to the thread; everything shared is in `mailbox`, under its lock.
    private let publisher: Publisher
    private let connection: PeerConnection
    private let clock: @Sendable () -> Instant
    private let condition = NSCondition()
    private var mailbox = Mailbox()

    private struct Mailbox {
        var events: [PeerEvent] = []
        /// Sections that took the place of those the publisher was made for.
        var sections: [MediaKind: String] = [:]
        /// Made, and not sent: the clock goes on.
        var muted: Set<MediaKind> = []
        var startsAt: Instant?
        var first: [(frame: EncodedFrame, mid: String)] = []
        var isPrepared = false
        var preparationWaiters: [CheckedContinuation<Void, Never>] = []
        var isStopped = false
        var isFinished = false
        var failure: MediaError?
        var refusedFrames = 0
        var sent: [MediaKind: Publisher.SentTotals] = [:]
    }

    struct Outcome: Sendable {
        var isFinished = true
        /// The first there was.
        var failure: MediaError?
        var refusedFrames = 0
        var sent: [MediaKind: Publisher.SentTotals] = [:]

        /// Of several as of one.
        mutating func add(_ other: Outcome) {
            isFinished = isFinished && other.isFinished
            failure = failure ?? other.failure
            refusedFrames += other.refusedFrames
            sent.merge(other.sent) { $0 + $1 }
        }
    }

    init(
        publisher: Publisher, connection: PeerConnection, name: String, clock: @escaping @Sendable () -> Instant
    ) {
        self.publisher = publisher
        self.connection = connection
        self.clock = clock
        let thread = Thread { [self] in run() }
        thread.name = name
        thread.stackSize = 8 << 20
        thread.start()
    }

    /// Starts the media clock, and sends the first frames where they are ready.
    func start(at now: Instant) {
        let first = condition.withLock {
            if mailbox.startsAt == nil { mailbox.startsAt = now }
            condition.signal()
            return takeFirst()
        }
        submit(first)
    }

    /// Returns when the first frames are ready, or cannot be made.
    func prepared() async {
        await withCheckedContinuation { continuation in
            let isPrepared = condition.withLock {
                if !mailbox.isPrepared { mailbox.preparationWaiters.append(continuation) }
                return mailbox.isPrepared
            }
            if isPrepared { continuation.resume() }
        }
    }

    /// What is made of `kind` goes out on another section from now on.
    func redirect(_ kind: MediaKind, to mid: String) { condition.withLock { mailbox.sections[kind] = mid } }

    /// What is made of these kinds is not sent from now on, and of the others it is.
    func mute(_ kinds: Set<MediaKind>) { condition.withLock { mailbox.muted = kinds } }

    func post(_ event: PeerEvent) {
        condition.withLock {
            // Told events are few (keyframe, bit rate, loss); of a flood the newest count.
            if mailbox.events.count >= 64 { mailbox.events.removeFirst() }
            mailbox.events.append(event)
        }
    }

    func stop() {
        condition.withLock {
            mailbox.isStopped = true
            condition.signal()
        }
    }

    var outcome: Outcome {
        condition.withLock {
            Outcome(
                isFinished: mailbox.isFinished, failure: mailbox.failure, refusedFrames: mailbox.refusedFrames,
                sent: mailbox.startsAt == nil ? [:] : mailbox.sent)
        }
    }

    private func run() {
        do {
            prepared(try publisher.produceFirst())
            guard let start = waitForStart() else { return finish(nil) }
            submit(condition.withLock { takeFirst() })
            publisher.start(at: start)
            while let due = try publisher.nextDue() {
                guard wait(until: due) else { return finish(nil) }
                for event in takeEvents() { publisher.apply(event) }
                while let (frame, mid) = try publisher.produce(at: clock()) {
                    submit([(frame, mid)])
                    condition.withLock { mailbox.sent = publisher.sent }
                }
            }
            finish(nil)
        } catch {
            finish(error)
        }
    }

    private func prepared(_ first: [(frame: EncodedFrame, mid: String)]) {
        let waiters = condition.withLock {
            mailbox.first = first
            mailbox.sent = publisher.sent
            mailbox.isPrepared = true
            defer { mailbox.preparationWaiters = [] }
            return mailbox.preparationWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Under the lock.
    private func takeFirst() -> [(frame: EncodedFrame, mid: String)] {
        defer { mailbox.first = [] }
        return mailbox.first.map { frame, mid in
            var frame = frame
            frame.captured = mailbox.startsAt
            return (frame, mid)
        }
    }

    private func submit(_ frames: [(frame: EncodedFrame, mid: String)]) {
        let (sections, muted) = condition.withLock { (mailbox.sections, mailbox.muted) }
        for (frame, mid) in frames
        where !muted.contains(frame.codec.kind)
            && !connection.submit(frame, mid: sections[frame.codec.kind] ?? mid)
        {
            condition.withLock { mailbox.refusedFrames += 1 }
        }
    }

    private func finish(_ failure: MediaError?) {
        publisher.close()
        condition.withLock {
            mailbox.failure = failure
            mailbox.isFinished = true
        }
        prepared([])
    }

    private func waitForStart() -> Instant? {
        condition.withLock {
            while mailbox.startsAt == nil, !mailbox.isStopped { condition.wait() }
            return mailbox.isStopped ? nil : mailbox.startsAt
        }
    }

    /// Whether the time came before a stop.
    private func wait(until due: Instant) -> Bool {
        condition.withLock {
            while !mailbox.isStopped {
                let left = (due - clock()).seconds
                if left <= 0 { return true }
                _ = condition.wait(until: Date(timeIntervalSinceNow: left))
            }
            return false
        }
    }

    private func takeEvents() -> [PeerEvent] {
        condition.withLock {
            defer { mailbox.events.removeAll() }
            return mailbox.events
        }
    }
}
