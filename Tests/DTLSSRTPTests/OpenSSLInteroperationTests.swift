import DTLSSRTP
import FixtureSupport
import Foundation
import Primitives
import Testing

/// The `openssl` program as a peer that is not ours: another state machine, another clock, other defaults.
@Suite(.serialized, .enabled(if: OpenSSLPeer.isAvailable)) struct OpenSSLInteroperationTests {
    private static let export = ["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", "56"]

    private func identity(_ name: String) -> [String] {
        ["-cert", Fixtures.path("dtls/\(name)-certificate.pem"), "-key", Fixtures.path("dtls/\(name)-key.pem")]
    }

    private func fingerprint(_ name: String) throws -> Fingerprint {
        try Certificate(
            pemCertificate: try Fixtures.text("dtls/\(name)-certificate.pem"),
            pemKey: try Fixtures.text("dtls/\(name)-key.pem")
        ).fingerprint
    }

    /// What the program says it exported, or `nil` before it does.
    private func keysPrinted(by peer: OpenSSLPeer) -> String? {
        guard let line = peer.output.split(separator: "\n").first(where: { $0.contains("Keying material: ") }) else {
            return nil
        }
        return String(line.split(separator: " ").last ?? "")
    }

    private func flat(_ keying: SRTPKeyingMaterial) -> String {
        (keying.clientKey + keying.serverKey + keying.clientSalt + keying.serverSalt).hexadecimal.uppercased()
    }

    @Test(arguments: ["p256", "rsa4096"], [1_200, 400])
    func ourServerAndTheirClientExportTheSameKeys(name: String, mtu: Int) throws {
        let peer = try OpenSSLPeer(
            ourRole: .server,
            arguments: ["-dtls1_2", "-mtu", "\(mtu)", "-use_srtp", "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"]
                + identity(name) + Self.export)
        let announced = try fingerprint(name)
        peer.call { $0.setRemoteFingerprints([announced], at: $1, into: &$2) }
        #expect(peer.talk { $0.association != nil && keysPrinted(by: $0) != nil }, "\(peer.output) \(peer.events)")
        let association = try #require(peer.association)
        #expect(association.keyingMaterial.profile == .aeadAES128GCM)
        #expect(flat(association.keyingMaterial) == keysPrinted(by: peer))
    }

    @Test(arguments: ["p256", "rsa4096"], [1_200, 400])
    func ourClientAndTheirServerExportTheSameKeys(name: String, mtu: Int) throws {
        let peer = try OpenSSLPeer(
            ourRole: .client,
            arguments: ["-dtls1_2", "-mtu", "\(mtu)", "-use_srtp", "SRTP_AEAD_AES_128_GCM", "-Verify", "1"]
                + identity(name) + Self.export)
        let announced = try fingerprint(name)
        peer.call { $0.setRemoteFingerprints([announced], at: $1, into: &$2) }
        #expect(peer.talk { $0.association != nil && keysPrinted(by: $0) != nil }, "\(peer.output) \(peer.events)")
        let association = try #require(peer.association)
        #expect(flat(association.keyingMaterial) == keysPrinted(by: peer))
        // Application data: counted, else ignored.
        peer.type("twelve bytes")
        #expect(peer.talk { $0.transport.statistics.applicationBytesIgnored == 12 })
        #expect(peer.trace.contains(.applicationDataIgnored(bytes: 12)))
        #expect(peer.transport.state == .connected)
    }

    @Test func theirRenegotiationIsRefused() throws {
        let peer = try OpenSSLPeer(
            ourRole: .server,
            arguments: ["-dtls1_2", "-use_srtp", "SRTP_AEAD_AES_128_GCM"] + identity("p256"))
        let announced = try fingerprint("p256")
        peer.call { $0.setRemoteFingerprints([announced], at: $1, into: &$2) }
        #expect(peer.talk { $0.association != nil })
        peer.type("R\n")
        // RFC 5246 §7.2.2: no_renegotiation.
        let refusal = DTLSTransport.Trace.alert(.init(code: 100, isFatal: false, isSent: true))
        #expect(peer.talk { $0.trace.contains(refusal) }, "\(peer.output) \(peer.trace)")
        #expect(peer.events.count == 1)
    }

    @Test(arguments: [
        (["-dtls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], "no shared cipher"),
        (["-dtls1_2", "-cipher", "NULL:@SECLEVEL=0"], "no shared cipher"),
        (["-dtls1", "-cipher", "ALL:@SECLEVEL=0"], "unsupported protocol"),
    ])
    func weakOffersAreRefused(arguments: [String], reason: String) throws {
        let peer = try OpenSSLPeer(ourRole: .server, arguments: arguments + identity("p256"))
        #expect(peer.talk { $0.failure != nil }, "\(peer.output)")
        #expect(peer.failure == .refused(reason: reason))
        #expect(peer.association == nil)
    }

    @Test func peerWithoutACertificateIsRefused() throws {
        let peer = try OpenSSLPeer(
            ourRole: .server, arguments: ["-dtls1_2", "-use_srtp", "SRTP_AEAD_AES_128_GCM"])
        #expect(peer.talk { $0.failure != nil })
        #expect(peer.failure == .refused(reason: "peer did not return a certificate"))
    }

    @Test func peerWithoutSRTPIsRefused() throws {
        let peer = try OpenSSLPeer(ourRole: .server, arguments: ["-dtls1_2"] + identity("p256"))
        let announced = try fingerprint("p256")
        peer.call { $0.setRemoteFingerprints([announced], at: $1, into: &$2) }
        #expect(peer.talk { $0.failure != nil })
        #expect(peer.failure == .noCommonProfile)
    }

    /// A server that asks for a cookie costs our client a round trip and nothing else (RFC 6347 §4.2.1).
    @Test func ourClientAnswersHelloVerifyRequest() throws {
        let peer = try OpenSSLPeer(
            ourRole: .client,
            arguments: ["-dtls1_2", "-listen", "-use_srtp", "SRTP_AEAD_AES_128_GCM", "-Verify", "1"]
                + identity("p256") + Self.export)
        let announced = try fingerprint("p256")
        peer.call { $0.setRemoteFingerprints([announced], at: $1, into: &$2) }
        #expect(peer.talk { $0.association != nil && keysPrinted(by: $0) != nil }, "\(peer.output) \(peer.events)")
        #expect(
            peer.trace.filter { if case .flightSent = $0 { true } else { false } }.count == 3,
            "\(peer.trace) \(peer.output)")
        if let association = peer.association { #expect(flat(association.keyingMaterial) == keysPrinted(by: peer)) }
    }
}
