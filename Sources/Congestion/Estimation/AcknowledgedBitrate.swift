import Primitives

/// The bitrate that arrives, from acknowledged packets: a Bayesian estimate over windows of 150 ms (500 ms the first time).
///
/// Each window gives a sample; the further it is from the estimate, the less it counts. Samples below the estimate count
/// for little while the application is what limits the rate.
struct AcknowledgedBitrate: Sendable {
    private var bytes = 0
    private var window = TimeDelta.zero
    private var last: Instant?
    /// Kilobits per second.
    private var estimate: Double?
    private var variance = 50.0

    /// Bits per second; `nil` before the first window is full.
    var bitrate: Int? { estimate.map { Int($0 * 1_000) } }

    /// - Parameter arrival: on the receiver's clock.
    mutating func receive(_ bytes: Int, arrival: Instant, isApplicationLimited: Bool) {
        let length: TimeDelta = estimate == nil ? .milliseconds(500) : .milliseconds(150)
        guard let kilobits = sample(bytes, arrival: arrival, length: length) else { return }
        guard let old = estimate else {
            estimate = kilobits
            return
        }
        let scale = isApplicationLimited && kilobits < old ? 20.0 : 10.0
        let uncertainty = scale * abs(old - kilobits) / Swift.max(old, 1)
        let sampleVariance = uncertainty * uncertainty
        let predicted = variance + 5
        estimate = (sampleVariance * old + predicted * kilobits) / (sampleVariance + predicted)
        variance = sampleVariance * predicted / (sampleVariance + predicted)
    }

    /// Kilobits per second over the window that this packet fills, or `nil` while it is not full.
    private mutating func sample(_ bytes: Int, arrival: Instant, length: TimeDelta) -> Double? {
        var result: Double?
        if let last {
            let step = arrival - last
            if step < .zero {
                // Reordered by a little: count it where we are. By more the clock was set: start anew.
                if step < -length {
                    self.bytes = 0
                    window = .zero
                    self.last = arrival
                }
                self.bytes += bytes
                return nil
            }
            window += step
            if step > length {
                self.bytes = 0
                window = .nanoseconds(window.nanoseconds % length.nanoseconds)
            }
        }
        last = arrival
        if window >= length {
            result = Double(self.bytes * 8) / length.seconds / 1_000
            window -= length
            self.bytes = 0
        }
        self.bytes += bytes
        return result
    }
}
