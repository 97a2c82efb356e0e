/// CRC-32 as in ITU-T V.42 §8.1.1.6.2, reflected, polynomial 0x04C11DB7: what FINGERPRINT is made of (RFC 8489 §14.7).
enum CRC32 {
    /// Of the first `count` bytes, or of all when there are fewer.
    static func checksum(_ bytes: [UInt8], count: Int) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes.prefix(count) { crc = crc >> 8 ^ table[Int((crc ^ UInt32(byte)) & 0xFF)] }
        return ~crc
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
}
