import DTLSSRTP
import FixtureSupport
import Primitives
import Testing

@Suite struct FingerprintTests {
    static let known: [(Fingerprint.Algorithm, String)] = [
        (.sha1, "95:55:B0:5C:3E:A6:84:CE:07:AB:F1:41:7F:D1:90:BD:50:7E:4F:19"),
        (
            .sha256,
            "92:26:27:0A:81:4A:58:11:C9:D8:3C:8B:A6:FB:F3:E7:52:64:75:B5:3B:D4:17:60:3A:F6:4F:F4:8C:49:59:67"
        ),
        (
            .sha384,
            """
            78:12:6A:27:68:67:5C:CC:A0:F1:B9:6A:53:BC:B3:25:52:15:69:3E:E5:10:A4:98:\
            03:E1:CA:F1:18:42:A8:3C:DD:90:45:D6:1E:9A:B3:3F:1B:93:20:53:02:03:D8:60
            """
        ),
        (
            .sha512,
            """
            B5:EB:D8:E9:DA:92:F5:DE:61:81:AC:97:F4:DC:C7:CF:79:DB:F2:C5:79:8A:AD:00:74:88:05:E8:ED:81:59:A0:\
            8A:10:90:A3:FB:BF:0A:EE:21:D9:78:D1:17:6A:7B:71:F0:55:8B:8D:8D:FE:54:CB:4E:CD:E4:64:0F:FD:38:B7
            """
        ),
    ]

    /// Against what `openssl x509 -fingerprint` says of the same certificate.
    @Test func certificatesHashAsOpenSSLSays() throws {
        let certificate = try Certificate(
            pemCertificate: try Fixtures.text("dtls/p256-certificate.pem"),
            pemKey: try Fixtures.text("dtls/p256-key.pem"))
        for (algorithm, value) in Self.known {
            let fingerprint = try #require(certificate.fingerprint(algorithm))
            #expect(fingerprint.value == value)
            #expect(Fingerprint(algorithm: algorithm.rawValue, value: value) == fingerprint)
            #expect(Fingerprint(algorithm: algorithm.rawValue.uppercased(), value: value.lowercased()) == fingerprint)
        }
        #expect(certificate.fingerprint.description == "sha-256 " + Self.known[1].1)
    }

    @Test func malformedFingerprintsAreRefused() {
        let good = Self.known[1].1
        #expect(Fingerprint(algorithm: "sha-256", value: good) != nil)
        for (algorithm, value) in [
            ("md5", "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99"), ("sha-1", good), ("", good), ("sha-256", ""),
            ("sha-256", good.replacing(":", with: "")), ("sha-256", good + ":00"), ("sha-256", good + ":"),
            ("sha-256", String(good.dropLast())), ("sha-256", "0x" + good.dropFirst(2)),
            ("sha-256", "9G" + good.dropFirst(2)), ("sha-256", " 2" + good.dropFirst(2)),
            ("sha-256", "9\u{301}" + good.dropFirst(2)),
        ] {
            #expect(Fingerprint(algorithm: algorithm, value: value) == nil, "\(algorithm) \(value)")
        }
        #expect(Fingerprint(algorithm: .sha1, bytes: [1, 2, 3]) == nil)
    }

    @Test func mutatedFingerprintsNeverTrap() {
        var mutations = Mutations(
            of: [Array("95:55:B0:5C:3E:A6:84:CE:07:AB:F1:41:7F:D1:90:BD:50:7E:4F:19".utf8)], seed: 3)
        for _ in 0..<20_000 {
            let text = String(decoding: mutations.next(), as: UTF8.self)
            if let fingerprint = Fingerprint(algorithm: "sha-1", value: text) {
                #expect(fingerprint.value == text.uppercased())
            }
        }
    }

