import Primitives

extension DTLSTransport {
    /// How OpenSSL's own clock relates to the instants the transport is told.
    public enum Clock: Hashable, Sendable {
        /// Instants are those of a monotonic clock that runs as the wall clock does.
        case real
        /// Instants are made up. A repetition of the client's last flight may keep the caller about 2 ms.
        case virtual
    }

    public struct Configuration: Sendable {
        public var certificate: Certificate
        /// Protection profiles to offer or take, best first.
        public var profiles = SRTPProfile.preferred
        /// Bytes of a UDP payload that no datagram exceeds; at least 256 (OpenSSL's least).
        public var mtu = 1_200
        public var clock = Clock.real
        /// The round trip as far as known; `nil` starts with 100 ms between repetitions.
        public var roundTripTime: TimeDelta?
        /// Emit `.keyLogLine`: with these lines anyone can read the captured handshake.
        public var logsKeys = false
        /// Where OpenSSL's randomness comes from in a virtual run. `nil`, its own generator, for every real call.
        public var randomness: RandomSource?
        /// How long one flight is repeated without an answer.
        public var handshakeTimeout = TimeDelta.milliseconds(30_000)
        /// Datagrams kept while not started.
        public var earlyDatagramLimit = 16
        /// Longer datagrams are dropped; no path that WebRTC runs on carries any.
        public var datagramSizeLimit = 16_384

        public init(certificate: Certificate) { self.certificate = certificate }
    }

    /// What the handshake agreed on. Exists only after the peer's certificate matched.
    public struct Association: Hashable, Sendable {
        public var keyingMaterial: SRTPKeyingMaterial
        /// As on the wire: 0xFEFD is DTLS 1.2.
        public var version: UInt16
        /// The IANA name, such as `TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`.
        public var cipherSuite: String
        /// The peer's certificate in DER.
        public var peerCertificate: [UInt8]
    }

    public enum Event: Hashable, Sendable {
        case connected(Association)
        /// Terminal.
        case failed(DTLSError)
        /// The peer sent close_notify. Terminal.
        case closedByPeer
        /// One line for the file named by SSLKEYLOGFILE, without a line end.
        case keyLogLine(String)
    }

    /// An alert of RFC 5246 §7.2, ours or the peer's.
    public struct Alert: Hashable, Sendable {
        public var code: UInt8
        public var isFatal: Bool
        public var isSent: Bool

        public init(code: UInt8, isFatal: Bool, isSent: Bool) {
            self.code = code
            self.isFatal = isFatal
            self.isSent = isSent
        }
    }

    public enum DropReason: String, Hashable, Sendable {
        case notDTLS
        case tooLong
        /// Records that cannot be of a peer of ours: of an epoch there is none of, or too short to be encrypted.
        case impossibleRecord
        /// More early datagrams than are kept.
        case tooManyEarly
        case closed
    }

    public enum Trace: Hashable, Sendable {
        case started(DTLSRole)
        case earlyDatagramKept(bytes: Int)
        case flightSent(datagrams: Int, bytes: Int, answerExpectedIn: TimeDelta?)
        /// The flight was unanswered for the last interval.
        case flightRepeated(repetition: Int, datagrams: Int, bytes: Int, nextIn: TimeDelta)
        /// The peer repeated its last flight, so ours was sent again.
        case lastFlightRepeated(datagrams: Int, bytes: Int)
        case roundTripMeasured(TimeDelta)
        case handshakeFinished(awaitsFingerprint: Bool)
        case alert(Alert)
        case datagramDropped(DropReason, bytes: Int)
        case applicationDataIgnored(bytes: Int)
    }

    /// What the transport wants done. The driver empties it after each call; datagrams bear no address, that is ICE's.
    public struct Output: Sendable {
        public var datagrams: [[UInt8]] = []
        public var events: [Event] = []
        public var trace: [Trace] = []

        public init() {}

        public var isEmpty: Bool { datagrams.isEmpty && events.isEmpty && trace.isEmpty }

        public mutating func removeAll() {
            datagrams.removeAll(keepingCapacity: true)
            events.removeAll(keepingCapacity: true)
            trace.removeAll(keepingCapacity: true)
        }
    }

    public struct Statistics: Hashable, Sendable {
        public var datagramsSent = 0
        public var bytesSent = 0
        public var datagramsReceived = 0
        public var bytesReceived = 0
        public var flightsRepeated = 0
        public var datagramsDropped = 0
        public var applicationBytesIgnored = 0

        public init() {}
    }

    /// The W3C's `RTCDtlsTransportState`, with `new` told apart by having no role.
    public enum State: String, Hashable, Sendable {
        case new
        case connecting
        case connected
        case closed
        case failed
    }
}
