/// RTP payload format for Opus (RFC 7587): one Opus packet a payload. What the first bytes of a packet say of it
/// (RFC 6716 §3.1, §3.2). The RTP clock is always 48 kHz.
public enum OpusPayloadFormat {
    /// Ticks of 48 kHz a packet lasts: 120...5,760. `nil` for a packet no encoder makes.
    public static func duration(of packet: some RandomAccessCollection<UInt8>) -> Int64? {
        guard let toc = packet.first else { return nil }
        let frames: Int64
        switch toc & 3 {
        case 0: frames = 1
        case 1, 2: frames = 2
        default:
            guard let count = packet.dropFirst().first else { return nil }
            frames = Int64(count & 0x3F)
        }
        let duration = frames * frameDuration(toc)
        return (120...5_760).contains(duration) ? duration : nil
    }

    /// Whether the encoder fell silent (DTX): a packet with no more than a byte of data.
    public static func isDiscontinuous(_ packet: some RandomAccessCollection<UInt8>) -> Bool { packet.count <= 2 }

    public static func isStereo(toc: UInt8) -> Bool { toc & 4 != 0 }

    private static func frameDuration(_ toc: UInt8) -> Int64 {
        let configuration = toc >> 3
        switch configuration {
        case 0..<12: return [480, 960, 1_920, 2_880][Int(configuration & 3)]
        case 12..<16: return configuration & 1 == 0 ? 480 : 960
        default: return 120 << Int64(configuration & 3)
        }
    }
}

/// RTP payload format for PCMU and PCMA (RFC 3551 §4.5.14): a byte a sample, 8 kHz.
public enum G711PayloadFormat {
    /// Ticks of 8 kHz.
    public static func duration(of payload: some RandomAccessCollection<UInt8>) -> Int64 { Int64(payload.count) }
}