    @Test(arguments: [VirtualWire.Side.client, .server])
    func wrongFingerprintFailsBeforeKeysExist(judge: VirtualWire.Side) throws {
        var wire = try makePair()
        let stranger = try Certificate.generate()
        wire.call(judge) { $0.setRemoteFingerprints([stranger.fingerprint], at: $1, into: &$2) }
        wire.startBoth()
        wire.run()
        let real = (judge == .client ? wire.server : wire.client).configuration.certificate.fingerprint
        #expect(wire.failure(of: judge) == .fingerprintMismatch(expected: [stranger.fingerprint], got: real))
        // RFC 5246 §7.2.2: bad_certificate.
        #expect(wire.failure(of: judge == .client ? .server : .client) == .alert(42))
        #expect(wire.clientAssociation == nil && wire.serverAssociation == nil)
        #expect(wire.client.state == .failed && wire.server.state == .failed)
        #expect(wire.client.deadline == nil && wire.server.deadline == nil)
    }

    @Test(arguments: [VirtualWire.Side.client, .server])
    func fingerprintMayComeAfterTheHandshake(judge: VirtualWire.Side) throws {
        var wire = try makePair()
        let right = (judge == .client ? wire.server : wire.client).configuration.certificate.fingerprint
        wire.call(judge) { $0.setRemoteFingerprints([], at: $1, into: &$2) }
        wire.startBoth()
        wire.run()
        let events = judge == .client ? wire.clientEvents : wire.serverEvents
        #expect(events.isEmpty, "nothing is announced before the fingerprint is known")
        #expect((judge == .client ? wire.client : wire.server).state == .connecting)
        wire.call(judge) { $0.setRemoteFingerprints([right], at: $1, into: &$2) }
        #expect(wire.clientAssociation != nil)
        #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial)
    }

    @Test(arguments: [VirtualWire.Side.client, .server])
    func wrongFingerprintAfterTheHandshakeFailsToo(judge: VirtualWire.Side) throws {
        var wire = try makePair()
        let stranger = try Certificate.generate().fingerprint
        wire.call(judge) { $0.setRemoteFingerprints([], at: $1, into: &$2) }
        wire.startBoth()
        wire.run()
        wire.call(judge) { $0.setRemoteFingerprints([stranger], at: $1, into: &$2) }
        wire.run()
        guard case .fingerprintMismatch(expected: [stranger], got: _) = wire.failure(of: judge) else {
            Issue.record("no mismatch: \(wire.clientEvents) \(wire.serverEvents)")
            return
        }
        #expect((judge == .client ? wire.clientAssociation : wire.serverAssociation) == nil)
        #expect((judge == .client ? wire.serverEvents : wire.clientEvents).last == .closedByPeer)
    }

    /// RFC 8122 §5: any of the strongest function's may match, weaker ones do not count.
    @Test func strongestHashFunctionDecides() throws {
        let certificate = try #require(Identities.server)
        let stranger = try Certificate.generate()
        func outcome(_ announced: [Fingerprint?]) throws -> Bool {
            let announced = try announced.map { try #require($0) }
            var wire = try makePair()
            wire.call(.client) { $0.setRemoteFingerprints(announced, at: $1, into: &$2) }
            wire.startBoth()
            wire.run()
            return wire.clientAssociation != nil
        }
        #expect(try outcome([certificate.fingerprint(.sha1)]))
        #expect(try outcome([certificate.fingerprint(.sha224)]))
        #expect(try outcome([certificate.fingerprint(.sha384)]))
        #expect(try outcome([certificate.fingerprint(.sha512)]))
        #expect(try outcome([stranger.fingerprint(.sha256), certificate.fingerprint(.sha256)]))
        #expect(try outcome([stranger.fingerprint(.sha1), certificate.fingerprint(.sha256)]))
        #expect(try !outcome([certificate.fingerprint(.sha1), stranger.fingerprint(.sha256)]))
        #expect(try !outcome([certificate.fingerprint(.sha256), stranger.fingerprint(.sha512)]))
    }
}
