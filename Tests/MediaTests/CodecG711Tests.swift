import Media
import Primitives
import Testing

@Suite struct CodecG711Tests {
    /// Decoder output values of ITU-T G.711 tables 1a and 2a, on the 16-bit scale.
    @Test func knownCodesDecodeToTheTablesValues() {
        #expect(G711.mu.decode([0x00, 0x80, 0x7F, 0xFF, 0x8F, 0x0F]) == [-32_124, 32_124, 0, 0, 16_764, -16_764])
        #expect(G711.a.decode([0xD5, 0x55, 0xAA, 0x2A, 0x80, 0x00]) == [8, -8, 32_256, -32_256, 5_504, -5_504])
    }

    @Test func everyCodeSurvivesDecodingAndEncoding() {
        for code in UInt8.min...UInt8.max {
            #expect(G711.a.encode(G711.a.decode(code)) == code)
            // µ-law has two zeroes; the negative one comes back as the positive.
            #expect(G711.mu.encode(G711.mu.decode(code)) == (code == 0x7F ? 0xFF : code))
        }
    }

    @Test func everySampleGoesToTheNearestCodeOfItsSign() {
        for law in [G711.mu, .a] {
            var last: Int16 = .min
            for sample in Int16.min...Int16.max {
                let decoded = law.decode(law.encode(sample))
                // Coding is monotonic and errs by less than a step of its chord: a sixteenth of the magnitude, or 16.
                #expect(decoded >= last)
                let error = abs(Int(decoded) - Int(sample))
                if error > Swift.max(16, abs(Int(sample)) / 28 + 8), abs(Int(sample)) < 32_124 {
                    Issue.record("\(law) \(sample) becomes \(decoded)")
                }
                last = decoded
            }
        }
    }

    @Test func extremesAndSilence() {
        #expect(G711.mu.encode([.min, .max, 0, -1]) == [0x00, 0x80, 0xFF, 0x7F])
        #expect(G711.a.encode([.min, .max, 0, -1]) == [0x2A, 0xAA, 0xD5, 0x55])
        #expect(G711.mu.silence == 0xFF)
        #expect(G711.a.silence == 0xD5)
    }

    @Test func aToneKeepsTheQualityOfTelephony() {
        let sent = tone(1_000, seconds: 0.5, rate: 8_000)
        for law in [G711.mu, .a] {
            let snr = Quality.snr(sent: sent, received: law.decode(law.encode(sent)), delay: 0)
            #expect(snr > 35, "\(law): \(snr) dB")
        }
    }

    @Test func codecsAndLaws() {
        #expect(G711(.pcmu) == .mu)
        #expect(G711(.pcma) == .a)
        #expect(G711(.opus) == nil)
    }
}
