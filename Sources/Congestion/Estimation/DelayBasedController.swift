import Primitives

/// The rate as the delay allows it: up while the queue is calm, down to what arrives when it grows
/// (draft-ietf-rmcat-gcc-02 §5.5).
///
/// | signal | while holding | while increasing |
/// |---|---|---|
/// | overusing | decrease, hold | decrease, hold |
/// | normal | increase | increase |
/// | underusing | hold | hold |
///
/// Increase is by 8 % a second while the capacity is unknown, and near a known one by about a packet per response time
/// (a round trip and 100 ms). It never goes beyond 1.5 times what arrives plus 10 kbit/s: an application that sends little
/// proves little. Decrease is to 85 % of what arrives, at most once a round trip, and then holds until the queue drained.
///
/// While the application is the limit, what arrives says nothing of the capacity; an overuse then takes 15 % off the
/// target and does not bring it down to the little that was sent.
struct DelayBasedController: Sendable {
    private enum State {
        case hold, increase
    }

    private(set) var target: Int
    /// The start bitrate is a guess, until the first measurement takes its place, be it higher or lower.
    private var isGuess = true
    private var interArrival = InterArrival()
    private var trendline = TrendlineEstimator()
    private var capacity = LinkCapacity()
    private var state = State.hold
    private var lastChange: Instant?
    private var lastDecrease: Instant?
    var bounds: ClosedRange<Int>

    init(start: Int, bounds: ClosedRange<Int>) {
        target = start
        self.bounds = bounds
    }

    var usage: BandwidthUsage { trendline.usage }

    /// Packets that came, in the order of their arrival.
    mutating func receive(_ results: [PacketResult]) {
        for result in results {
            guard let arrival = result.arrival else { continue }
            if let deltas = interArrival.receive(sent: result.sentAt, arrival: arrival) {
                trendline.receive(deltas, arrival: arrival)
            }
        }
    }

    /// Takes the outcome of the packets received into the target.
    mutating func update(
        acknowledged: Int?, probed: Int?, isApplicationLimited: Bool, roundTrip: TimeDelta, at now: Instant
    ) {
        if trendline.usage == .overusing {
            guard mayDecrease(acknowledged, roundTrip: roundTrip, at: now) else { return }
            decrease(to: acknowledged, isApplicationLimited: isApplicationLimited, at: now)
            return
        }
        if let probed, probed > target || isGuess {
            isGuess = false
            set(probed, at: now)
            return
        }
        switch (trendline.usage, state) {
        case (.underusing, _): state = .hold
        case (_, .hold):
            // From now on, not from the last change: nothing was proven while holding.
            lastChange = now
            state = .increase
        case (_, .increase): increase(acknowledged, roundTrip: roundTrip, at: now)
        }
    }

    /// Takes the rate down, such as for want of feedback.
    mutating func scale(by factor: Double, at now: Instant) {
        set(Int(Double(target) * factor), at: now)
        state = .hold
    }

    /// The bottleneck is full with `carried` bits per second, though its queue grows no more.
    mutating func noteStandingQueue(carried: Int?, at now: Instant) {
        guard let carried else { return }
        isGuess = false
        state = .hold
        capacity.noteOveruse(at: carried)
        if carried / 100 * 95 < target { set(carried / 100 * 95, at: now) }
    }

    private mutating func set(_ bitrate: Int, at now: Instant) {
        target = Swift.max(bounds.lowerBound, Swift.min(bitrate, bounds.upperBound))
        lastChange = now
    }

    private mutating func increase(_ acknowledged: Int?, roundTrip: TimeDelta, at now: Instant) {
        let elapsed = Swift.max(0, Swift.min((now - (lastChange ?? now)).seconds, 1))
        lastChange = now
        guard let acknowledged else { return }
        if Double(acknowledged) > capacity.upperBound { capacity.reset() }
        let limit = acknowledged / 2 * 3 + 10_000
        guard target < limit else { return }
        let step: Double
        if capacity.bitrate == nil {
            // 1.08 to the power of the seconds, near enough for at most one.
            step = Swift.max(Double(target) * 0.08 * elapsed, 1_000 * elapsed)
        } else {
            step = additiveStep(roundTrip) * elapsed
        }
        let change = lastChange
        set(Swift.min(target + Int(step.rounded(.up)), limit), at: now)
        lastChange = change
    }

    /// Bits per second each second: about one packet of a 30-a-second stream per response time, 4 kbit/s at least.
    private func additiveStep(_ roundTrip: TimeDelta) -> Double {
        let frame = Double(target) / 30
        let packets = Swift.max(1, (frame / 9_600).rounded(.up))
        let response = roundTrip.seconds + 0.1
        return Swift.max(4_000, frame / packets / response)
    }

    private func mayDecrease(_ acknowledged: Int?, roundTrip: TimeDelta, at now: Instant) -> Bool {
        let pause = Swift.max(.milliseconds(10), Swift.min(roundTrip, .milliseconds(200)))
        guard let last = lastDecrease, now - last < pause else { return true }
        return acknowledged.map { $0 < target / 2 } ?? false
    }

    private mutating func decrease(to acknowledged: Int?, isApplicationLimited: Bool, at now: Instant) {
        lastDecrease = now
        isGuess = false
        state = .hold
        guard let acknowledged else { return set(target / 2, at: now) }
        if isApplicationLimited, acknowledged < target { return set(target / 100 * 85, at: now) }
        var reduced = acknowledged / 100 * 85
        if reduced > target, let known = capacity.bitrate { reduced = known / 100 * 85 }
        if Double(acknowledged) < capacity.lowerBound { capacity.reset() }
        capacity.noteOveruse(at: acknowledged)
        if reduced < target { set(reduced, at: now) }
        lastChange = now
    }
}
