import Primitives
import Testing

@testable import DTLSSRTP

/// The published vectors. RFC 7714 states session keys, so those bypass the derivation.
@Suite struct SRTPVectorTests {
    @Test func rfc3711KeyDerivation() throws {
        // RFC 3711 §B.3.
        let keys = try SRTPSessionKeys(
            .aes128CMHMACSHA1_80, masterKey: bytes("E1F97A0D3E018BE0D64FA32C06DE4139"),
            masterSalt: bytes("0EC675AD498AFEEBB6960B3AABE6"))
        #expect(keys.rtpKey == bytes("C61E7A93744F39EE10734AFE3FF7A087"))
        #expect(keys.rtpSalt == bytes("30CBBC08863D8C85D49DB34A9AE1"))
        #expect(keys.rtpAuthentication == bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"))
    }

    @Test func rfc3711CounterModeKeystream() throws {
        // RFC 3711 §B.2: SSRC 0, index 0; zeros encrypt to the keystream.
        let backend = try raw(
            .aes128CMHMACSHA1_80, key: "2B7E151628AED2A6ABF7158809CF4F3C", salt: "F0F1F2F3F4F5F6F7F8F9FAFBFCFD")
        var packet = [0x80] + [UInt8](repeating: 0, count: 11 + 48)
        try backend.protectRTP(&packet)
        let keystream = bytes(
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0")
        #expect(Array(packet[12..<60]) == keystream)
        #expect(packet.count == 70)
    }

    /// The packet of libsrtp's own driver, from master key to tag.
    @Test(arguments: SRTPSession.BackendChoice.allCases)
    func counterModeWithHMAC(choice: SRTPSession.BackendChoice) throws {
        let key = bytes("e1f97a0d3e018be0d64fa32c06de4139")
        let salt = bytes("0ec675ad498afeebb6960b3aabe6")
        let keying = try #require(
            SRTPKeyingMaterial(
                profile: .aes128CMHMACSHA1_80, clientKey: key, clientSalt: salt, serverKey: key, serverSalt: salt))
        let session = try SRTPSession(keying: keying, localRole: .client, backend: choice)
        let plain = bytes("800f1234decafbadcafebabeabababababababababababababababab")
        var packet = plain
        try session.protectRTP(&packet)
        #expect(
            packet == bytes("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"))
        try session.unprotectRTP(&packet)
        #expect(packet == plain)
    }

    struct AEADVector: Sendable {
        var profile: SRTPProfile
        var key: String
        var rtp: String
        var rtcp: String
    }

    static let aeadVectors = [
        AEADVector(
            profile: .aeadAES128GCM, key: "000102030405060708090a0b0c0d0e0f",
            rtp: """
                8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
                899d7f27beb16a9152cf765ee4390cce
                """,
            rtcp: """
                81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded
                0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4
                """),
        AEADVector(
            profile: .aeadAES256GCM, key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            rtp: """
                8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b
                7aa3db36dfffd6b0f9bb7878d7a76c13
                """,
            rtcp: """
                81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de047
                6f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4
                """),
    ]

    @Test(arguments: [0, 1])
    func rfc7714RTP(number: Int) throws {
        // RFC 7714 §16.1.1, §16.1.2, §16.2.1, §16.2.2.
        let vector = Self.aeadVectors[number]
        let plain = bytes(
            """
            8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573
            """)
        let backend = try raw(vector.profile, key: vector.key, salt: "517569642070726f2071756f")
        var packet = plain
        try backend.protectRTP(&packet)
        #expect(packet == bytes(vector.rtp))
        try backend.unprotectRTP(&packet)
        #expect(packet == plain)
    }

    @Test(arguments: [0, 1])
    func rfc7714RTCP(number: Int) throws {
        // RFC 7714 §17.1, §17.2: index 0x5d4, so as many packets go before.
        let vector = Self.aeadVectors[number]
        let plain = bytes(
            """
            81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef
            """)
        let backend = try raw(vector.profile, key: vector.key, salt: "517569642070726f2071756f")
        for _ in 1..<0x5d4 {
            var earlier = plain
            try backend.protectRTCP(&earlier)
        }
        var packet = plain
        try backend.protectRTCP(&packet)
        #expect(packet == bytes(vector.rtcp))
        try backend.unprotectRTCP(&packet)
        #expect(packet == plain)
    }

    /// RFC 7714 §17.3 tags without encrypting. Authentic or not, WebRTC's RTCP is encrypted (RFC 8827 §6.5).
    @Test func authenticButUnencryptedRTCPIsRefused() throws {
        let backend = try raw(
            .aeadAES128GCM, key: "000102030405060708090a0b0c0d0e0f", salt: "517569642070726f2071756f")
        var packet = bytes(
            """
            81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef
            841dd9683dd78ec92ae58790125f62b3000005d4
            """)
        #expect(throws: SRTPError.malformed) { try backend.unprotectRTCP(&packet) }
    }

    private func raw(_ profile: SRTPProfile, key: String, salt: String) throws -> OpenSSLSRTPBackend {
        let zeros = [UInt8](repeating: 0, count: 20)
        let keys = SRTPSessionKeys(
            rtpKey: bytes(key), rtpSalt: bytes(salt), rtpAuthentication: zeros, rtcpKey: bytes(key),
            rtcpSalt: bytes(salt), rtcpAuthentication: zeros)
        return try OpenSSLSRTPBackend(profile, outbound: keys, inbound: keys)
    }
}

func bytes(_ hexadecimal: String) -> [UInt8] { [UInt8](hexadecimal: hexadecimal) ?? [] }
