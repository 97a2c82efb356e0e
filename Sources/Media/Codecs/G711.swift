import Primitives

/// The companding laws of ITU-T G.711 by arithmetic: one byte a sample at 8 kHz (RFC 3551 §4.5.14).
public enum G711: Sendable, Hashable {
    /// µ-law, PCMU.
    case mu
    /// A-law, PCMA.
    case a

    /// The law a codec stands for; `nil` for other codecs.
    public init?(_ codec: Codec) {
        switch codec {
        case .pcmu: self = .mu
        case .pcma: self = .a
        default: return nil
        }
    }

    /// The byte that stands for silence.
    public var silence: UInt8 { encode(0) }

    public func encode(_ samples: [Int16]) -> [UInt8] { samples.map { encode($0) } }
    public func decode(_ bytes: [UInt8]) -> [Int16] { bytes.map { decode($0) } }

    public func encode(_ sample: Int16) -> UInt8 {
        switch self {
        case .mu:
            // Sign and magnitude, biased by 33 of the 14-bit scale so that each chord starts at a power of two.
            let magnitude = Swift.min(abs(Int32(sample)), 32_635) + 132
            let chord = 24 - Int32(magnitude.leadingZeroBitCount)
            let step = (magnitude >> (chord + 3)) & 15
            return ~UInt8(truncatingIfNeeded: (sample < 0 ? 0x80 : 0) | chord << 4 | step)
        case .a:
            let magnitude = sample < 0 ? -Int32(sample) - 1 : Int32(sample)
            let sign: UInt8 = sample < 0 ? 0x55 : 0xD5
            guard magnitude >= 256 else { return UInt8(truncatingIfNeeded: magnitude >> 4) ^ sign }
            let chord = 24 - Int32(magnitude.leadingZeroBitCount)
            let step = (magnitude >> (chord + 3)) & 15
            return UInt8(truncatingIfNeeded: chord << 4 | step) ^ sign
        }
    }

    public func decode(_ byte: UInt8) -> Int16 {
        switch self {
        case .mu:
            let code = ~byte
            let magnitude = ((Int16(code & 15) << 3) + 132) << Int16((code >> 4) & 7) - 132
            return code & 0x80 != 0 ? -magnitude : magnitude
        case .a:
            let code = byte ^ 0x55
            let chord = Int16((code >> 4) & 7)
            let step = Int16(code & 15) << 4
            let magnitude = chord == 0 ? step + 8 : (step + 264) << (chord - 1)
            return code & 0x80 != 0 ? magnitude : -magnitude
        }
    }
}
