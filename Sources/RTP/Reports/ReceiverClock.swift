import Primitives

/// The round-trip time of an endpoint that only receives (RFC 3611 §4.4, §4.5): we send our time, the far end sends back
/// which of our times it saw last and how long ago; and the same the other way.
public struct ReceiverClock: Sendable {
    private struct Seen: Sendable {
        var ssrc: SSRC
        var compact: UInt32
        var at: Instant
    }

    private var sent = BoundedQueue<(compact: UInt32, at: Instant)>(capacity: 16)
    private var seen: [Seen] = []
    /// The last round trip measured.
    public private(set) var roundTripTime: TimeDelta?

    /// Receivers whose times are remembered at most.
    public static let capacity = 32

    public init() {}

    /// Our time, to go with the next receiver report.
    public mutating func reference(wallClock: WallClock, at now: Instant) -> ExtendedReport.Block {
        let time = wallClock.ntp(at: now)
        sent.appendDroppingOldest((time.compact, now))
        return .receiverReferenceTime(time)
    }

    /// The answer to the receivers that sent us their times; `nil` when none did.
    public func answer(at now: Instant) -> ExtendedReport.Block? {
        if seen.isEmpty { return nil }
        return .delaySinceLastReceiverReport(
            seen.map { .init(ssrc: $0.ssrc, lastReceiverReport: $0.compact, delay: (now - $0.at).compact) })
    }

    /// Takes in an extended report.
    /// - Parameter own: our SSRCs, to which an answer may be addressed.
    /// - Returns: the round trip, where this report told it.
    @discardableResult
    public mutating func receive(_ report: ExtendedReport, own: [SSRC], at now: Instant) -> TimeDelta? {
        var measured: TimeDelta?
        for block in report.blocks {
            switch block {
            case .receiverReferenceTime(let time):
                seen.removeAll { $0.ssrc == report.ssrc }
                if seen.count >= Self.capacity { seen.removeFirst() }
                seen.append(Seen(ssrc: report.ssrc, compact: time.compact, at: now))
            case .delaySinceLastReceiverReport(let answers):
                for answer in answers where own.contains(answer.ssrc) {
                    measured = measure(answer, at: now) ?? measured
                }
            case .unknown: break
            }
        }
        return measured
    }

    private mutating func measure(_ answer: ExtendedReport.LastReceiverReport, at now: Instant) -> TimeDelta? {
        guard answer.lastReceiverReport != 0 else { return nil }
        var measured: TimeDelta?
        for _ in 0..<sent.count {
            guard let entry = sent.popFirst() else { break }
            sent.append(entry)
            guard entry.compact == answer.lastReceiverReport else { continue }
            let rtt = now - entry.at - TimeDelta(compact: answer.delay)
            if rtt > .milliseconds(-5) { measured = Swift.max(rtt, .microseconds(100)) }
        }
        roundTripTime = measured ?? roundTripTime
        return measured
    }
}
