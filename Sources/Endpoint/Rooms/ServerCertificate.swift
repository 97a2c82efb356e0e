import DTLSSRTP
import Foundation
import PeerIO
import Primitives
import Signaling

/// The certificate a server shows over TLS: from files, or made for this run.
enum ServerCertificate {
    static func identity(
        for options: ServeOptions, reporter: any CallReporter
    ) throws(CallSetupError) -> TLSIdentity? {
        if let files = options.certificate {
            return TLSIdentity(
                certificates: try read(files.certificate, "--tls-cert"), key: try read(files.key, "--tls-key"))
        }
        guard options.isSelfSigned else { return nil }
        do {
            let certificate = try Certificate.generate(names: names(for: options.host))
            reporter.log(.info, "made a certificate for this run; browsers will ask. \(certificate.fingerprint)")
            return TLSIdentity(certificates: try certificate.pemCertificate(), key: try certificate.pemKey())
        } catch {
            throw CallSetupError("--tls-self-signed: \(error)", status: .unexpected)
        }
    }

    private static func read(_ path: String, _ flag: String) throws(CallSetupError) -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw CallSetupError("\(flag) \(path): it cannot be read as text", status: .network)
        }
    }

    /// What people may call the server by: where it listens, and this machine's names and addresses.
    static func names(for host: String) -> [SubjectName] {
        var names: [SubjectName] = [.host("localhost")]
        guard let ip = IPAddress(host) else { return names + [.host(host)] }
        guard ip.isUnspecified else { return names + [.address(ip)] }
        names.append(.host(ProcessInfo.processInfo.hostName))
        for interface in (try? NetworkInterfaces.list()) ?? [] where interface.isUp {
            names += interface.addresses.filter { !$0.ip.isLinkLocal }.map { .address($0.ip) }
        }
        return names
    }
}
