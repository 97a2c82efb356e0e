import Primitives

/// SHA-256 (FIPS 180-4 §6.2): USERHASH, the newer long-term key and MESSAGE-INTEGRITY-SHA256 (RFC 8489 §9.2, §14.6).
struct SHA256: Sendable {
    static let blockSize = 64
    static let digestSize = 32

    private var state: InlineArray<8, UInt32> = [
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
    ]

    static func digest(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
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
        for i in 0..<8 { digest.append(state[i]) }
        return digest
    }

    /// One block of 64 bytes; without that many bytes nothing happens.
    mutating func compress(_ bytes: [UInt8], at offset: Int) {
        guard offset >= 0, offset + Self.blockSize <= bytes.count else { return }
        var w = InlineArray<64, UInt32>(repeating: 0)
        for i in 0..<16 {
            let at = offset + 4 * i
            w[i] =
                UInt32(bytes[at]) << 24 | UInt32(bytes[at + 1]) << 16 | UInt32(bytes[at + 2]) << 8
                | UInt32(bytes[at + 3])
        }
        for i in 16..<64 {
            let (x, y) = (w[i - 15], w[i - 2])
            let s0 = rotate(x, 7) ^ rotate(x, 18) ^ x >> 3
            let s1 = rotate(y, 17) ^ rotate(y, 19) ^ y >> 10
            w[i] = w[i - 16] &+ s0 &+ w[i - 7] &+ s1
        }
        var s = state
        for i in 0..<64 {
            let (a, b, c, e, f, g) = (s[0], s[1], s[2], s[4], s[5], s[6])
            let s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
            let t1 = s[7] &+ s1 &+ ((e & f) ^ (~e & g)) &+ Self.constants[i] &+ w[i]
            let s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
            let t2 = s0 &+ ((a & b) ^ (a & c) ^ (b & c))
            s[7] = g
            s[6] = f
            s[5] = e
            s[4] = s[3] &+ t1
            s[3] = c
            s[2] = b
            s[1] = a
            s[0] = t1 &+ t2
        }
        for i in 0..<8 { state[i] = state[i] &+ s[i] }
    }

    private func rotate(_ x: UInt32, _ count: UInt32) -> UInt32 { x >> count | x << (32 - count) }

    /// The fractions of the cube roots of the first 64 primes (FIPS 180-4 §4.2.2).
    private static let constants: [UInt32] = [
        0x428A_2F98, 0x7137_4491, 0xB5C0_FBCF, 0xE9B5_DBA5, 0x3956_C25B, 0x59F1_11F1, 0x923F_82A4, 0xAB1C_5ED5,
        0xD807_AA98, 0x1283_5B01, 0x2431_85BE, 0x550C_7DC3, 0x72BE_5D74, 0x80DE_B1FE, 0x9BDC_06A7, 0xC19B_F174,
        0xE49B_69C1, 0xEFBE_4786, 0x0FC1_9DC6, 0x240C_A1CC, 0x2DE9_2C6F, 0x4A74_84AA, 0x5CB0_A9DC, 0x76F9_88DA,
        0x983E_5152, 0xA831_C66D, 0xB003_27C8, 0xBF59_7FC7, 0xC6E0_0BF3, 0xD5A7_9147, 0x06CA_6351, 0x1429_2967,
        0x27B7_0A85, 0x2E1B_2138, 0x4D2C_6DFC, 0x5338_0D13, 0x650A_7354, 0x766A_0ABB, 0x81C2_C92E, 0x9272_2C85,
        0xA2BF_E8A1, 0xA81A_664B, 0xC24B_8B70, 0xC76C_51A3, 0xD192_E819, 0xD699_0624, 0xF40E_3585, 0x106A_A070,
        0x19A4_C116, 0x1E37_6C08, 0x2748_774C, 0x34B0_BCB5, 0x391C_0CB3, 0x4ED8_AA4A, 0x5B9C_CA4F, 0x682E_6FF3,
        0x748F_82EE, 0x78A5_636F, 0x84C8_7814, 0x8CC7_0208, 0x90BE_FFFA, 0xA450_6CEB, 0xBEF9_A3F7, 0xC671_78F2,
    ]
}
