import Primitives
import Testing

@testable import ICE

/// Hashes, keys and credentials against published vectors.
@Suite struct TURNHashTests {
    @Test(arguments: [
        ("", "d41d8cd98f00b204e9800998ecf8427e"), ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (
            "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
            "57edf4a22be3c955ac49da2e2107b67a"
        ),
    ])
    func md5(_ text: String, _ digest: String) { #expect(MD5.digest(Array(text.utf8)).hexadecimal == digest) }

    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            String(repeating: "a", count: 1_000),
            "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"
        ),
    ])
    func sha256(_ text: String, _ digest: String) { #expect(SHA256.digest(Array(text.utf8)).hexadecimal == digest) }

    /// RFC 4231 §4.3 and §4.7.
    @Test func hmacSHA256() {
        #expect(
            MessageIntegritySHA256Key(bytes: Array("Jefe".utf8)).code(for: Array("what do ya want for nothing?".utf8))
                .hexadecimal == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        #expect(
            MessageIntegritySHA256Key(bytes: .init(repeating: 0xAA, count: 131))
                .code(for: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8)).hexadecimal
                == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
    }

    @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")])
    func base64(_ text: String, _ encoded: String) { #expect(Base64.encode(Array(text.utf8)) == encoded) }

    private static let user = TURNCredential(
        username: "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}", password: "TheMatrIX")

    /// RFC 5769 §2.4 and RFC 8489 §B.1.
    @Test func longTermKeys() throws {
        #expect(Self.user.key(realm: "example.org", .md5).hexadecimal == "e8ca7ad59d5eb0518e312911d2dab2a9")
        #expect(
            Self.user.userHash(realm: "example.org").hexadecimal
                == "4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704")
    }

    /// The request of RFC 8489 §B.1 as its erratum has it, with PASSWORD-ALGORITHM.
    @Test func requestWithUserHashAndSHA256() throws {
        let bytes = try #require(
            [UInt8](
                hexadecimal: """
                    000100902112a44278ad3433c6ad72c029da412e001e00204a3cf38fef6992bda952c6780417da0f24819415569e60b2
                    05c46e41407f1704001500296f624d61744a6f7332414141 43662f2f3439396b39353464364f4c33346f4c3946535476
                    79363473410000000014000b6578616d706c652e6f7267 00001d000400020000001c0020b5c7bf005b6c52a21c51c5e8
                    92f81924136296cb927c43149309278cc6518e65
                    """))
        let message = try STUNMessage(parsing: bytes)
        #expect(message.userHash == Self.user.userHash(realm: "example.org"))
        #expect(message.realm == "example.org")
        #expect(message.passwordAlgorithm == .sha256)
        #expect(!message.hasIntegrity && message.hasSHA256Integrity)
        let nonce = try #require(message.nonce)
        #expect(!TURNAuthentication.securityFeatures(of: nonce).hasPasswordAlgorithms)
        #expect(TURNAuthentication.securityFeatures(of: nonce).hidesUser)
        let key = MessageIntegritySHA256Key(bytes: Self.user.key(realm: "example.org", .sha256))
        #expect(message.isIntact(under: key))
        #expect(message.encoded(integrity: key, fingerprint: false) == bytes)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(((try? STUNMessage(parsing: changed))?.isIntact(under: key) ?? false) == false, "byte \(index)")
        }
    }

    @Test func whatFollowsTheSHA256IntegrityIsNotBelieved() throws {
        let key = MessageIntegritySHA256Key(bytes: [1, 2, 3])
        var bytes = STUNMessage(.request, transactionID: STUNTransactionID(upper: 1, lower: 2))
            .encoded(integrity: key, fingerprint: false)
        bytes += [0x00, 0x25, 0, 0]
        bytes.overwrite(UInt16(bytes.count - 20), at: 2)
        let message = try STUNMessage(parsing: bytes)
        #expect(message.isIntact(under: key))
        #expect(!message.useCandidate)
    }

    @Test func passwordFromASharedSecret() {
        // printf '1700000000:alice' | openssl dgst -sha1 -hmac north -binary | base64
        let credential = TURNCredential.timeLimited(secret: "north", name: "alice", expires: 1_700_000_000)
        #expect(credential.username == "1700000000:alice")
        #expect(credential.password == "Cd/49soE35ICqcJF/bCTn8Z4OyE=")
        #expect(TURNCredential.timeLimited(secret: "north", expires: 5).username == "5")
    }

    @Test func aPasswordIsInNoDescription() {
        let credential = TURNCredential(username: "alice", password: "hunter2")
        var configuration = TURNAllocation.Configuration(credential: credential)
        configuration.software = "x"
        var dumped = ""
        dump(configuration, to: &dumped)
        var allocation = ""
        dump(TURNAllocation(configuration: configuration, random: .seeded(1)), to: &allocation)
        for text in [
            "\(credential)", "\([credential])", String(reflecting: credential), "\(configuration)", dumped, allocation,
        ] {
            #expect(!text.contains("hunter2"))
        }
        #expect("\(credential)" == "user alice")
    }

    @Test func spacesOfAllKindsAreOneKind() {
        #expect(TURNCredential.opaqueString("a\u{3000}b\u{00A0}c d") == "a b c d")
    }

    @Test func everyTURNAttributeSurvivesTheWire() throws {
        let attributes: [STUNAttribute] = [
            .userHash(Array(0..<32)), .passwordAlgorithm(.sha256),
            .passwordAlgorithms([.md5, .sha256, STUNPasswordAlgorithm(number: 9, parameters: [1, 2, 3])]),
            .alternateDomain("example.net"), .channelNumber(0x4001), .lifetime(600),
            .xorPeerAddress(address("192.0.2.1:9")), .xorRelayedAddress(address("[2001:db8::1]:49152")),
            .data([1, 2, 3]),
            .requestedAddressFamily(.ipv6), .additionalAddressFamily(.ipv6),
            .addressErrorCode(.ipv6, .addressFamilyNotSupported), .requestedTransport(17),
            .icmp(STUNICMPError(type: 3, code: 4, data: 1_400)),
        ]
        let message = STUNMessage(
            .request, method: .allocate, transactionID: STUNTransactionID(upper: 1, lower: 2), attributes: attributes)
        let bytes = message.encoded()
        #expect(try STUNMessage(parsing: bytes).attributes == attributes)
        for count in 0..<bytes.count {
            #expect(throws: STUNParseError.self) { try STUNMessage(parsing: Array(bytes.prefix(count))) }
        }
        // Values of a wrong length are kept as malformed.
        for (type, value) in [
            (0x001E, [1]), (0x001D, [0, 2, 0]), (0x8002, []), (0x8002, [0, 1, 0, 9]), (0x000C, [0x40, 0]),
            (0x000D, [1]),
            (0x0012, [0, 1, 0, 0]), (0x0017, [3, 0, 0, 0]), (0x8001, [0, 0, 4, 1]), (0x8004, [0, 0, 0]), (0x0019, []),
        ] as [(UInt16, [UInt8])] {
            let odd = STUNMessage(
                .request, transactionID: message.transactionID, attributes: [.unknown(type: type, value: value)])
            #expect(try STUNMessage(parsing: odd.encoded()).attributes == [.malformed(type: type, value: value)])
        }
    }
}
