import Primitives
import Testing

@testable import ICE

/// RFC 5769, RFC 2202, FIPS 180-4 examples.
@Suite struct STUNVectorTests {
    static let password = "VOkJxbRl1RmTxUk/WvJxBt"
    static let request = """
        000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff
        80290008932ff9b151263b36000600096576746a3a6836765920202000080014
        9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf
        """
    static let responseV4 = """
        0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643
        000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96
        """
    static let responseV6 = """
        010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220
        002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
        00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c
        """
    static let longTerm = """
        000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000
        0015001c662f2f3439396b39353464364f4c33346f4c3946535476793634734100140
        00b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666
        """

    static func bytes(_ hexadecimal: String) throws -> [UInt8] { try #require([UInt8](hexadecimal: hexadecimal)) }

    @Test func sampleRequest() throws {
        let bytes = try Self.bytes(Self.request)
        let message = try STUNMessage(parsing: bytes)
        #expect(message.messageClass == .request)
        #expect(message.method == .binding)
        #expect(message.transactionID.bytes.hexadecimal == "b7e7a701bc34d686fa87dfae")
        #expect(
            message.attributes == [
                .software("STUN test client"), .priority(0x6E00_01FF), .iceControlled(0x932F_F9B1_5126_3B36),
                .username("evtj:h6vY"),
            ])
        #expect(message.isIntact(under: MessageIntegrityKey(password: Self.password)))
        #expect(!message.isIntact(under: MessageIntegrityKey(password: Self.password + "x")))
        #expect(message.fingerprint == .matches)
        let again = message.encoded(
            integrity: MessageIntegrityKey(password: Self.password), fingerprint: true, padding: 0x20)
        #expect(again == bytes)
    }

    @Test(arguments: [
        (responseV4, "192.0.2.1:32853"), (responseV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ])
    func sampleResponse(_ vector: String, _ mapped: String) throws {
        let bytes = try Self.bytes(vector)
        let message = try STUNMessage(parsing: bytes)
        #expect(message.messageClass == .success)
        #expect(message.mappedAddress == address(mapped))
        #expect(message.attributes.first == .software("test vector"))
        #expect(message.isIntact(under: MessageIntegrityKey(password: Self.password)))
        #expect(message.fingerprint == .matches)
        let again = message.encoded(
            integrity: MessageIntegrityKey(password: Self.password), fingerprint: true, padding: 0x20)
        #expect(again == bytes)
    }

    @Test func sampleRequestWithLongTermCredential() throws {
        let bytes = try Self.bytes(Self.longTerm)
        let message = try STUNMessage(parsing: bytes)
        #expect(message.username == "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}")
        #expect(message.attributes.contains(.realm("example.org")))
        #expect(message.attributes.contains(.nonce(Array("f//499k954d6OL34oL9FSTvy64sA".utf8))))
        // MD5 of user name, realm and "TheMatrIX" (RFC 8489 §9.2.2).
        let key = MessageIntegrityKey(bytes: try Self.bytes("e8ca7ad59d5eb0518e312911d2dab2a9"))
        #expect(message.isIntact(under: key))
        #expect(message.fingerprint == .absent)
        #expect(message.encoded(integrity: key, fingerprint: false) == bytes)
    }

    @Test(arguments: [
        ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"), ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
        ),
        (String(repeating: "a", count: 1_000), "291e9a6c66994949b57ba5e650361e98fc36b1ba"),
    ])
    func sha1(_ text: String, _ digest: String) {
        #expect(SHA1.digest(Array(text.utf8)).hexadecimal == digest)
    }

    @Test func hmacSHA1() {
        let cases: [([UInt8], [UInt8], String)] = [
            (.init(repeating: 0x0B, count: 20), Array("Hi There".utf8), "b617318655057264e28bc0b6fb378c8ef146be00"),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
            ),
            (
                .init(repeating: 0xAA, count: 80),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "aa4ae5e15272d00e95705637ce8a3b55ed402112"
            ),
            (
                .init(repeating: 0xAA, count: 80),
                Array("Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data".utf8),
                "e8e99d0f45237d786d6bbaa7965c7808bbff1a91"
            ),
        ]
        for (key, data, code) in cases {
            #expect(MessageIntegrityKey(bytes: key).code(for: data).hexadecimal == code)
        }
    }

    @Test func crc32() {
        #expect(CRC32.checksum(Array("123456789".utf8), count: 9) == 0xCBF4_3926)
        #expect(CRC32.checksum(Array("123456789junk".utf8), count: 9) == 0xCBF4_3926)
        #expect(CRC32.checksum([], count: 5) == 0)
    }
}
