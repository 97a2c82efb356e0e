import Primitives

/// How a link loses packets.
public enum LossModel: Hashable, Sendable {
    case none
    /// Each packet alone, with this probability.
    case independent(Double)
    /// Two states with a step at each packet (Gilbert 1960, Elliott 1963).
    /// - `toBad`, `toGood`: probability of leaving the good, the bad state.
    /// - `lossInGood`, `lossInBad`: probability of loss within a state.
    case gilbertElliott(toBad: Double, toGood: Double, lossInGood: Double, lossInBad: Double)

    /// Bursts in which everything is lost: `rate` of all packets in the long run, `meanLength` packets a burst.
    ///
    /// The mean gap between bursts cannot be shorter than one packet, so `rate` is at most
    /// `meanLength / (meanLength + 1)`; a higher one is brought down to it.
    public static func bursts(rate: Double, meanLength: Double) -> LossModel {
        let length = Swift.max(1, meanLength)
        let rate = Swift.max(0, Swift.min(rate, length / (length + 1)))
        let toGood = 1 / length
        return .gilbertElliott(toBad: toGood * rate / (1 - rate), toGood: toGood, lossInGood: 0, lossInBad: 1)
    }

    /// The share of packets lost in the long run.
    public var meanRate: Double {
        switch self {
        case .none: return 0
        case .independent(let rate): return rate
        case .gilbertElliott(let toBad, let toGood, let lossInGood, let lossInBad):
            guard toBad + toGood > 0 else { return lossInGood }
            let bad = toBad / (toBad + toGood)
            return bad * lossInBad + (1 - bad) * lossInGood
        }
    }
}

/// A loss model at work: the state it is in.
struct LossState {
    private var isBad = false

    mutating func loses(under model: LossModel, using random: inout RandomSource) -> Bool {
        switch model {
        case .none: return false
        case .independent(let rate): return random.nextUnit() < rate
        case .gilbertElliott(let toBad, let toGood, let lossInGood, let lossInBad):
            if random.nextUnit() < (isBad ? toGood : toBad) { isBad.toggle() }
            let rate = isBad ? lossInBad : lossInGood
            if rate <= 0 { return false }
            return rate >= 1 || random.nextUnit() < rate
        }
    }
}

extension RandomSource {
    /// Evenly spread over 0 ..< 1.
    mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
