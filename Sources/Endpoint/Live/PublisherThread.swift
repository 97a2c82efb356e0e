import Foundation
import Media
import Peer
import PeerIO
import Primitives
import Synchronization

/// Runs a `Publisher` in real time on a thread of its own: sleeps until a frame is due by the absolute media clock, makes
/// it, hands it to the connection. What the call tells the encoder comes in through a bounded mailbox.
final class PublisherThread: @unchecked Sendable {
    // `publisher` belongs to the thread; everything shared is in `mailbox`, under its lock.
    private let publisher: Publisher
    private let connection: PeerConnection
    private let clock: @Sendable () -> Instant
    private let condition = NSCondition()
    private var mailbox = Mailbox()

    private struct Mailbox {
        var events: [PeerEvent] = []
        var startsAt: Instant?
        var isStopped = false
        var isFinished = false
        var failure: MediaError?
        var refusedFrames = 0
        var sent: [MediaKind: Publisher.SentTotals] = [:]
    }

    struct Outcome: Sendable {
        var isFinished: Bool
        var failure: MediaError?
        var refusedFrames: Int
        var sent: [MediaKind: Publisher.SentTotals]
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

    /// Starts the media clock. The first frame leaves at once.
    func start(at now: Instant) {
        condition.withLock {
            if mailbox.startsAt == nil { mailbox.startsAt = now }
            condition.signal()
        }
    }

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
                sent: mailbox.sent)
        }
    }

    private func run() {
        guard let start = waitForStart() else { return finish(nil) }
        publisher.start(at: start)
        do {
            while let due = try publisher.nextDue() {
                guard wait(until: due) else { return finish(nil) }
                for event in takeEvents() { publisher.apply(event) }
                while let (frame, mid) = try publisher.produce(at: clock()) {
                    let accepted = connection.submit(frame, mid: mid)
                    condition.withLock {
                        if !accepted { mailbox.refusedFrames += 1 }
                        mailbox.sent = publisher.sent
                    }
                }
            }
            finish(nil)
        } catch {
            finish(error)
        }
    }

    private func finish(_ failure: MediaError?) {
        publisher.close()
        condition.withLock {
            mailbox.sent = publisher.sent
            mailbox.failure = failure
            mailbox.isFinished = true
        }
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
