import Primitives

/// A cap on the rate from packet loss (draft-ietf-rmcat-gcc-02 §6): more than 10 % takes the cap down by half the loss,
/// less than 2 % lets it rise by 5 % each 200 ms (or window) until it is no longer felt, and between the two it stays.
///
/// Loss that does not go away when the rate goes down is not ours: a radio link that loses 20 % whatever one sends would
/// otherwise starve a call. When the cap was brought to under 60 % and at least three quarters of the loss stayed, that loss
/// is taken as the link's own and left out of the account from then on. It follows what is seen slowly: quicker down than
/// up, and up only by what is too little to count as congestion.
struct LossBasedController: Sendable {
    /// Bits per second; `nil` while loss is no limit.
    private(set) var cap: Int?
    /// The link's own loss.
    private(set) var inherent = 0.0
    private var lost = 0
    private var received = 0
    private var windowStart: Instant?
    private var lastDecrease: Instant?
    private var descent: (from: Int, loss: Double)?

    /// Counts packets; after 200 ms and 50 of them, or 600 ms and 20, they are judged.
    mutating func receive(lost: Int, received: Int, target: Int, roundTrip: TimeDelta, at now: Instant) {
        self.lost += lost
        self.received += received
        let start = windowStart ?? now
        windowStart = start
        let count = self.lost + self.received
        guard count >= 50 && now - start >= .milliseconds(200) || count >= 20 && now - start >= .milliseconds(600)
        else { return }
        let fraction = Double(self.lost) / Double(self.lost + self.received)
        self.lost = 0
        self.received = 0
        windowStart = now
        judge(fraction, target: target, roundTrip: roundTrip, at: now)
    }

    /// Judges a fraction of packets lost, 0 ... 1, such as a receiver report gives it.
    mutating func judge(_ fraction: Double, target: Int, roundTrip: TimeDelta, at now: Instant) {
        if inherent > 0, fraction - inherent < 0.1 {
            inherent += (fraction < inherent ? 0.05 : 0.03) * (fraction - inherent)
        }
        let loss = inherent < 1 ? Swift.max(0, (fraction - inherent) / (1 - inherent)) : 0
        if loss > 0.1 {
            if let last = lastDecrease, now - last < .milliseconds(300) + roundTrip { return }
            lastDecrease = now
            let current = Swift.min(cap ?? target, target)
            let top = descent ?? (current, fraction)
            descent = top
            if Double(current) < 0.6 * Double(top.from), fraction > 0.75 * top.loss {
                inherent = Swift.min(fraction, 0.5)
                descent = nil
                return
            }
            cap = Int(Double(current) * (1 - 0.5 * loss))
        } else if loss < 0.02 {
            descent = nil
            guard let old = cap else { return }
            let raised = old / 100 * 105 + 1_000
            cap = raised > target / 2 * 3 ? nil : raised
        }
    }
}
