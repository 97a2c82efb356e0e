import Primitives
import SDP

/// What an exchange agreed on: all the engine needs to know of two descriptions.
public struct NegotiatedSession: Hashable, Sendable {
    /// The peer's end of the transport; `nil` when every section was rejected.
    public var remoteTransport: TransportParameters?
    /// Whether we open the DTLS handshake (RFC 8842 §5).
    public var isDTLSClient: Bool
    /// Whether we sent the offer of this exchange. The first exchange's offerer controls ICE (RFC 8445 §6.1.1).
    public var isLocalOfferer: Bool
    /// The peer's ICE credentials differ from the agreement before (a provisional one counts).
    public var isICERestart: Bool
    /// There was no agreement before, or the peer's certificate or the DTLS role differ from it: a handshake is due.
    public var isNewDTLSAssociation: Bool
    /// One for each `m=` section, in order.
    public var media: [NegotiatedMedia]
    /// The id of the MID header extension, where all accepted sections agree on it.
    public var midExtension: UInt16?

    public var acceptedMedia: [NegotiatedMedia] { media.filter { $0.rejection == nil } }
}

/// Why a section carries nothing.
public enum SectionRejection: String, Hashable, Sendable {
    /// Neither audio nor video: data channels, among others.
    case unsupportedMedia = "unsupported media"
    /// No RTP profile we know.
    case unsupportedProtocol = "unsupported protocol"
    case noCommonCodec = "no common codec"
    /// RTCP on a port of its own.
    case noRTCPMux = "no rtcp-mux"
    /// It would need a second transport.
    case notBundled = "not bundled"
    /// We stopped its transceiver.
    case stopped
    /// The peer gave it port 0.
    case refusedByPeer = "refused by peer"
}

public struct NegotiatedMedia: Hashable, Sendable {
    public var mediaIndex: Int
    /// Made up where the peer wrote none.
    public var mid: String
    /// `nil` for anything but audio and video.
    public var kind: MediaKind?
    public var transceiver: TransceiverDescription.ID?
    /// From our view.
    public var direction: MediaDirection
    /// What we may send, most wanted first, with the numbers and parameters the peer asked for.
    public var sendCodecs: [NegotiatedCodec] = []
    /// What may arrive, with our numbers and parameters.
    public var receiveCodecs: [NegotiatedCodec] = []
    /// What each payload type that may arrive stands for.
    public var receivePayloadTypes: [UInt8: ReceivedPayload] = [:]
    public var headerExtensions: [NegotiatedExtension] = []
    /// One- and two-byte extensions may be mixed in one stream (RFC 8285 §6).
    public var allowsMixedExtensions = false
    /// RFC 5506
    public var isRTCPReducedSize = false
    /// The peer asked for, or answers, receiver reference time reports (`rtcp-xr:rcvr-rtt`).
    public var usesReceiverReferenceTime = false
    /// The peer's sources, where it names them.
    public var remoteSSRCs: [SSRC] = []
    /// Retransmission source by media source (`ssrc-group:FID`).
    public var remoteRetransmissionSSRCs: [SSRC: SSRC] = [:]
    public var remoteCNAME: String?
    public var remoteStreams: [MediaStreamIdentification] = []
    /// The most the peer wants to receive in this section, bits a second (`b=TIAS`, `b=AS`).
    public var remoteBandwidthLimit: Int?
    /// Milliseconds of audio in a packet the peer would like, and the most it takes.
    public var packetTime: Int?
    public var maximumPacketTime: Int?
    /// `nil`: accepted.
    public var rejection: SectionRejection?

    public var isRejected: Bool { rejection != nil }
    /// The number of an extension we may send (`direction` allowing).
    public func sendExtension(_ uri: String) -> UInt16? {
        headerExtensions.first { $0.uri == uri && $0.direction.sends }?.id
    }
    /// The number under which an extension may arrive.
    public func receiveExtension(_ uri: String) -> UInt16? {
        headerExtensions.first { $0.uri == uri && $0.direction.receives }?.id
    }
}

public struct NegotiatedCodec: Hashable, Sendable {
    public var codec: Codec
    public var payloadType: UInt8
    /// Hz
    public var clockRate: UInt32
    public var channels: Int
    /// `a=fmtp` of whoever receives: the peer's for sending, ours for receiving.
    public var parameters: FormatParameters?
    /// Both sides' `a=rtcp-fb` values.
    public var feedback: [String]
    public var retransmissionPayloadType: UInt8?
}

public enum ReceivedPayload: Hashable, Sendable {
    case media(NegotiatedCodec)
    /// A retransmission (RFC 4588) of packets with payload type `of`.
    case retransmission(of: UInt8)
}

public struct NegotiatedExtension: Hashable, Sendable {
    public var id: UInt16
    public var uri: String
    /// From our view.
    public var direction: MediaDirection
}
