import COpenSSL
import Primitives

/// The OpenSSL objects behind a `Certificate`.
///
/// Unchecked: both objects are written only here in the initialisers, before anyone else sees them, and OpenSSL counts
/// references to them atomically; reading them from several threads is what libssl itself does.
@safe final class CertificateIdentity: @unchecked Sendable {
    let certificate: OpaquePointer
    let key: OpaquePointer
    let encoded: [UInt8]
    let fingerprint: Fingerprint

    /// Takes over both references, also when it throws.
    private init(adopting certificate: OpaquePointer, _ key: OpaquePointer) throws(CertificateError) {
        unsafe self.certificate = certificate
        unsafe self.key = key
        let encoded = unsafe derBytes(of: certificate)
        self.encoded = encoded
        guard !encoded.isEmpty, let fingerprint = digest(of: encoded, .sha256) else {
            unsafe X509_free(certificate)
            unsafe EVP_PKEY_free(key)
            throw .openSSL(reason: lastOpenSSLError())
        }
        self.fingerprint = fingerprint
    }

    deinit {
        unsafe X509_free(certificate)
        unsafe EVP_PKEY_free(key)
    }

    static func generate(at unixSeconds: Int64?, names: [SubjectName]) throws(CertificateError) -> CertificateIdentity {
        ERR_clear_error()
        guard let key = unsafe postern_EVP_P256_generate() else { throw .openSSL(reason: lastOpenSSLError()) }
        guard let certificate = unsafe X509_new() else {
            unsafe EVP_PKEY_free(key)
            throw .openSSL(reason: lastOpenSSLError())
        }
        guard unsafe fill(certificate, with: key, at: unixSeconds, names: names) else {
            let reason = lastOpenSSLError()
            unsafe X509_free(certificate)
            unsafe EVP_PKEY_free(key)
            throw .openSSL(reason: reason)
        }
        return try unsafe CertificateIdentity(adopting: certificate, key)
    }

    convenience init(pemCertificate: String, pemKey: String) throws(CertificateError) {
        ERR_clear_error()
        let read = unsafe withMemoryBIO(over: Array(pemCertificate.utf8)) { bio in
            unsafe PEM_read_bio_X509(bio, nil, refusePassPhrase, nil)
        }
        guard let certificate = unsafe read else { throw .noCertificate }
        let readKey = unsafe withMemoryBIO(over: Array(pemKey.utf8)) { bio in
            unsafe PEM_read_bio_PrivateKey(bio, nil, refusePassPhrase, nil)
        }
        guard let key = unsafe readKey else {
            unsafe X509_free(certificate)
            throw .noKey
        }
        guard unsafe X509_check_private_key(certificate, key) == 1 else {
            unsafe X509_free(certificate)
            unsafe EVP_PKEY_free(key)
            throw .keyMismatch
        }
        try unsafe self.init(adopting: certificate, key)
    }

    func pemCertificate() throws(CertificateError) -> String {
        try unsafe pem { bio in unsafe PEM_write_bio_X509(bio, certificate) }
    }

    func pemKey() throws(CertificateError) -> String {
        try unsafe pem { bio in unsafe PEM_write_bio_PKCS8PrivateKey(bio, key, nil, nil, 0, nil, nil) }
    }

    private func pem(_ write: (OpaquePointer) -> Int32) throws(CertificateError) -> String {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { throw .openSSL(reason: lastOpenSSLError()) }
        defer { unsafe BIO_free(bio) }
        guard unsafe write(bio) == 1 else { throw .openSSL(reason: lastOpenSSLError()) }
        var start: UnsafeMutablePointer<CChar>?
        let length = unsafe postern_BIO_memory(bio, &start)
        guard let start = unsafe start, length > 0 else { throw .openSSL(reason: "empty PEM") }
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: length)
        return unsafe String(decoding: bytes, as: UTF8.self)
    }
}

/// A pass phrase would block on a terminal: there is none.
private let refusePassPhrase:
    @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?)
        -> Int32 = { _, _, _, _ in -1 }

