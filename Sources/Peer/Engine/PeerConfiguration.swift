import Congestion
import DTLSSRTP
import ICE
import Primitives

/// What a `PeerEngine` is made with. Every bound on what the network can make it hold is in `limits`.
public struct PeerConfiguration: Sendable {
    /// Everything of the ICE agent: the address mapping, ice-lite, times and caps. The defaults are meant to be used.
    public var ice: ICEAgent.Configuration
    /// The ICE role before any conflict: the side that offers first controls (RFC 8445 §6.1.1).
    public var role: ICERole {
        get { ice.role }
        set { ice.role = newValue }
    }
    public var stunServers: [STUNServer] {
        get { ice.stunServers }
        set { ice.stunServers = newValue }
    }
    public var relayServers: [RelayServer] {
        get { ice.relayServers }
        set { ice.relayServers = newValue }
    }
    /// Whose certificates of TURN servers are believed.
    public var relayTrust = TLSTrust()
    public var certificate: Certificate
    public var capabilities: MediaCapabilities
    public var srtpProfiles: [SRTPProfile]
    public var bitrates: Bitrates
    /// How instants relate to the wall clock, which OpenSSL looks at.
    public var clock: DTLSTransport.Clock
    /// Whether OpenSSL draws from the engine's random source too. For virtual runs, so that they repeat; never for a call.
    public var isDeterministic: Bool
    /// Whether key-log lines are handed out as events (SSLKEYLOGFILE).
    public var logsKeys: Bool
    /// How long a DTLS flight is repeated without an answer. Long, because whoever answers an offer has a path before
    /// the answer has arrived, and an answer may be carried by hand.
    public var handshakeTimeout: TimeDelta
    /// Where RTP counts from, for tests of the wraps; at random where it is `nil` (RFC 3550 §5.1).
    public var firstSequenceNumber: SequenceNumber?
    public var firstTimestamp: RTPTimestamp?
    public var limits: Limits

    public init(role: ICERole, certificate: Certificate) {
        ice = ICEAgent.Configuration(role: role)
        self.certificate = certificate
        capabilities = .standard
        srtpProfiles = SRTPProfile.preferred
        bitrates = Bitrates()
        clock = .real
        isDeterministic = false
        logsKeys = false
        handshakeTimeout = .milliseconds(120_000)
        limits = Limits()
    }

    /// Bounds of the sending rate over all streams, bit/s.
    public struct Bitrates: Hashable, Sendable {
        public var minimum = 50_000
        public var start = 1_000_000
        public var maximum = 8_000_000
        public init() {}
    }

    public struct Limits: Hashable, Sendable {
        /// DTLS and SRTP datagrams kept while the path or the keys are not ready.
        public var earlyDatagrams = 64
        /// Received SSRCs, retransmission streams included.
        public var receiveStreams = 64
        /// Received SSRCs of one m-section.
        public var receiveStreamsPerSection = 8
        /// Packets waiting for the pacer.
        public var pacerPackets = 2_000
        public init() {}
    }
}
