import COpenSSL
import Primitives

/// One `SSL` object with its context and BIO: the part of `DTLSTransport` that touches OpenSSL.
///
/// OpenSSL owns the handshake and the record protection. It is given one datagram at a time and leaves its answers in
/// `written`. What it must not own is time. Its DTLS timer compares with the wall clock: an expired one makes
/// `SSL_do_handshake` and `SSL_read` repeat the last flight before they read, `DTLSv1_handle_timeout` does nothing before
/// expiry, anything under 15 ms counts as expired, and after twelve expiries in one flight the handshake dies. So:
///
/// - Flights without an encrypted record never need OpenSSL again: `DTLSTransport` repeats them byte for byte, and the
///   timer callback gives them an hour. That is every flight but one.
/// - The client's last flight ends in Finished, which must be encrypted anew, for a server that has it already answers
///   only to a new record. There the callback gives the interval in use plus the 15 ms (real time), or 15 ms plus a
///   slack of 2 ms (virtual time), so that at the transport's deadline the timer has expired or does so within the slack,
///   which is waited out.
/// - In virtual time OpenSSL may find that timer expired when nobody asked. The callback sees it, as it is called with the
///   duration that ran out, and the writes that follow are dropped until OpenSSL has read on. Each time the slack grows
///   fourfold, so it happens three times at most in a flight of half a second real time.
/// - Of the twelve expiries eight are spent on repetitions that were ordered (`repeats`); the others repeat the recorded
///   bytes, which serve where the flight itself was lost. After eleven the callback goes back to an hour.
@safe final class OpenSSLConnection {
    enum Progress {
        case waiting
        case finished
        case closedByPeer
        case failed(DTLSError)
    }

    enum Retransmission {
        case sent
        /// OpenSSL's clock is behind ours by this much.
        case early(TimeDelta)
        /// OpenSSL has no timer for this flight, or is too far away from expiry: repeat what was recorded.
        case unavailable
        case failed(DTLSError)
    }

    private static let expiryRounding: Int64 = 15_000
    private static let hour: UInt32 = 3_600_000_000
    /// OpenSSL's own limit is 12 (`DTLS1_TMO_ALERT_COUNT`).
    private static let maximumExpiries = 11

    /// Whether OpenSSL is asked for this repetition of an encrypted flight, counted from 1.
    static func repeats(_ repetition: Int) -> Bool { repetition <= 6 || repetition == 8 || repetition == 10 }

    let role: DTLSRole
    let mtu: Int
    private let clock: DTLSTransport.Clock
    private let context: OpaquePointer
    private let ssl: OpaquePointer

    /// The hashes one of which the peer's certificate must have; empty while they are not known.
    var expected: [Fingerprint] = []
    /// What OpenSSL wrote since it was last taken.
    private var written: [[UInt8]] = []
    private var pending: [UInt8]?
    /// Lines in the format of SSLKEYLOGFILE.
    private(set) var keyLogLines: [String] = []
    private(set) var alerts: [DTLSTransport.Alert] = []
    private var mismatch: DTLSError?
    private var fatalAlert: UInt8?

    /// What the timer callback gives a new flight, and one repeated.
    var initialInterval = RetransmissionTimer.initialGuess
    var nextInterval = RetransmissionTimer.initialGuess
    /// Told from the messages: the numbers of OpenSSL's own states differ between 3.0 and 3.5.
    private var hasServerHello = false
    private var expiries = 0
    private var slack: Int64 = 2_000
    private var isRetransmissionOrdered = false
    private var isDroppingWrites = false
    /// OpenSSL repeated the flight because it found its timer expired, in real time, where that is as good as ours.
    private(set) var didRetransmit = false
    private lazy var scratch = [UInt8](repeating: 0, count: 16_384)

    init(role: DTLSRole, configuration: DTLSTransport.Configuration) throws(DTLSError) {
        ERR_clear_error()
        let context = try unsafe makeContext(configuration)
        guard let ssl = unsafe SSL_new(context) else {
            unsafe SSL_CTX_free(context)
            throw .setup(reason: lastOpenSSLError())
        }
        self.role = role
        mtu = configuration.mtu
        clock = configuration.clock
        unsafe self.context = context
        unsafe self.ssl = ssl
        guard let bio = unsafe DatagramBIO.make(for: self) else { throw .setup(reason: lastOpenSSLError()) }
        unsafe SSL_set_bio(ssl, bio, bio)
        guard unsafe postern_DTLS_set_link_mtu(ssl, mtu) == 1 else { throw .setup(reason: "MTU \(mtu) is too small") }
        installCallbacks(logsKeys: configuration.logsKeys)
        if role == .client { unsafe SSL_set_connect_state(ssl) } else { unsafe SSL_set_accept_state(ssl) }
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe SSL_CTX_free(context)
    }

    // MARK: Driving

