/// What the bottleneck carried when it was last full, with its spread: near it the estimate grows carefully.
struct LinkCapacity: Sendable {
    /// Kilobits per second.
    private var estimate: Double?
    private var deviation = 0.4

    /// Bits per second.
    var bitrate: Int? { estimate.map { Int($0 * 1_000) } }
    var upperBound: Double { estimate.map { ($0 + 3 * spread($0)) * 1_000 } ?? .infinity }
    var lowerBound: Double { estimate.map { Swift.max(0, $0 - 3 * spread($0)) * 1_000 } ?? 0 }

    /// The queue grew while `bitrate` arrived.
    mutating func noteOveruse(at bitrate: Int) {
        let sample = Double(bitrate) / 1_000
        let old = estimate ?? sample
        let new = estimate == nil ? sample : 0.95 * old + 0.05 * sample
        let error = new - sample
        deviation = Swift.max(0.4, Swift.min(0.95 * deviation + 0.05 * error * error / Swift.max(new, 1), 2.5))
        estimate = new
    }

    mutating func reset() { estimate = nil }

    private func spread(_ estimate: Double) -> Double { (deviation * estimate).squareRoot() }
}
