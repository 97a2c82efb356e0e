import Primitives

/// How much may be sent: joins delay, loss, the receiver's own limit, and probes into one target bitrate.
///
/// Feedback comes in three kinds. *Transport-wide feedback* tells of every packet and drives everything: the history turns
/// it into results; from these come the acknowledged bitrate, the delay-based target, the loss cap and the results of
/// probes. A *receiver report* carries only a fraction lost; it rules until the first transport-wide feedback: the
/// target grows by 8 % a second while less than 2 % is lost, falls by half the loss above 10 %, and never grows beyond
/// 1.5 times what is really sent. *REMB* is a cap of the receiver's.
///
/// The target is the least of what each allows, within `minimum` and `maximum`.
///
/// When feedback stops while packets leave, the path is likely gone: after 1.5 s, and each second after, the target falls
/// by a fifth. So an outage does not end with a flood into a path that has just come back. What was sent into the outage is
/// no sign of congestion, though: the first feedback after it is heard for what came, not for what did not, and then a probe
/// shows whether the former rate still holds.
///
/// Use: `start(at:)` once connected; `stamp` for each packet that leaves with a transport-wide number, `noteSent` for each
/// that leaves without; `receive` what comes; `takeProbe` after that and hand it to the pacer; `advance(to:)` at `deadline`.
public struct BandwidthEstimator: Sendable {
    public struct Configuration: Hashable, Sendable {
        /// Bits per second.
        public var minimum: Int
        public var start: Int
        public var maximum: Int
        /// Whether `takeProbe` gives anything.
        public var isProbing = true

        /// Brings what contradicts itself into order: 1 kbit/s ≤ minimum ≤ start ≤ maximum ≤ 100 Gbit/s.
        public init(minimum: Int = 30_000, start: Int = 300_000, maximum: Int = 10_000_000) {
            self.minimum = Swift.max(1_000, Swift.min(minimum, 100_000_000_000))
            self.maximum = Swift.max(self.minimum, Swift.min(maximum, 100_000_000_000))
            self.start = Swift.max(self.minimum, Swift.min(start, self.maximum))
        }
    }

    public let configuration: Configuration
    public var history: SendHistory
    /// Bits per second that may be sent, all streams, headers and retransmissions together.
    public private(set) var targetBitrate: Int
    /// The smoothed round trip; 200 ms before any is known.
    public private(set) var roundTrip = TimeDelta.milliseconds(200)
    private var acknowledged = AcknowledgedBitrate()
    private var sent = SentBitrate()
    private var delay: DelayBasedController
    private var loss = LossBasedController()
    private var drain = StartupDrain()
    private var limit = ApplicationLimit()
    private var probing: ProbeController
    private var measurement = ProbeMeasurement()
    /// The target without transport-wide feedback.
    private var blindTarget: Int
    private var lastReport: Instant?
    private var remoteMaximum: Int?
    private var lastFeedback: Instant?
    /// When the first packet left that feedback could have told of since the last one.
    private var unansweredSince: Instant?
    private var lastBackoff: Instant?
    /// What was sent before this was sent into an outage.
    private var outageEnd: Instant?
    private var knowsRoundTrip = false
    private var scratch: [PacketResult] = []

    public init(configuration: Configuration = Configuration()) {
        self.configuration = configuration
        history = SendHistory()
        targetBitrate = configuration.start
        blindTarget = configuration.start
        delay = DelayBasedController(
            start: configuration.start, bounds: configuration.minimum...configuration.maximum)
        probing = ProbeController(maximum: configuration.maximum)
    }

    public init(minimum: Int, start: Int, maximum: Int) {
        self.init(configuration: Configuration(minimum: minimum, start: start, maximum: maximum))
    }

    // MARK: What came of it

    /// Bits per second that arrive; `nil` before half a second of feedback.
    public var acknowledgedBitrate: Int? { acknowledged.bitrate }
    public var usage: BandwidthUsage { delay.usage }
    /// Whether the application sends much less than it may.
    public var isApplicationLimited: Bool { limit.isLimiting }
    /// What the delay alone allows; what loss alone allows, if it is a limit; what the receiver said.
    public var delayBasedBitrate: Int { delay.target }
    public var lossBasedBitrate: Int? { loss.cap }
    public var remoteBitrate: Int? { remoteMaximum }

