import Primitives

/// SRTP and SRTCP of one DTLS association, both directions, any number of SSRCs up to a cap (RFC 3711, RFC 5764 §4).
///
/// Unchecked Sendable: owned by one engine and called by one executor at a time, like `DTLSTransport`.
public final class SRTPSession: @unchecked Sendable {
    public enum BackendChoice: String, Hashable, Sendable, CaseIterable {
        /// OpenSSL, which is the faster one.
        case automatic
        case libsrtp2
        case openSSL
    }

    public struct Failures: Hashable, Sendable {
        public var authentication = 0
        public var replayed = 0
        public var malformed = 0
        public var tooManyStreams = 0
        public var other = 0

        public init() {}

        public var total: Int { authentication + replayed + malformed + tooManyStreams + other }

        mutating func count(_ error: SRTPError) {
            switch error {
            case .authenticationFailed: authentication += 1
            case .replayed: replayed += 1
            case .malformed: malformed += 1
            case .tooManyStreams: tooManyStreams += 1
            case .keyExhausted, .backend: other += 1
            }
        }
    }

    public struct Statistics: Hashable, Sendable {
        public var rtpProtected = 0
        public var rtcpProtected = 0
        public var rtpUnprotected = 0
        public var rtcpUnprotected = 0
        public var outboundFailures = Failures()
        public var inboundFailures = Failures()

        public init() {}
    }

    public let profile: SRTPProfile
    public private(set) var statistics = Statistics()
    private let backend: any SRTPBackend

    /// - Parameter localRole: our role in the handshake; it says which half of the keys is ours to send with.
    public init(
        keying: SRTPKeyingMaterial, localRole: DTLSRole, backend choice: BackendChoice = .automatic
    ) throws(SRTPError) {
        profile = keying.profile
        switch choice {
        case .automatic, .openSSL: backend = try OpenSSLSRTPBackend(keying: keying, localRole: localRole)
        case .libsrtp2: backend = try LibSRTPBackend(keying: keying, localRole: localRole)
        }
    }

    /// A session over a backend of one's own.
    public init(profile: SRTPProfile, backend: any SRTPBackend) {
        self.profile = profile
        self.backend = backend
    }

    /// RTP becomes SRTP, in place; reserve `SRTPProfile.rtpOverhead` bytes.
    ///
    /// The same packet may be protected again, byte for byte. Other bytes under a sequence number that was used would use
    /// a nonce twice, which for AES-GCM gives the authentication key away (RFC 7714 §8.4): a packet that is sent again
    /// without RTX must keep even its header extensions. Streams best begin below 32,768 (RFC 3711 §3.3.1: a receiver that
    /// misses the packets before the first wrap cannot know of it).
    public func protectRTP(_ packet: inout [UInt8]) throws(SRTPError) {
        do throws(SRTPError) {
            try backend.protectRTP(&packet)
            statistics.rtpProtected += 1
        } catch {
            statistics.outboundFailures.count(error)
            throw error
        }
    }

    /// A compound RTCP packet becomes SRTCP, in place; reserve `SRTPProfile.rtcpOverhead` bytes.
    public func protectRTCP(_ packet: inout [UInt8]) throws(SRTPError) {
        do throws(SRTPError) {
            try backend.protectRTCP(&packet)
            statistics.rtcpProtected += 1
        } catch {
            statistics.outboundFailures.count(error)
            throw error
        }
    }

    /// SRTP becomes RTP, in place. After an error the bytes mean nothing.
    public func unprotectRTP(_ packet: inout [UInt8]) throws(SRTPError) {
        do throws(SRTPError) {
            try backend.unprotectRTP(&packet)
            statistics.rtpUnprotected += 1
        } catch {
            statistics.inboundFailures.count(error)
            throw error
        }
    }

    /// SRTCP becomes a compound RTCP packet, in place. After an error the bytes mean nothing.
    public func unprotectRTCP(_ packet: inout [UInt8]) throws(SRTPError) {
        do throws(SRTPError) {
            try backend.unprotectRTCP(&packet)
            statistics.rtcpUnprotected += 1
        } catch {
            statistics.inboundFailures.count(error)
            throw error
        }
    }
}
