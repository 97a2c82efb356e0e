import Primitives
import SDP

/// What this peer can send and receive: codecs in order of preference and header extensions, by kind.
public struct MediaCapabilities: Hashable, Sendable {
    public var audio: [CodecCapability]
    public var video: [CodecCapability]
    public var audioExtensions: [HeaderExtensionCapability]
    public var videoExtensions: [HeaderExtensionCapability]
    /// Whether we answer receiver reference times (RFC 3611 §4.4, 4.5) and say so: `a=rtcp-xr:rcvr-rtt=all`.
    public var answersReceiverReferenceTime: Bool

    public init(
        audio: [CodecCapability], video: [CodecCapability], audioExtensions: [HeaderExtensionCapability],
        videoExtensions: [HeaderExtensionCapability], answersReceiverReferenceTime: Bool = true
    ) {
        self.audio = audio
        self.video = video
        self.audioExtensions = audioExtensions
        self.videoExtensions = videoExtensions
        self.answersReceiverReferenceTime = answersReceiverReferenceTime
    }

    public func codecs(of kind: MediaKind) -> [CodecCapability] { kind == .audio ? audio : video }
    public func extensions(of kind: MediaKind) -> [HeaderExtensionCapability] {
        kind == .audio ? audioExtensions : videoExtensions
    }

    /// Opus, G.711, comfort noise, telephone events; VP8 with retransmission. Numbers as Chromium has them. Lost audio is
    /// asked for as well, where the other side agrees: a recording can wait for it, and in-band FEC does not help whoever
    /// passes frames on.
    public static let standard = MediaCapabilities(
        audio: [
            CodecCapability(
                .opus, payloadType: 111, clockRate: 48_000, channels: 2, parameters: "minptime=10;useinbandfec=1",
                feedback: ["transport-cc", "nack"]),
            CodecCapability(.pcmu, payloadType: 0, clockRate: 8_000, feedback: ["transport-cc", "nack"]),
            CodecCapability(.pcma, payloadType: 8, clockRate: 8_000, feedback: ["transport-cc", "nack"]),
            CodecCapability(.comfortNoise, payloadType: 13, clockRate: 8_000),
            CodecCapability(.telephoneEvent, payloadType: 110, clockRate: 48_000, parameters: "0-15"),
            CodecCapability(.telephoneEvent, payloadType: 126, clockRate: 8_000, parameters: "0-15"),
        ],
        video: [
            CodecCapability(
                .vp8, payloadType: 96, clockRate: 90_000,
                feedback: ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"],
                retransmissionPayloadType: 97)
        ],
        audioExtensions: [
            HeaderExtensionCapability(HeaderExtensionURI.audioLevel, id: 1),
            HeaderExtensionCapability(HeaderExtensionURI.absoluteSendTime, id: 2),
            HeaderExtensionCapability(HeaderExtensionURI.transportSequenceNumber, id: 3),
            HeaderExtensionCapability(HeaderExtensionURI.mid, id: 4),
            HeaderExtensionCapability(HeaderExtensionURI.absoluteCaptureTime, id: 9),
        ],
        videoExtensions: [
            HeaderExtensionCapability(HeaderExtensionURI.absoluteSendTime, id: 2),
            HeaderExtensionCapability(HeaderExtensionURI.transportSequenceNumber, id: 3),
            HeaderExtensionCapability(HeaderExtensionURI.mid, id: 4),
            HeaderExtensionCapability(HeaderExtensionURI.playoutDelay, id: 5),
            HeaderExtensionCapability(HeaderExtensionURI.absoluteCaptureTime, id: 9),
            HeaderExtensionCapability(HeaderExtensionURI.rid, id: 10),
            HeaderExtensionCapability(HeaderExtensionURI.repairedRID, id: 11),
            HeaderExtensionCapability(HeaderExtensionURI.videoOrientation, id: 13),
        ])
}

/// One codec we do, with the payload type we would like for it.
public struct CodecCapability: Hashable, Sendable {
    public var codec: Codec
    /// Used in our offers while it is free; answers take the offerer's number.
    public var payloadType: UInt8
    /// Hz
    public var clockRate: UInt32
    public var channels: Int
    /// The `a=fmtp` text we write: what we want to receive.
    public var parameters: String?
    /// `a=rtcp-fb` values we send and obey.
    public var feedback: [String]
    /// `nil`: no retransmission stream (RFC 4588) for this codec.
    public var retransmissionPayloadType: UInt8?

    public init(
        _ codec: Codec, payloadType: UInt8, clockRate: UInt32, channels: Int = 1, parameters: String? = nil,
        feedback: [String] = [], retransmissionPayloadType: UInt8? = nil
    ) {
        self.codec = codec
        self.payloadType = payloadType
        self.clockRate = clockRate
        self.channels = channels
        self.parameters = parameters
        self.feedback = feedback
        self.retransmissionPayloadType = retransmissionPayloadType
    }
}

public struct HeaderExtensionCapability: Hashable, Sendable {
    public var uri: String
    /// 1 to 14; used in our offers while it is free.
    public var id: UInt16

    public init(_ uri: String, id: UInt16) {
        self.uri = uri
        self.id = id
    }
}

/// Names of RTP header extensions (RFC 8285 §5).
public enum HeaderExtensionURI {
    /// RFC 8843 §15
    public static let mid = "urn:ietf:params:rtp-hdrext:sdes:mid"
    /// RFC 8852 §4.1
    public static let rid = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
    /// RFC 8852 §4.2
    public static let repairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
    /// RFC 6464
    public static let audioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
    /// 3GPP TS 26.114 §7.4.5
    public static let videoOrientation = "urn:3gpp:video-orientation"
    public static let absoluteSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
    public static let absoluteCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
    public static let playoutDelay = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01
    public static let transportSequenceNumber =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
}