    /// Goes on with the handshake, with a datagram of the peer's or without.
    func handshake(_ datagram: [UInt8]?) -> Progress {
        begin(datagram)
        let result = unsafe SSL_do_handshake(ssl)
        return result == 1 ? .finished : outcome(of: result)
    }

    /// After the handshake: reads what there is. Application data is counted and thrown away.
    func read(_ datagram: [UInt8]?, applicationBytes: inout Int) -> Progress {
        begin(datagram)
        while true {
            let result = unsafe SSL_read(ssl, &scratch, Int32(scratch.count))
            guard result > 0 else { return outcome(of: result) }
            applicationBytes += Int(result)
        }
    }

    /// Has OpenSSL write its last flight again, records numbered and encrypted anew.
    func retransmit() -> Retransmission {
        begin(nil)
        var left = unsafe postern_DTLS_timeout(ssl)
        guard left >= 0 else { return .unavailable }
        switch clock {
        case .real:
            let behind = left - Self.expiryRounding
            if left > 0 { return behind <= 20_000 ? .early(.microseconds(max(behind, 0) + 200)) : .unavailable }
        case .virtual:
            guard left <= Self.expiryRounding + 2 * slack else { return .unavailable }
            // The wall clock is outside the run: waiting for it changes nothing that the run can see.
            var patience = 10_000_000
            while left > 0, patience > 0 {
                left = unsafe postern_DTLS_timeout(ssl)
                patience -= 1
            }
            if left != 0 { return .unavailable }
        }
        isRetransmissionOrdered = true
        defer { isRetransmissionOrdered = false }
        let result = unsafe postern_DTLS_retransmit(ssl)
        if result > 0 { return .sent }
        return result == 0 ? .unavailable : .failed(.refused(reason: lastOpenSSLError()))
    }

    /// Writes close_notify. Without effect during the handshake.
    func shutdown() {
        begin(nil)
        _ = unsafe SSL_shutdown(ssl)
        ERR_clear_error()
    }

    func takeWritten() -> [[UInt8]] {
        defer { written.removeAll() }
        return written
    }

    func takeKeyLogLines() -> [String] {
        defer { keyLogLines.removeAll() }
        return keyLogLines
    }

    func takeAlerts() -> [DTLSTransport.Alert] {
        defer { alerts.removeAll() }
        return alerts
    }

    // MARK: What was agreed

    /// The peer's certificate in DER, empty where it sent none.
    var peerCertificate: [UInt8] {
        guard let certificate = unsafe SSL_get1_peer_certificate(ssl) else { return [] }
        defer { unsafe X509_free(certificate) }
        return unsafe derBytes(of: certificate)
    }

    var selectedProfile: SRTPProfile? {
        guard let profile = unsafe SSL_get_selected_srtp_profile(ssl) else { return nil }
        return unsafe SRTPProfile(rawValue: UInt16(truncatingIfNeeded: profile.pointee.id))
    }

    /// As on the wire: 0xFEFD is DTLS 1.2.
    var version: UInt16 { unsafe UInt16(truncatingIfNeeded: SSL_version(ssl)) }

    /// The registry's name, such as `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`.
    var cipherSuite: String {
        guard let cipher = unsafe SSL_get_current_cipher(ssl), let name = unsafe SSL_CIPHER_standard_name(cipher)
        else { return "" }
        return unsafe String(cString: name)
    }

    /// What encryption adds to a record: nonce and tag with GCM (RFC 5288 §3), the tag alone with ChaCha20-Poly1305
    /// (RFC 7905 §2). While the suite is not known it is the larger one: all that comes under keys that early is Finished.
    var recordOverhead: Int {
        guard let cipher = unsafe SSL_get_pending_cipher(ssl) ?? SSL_get_current_cipher(ssl) else { return 24 }
        return unsafe SSL_CIPHER_get_cipher_nid(cipher) == NID_chacha20_poly1305 ? 16 : 24
    }

    /// RFC 5764 §4.2: exporter label `EXTRACTOR-dtls_srtp`, no context.
    func exportKeys(for profile: SRTPProfile) -> SRTPKeyingMaterial? {
        let label = Array("EXTRACTOR-dtls_srtp".utf8CString)
        var bytes = [UInt8](repeating: 0, count: SRTPKeyingMaterial.exportedLength(of: profile))
        guard unsafe SSL_export_keying_material(ssl, &bytes, bytes.count, label, label.count - 1, nil, 0, 0) == 1
        else { return nil }
        return SRTPKeyingMaterial(profile: profile, exported: bytes)
    }

    // MARK: Inside a call of OpenSSL's

    private func begin(_ datagram: [UInt8]?) {
        ERR_clear_error()
        pending = datagram
        isDroppingWrites = false
        didRetransmit = false
    }

    private func outcome(of result: Int32) -> Progress {
        let error = unsafe SSL_get_error(ssl, result)
        switch error {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .waiting
        case SSL_ERROR_ZERO_RETURN: return .closedByPeer
        default:
            if let mismatch { return .failed(mismatch) }
            if let fatalAlert { return .failed(.alert(fatalAlert)) }
            return .failed(.refused(reason: lastOpenSSLError()))
        }
    }