    // MARK: Sending

    /// The path is up: the first probes may go.
    public mutating func start(at now: Instant) {
        if configuration.isProbing { probing.start(bitrate: configuration.start, at: now) }
    }

    /// Packets take another path now, or one again after there was none. If little is allowed, because of what was, a
    /// probe finds out at once whether the start bitrate is carried.
    public mutating func notePathChanged(at now: Instant) {
        drain = StartupDrain()
        guard configuration.isProbing, lastFeedback != nil, targetBitrate < configuration.start else { return }
        probing.start(bitrate: configuration.start / 3, at: now)
    }

    /// Gives a packet that leaves now its transport-wide sequence number.
    public mutating func stamp(bytes: Int, probe: Int? = nil, at now: Instant) -> SequenceNumber {
        noteSent(bytes: bytes, at: now)
        if unansweredSince == nil { unansweredSince = now }
        return history.noteSent(bytes: bytes, probe: probe, at: now)
    }

    /// A packet leaves without a transport-wide sequence number.
    public mutating func noteSent(bytes: Int, at now: Instant) {
        limit.noteSent(bytes, target: targetBitrate, at: now)
        sent.noteSent(bytes, at: now)
    }

    /// A probe for the pacer, if one is due.
    public mutating func takeProbe() -> Probe? { configuration.isProbing ? probing.take() : nil }

    // MARK: Feedback

    /// Takes the packets of one transport-wide feedback: each number with its arrival on the receiver's clock, modulo
    /// 2²⁴ × 64 ms, or `nil` where it did not come.
    public mutating func receive(arrivals: [(SequenceNumber, TimeDelta?)], at now: Instant) {
        var results: [PacketResult] = []
        swap(&results, &scratch)
        for (number, arrival) in arrivals { history.acknowledge(number, arrival: arrival, into: &results) }
        receive(results, at: now)
        results.removeAll(keepingCapacity: true)
        swap(&results, &scratch)
    }

    /// Takes results made elsewhere, such as by `history.acknowledge`.
    public mutating func receive(_ results: [PacketResult], at now: Instant) {
        guard !results.isEmpty else { return }
        let ordered = Self.inOrderOfArrival(results)
        limit.update(target: targetBitrate, at: now)
        if lastBackoff != nil { outageEnd = now }
        var lost = 0
        var received = 0
        var probed: Int?
        for result in ordered {
            guard let arrival = result.arrival else {
                if outageEnd.map({ result.sentAt >= $0 }) ?? true { lost += 1 }
                continue
            }
            received += 1
            acknowledged.receive(result.bytes, arrival: arrival, isApplicationLimited: limit.isLimiting)
            if let bitrate = measurement.receive(result) { probed = bitrate }
        }
        if !knowsRoundTrip, let sentAt = ordered.last(where: { $0.arrival != nil })?.sentAt { roundTrip = now - sentAt }
        lastFeedback = now
        unansweredSince = nil
        lastBackoff = nil
        delay.receive(ordered)
        delay.update(
            acknowledged: acknowledged.bitrate, probed: probed, isApplicationLimited: limit.isLimiting,
            roundTrip: roundTrip, at: now)
        if let probed { probing.noteResult(probed, at: now) }
        if drain.receive(ordered, carried: acknowledged.bitrate ?? probed, at: now) {
            delay.noteStandingQueue(carried: acknowledged.bitrate ?? probed, at: now)
        }
        loss.receive(
            lost: lost, received: received, target: Swift.min(delay.target, loss.cap ?? .max),
            roundTrip: roundTrip, at: now)
        settle(at: now)
    }

