/// SHA-1 (FIPS 180-4 §6.1), which STUN's MESSAGE-INTEGRITY still rests on. Not for anything new.
struct SHA1: Sendable {
    static let blockSize = 64
    static let digestSize = 20

    private var state: (UInt32, UInt32, UInt32, UInt32, UInt32) = (
        0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0
    )

    static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA1()
        return hash.finish(bytes, alreadyHashed: 0)
    }

    /// Hashes `bytes`, padded as the end of a message of which `alreadyHashed` bytes (whole blocks) went before.
    mutating func finish(_ bytes: [UInt8], alreadyHashed: Int) -> [UInt8] {
        var padded = bytes
        padded.reserveCapacity(bytes.count + Self.blockSize + 9)
        padded.append(0x80 as UInt8)
        while padded.count % Self.blockSize != 56 { padded.append(0 as UInt8) }
        padded.append(UInt64(bytes.count + alreadyHashed) &* 8)
        var offset = 0
        while offset < padded.count {
            compress(padded, at: offset)
            offset += Self.blockSize
        }
        var digest: [UInt8] = []
        digest.reserveCapacity(Self.digestSize)
        for word in [state.0, state.1, state.2, state.3, state.4] { digest.append(word) }
        return digest
    }

    /// One block of 64 bytes; without that many bytes nothing happens.
    mutating func compress(_ bytes: [UInt8], at offset: Int) {
        guard offset >= 0, offset + Self.blockSize <= bytes.count else { return }
        var w = InlineArray<16, UInt32>(repeating: 0)
        for i in 0..<16 {
            let at = offset + 4 * i
            w[i] =
                UInt32(bytes[at]) << 24 | UInt32(bytes[at + 1]) << 16 | UInt32(bytes[at + 2]) << 8
                | UInt32(bytes[at + 3])
        }
        var (a, b, c, d, e) = state
        for round in 0..<80 {
            let slot = round & 15
            if round >= 16 {
                let x = w[(round + 13) & 15] ^ w[(round + 8) & 15] ^ w[(round + 2) & 15] ^ w[slot]
                w[slot] = x << 1 | x >> 31
            }
            let f: UInt32
            let k: UInt32
            if round < 20 {
                f = (b & c) | (~b & d)
                k = 0x5A82_7999
            } else if round < 40 {
                f = b ^ c ^ d
                k = 0x6ED9_EBA1
            } else if round < 60 {
                f = (b & c) | (b & d) | (c & d)
                k = 0x8F1B_BCDC
            } else {
                f = b ^ c ^ d
                k = 0xCA62_C1D6
            }
            let t = (a << 5 | a >> 27) &+ f &+ e &+ k &+ w[slot]
            e = d
            d = c
            c = b << 30 | b >> 2
            b = a
            a = t
        }
        state = (state.0 &+ a, state.1 &+ b, state.2 &+ c, state.3 &+ d, state.4 &+ e)
    }
}
