import COpenSSL

/// Forward secrecy and AEAD only; the suite RFC 8827 §6.5 requires comes first, and is the fastest with AES instructions.
private let cipherSuites = [
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
].joined(separator: ":")

/// P-256 is the one every WebRTC peer has (RFC 8827 §6.5).
private let groups = "X25519:P-256:P-384"

private let signatureAlgorithms = [
    "ECDSA+SHA256", "RSA-PSS+SHA256", "RSA+SHA256", "ECDSA+SHA384", "RSA-PSS+SHA384", "RSA+SHA384", "RSA-PSS+SHA512",
    "RSA+SHA512",
].joined(separator: ":")

/// A context for one connection: DTLS 1.2, both sides show a certificate, nothing resumed, nothing renegotiated.
func makeContext(_ configuration: DTLSTransport.Configuration) throws(DTLSError) -> OpaquePointer {
    guard let context = unsafe SSL_CTX_new(DTLS_method()) else { throw .setup(reason: lastOpenSSLError()) }
    unsafe postern_SSL_CTX_set_versions(context)
    unsafe postern_SSL_CTX_set_strict_options(context)
    unsafe SSL_CTX_set_security_level(context, 2)
    unsafe SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)

    let identity = configuration.certificate.identity
    let profiles = configuration.profiles.map(\.openSSLName).joined(separator: ":")
    // SSL_CTX_set_tlsext_use_srtp is the one that returns 0 for success.
    guard unsafe SSL_CTX_set_cipher_list(context, cipherSuites) == 1,
        unsafe postern_SSL_CTX_set_groups(context, groups) == 1,
        unsafe postern_SSL_CTX_set_signature_algorithms(context, signatureAlgorithms) == 1,
        unsafe SSL_CTX_use_certificate(context, identity.certificate) == 1,
        unsafe SSL_CTX_use_PrivateKey(context, identity.key) == 1,
        unsafe configuration.profiles.isEmpty || SSL_CTX_set_tlsext_use_srtp(context, profiles) == 0
    else {
        let reason = lastOpenSSLError()
        unsafe SSL_CTX_free(context)
        throw .setup(reason: reason)
    }
    return unsafe context
}
