import COpenSSL

/// Whose certificates are believed: the system's authorities unless told otherwise.
public struct TLSTrust: Hashable, Sendable {
    /// A file of PEM certificates to trust in place of the system's.
    public var authorities: String?
    /// Any certificate will do, of any name. For labs.
    public var isInsecure = false

    public init() {}
}

/// The client's side of a TLS connection (RFC 8446, RFC 5246) without a socket: bytes in, bytes out.
///
/// Its owner puts what came from the server into `receive`, sends what `takeOutput` gives, and reads and writes plain bytes.
/// The server's certificate has to be of an authority that is trusted, and of the name or address that was dialled
/// (RFC 6125); with `isInsecure` neither is asked.
@safe public final class TLSStream {
    public struct Configuration: Hashable, Sendable {
        /// What was dialled: a name or an address, which the certificate has to bear.
        public var host: String
        public var isAddress: Bool
        /// A file of PEM certificates to trust in place of the system's.
        public var authorities: String?
        public var isInsecure: Bool

        public init(host: String, isAddress: Bool, authorities: String? = nil, isInsecure: Bool = false) {
            self.host = host
            self.isAddress = isAddress
            self.authorities = authorities
            self.isInsecure = isInsecure
        }
    }

    public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        public var description: String
    }

    private let configuration: Configuration
    private let context: OpaquePointer
    private let connection: OpaquePointer
    private let incoming: OpaquePointer
    private let outgoing: OpaquePointer
    /// Whether the handshake is done and plain bytes may pass.
    public private(set) var isOpen = false
    /// The other side has said that it sends no more.
    public private(set) var hasEnded = false

    public init(_ configuration: Configuration) throws(Failure) {
        self.configuration = configuration
        guard let context = unsafe SSL_CTX_new(TLS_client_method()) else {
            throw Failure(description: "TLS: \(lastOpenSSLError())")
        }
        if let problem = unsafe Self.prepare(context, configuration) {
            unsafe SSL_CTX_free(context)
            throw Failure(description: problem)
        }
        guard let connection = unsafe SSL_new(context), let incoming = unsafe BIO_new(BIO_s_mem()),
            let outgoing = unsafe BIO_new(BIO_s_mem())
        else {
            unsafe SSL_CTX_free(context)
            throw Failure(description: "TLS: \(lastOpenSSLError())")
        }
        unsafe self.context = context
        unsafe self.connection = connection
        unsafe self.incoming = incoming
        unsafe self.outgoing = outgoing
        // The connection owns both from here.
        unsafe SSL_set_bio(connection, incoming, outgoing)
        unsafe SSL_set_connect_state(connection)
        if unsafe !Self.expect(configuration, of: connection) {
            throw Failure(description: "TLS: \(configuration.host) is no name or address for a certificate")
        }
    }

    deinit {
        unsafe SSL_free(connection)
        unsafe SSL_CTX_free(context)
    }

    /// What is wrong, or `nil`.
    private static func prepare(_ context: OpaquePointer, _ configuration: Configuration) -> String? {
        unsafe postern_SSL_CTX_set_stream_versions(context)
        unsafe SSL_CTX_set_verify(context, configuration.isInsecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nil)
        guard !configuration.isInsecure else { return nil }
        if let file = configuration.authorities {
            guard unsafe SSL_CTX_load_verify_locations(context, file, nil) == 1 else {
                return "\(file): no certificates of authorities can be read in it (\(lastOpenSSLError()))"
            }
        } else if unsafe SSL_CTX_set_default_verify_paths(context) != 1 {
            return "the system's certificate authorities cannot be read (\(lastOpenSSLError()))"
        }
        return nil
    }

    private static func expect(_ configuration: Configuration, of connection: OpaquePointer) -> Bool {
        if configuration.isAddress {
            return unsafe configuration.isInsecure
                || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection), configuration.host) == 1
        }
        guard unsafe postern_SSL_set_server_name(connection, configuration.host) == 1 else { return false }
        return unsafe configuration.isInsecure || SSL_set1_host(connection, configuration.host) == 1
    }

    /// Begins, or goes on, with the handshake. Call it once at the start and after each `receive` until `isOpen`.
    public func advance() throws(Failure) {
        guard !isOpen else { return }
        ERR_clear_error()
        let result = unsafe SSL_do_handshake(connection)
        guard result != 1 else {
            isOpen = true
            return
        }
        switch unsafe SSL_get_error(connection, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return
        default: throw failure("the TLS handshake failed")
        }
    }

    /// Encrypted bytes of the server.
    public func receive(_ bytes: [UInt8]) throws(Failure) {
        guard !bytes.isEmpty else { return }
        let written = unsafe bytes.withUnsafeBytes { unsafe BIO_write(incoming, $0.baseAddress, Int32($0.count)) }
        guard written == bytes.count else { throw Failure(description: "TLS: no memory for what came") }
    }

    /// Plain bytes that came, at most `limit`; empty when there are none now.
    public func read(limit: Int = 65_536) throws(Failure) -> [UInt8] {
        guard isOpen, !hasEnded else { return [] }
        ERR_clear_error()
        var count: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, used in
            count = unsafe SSL_read(connection, buffer.baseAddress, Int32(buffer.count))
            used = Int(max(0, count))
        }
        guard count <= 0 else { return bytes }
        switch unsafe SSL_get_error(connection, count) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return []
        case SSL_ERROR_ZERO_RETURN:
            hasEnded = true
            return []
        default: throw failure("TLS")
        }
    }

    /// Encrypts plain bytes for the server.
    public func write(_ bytes: [UInt8]) throws(Failure) {
        guard !bytes.isEmpty else { return }
        ERR_clear_error()
        let written = unsafe bytes.withUnsafeBytes { unsafe SSL_write(connection, $0.baseAddress, Int32($0.count)) }
        guard written == bytes.count else { throw failure("TLS") }
    }

    /// Says that no more is sent.
    public func end() {
        guard isOpen else { return }
        ERR_clear_error()
        _ = unsafe SSL_shutdown(connection)
        ERR_clear_error()
    }

    /// Encrypted bytes for the server.
    public func takeOutput() -> [UInt8] {
        let waiting = unsafe BIO_ctrl_pending(outgoing)
        guard waiting > 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: Int(waiting)) { buffer, used in
            used = Int(max(0, unsafe BIO_read(outgoing, buffer.baseAddress, Int32(buffer.count))))
        }
    }

    private func failure(_ what: String) -> Failure {
        let verdict = unsafe SSL_get_verify_result(connection)
        let reason = lastOpenSSLError()
        guard verdict != X509_V_OK, !configuration.isInsecure else { return Failure(description: "\(what): \(reason)") }
        let text = unsafe String(cString: X509_verify_cert_error_string(Int(verdict)))
        return Failure(
            description: "the certificate of \(configuration.host) is not accepted: \(text)"
                + (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH
                    ? " (use a name that is in it)" : ""))
    }
}
