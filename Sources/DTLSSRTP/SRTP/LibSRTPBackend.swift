import CSRTP
import Primitives

/// SRTP over libsrtp2: one session with a template for any outbound SSRC, one for any inbound.
///
/// libsrtp2 makes a stream from the template for every SSRC it authenticates and has no cap, so the SSRCs are counted here.
@safe final class LibSRTPBackend: SRTPBackend {
    private let outbound: OpaquePointer
    private let inbound: OpaquePointer
    private let overhead: Int
    private var outboundStreams: Set<UInt32> = []
    private var inboundStreams: Set<UInt32> = []

    init(keying: SRTPKeyingMaterial, localRole: DTLSRole) throws(SRTPError) {
        guard Self.isInitialised else { throw .backend(code: Int(srtp_err_status_init_fail.rawValue)) }
        let remoteRole = localRole.opposite
        let outbound = try unsafe makeSession(
            keying.profile, key: keying.key(of: localRole) + keying.salt(of: localRole), isInbound: false)
        do throws(SRTPError) {
            unsafe inbound = try makeSession(
                keying.profile, key: keying.key(of: remoteRole) + keying.salt(of: remoteRole), isInbound: true)
        } catch {
            _ = unsafe srtp_dealloc(outbound)
            throw error
        }
        unsafe self.outbound = outbound
        overhead = keying.profile.rtpOverhead
    }

    deinit {
        _ = unsafe srtp_dealloc(outbound)
        _ = unsafe srtp_dealloc(inbound)
    }

    private static let isInitialised = srtp_init() == srtp_err_status_ok

    func protectRTP(_ packet: inout [UInt8]) throws(SRTPError) {
        guard SRTPHeader.rtpLength(packet, limit: packet.count) != nil else { throw .malformed }
        try admit(SRTPHeader.rtpSSRC(packet), to: &outboundStreams)
        try unsafe transform(&packet, growth: overhead) { unsafe srtp_protect(outbound, $0, $1) }
    }

    func protectRTCP(_ packet: inout [UInt8]) throws(SRTPError) {
        guard SRTPHeader.isRTCP(packet, limit: packet.count) else { throw .malformed }
        try admit(SRTPHeader.rtcpSSRC(packet), to: &outboundStreams)
        try unsafe transform(&packet, growth: overhead + 4) { unsafe srtp_protect_rtcp(outbound, $0, $1) }
    }

    func unprotectRTP(_ packet: inout [UInt8]) throws(SRTPError) {
        guard SRTPHeader.rtpLength(packet, limit: packet.count - overhead) != nil else { throw .malformed }
        let ssrc = SRTPHeader.rtpSSRC(packet)
        let isKnown = try isKnown(ssrc)
        try unsafe transform(&packet, growth: 0) { unsafe srtp_unprotect(inbound, $0, $1) }
        if !isKnown { inboundStreams.insert(ssrc) }
    }

    func unprotectRTCP(_ packet: inout [UInt8]) throws(SRTPError) {
        guard SRTPHeader.isRTCP(packet, limit: packet.count - overhead - 4) else { throw .malformed }
        let ssrc = SRTPHeader.rtcpSSRC(packet)
        let isKnown = try isKnown(ssrc)
        try unsafe transform(&packet, growth: 0) { unsafe srtp_unprotect_rtcp(inbound, $0, $1) }
        if !isKnown { inboundStreams.insert(ssrc) }
    }

    private func admit(_ ssrc: UInt32, to streams: inout Set<UInt32>) throws(SRTPError) {
        if streams.contains(ssrc) { return }
        guard streams.count < SRTPLimits.streams else { throw .tooManyStreams }
        streams.insert(ssrc)
    }

    private func isKnown(_ ssrc: UInt32) throws(SRTPError) -> Bool {
        if inboundStreams.contains(ssrc) { return true }
        guard inboundStreams.count < SRTPLimits.streams else { throw .tooManyStreams }
        return false
    }

    /// Runs a call of libsrtp2's over the packet, which it may lengthen by `growth` bytes.
    private func transform(
        _ packet: inout [UInt8], growth: Int,
        _ call: (UnsafeMutableRawPointer?, UnsafeMutablePointer<Int32>) -> srtp_err_status_t
    ) throws(SRTPError) {
        guard var length = Int32(exactly: packet.count) else { throw .malformed }
        packet.append(contentsOf: repeatElement(0, count: growth))
        let status = unsafe packet.withUnsafeMutableBytes { unsafe call($0.baseAddress, &length) }
        guard status == srtp_err_status_ok else { throw SRTPError(status) }
        let excess = packet.count - Int(length)
        if excess > 0 { packet.removeLast(min(excess, packet.count)) }
    }
}

extension SRTPError {
    fileprivate init(_ status: srtp_err_status_t) {
        switch status {
        case srtp_err_status_auth_fail: self = .authenticationFailed
        case srtp_err_status_replay_fail, srtp_err_status_replay_old, srtp_err_status_pkt_idx_old: self = .replayed
        // "Cannot check" is SRTCP without the encryption flag that our policy demands.
        case srtp_err_status_bad_param, srtp_err_status_parse_err, srtp_err_status_cant_check: self = .malformed
        case srtp_err_status_key_expired: self = .keyExhausted
        default: self = .backend(code: Int(status.rawValue))
        }
    }
}

private func makeSession(_ profile: SRTPProfile, key: [UInt8], isInbound: Bool) throws(SRTPError) -> OpaquePointer {
    var key = key
    var policy = unsafe srtp_policy_t()
    unsafe setPolicies(profile, &policy)
    unsafe policy.ssrc.type = isInbound ? ssrc_any_inbound : ssrc_any_outbound
    unsafe policy.window_size = UInt(SRTPLimits.window)
    // A packet is protected again when it is sent again without RTX: same index, same bytes.
    unsafe policy.allow_repeat_tx = 1
    var session: OpaquePointer?
    let status = unsafe key.withUnsafeMutableBufferPointer { buffer in
        unsafe policy.key = buffer.baseAddress
        return unsafe srtp_create(&session, &policy)
    }
    guard status == srtp_err_status_ok, let session = unsafe session else { throw SRTPError(status) }
    return unsafe session
}

private func setPolicies(_ profile: SRTPProfile, _ policy: inout srtp_policy_t) {
    switch profile {
    case .aes128CMHMACSHA1_80:
        unsafe srtp_crypto_policy_set_rtp_default(&policy.rtp)
        unsafe srtp_crypto_policy_set_rtcp_default(&policy.rtcp)
    case .aeadAES128GCM:
        unsafe srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp)
        unsafe srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp)
    case .aeadAES256GCM:
        unsafe srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp)
        unsafe srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp)
    }
}
