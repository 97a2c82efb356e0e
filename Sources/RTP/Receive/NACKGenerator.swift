import Primitives

/// Which packets are missing, since when, and when to ask for them.
///
/// A number is missing when a later one came. It is asked for after a tolerance for reordering, learnt from the packets
/// that came late by themselves: 5 ms on a path that keeps order, up to 30 ms on one that does not. It is asked for
/// again after a round trip (and a little, so that jitter does not make two wishes of one), three times, and then at growing
/// distances, until it comes, is given up by the buffer, or was asked for ten times: where answers take longer than the
/// round trip that is known, a queue is filling, and every wish would add to it. Wishes due within a few milliseconds go
/// out together.
///
/// The list knows the missing packets even where NACK is off: the buffers ask it how long they have waited.
struct NACKGenerator: Hashable, Sendable {
    private struct Entry: Hashable, Sendable {
        var sequence: Int64
        var since: Instant
        var due: Instant?
        var firstAsked: Instant?
        var tries: Int
    }

    private let isEnabled: Bool
    private let capacity: Int
    private let maximumTries: Int
    /// Ascending.
    private var entries: [Entry] = []
    /// How late reordered packets come: on the average, and at most with slow decay.
    private(set) var usualReordering: TimeDelta = .milliseconds(3)
    private(set) var worstReordering: TimeDelta = .milliseconds(40)

    static let shortestTolerance: TimeDelta = .milliseconds(5)
    static let longestTolerance: TimeDelta = .milliseconds(30)
    private static let longestReordering: TimeDelta = .milliseconds(250)
    private static let batch: TimeDelta = .milliseconds(4)
    private static let backoff = [1.0, 1.0, 1.0, 1.5, 2.25, 3.0]

    init(isEnabled: Bool, capacity: Int, maximumTries: Int) {
        self.isEnabled = isEnabled
        self.capacity = clamp(capacity, 1, 2_048)
        self.maximumTries = maximumTries
    }

    var count: Int { entries.count }

    private var tolerance: TimeDelta {
        clamp(usualReordering * 1.5, Self.shortestTolerance, Self.longestTolerance)
    }

    /// Time from one wish for a packet to the next.
    func retryInterval(rtt: TimeDelta) -> TimeDelta {
        Swift.max(rtt, .milliseconds(10)) + .milliseconds(5) + clamp(usualReordering, .zero, .milliseconds(15))
    }

    /// Notes the numbers between two that came.
    /// - Returns: `false` when there are more than are kept track of; then none of them is noted.
    mutating func noteMissing(_ range: Range<Int64>, at now: Instant) -> Bool {
        guard range.count <= capacity - entries.count else { return false }
        let due = isEnabled ? now + tolerance : nil
        for sequence in range {
            entries.append(Entry(sequence: sequence, since: now, due: due, firstAsked: nil, tries: 0))
        }
        return true
    }

    /// Takes a packet that came off the list.
    mutating func noteArrival(_ sequence: Int64, at now: Instant, rtt: TimeDelta, isRetransmission: Bool) {
        guard let index = index(of: sequence) else { return }
        let entry = entries.remove(at: index)
        // In plain form a retransmission looks like the packet: it is one if there was time for it to be.
        let wasAnswered = entry.firstAsked.map { now - $0 > rtt * 0.7 } ?? false
        if isRetransmission || wasAnswered {
            noteLost()
        } else {
            let late = clamp(now - entry.since, .zero, Self.longestReordering)
            usualReordering += (late - usualReordering) / 8
            worstReordering = late > worstReordering ? late : worstReordering - (worstReordering - late) / 128
        }
    }

    /// A packet was lost indeed: the path is less given to reordering than feared.
    mutating func noteLost() {
        worstReordering = Swift.max(worstReordering - worstReordering / 64, .milliseconds(10))
        usualReordering -= usualReordering / 64
    }

    /// A packet came by itself after it had been given up: patience was too short.
    mutating func noteLate() {
        worstReordering = Swift.min(worstReordering * 1.5 + .milliseconds(5), Self.longestReordering)
    }

    /// Since when a packet is missing.
    func since(_ sequence: Int64) -> Instant? { index(of: sequence).map { entries[$0].since } }

    /// Forgets what is below a number.
    mutating func forget(below sequence: Int64) {
        let count = entries.prefix { $0.sequence < sequence }.count
        if count > 0 { entries.removeFirst(count) }
    }

    /// Forgets what has been missing for too long to be of use.
    mutating func forget(before instant: Instant) {
        let count = entries.prefix { $0.since < instant }.count
        if count > 0 { entries.removeFirst(count) }
    }

    mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

    var deadline: Instant? {
        var soonest: Instant?
        for entry in entries { soonest = earliest(soonest, entry.due) }
        return soonest
    }

    /// The packets to ask for now, ascending.
    mutating func due(at now: Instant, rtt: TimeDelta) -> [SequenceNumber] {
        guard let deadline, deadline <= now else { return [] }
        var numbers: [SequenceNumber] = []
        let interval = retryInterval(rtt: rtt)
        for index in entries.indices {
            guard let due = entries[index].due, due <= now + Self.batch else { continue }
            entries[index].tries += 1
            entries[index].firstAsked = entries[index].firstAsked ?? now
            let backoff = Self.backoff[Swift.min(entries[index].tries, Self.backoff.count) - 1]
            entries[index].due = entries[index].tries < maximumTries ? now + interval * backoff : nil
            numbers.append(SequenceNumber(UInt16(truncatingIfNeeded: entries[index].sequence)))
        }
        return numbers
    }

    private func index(of sequence: Int64) -> Int? {
        var lower = 0
        var upper = entries.count
        while lower < upper {
            let middle = (lower + upper) / 2
            if entries[middle].sequence < sequence { lower = middle + 1 } else { upper = middle }
        }
        return lower < entries.count && entries[lower].sequence == sequence ? lower : nil
    }
}
