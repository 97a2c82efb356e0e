import DTLSSRTP
import Primitives
import Testing

@Suite struct HandshakeTests {
    @Test func bothRolesExportTheSameKeys() throws {
        var wire = try makePair()
        wire.startBoth()
        wire.run()
        let client = try #require(wire.clientAssociation)
        let server = try #require(wire.serverAssociation)
        #expect(client.keyingMaterial == server.keyingMaterial)
        #expect(client.keyingMaterial.profile == .aeadAES128GCM)
        #expect(client.version == 0xFEFD)
        #expect(client.cipherSuite == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
        #expect(client.peerCertificate == wire.server.configuration.certificate.encoded)
        #expect(server.peerCertificate == wire.client.configuration.certificate.encoded)
        #expect(wire.client.state == .connected && wire.server.state == .connected)
        #expect(wire.client.deadline == nil && wire.server.deadline == nil)
    }

    @Test(arguments: [0.0, 0.02, 0.05, 0.1, 0.3])
    func completesUnderLoss(loss: Double) throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            var wire = try makePair(seed: seed)
            wire.impairment = .init(loss: loss, duplication: 0.1, reordering: 0.3)
            wire.startBoth()
            wire.run()
            #expect(wire.clientAssociation != nil, "seed \(seed)")
            #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial, "seed \(seed)")
        }
    }
}