private func withMemoryBIO(over bytes: [UInt8], _ read: (OpaquePointer) -> OpaquePointer?) -> OpaquePointer? {
    unsafe bytes.withUnsafeBytes { buffer in
        guard let count = Int32(exactly: buffer.count), let bio = unsafe BIO_new_mem_buf(buffer.baseAddress, count)
        else { return nil }
        defer { unsafe BIO_free(bio) }
        return unsafe read(bio)
    }
}

/// Version 3, a random positive serial, CN=Postern as subject and issuer, validity, public key, SHA-256 signature.
private func fill(
    _ certificate: OpaquePointer, with key: OpaquePointer, at unixSeconds: Int64?, names: [SubjectName]
) -> Bool {
    guard unsafe X509_set_version(certificate, 2) == 1 else { return false }
    var serial = [UInt8](repeating: 0, count: 16)
    guard unsafe RAND_bytes(&serial, 16) == 1 else { return false }
    // First octet in 0x40...0x7F: positive and of one length, so that equal runs have equal sizes.
    serial[0] = serial[0] & 0x3F | 0x40
    guard let number = unsafe BN_bin2bn(serial, 16, nil) else { return false }
    defer { unsafe BN_free(number) }
    guard unsafe BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil else { return false }

    guard let name = unsafe X509_get_subject_name(certificate) else { return false }
    let text = Array("Postern".utf8)
    guard unsafe X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, text, Int32(text.count), -1, 0) == 1,
        unsafe X509_set_issuer_name(certificate, name) == 1
    else { return false }

    let start = -86_400 * Certificate.backdatedDays
    let end = 86_400 * Certificate.validityDays
    if let unixSeconds {
        // The X.509 date range ends with the year 9999.
        var now = time_t(min(max(unixSeconds, 0), 250_000_000_000))
        guard unsafe X509_time_adj_ex(X509_getm_notBefore(certificate), 0, start, &now) != nil,
            unsafe X509_time_adj_ex(X509_getm_notAfter(certificate), 0, end, &now) != nil
        else { return false }
    } else {
        guard unsafe X509_gmtime_adj(X509_getm_notBefore(certificate), start) != nil,
            unsafe X509_gmtime_adj(X509_getm_notAfter(certificate), end) != nil
        else { return false }
    }
    if !names.isEmpty {
        let alternatives = names.map(\.text).joined(separator: ",")
        guard unsafe postern_X509_add_extension(certificate, NID_subject_alt_name, alternatives) == 1,
            unsafe postern_X509_add_extension(certificate, NID_ext_key_usage, "serverAuth") == 1
        else { return false }
    }
    return unsafe X509_set_pubkey(certificate, key) == 1 && X509_sign(certificate, key, EVP_sha256()) > 0
}

/// The certificate in DER; empty when OpenSSL cannot encode it.
func derBytes(of certificate: OpaquePointer) -> [UInt8] {
    let length = unsafe i2d_X509(certificate, nil)
    guard length > 0 else { return [] }
    return unsafe [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
        var cursor = buffer.baseAddress
        let written = unsafe i2d_X509(certificate, &cursor)
        count = written == length ? Int(length) : 0
    }
}

/// The hash of a certificate's DER; `nil` where OpenSSL does not offer the function.
func digest(of bytes: [UInt8], _ algorithm: Fingerprint.Algorithm) -> Fingerprint? {
    let function =
        switch algorithm {
        case .sha1: unsafe EVP_sha1()
        case .sha224: unsafe EVP_sha224()
        case .sha256: unsafe EVP_sha256()
        case .sha384: unsafe EVP_sha384()
        case .sha512: unsafe EVP_sha512()
        }
    var hash = [UInt8](repeating: 0, count: algorithm.length)
    var length = UInt32(0)
    guard unsafe EVP_Digest(bytes, bytes.count, &hash, &length, function, nil) == 1, Int(length) == algorithm.length
    else { return nil }
    return Fingerprint(algorithm: algorithm, bytes: hash)
}
