import COpenSSL
import Primitives

/// SRTP over OpenSSL's EVP, for libsrtp2 as distributions build it spends two to six times as long.
///
/// The rules are RFC 3711's: sender and receiver count a 48-bit index per SSRC from the sequence number (§3.3.1), the
/// receiver refuses what its window has seen (§3.3.2) and changes its state only after a packet proved authentic, so
/// forged SSRCs leave no trace; SRTCP carries its own index. The cipher's part is `SRTPTransform`.
final class OpenSSLSRTPBackend: SRTPBackend {
    private struct Outbound {
        var newestIndex: Int64 = -1
        /// The last SRTCP index used; the first packet gets 1, as libsrtp2 does.
        var rtcpIndex: UInt32 = 0
    }

    private struct Inbound {
        var rtp = ReplayWindow()
        var rtcp = ReplayWindow()
    }

    private let outboundRTP: SRTPTransform
    private let outboundRTCP: SRTPTransform
    private let inboundRTP: SRTPTransform
    private let inboundRTCP: SRTPTransform
    private let overhead: Int
    private let isAEAD: Bool
    private var outbound = StreamTable<Outbound>()
    private var inbound = StreamTable<Inbound>()

    convenience init(keying: SRTPKeyingMaterial, localRole: DTLSRole) throws(SRTPError) {
        let profile = keying.profile
        let remoteRole = localRole.opposite
        try self.init(
            profile,
            outbound: SRTPSessionKeys(
                profile, masterKey: keying.key(of: localRole), masterSalt: keying.salt(of: localRole)),
            inbound: SRTPSessionKeys(
                profile, masterKey: keying.key(of: remoteRole), masterSalt: keying.salt(of: remoteRole)))
    }

    /// With session keys as they are, which is how RFC 7714 states its test vectors.
    init(_ profile: SRTPProfile, outbound: SRTPSessionKeys, inbound: SRTPSessionKeys) throws(SRTPError) {
        overhead = profile.rtpOverhead
        isAEAD = profile != .aes128CMHMACSHA1_80
        outboundRTP = try SRTPTransform(
            profile, key: outbound.rtpKey, salt: outbound.rtpSalt, authentication: outbound.rtpAuthentication,
            isEncrypting: true)
        outboundRTCP = try SRTPTransform(
            profile, key: outbound.rtcpKey, salt: outbound.rtcpSalt, authentication: outbound.rtcpAuthentication,
            isEncrypting: true)
        inboundRTP = try SRTPTransform(
            profile, key: inbound.rtpKey, salt: inbound.rtpSalt, authentication: inbound.rtpAuthentication,
            isEncrypting: false)
        inboundRTCP = try SRTPTransform(
            profile, key: inbound.rtcpKey, salt: inbound.rtcpSalt, authentication: inbound.rtcpAuthentication,
            isEncrypting: false)
    }

    func protectRTP(_ packet: inout [UInt8]) throws(SRTPError) {
        let length = packet.count
        guard let header = SRTPHeader.rtpLength(packet, limit: length) else { throw .malformed }
        let ssrc = SRTPHeader.rtpSSRC(packet)
        let position = try outbound.position(of: ssrc, orInserting: Outbound())
        let newest = outbound[position].newestIndex
        let index = ReplayWindow.index(of: sequenceNumber(of: packet), newest: newest)
        guard index < ReplayWindow.end else { throw .keyExhausted }
        packet.append(contentsOf: repeatElement(0, count: overhead))
        let isDone = unsafe packet.withUnsafeMutableBufferPointer { buffer in
            guard let bytes = buffer.baseAddress else { return false }
            return unsafe outboundRTP.protectRTP(bytes, header: header, length: length, ssrc: ssrc, index: index)
        }
        guard isDone else { throw .backend(code: -1) }
        if index > newest { outbound[position].newestIndex = index }
    }

    func unprotectRTP(_ packet: inout [UInt8]) throws(SRTPError) {
        let length = packet.count - overhead
        guard let header = SRTPHeader.rtpLength(packet, limit: length) else { throw .malformed }
        let ssrc = SRTPHeader.rtpSSRC(packet)
        let position = inbound.position(of: ssrc)
        let index: Int64
        if let position {
            index = ReplayWindow.index(of: sequenceNumber(of: packet), newest: inbound[position].rtp.newest)
            guard index < ReplayWindow.end, inbound[position].rtp.isFresh(index) else { throw .replayed }
        } else {
            guard inbound.count < SRTPLimits.streams else { throw .tooManyStreams }
            index = Int64(sequenceNumber(of: packet))
        }
        let isAuthentic = unsafe packet.withUnsafeMutableBufferPointer { buffer in
            guard let bytes = buffer.baseAddress else { return false }
            return unsafe inboundRTP.unprotectRTP(bytes, header: header, length: length, ssrc: ssrc, index: index)
        }
        guard isAuthentic else { throw .authenticationFailed }
        packet.removeLast(overhead)
        let recorded = try inbound.position(of: ssrc, orInserting: Inbound())
        inbound[recorded].rtp.record(index)
    }

    func protectRTCP(_ packet: inout [UInt8]) throws(SRTPError) {
        let length = packet.count
        guard SRTPHeader.isRTCP(packet, limit: length) else { throw .malformed }
        let ssrc = SRTPHeader.rtcpSSRC(packet)
        let position = try outbound.position(of: ssrc, orInserting: Outbound())
        guard outbound[position].rtcpIndex < 0x7FFF_FFFF else { throw .keyExhausted }
        let index = outbound[position].rtcpIndex + 1
        outbound[position].rtcpIndex = index
        packet.append(contentsOf: repeatElement(0, count: overhead + 4))
        let isDone = unsafe packet.withUnsafeMutableBufferPointer { buffer in
            guard let bytes = buffer.baseAddress else { return false }
            return unsafe outboundRTCP.protectRTCP(bytes, length: length, ssrc: ssrc, index: index)
        }
        guard isDone else { throw .backend(code: -1) }
    }

    func unprotectRTCP(_ packet: inout [UInt8]) throws(SRTPError) {
        let length = packet.count - overhead - 4
        guard SRTPHeader.isRTCP(packet, limit: length) else { throw .malformed }
        // AEAD has the index word last, HMAC in front of the tag.
        let word = SRTPHeader.word(packet, at: isAEAD ? length + overhead : length)
        guard word & 0x8000_0000 != 0 else { throw .malformed }
        let index = word & 0x7FFF_FFFF
        let ssrc = SRTPHeader.rtcpSSRC(packet)
        let position = inbound.position(of: ssrc)
        if let position {
            guard inbound[position].rtcp.isFresh(Int64(index)) else { throw .replayed }
        } else {
            guard inbound.count < SRTPLimits.streams else { throw .tooManyStreams }
        }
        let isAuthentic = unsafe packet.withUnsafeMutableBufferPointer { buffer in
            guard let bytes = buffer.baseAddress else { return false }
            return unsafe inboundRTCP.unprotectRTCP(bytes, length: length, ssrc: ssrc, index: index)
        }
        guard isAuthentic else { throw .authenticationFailed }
        packet.removeLast(overhead + 4)
        let recorded = try inbound.position(of: ssrc, orInserting: Inbound())
        inbound[recorded].rtcp.record(Int64(index))
    }

    @inline(__always)
    private func sequenceNumber(of packet: [UInt8]) -> UInt16 { UInt16(packet[2]) << 8 | UInt16(packet[3]) }
}
