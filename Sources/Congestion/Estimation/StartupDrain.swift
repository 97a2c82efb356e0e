import Primitives

/// Takes away the queue that the first burst of a call leaves at a narrow bottleneck.
///
/// Before anything is measured, first pictures and probes leave at the start bitrate and above. Where the link carries a
/// fraction of that they stand in its queue, and a controller that looks at the slope of the delay only sees that it grows
/// no more: at 85 or 95 % of the capacity 700 ms of queue last for many seconds. Here the queue itself is looked at, while the first
/// packets, which found none, are the measure of a path without one: half of what arrives is sent until it is gone.
///
/// Once for a path, begun in its first seconds and ended after a few: later, a queue that does not go may be somebody else's,
/// and to go on making room for it would be to starve.
struct StartupDrain: Sendable {
    private enum State {
        case watching(since: Instant?)
        case draining(since: Instant)
        case over
    }

    /// The least one-way delay, with the offset between the two clocks.
    private var least: TimeDelta?
    private var state = State.watching(since: nil)
    private let watchTime = TimeDelta.milliseconds(3_000)
    private let longest = TimeDelta.milliseconds(4_000)
    private let standing = TimeDelta.milliseconds(200)
    private let gone = TimeDelta.milliseconds(60)

    /// Bits per second, while there is something to drain.
    private(set) var cap: Int?

    /// Takes the packets of one feedback.
    ///
    /// - Parameter carried: bits per second that arrive, if that is known.
    /// - Returns: whether draining begins.
    mutating func receive(_ results: [PacketResult], carried: Int?, at now: Instant) -> Bool {
        if case .over = state { return false }
        // The least of the feedback: one packet that was late for another reason says nothing.
        guard let delay = results.compactMap({ result in result.arrival.map { $0 - result.sentAt } }).min() else {
            return false
        }
        let least = Swift.min(self.least ?? delay, delay)
        self.least = least
        let queue = delay - least
        switch state {
        case .watching(let since):
            let since = since ?? now
            state = now - since > watchTime ? .over : .watching(since: since)
            guard queue > standing, let carried, case .watching = state else { return false }
            state = .draining(since: now)
            cap = carried / 2
            return true
        case .draining(let since):
            guard queue < gone || now - since > longest else { break }
            state = .over
            cap = nil
        case .over: break
        }
        return false
    }
}