    /// A receiver report about one of our streams (RFC 3550 §6.4.1).
    ///
    /// - Parameter fractionLost: 0 ... 1.
    public mutating func receive(fractionLost: Double, roundTripTime: TimeDelta?, at now: Instant) {
        if let roundTripTime, roundTripTime >= .zero { receive(roundTripTime: roundTripTime) }
        guard lastFeedback == nil else { return }
        let elapsed = Swift.max(0, Swift.min((now - (lastReport ?? now)).seconds, 1))
        lastReport = now
        let fraction = fractionLost.isNaN ? 0 : Swift.max(0, Swift.min(fractionLost, 1))
        if fraction < 0.02 {
            let ceiling = (sent.bitrate ?? 0) / 2 * 3 + 10_000
            let grown = blindTarget + Int(Double(blindTarget) * 0.08 * elapsed)
            if blindTarget < ceiling { blindTarget = Swift.min(grown, ceiling) }
        } else if fraction > 0.1 {
            if let lastBackoff, now - lastBackoff < .milliseconds(300) + roundTrip { return }
            lastBackoff = now
            blindTarget = Int(Double(blindTarget) * (1 - 0.5 * fraction))
        }
        blindTarget = Swift.max(configuration.minimum, Swift.min(blindTarget, configuration.maximum))
        settle(at: now)
    }

    /// The receiver's estimated maximum bitrate (REMB), a cap until the next one.
    public mutating func receive(remoteMaximum: Int, at now: Instant) {
        self.remoteMaximum = Swift.max(0, remoteMaximum)
        probing.maximum = Swift.max(configuration.minimum, Swift.min(remoteMaximum, configuration.maximum))
        settle(at: now)
    }

    public mutating func receive(roundTripTime: TimeDelta) {
        roundTrip = knowsRoundTrip ? (roundTrip * Int64(3) + roundTripTime) / 4 : roundTripTime
        knowsRoundTrip = true
    }

    // MARK: Time

    public var deadline: Instant? { earliest(backoffDeadline, probeDeadline) }

    public mutating func advance(to now: Instant) {
        if let due = backoffDeadline, due <= now {
            if lastBackoff == nil { probing.noteOutage(of: delay.target, at: now) }
            lastBackoff = now
            delay.scale(by: 0.8, at: now)
            settle(at: now)
        }
        advanceProbing(at: now)
    }

    private var probeDeadline: Instant? {
        configuration.isProbing ? probing.deadline(isApplicationLimited: limit.isLimiting) : nil
    }

    /// While packets are unanswered that feedback would tell of, and it is the feedback that rules. A sender that was silent
    /// for long owes nobody an explanation with its first packet.
    private var backoffDeadline: Instant? {
        guard lastFeedback != nil, let unansweredSince, delay.target > configuration.minimum else { return nil }
        return lastBackoff.map { $0 + .milliseconds(1_000) } ?? unansweredSince + .milliseconds(1_500)
    }

    private func hasTransportFeedback(at now: Instant) -> Bool {
        // Once the silence was noted, it lasts until the next feedback: a probe into it would be lost.
        lastBackoff == nil && lastFeedback.map { now - $0 < .milliseconds(2_000) } ?? false
    }

    private mutating func advanceProbing(at now: Instant) {
        guard configuration.isProbing else { return }
        probing.advance(
            to: now, target: targetBitrate, isApplicationLimited: limit.isLimiting && hasTransportFeedback(at: now),
            isCalm: delay.usage == .normal && loss.cap == nil && hasTransportFeedback(at: now))
    }

    /// The least of what each allows.
    private mutating func settle(at now: Instant) {
        var target = lastFeedback == nil ? blindTarget : delay.target
        if lastFeedback != nil, let cap = loss.cap { target = Swift.min(target, cap) }
        if let cap = drain.cap { target = Swift.min(target, cap) }
        if let remoteMaximum { target = Swift.min(target, remoteMaximum) }
        targetBitrate = Swift.max(configuration.minimum, Swift.min(target, configuration.maximum))
        advanceProbing(at: now)
    }

    /// By arrival, lost ones where they stand. Feedback is nearly always in order already, and then nothing is copied.
    private static func inOrderOfArrival(_ results: [PacketResult]) -> [PacketResult] {
        var latest: Instant?
        for result in results {
            guard let arrival = result.arrival else { continue }
            if let latest, arrival < latest {
                return results.sorted { ($0.arrival ?? .zero, $0.sequence) < ($1.arrival ?? .zero, $1.sequence) }
            }
            latest = arrival
        }
        return results
    }
}
