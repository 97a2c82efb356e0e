import Primitives

/// Why a certificate could not be made or read.
public enum CertificateError: Error, Hashable, Sendable {
    /// The text holds no PEM certificate.
    case noCertificate
    /// The text holds no PEM private key, or one behind a pass phrase.
    case noKey
    /// The key is not the one the certificate certifies.
    case keyMismatch
    /// OpenSSL refused to generate, sign or encode.
    case openSSL(reason: String)
}

extension CertificateError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noCertificate: "there is no PEM certificate in it; it begins with -----BEGIN CERTIFICATE-----"
        case .noKey: "there is no PEM private key in it, or it has a pass phrase; remove the phrase with openssl pkey"
        case .keyMismatch: "the key is not that of the certificate"
        case .openSSL(let reason): "OpenSSL says: \(reason)"
        }
    }
}

/// Our DTLS identity: a certificate and its private key. Immutable, made once and shared by the connections of a process.
///
/// WebRTC certificates are self-signed and trusted by fingerprint alone (RFC 8827 §6.5), so names and dates mean little;
/// a fresh one per process keeps calls unlinkable.
public struct Certificate: Sendable {
    let identity: CertificateIdentity

    /// The days a generated certificate is valid for, and by how much its start lies in the past (clocks differ).
    public static let validityDays = 30
    public static let backdatedDays = 1

    /// A self-signed ECDSA P-256 certificate (the key RFC 8827 §6.5 requires), random serial, common name `Postern`.
    ///
    /// - Parameter unixSeconds: the date to count validity from; `nil` takes the system's. Under
    ///   `SeededRandomness` and with a date given, the result depends on nothing else.
    /// - Parameter names: for a web server: what browsers may call it by (RFC 5280 §4.2.1.6). DTLS needs none.
    public static func generate(
        at unixSeconds: Int64? = nil, names: [SubjectName] = []
    ) throws(CertificateError) -> Certificate {
        Certificate(identity: try .generate(at: unixSeconds, names: names))
    }

    /// A certificate (the first in the text) with its unencrypted private key, RSA or ECDSA, both PEM.
    public init(pemCertificate: String, pemKey: String) throws(CertificateError) {
        identity = try CertificateIdentity(pemCertificate: pemCertificate, pemKey: pemKey)
    }

    private init(identity: CertificateIdentity) { self.identity = identity }

    /// The certificate in DER.
    public var encoded: [UInt8] { identity.encoded }

    /// The SHA-256 hash to announce in `a=fingerprint`, which every WebRTC peer must take (RFC 8122 §5, RFC 8827 §6.5).
    public var fingerprint: Fingerprint { identity.fingerprint }

    /// The hash by another function; `nil` where the installed OpenSSL is configured not to offer it.
    public func fingerprint(_ algorithm: Fingerprint.Algorithm) -> Fingerprint? {
        digest(of: identity.encoded, algorithm)
    }

    public func pemCertificate() throws(CertificateError) -> String { try identity.pemCertificate() }
    /// The private key as unencrypted PKCS #8 PEM: for the driver that keeps an identity over restarts.
    public func pemKey() throws(CertificateError) -> String { try identity.pemKey() }
}

/// A name or an address a certificate is for (subjectAltName).
public enum SubjectName: Hashable, Sendable {
    case host(String)
    case address(IPAddress)

    /// In OpenSSL's text form. A name with anything else in it than a host name has is not written.
    var text: String {
        switch self {
        case .address(let ip): "IP:\(ip)"
        case .host(let name):
            name.utf8.allSatisfy {
                ($0 < 0x80 && Character(Unicode.Scalar($0)).isLetter) || (0x30...0x39).contains($0) || $0 == 0x2D
                    || $0 == 0x2E
            }
                && !name.isEmpty ? "DNS:\(name)" : "DNS:invalid"
        }
    }
}

extension Certificate: CustomStringConvertible {
    public var description: String { "Certificate(\(fingerprint))" }
}
