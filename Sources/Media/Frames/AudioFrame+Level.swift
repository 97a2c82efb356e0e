import Glibc

extension AudioFrame {
    /// The level as RFC 6464 has it: bit 7 for voice, and below it -dBov, from 0 (full scale) to 127 (digital silence).
    ///
    /// Voice is taken to be whatever is louder than -50 dBov: no detector is asked, and receivers use the bit to tell a
    /// speaker from a quiet room.
    public var level: UInt8 {
        var sum = 0.0
        var count = 0
        switch samples {
        case .int16(let values):
            count = values.count
            for value in values { sum += Double(value) * Double(value) }
            sum /= 32_768 * 32_768
        case .float(let values):
            count = values.count
            for value in values where value.isFinite { sum += Double(value) * Double(value) }
        }
        guard count > 0, sum > 0 else { return 127 }
        let decibels = -10 * log10(sum / Double(count))
        let level = UInt8(Swift.max(0, Swift.min(decibels.rounded(), 127)))
        return level < 50 ? 0x80 | level : level
    }
}
