import Primitives

/// Raw sound: interleaved samples of one or more channels.
public struct AudioFrame: Sendable, Hashable {
    public enum Samples: Sendable, Hashable {
        case int16([Int16])
        /// Full scale is -1 to 1.
        case float([Float])
    }

    public var samples: Samples
    /// Samples a second and channel.
    public var sampleRate: Int
    public var channels: Int
    /// Media time of the first sample.
    public var time: TimeDelta

    public init(samples: Samples, sampleRate: Int, channels: Int, time: TimeDelta = .zero) {
        self.samples = samples
        self.sampleRate = sampleRate
        self.channels = channels
        self.time = time
    }

    /// Samples a channel.
    public var count: Int {
        let total =
            switch samples {
            case .int16(let values): values.count
            case .float(let values): values.count
            }
        return channels > 0 ? total / channels : 0
    }

    public var duration: TimeDelta {
        sampleRate > 0 ? .nanoseconds(Int64(count) * 1_000_000_000 / Int64(sampleRate)) : .zero
    }

    /// The samples as 16-bit integers, clipped where they exceed full scale.
    public var int16: [Int16] {
        switch samples {
        case .int16(let values): values
        case .float(let values):
            values.map { value in
                let scaled = (value * 32_768).rounded()
                return scaled >= 32_767 ? 32_767 : scaled <= -32_768 ? -32_768 : scaled.isNaN ? 0 : Int16(scaled)
            }
        }
    }

    public var float: [Float] {
        switch samples {
        case .int16(let values): values.map { Float($0) / 32_768 }
        case .float(let values): values
        }
    }
}
