/// The randomness a machine was given (invariant 1: none is hidden).
///
/// Drivers hand out `.system`, the kernel's generator, fit for secrets; tests and virtual runs hand out `.seeded`.
public struct RandomSource: RandomNumberGenerator, Sendable {
    private enum Kind {
        case system(SystemRandomNumberGenerator)
        case seeded(Xoshiro256)
    }
    private var kind: Kind

    public static var system: RandomSource { RandomSource(kind: .system(SystemRandomNumberGenerator())) }
    public static func seeded(_ seed: UInt64) -> RandomSource { RandomSource(kind: .seeded(Xoshiro256(seed: seed))) }

    public mutating func next() -> UInt64 {
        switch kind {
        case .system(var generator):
            return generator.next()
        case .seeded(var generator):
            defer { kind = .seeded(generator) }
            return generator.next()
        }
    }

    public mutating func bytes(_ count: Int) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        while result.count < count {
            var word = next()
            for _ in 0..<Swift.min(8, count - result.count) {
                result.append(UInt8(truncatingIfNeeded: word))
                word >>= 8
            }
        }
        return result
    }

    /// A source of its own, so that two machines with one seed do not disturb each other's sequence.
    public mutating func split() -> RandomSource {
        switch kind {
        case .system: .system
        case .seeded: .seeded(next())
        }
    }
}

/// xoshiro256** (Blackman and Vigna, public domain), seeded by SplitMix64. Not for secrets.
private struct Xoshiro256 {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init(seed: UInt64) {
        var z = seed
        func mix() -> UInt64 {
            z &+= 0x9E37_79B9_7F4A_7C15
            var x = z
            x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
            x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
            return x ^ (x >> 31)
        }
        state = (mix(), mix(), mix(), mix())
    }

    mutating func next() -> UInt64 {
        let scrambled = rotate(state.1 &* 5, 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = rotate(state.3, 45)
        return scrambled
    }

    private func rotate(_ x: UInt64, _ k: UInt64) -> UInt64 { (x << k) | (x >> (64 - k)) }
}
