import Primitives

/// Seeded mutations of valid inputs, for the tests that hold every parser to "a value or a typed error, never a trap".
public struct Mutations: Sendable {
    private var random: RandomSource
    private let seeds: [[UInt8]]

    public init(of seeds: [[UInt8]], seed: UInt64) {
        self.seeds = seeds.isEmpty ? [[]] : seeds
        random = .seeded(seed)
    }

    /// The next mutant: bits flipped, bytes set to edge values, cut, grown, spliced with another seed.
    public mutating func next() -> [UInt8] {
        var bytes = seeds[Int.random(in: seeds.indices, using: &random)]
        for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes) }
        return bytes
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let at = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0 where !bytes.isEmpty: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1 where !bytes.isEmpty: bytes[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF].randomElement(using: &random) ?? 0
        case 2 where !bytes.isEmpty: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 3: bytes.removeLast(bytes.count - at)
        case 4 where !bytes.isEmpty: bytes.remove(at: at)
        case 5: bytes.insert(contentsOf: random.bytes(Int.random(in: 1...16, using: &random)), at: at)
        case 6:
            let other = seeds[Int.random(in: seeds.indices, using: &random)]
            bytes = Array(bytes.prefix(at)) + other.suffix(Int.random(in: 0...other.count, using: &random))
        case 7 where bytes.count > 1:
            let length = Int.random(in: 1...Swift.min(32, bytes.count - at), using: &random)
            bytes.insert(contentsOf: bytes[at..<at + length], at: at)
        default: bytes.append(UInt8.random(in: 0...255, using: &random))
        }
    }
}
