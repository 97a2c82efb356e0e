import DTLSSRTP
import FixtureSupport
import Primitives
import Testing

@Suite struct CertificateTests {
    @Test func generatedCertificatesDiffer() throws {
        let first = try Certificate.generate()
        let second = try Certificate.generate()
        #expect(first.fingerprint != second.fingerprint)
        // ASN.1: a sequence with a two-byte length, and P-256's name in it.
        #expect(first.encoded.prefix(2) == [0x30, 0x82])
        #expect(contains(first.encoded, [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]))
        #expect(contains(first.encoded, Array("Postern".utf8)))
    }

    @Test func validityIsCountedFromTheGivenDate() throws {
        // 2024-05-17 00:00:00 UTC; a day before it to thirty days after.
        let certificate = try Certificate.generate(at: 1_715_904_000)
        #expect(contains(certificate.encoded, Array("240516000000Z".utf8)))
        #expect(contains(certificate.encoded, Array("240616000000Z".utf8)))
        for date in [Int64.min, -1, 0, 4_102_444_800, .max] {
            #expect(throws: Never.self) { try Certificate.generate(at: date) }
        }
    }

    @Test func pemRoundTripKeepsTheIdentity() throws {
        let original = try Certificate.generate()
        let copy = try Certificate(pemCertificate: try original.pemCertificate(), pemKey: try original.pemKey())
        #expect(copy.encoded == original.encoded && copy.fingerprint == original.fingerprint)
        #expect(try copy.pemKey() == original.pemKey())
        var wire = try makePair { side, configuration in
            if side == .client { configuration.certificate = copy }
        }
        wire.startBoth()
        wire.run()
        #expect(wire.serverAssociation?.peerCertificate == original.encoded)
    }

    @Test func badPEMIsRefusedByName() throws {
        let certificate = try Fixtures.text("dtls/p256-certificate.pem")
        let key = try Fixtures.text("dtls/p256-key.pem")
        #expect(throws: CertificateError.noCertificate) { try Certificate(pemCertificate: "", pemKey: key) }
        #expect(throws: CertificateError.noCertificate) { try Certificate(pemCertificate: key, pemKey: key) }
        #expect(throws: CertificateError.noKey) { try Certificate(pemCertificate: certificate, pemKey: "") }
        #expect(throws: CertificateError.noKey) {
            try Certificate(pemCertificate: certificate, pemKey: certificate)
        }
        #expect(throws: CertificateError.noKey, "no one is asked for a pass phrase") {
            try Certificate(
                pemCertificate: certificate, pemKey: try Fixtures.text("dtls/p256-key-encrypted.pem"))
        }
        #expect(throws: CertificateError.keyMismatch) {
            try Certificate(pemCertificate: certificate, pemKey: try Fixtures.text("dtls/rsa4096-key.pem"))
        }
        let bytes = Array(certificate.utf8)
        for length in stride(from: 0, to: bytes.count - 30, by: 7) {
            #expect(throws: CertificateError.noCertificate) {
                try Certificate(pemCertificate: String(decoding: bytes.prefix(length), as: UTF8.self), pemKey: key)
            }
        }
    }

    @Test func mutatedPEMNeverTraps() throws {
        let key = try Fixtures.text("dtls/p256-key.pem")
        var mutations = Mutations(of: [Array(try Fixtures.text("dtls/p256-certificate.pem").utf8)], seed: 8)
        for _ in 0..<3_000 {
            let text = String(decoding: mutations.next(), as: UTF8.self)
            do throws(CertificateError) { _ = try Certificate(pemCertificate: text, pemKey: key) } catch {}
        }
    }

    private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        bytes.indices.contains { bytes[$0...].starts(with: part) }
    }
}
