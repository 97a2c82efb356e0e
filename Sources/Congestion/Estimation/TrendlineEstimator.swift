import Primitives

/// What the delay says about the bottleneck's queue.
public enum BandwidthUsage: String, Hashable, Sendable {
    case normal
    case overusing
    case underusing
}

/// Tells a growing queue from jitter: the slope of the one-way delay over the last twenty groups of packets, against a
/// threshold that adapts (draft-ietf-rmcat-gcc-02 §5.3, §5.4, with the line fit that replaced the Kalman filter).
///
/// The accumulated delay variation is smoothed (0.9) and a straight line is laid through it by least squares. Its slope,
/// times the number of groups (60 at most) and a gain of 4, is compared with the threshold: above it for more than 10 ms
/// and not falling means overuse, below its negative a draining queue. The threshold starts at 12.5 and follows the
/// slope, slowly up (0.0087) and faster back down (0.039), so that a competing TCP flow does not starve us and a calm path
/// makes us watchful again; leaps of more than 15 above it are not followed.
struct TrendlineEstimator: Sendable {
    private struct Point {
        /// Milliseconds since the first arrival, and of smoothed delay.
        var time: Double
        var delay: Double
    }
    private static let window = 20

    private(set) var usage = BandwidthUsage.normal
    private(set) var threshold = 12.5
    private var points: [Point] = []
    private var oldest = 0
    private var groups = 0
    private var accumulated = 0.0
    private var smoothed = 0.0
    private var firstArrival: Instant?
    private var previousTrend = 0.0
    private var overuseTime: Double?
    private var overuseCount = 0
    private var lastThresholdUpdate: Instant?

    /// - Parameters:
    ///   - arrival: of the newest group, on the receiver's clock.
    mutating func receive(_ deltas: InterArrival.Deltas, arrival: Instant) {
        let first = firstArrival ?? arrival
        firstArrival = first
        groups = Swift.min(groups + 1, 1_000)
        accumulated += (deltas.arrival - deltas.send).seconds * 1_000
        smoothed = 0.9 * smoothed + 0.1 * accumulated
        let point = Point(time: (arrival - first).seconds * 1_000, delay: smoothed)
        if points.count < Self.window {
            points.append(point)
        } else {
            points[oldest] = point
            oldest = (oldest + 1) % Self.window
        }
        let trend = points.count == Self.window ? slope() ?? previousTrend : 0
        detect(trend, sendDelta: deltas.send.seconds * 1_000, arrival: arrival)
    }

    /// Least squares over the points.
    private func slope() -> Double? {
        var time = 0.0
        var delay = 0.0
        for point in points {
            time += point.time
            delay += point.delay
        }
        time /= Double(points.count)
        delay /= Double(points.count)
        var numerator = 0.0
        var denominator = 0.0
        for point in points {
            numerator += (point.time - time) * (point.delay - delay)
            denominator += (point.time - time) * (point.time - time)
        }
        return denominator > 0 ? numerator / denominator : nil
    }

    private mutating func detect(_ trend: Double, sendDelta: Double, arrival: Instant) {
        guard groups >= 2 else { return }
        let modified = Double(Swift.min(groups, 60)) * trend * 4
        if modified > threshold {
            overuseTime = overuseTime.map { $0 + sendDelta } ?? sendDelta / 2
            overuseCount += 1
            if overuseTime ?? 0 > 10, overuseCount > 1, trend >= previousTrend {
                overuseTime = 0
                overuseCount = 0
                usage = .overusing
            }
        } else {
            usage = modified < -threshold ? .underusing : .normal
            overuseTime = nil
            overuseCount = 0
        }
        previousTrend = trend
        adapt(to: abs(modified), arrival: arrival)
    }

    private mutating func adapt(to value: Double, arrival: Instant) {
        defer { lastThresholdUpdate = arrival }
        guard let last = lastThresholdUpdate, value <= threshold + 15 else { return }
        let gain = value < threshold ? 0.039 : 0.0087
        let elapsed = Swift.max(0, Swift.min((arrival - last).seconds * 1_000, 100))
        threshold = Swift.max(6, Swift.min(threshold + gain * (value - threshold) * elapsed, 600))
    }
}
