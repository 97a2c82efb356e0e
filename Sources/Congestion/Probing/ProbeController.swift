import Primitives

/// Decides when to probe and how high.
///
/// Growing by 8 % a second, an estimate takes 16 s from 300 kbit/s to 1 Mbit/s. A probe shows the same in a round trip:
///
/// - at the start: two probes at 3 and 6 times the start bitrate. If the result is near what was tried, one at twice the
///   result follows, and so on until the network or the maximum ends it.
/// - while the application sends less than it may, the estimate has nothing to grow on: every 5 s a probe at twice it.
/// - after an outage, in which feedback stopped and the target was taken down: one probe at 85 % of the former target.
///
/// Not after a drop for congestion: a burst of 15 ms finds room between the packets of others on a shared bottleneck, and
/// what it then claims is taken from them. The numbers are libwebrtc's. A probe without a result within a second is given up.
struct ProbeController: Sendable {
    private enum State {
        case idle
        /// Results of probes up to `bitrate` are awaited.
        case awaitingResult(bitrate: Int, since: Instant)
    }

    var maximum: Int
    private var state = State.idle
    private var nextID = 0
    private var pending: [Probe] = []
    private var lastProbe: Instant?
    private var outage: (former: Int, at: Instant)?

    init(maximum: Int) { self.maximum = maximum }

    /// The next probe to send, once.
    mutating func take() -> Probe? { pending.isEmpty ? nil : pending.removeFirst() }
    var hasPending: Bool { !pending.isEmpty }

    mutating func start(bitrate: Int, at now: Instant) { send([bitrate * 3, bitrate * 6], at: now) }

    /// A probe showed that the network carries `bitrate`.
    mutating func noteResult(_ bitrate: Int, at now: Instant) {
        guard case .awaitingResult(let tried, _) = state else { return }
        guard Double(bitrate) > 0.7 * Double(tried), bitrate < maximum else { return }
        send([bitrate * 2], at: now)
    }

    /// Feedback stopped while the target was `former`.
    mutating func noteOutage(of former: Int, at now: Instant) { outage = (former, now) }

    mutating func advance(to now: Instant, target: Int, isApplicationLimited: Bool, isCalm: Bool) {
        if case .awaitingResult(_, let since) = state, now - since >= .milliseconds(1_000) { state = .idle }
        guard case .idle = state else { return }
        if let outage, isCalm {
            self.outage = nil
            let bitrate = outage.former / 100 * 85
            if bitrate > target, now - outage.at < .milliseconds(30_000) { return send([bitrate], at: now) }
        }
        if isApplicationLimited, isCalm, target < maximum,
            lastProbe.map({ now - $0 >= .milliseconds(5_000) }) ?? true
        {
            send([target * 2], at: now)
        }
    }

    /// When `advance` has something to do without further feedback.
    func deadline(isApplicationLimited: Bool) -> Instant? {
        if case .awaitingResult(_, let since) = state { return since + .milliseconds(1_000) }
        return nil
    }

    private mutating func send(_ bitrates: [Int], at now: Instant) {
        var highest = 0
        for bitrate in bitrates where highest < maximum {
            highest = Swift.min(bitrate, maximum)
            pending.append(Probe(id: nextID, bitrate: highest))
            nextID = (nextID + 1) & 0xFFFF
        }
        // Nobody may be taking them: only the newest four are worth anything.
        if pending.count > 4 { pending.removeFirst(pending.count - 4) }
        guard highest > 0 else { return }
        lastProbe = now
        state = .awaitingResult(bitrate: highest, since: now)
    }
}
