import Primitives

/// What a recording must know of Opus packets (RFC 6716 §3.1) without decoding them.
enum OpusPacket {
    /// Samples at 48 kHz by which an encoder's sound is late: libopus' look-ahead of 6.5 ms, which senders of RTP do not
    /// take out of their timestamps. Written as pre-skip (RFC 7845 §4.2) and CodecDelay.
    static let preSkip = 312

    /// Samples at 48 kHz in one frame of a packet whose first byte this is.
    static func frameSamples(_ first: UInt8) -> Int {
        let configuration = Int(first >> 3)
        switch configuration {
        case 0..<12: return [480, 960, 1_920, 2_880][configuration % 4]
        case 12..<16: return [480, 960][configuration % 2]
        default: return [120, 240, 480, 960][configuration % 4]
        }
    }

    /// A packet of one empty frame, of the same kind as one that starts with this byte: "conceal", to a decoder
    /// (RFC 7845 §4.1).
    static func empty(like first: UInt8) -> [UInt8] { [first & 0xFC] }

    /// Whether it carries no sound: discontinuous transmission (RFC 6716 §2.1.9).
    static func isEmpty(_ payload: [UInt8]) -> Bool { payload.count <= 2 }
}