    fileprivate func note(alert code: Int32, isSent: Bool) {
        let isFatal = code >> 8 == 2
        let description = UInt8(truncatingIfNeeded: code)
        if isFatal, !isSent { fatalAlert = description }
        if alerts.count < 16 { alerts.append(.init(code: description, isFatal: isFatal, isSent: isSent)) }
    }

    fileprivate func noteKeyLog(_ line: String) {
        if keyLogLines.count < 16 { keyLogLines.append(line) }
    }

    /// A whole message came in; `type` is that of a handshake message (RFC 5246 §7.4), 2 is ServerHello.
    fileprivate func noteMessageRead(type: UInt8?) {
        isDroppingWrites = false
        if type == 2 { hasServerHello = true }
    }

    /// Judges the peer's certificate, where its hash is known already. `DTLSTransport` judges again before it exports keys.
    fileprivate func accepts(_ certificate: OpaquePointer) -> Bool {
        guard let algorithm = expected.first?.algorithm else { return true }
        guard let got = unsafe digest(of: derBytes(of: certificate), algorithm) else { return false }
        if expected.contains(got) { return true }
        mismatch = .fingerprintMismatch(expected: expected, got: got)
        return false
    }

    /// Microseconds for OpenSSL's DTLS timer. `expired` is the duration that just ran out, 0 where a flight begins.
    fileprivate func timerDuration(expired: UInt32) -> UInt32 {
        if expired == 0 {
            expiries = 0
        } else {
            expiries += 1
            if !isRetransmissionOrdered {
                switch clock {
                case .real: didRetransmit = true
                case .virtual:
                    isDroppingWrites = true
                    slack = min(slack * 4, 2_000_000)
                }
            }
        }
        guard role == .client, hasServerHello, expiries < Self.maximumExpiries else { return Self.hour }
        switch clock {
        case .virtual: return UInt32(Self.expiryRounding + slack)
        case .real:
            let interval = expired == 0 ? initialInterval : nextInterval
            return UInt32(Self.expiryRounding + min(max(interval.microseconds, 0), 60_000_000))
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        if !isDroppingWrites { unsafe written.append(Array(bytes)) }
    }

    /// Bytes of the datagram that is waiting, `nil` where none is. One too long for the buffer is cut, as a socket does.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        guard let datagram = pending else { return nil }
        pending = nil
        isDroppingWrites = false
        let count = min(datagram.count, buffer.count)
        unsafe buffer.copyBytes(from: datagram.prefix(count))
        return count
    }

    private func installCallbacks(logsKeys: Bool) {
        let opaque = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe SSL_set_ex_data(ssl, 0, opaque)
        unsafe DTLS_set_timer_cb(ssl) { ssl, expired in
            unsafe connection(of: ssl)?.timerDuration(expired: expired) ?? 1_000_000
        }
        unsafe SSL_set_info_callback(ssl) { ssl, place, code in
            guard place & SSL_CB_ALERT != 0 else { return }
            unsafe connection(of: ssl)?.note(alert: code, isSent: place & SSL_CB_WRITE != 0)
        }
        unsafe SSL_set_msg_callback(ssl) { isWrite, _, type, bytes, count, ssl, _ in
            guard isWrite == 0, type == SSL3_RT_HANDSHAKE || type == SSL3_RT_CHANGE_CIPHER_SPEC else { return }
            let isMessage = type == SSL3_RT_HANDSHAKE && count > 0
            let message = unsafe isMessage ? bytes?.load(as: UInt8.self) : nil
            unsafe connection(of: ssl)?.noteMessageRead(type: message)
        }
        unsafe SSL_CTX_set_cert_verify_callback(
            context,
            { store, opaque in
                guard let store = unsafe store, let opaque = unsafe opaque,
                    let certificate = unsafe X509_STORE_CTX_get0_cert(store)
                else { return 0 }
                let connection = unsafe Unmanaged<OpenSSLConnection>.fromOpaque(opaque).takeUnretainedValue()
                let isAccepted = unsafe connection.accepts(certificate)
                unsafe X509_STORE_CTX_set_error(store, isAccepted ? X509_V_OK : X509_V_ERR_CERT_REJECTED)
                return isAccepted ? 1 : 0
            }, opaque)
        if logsKeys {
            unsafe SSL_CTX_set_keylog_callback(context) { ssl, line in
                guard let line = unsafe line else { return }
                unsafe connection(of: ssl)?.noteKeyLog(String(cString: line))
            }
        }
    }
}

private func connection(of ssl: OpaquePointer?) -> OpenSSLConnection? {
    guard let ssl = unsafe ssl, let opaque = unsafe SSL_get_ex_data(ssl, 0) else { return nil }
    return unsafe Unmanaged<OpenSSLConnection>.fromOpaque(opaque).takeUnretainedValue()
}
