import Primitives

/// What a receive stream is made of, and its limits.
public struct ReceiveStreamConfiguration: Hashable, Sendable {
    /// How a keyframe is asked for, so that it is counted as what it is.
    public enum KeyframeRequests: Hashable, Sendable {
        case pictureLossIndication
        case fullIntraRequest
        /// The far end understands neither: wait for one to come.
        case none
    }

    public var ssrc: SSRC
    public var kind: MediaKind
    /// Hz.
    public var clockRate: Int
    /// Codec of each payload type. Packets of others are passed over.
    public var payloadTypes: [UInt8: Codec]
    /// Hz of the durations of telephone events by payload type, where it is not the stream's.
    public var telephoneEventClockRates: [UInt8: Int]
    /// Retransmission payload type → payload type it repairs (`apt`), for `receiveRetransmission`.
    public var retransmissionPayloadTypes: [UInt8: UInt8]
    /// Numbers of the header extensions that may come.
    public var extensions: HeaderExtensionMap
    public var isNACKEnabled: Bool
    public var keyframeRequests: KeyframeRequests
    /// The least and the most time a missing packet is waited for.
    public var shortestWait: TimeDelta
    public var longestWait: TimeDelta
    /// Packets held at most, rounded up to a power of two.
    public var maximumPackets: Int
    /// Bytes of packets held at most.
    public var maximumBytes: Int
    /// Missing packets kept track of at most; a longer gap is given up at once.
    public var maximumMissing: Int
    /// Times a packet is asked for at most.
    public var maximumNACKs: Int

    /// Limits left out get the defaults of the kind: audio waits 20...120 ms, or 300 ms where lost packets are asked for,
    /// and holds 512 packets; video waits 60...500 ms and holds 2,048.
    public init(
        ssrc: SSRC, kind: MediaKind, clockRate: Int, payloadTypes: [UInt8: Codec],
        telephoneEventClockRates: [UInt8: Int] = [:],
        retransmissionPayloadTypes: [UInt8: UInt8] = [:], extensions: HeaderExtensionMap = HeaderExtensionMap(),
        isNACKEnabled: Bool = false,
        keyframeRequests: KeyframeRequests = .pictureLossIndication, shortestWait: TimeDelta? = nil,
        longestWait: TimeDelta? = nil, maximumPackets: Int? = nil, maximumBytes: Int = 8 << 20,
        maximumMissing: Int = 512, maximumNACKs: Int = 10
    ) {
        self.ssrc = ssrc
        self.kind = kind
        self.clockRate = clockRate
        self.payloadTypes = payloadTypes
        self.telephoneEventClockRates = telephoneEventClockRates
        self.retransmissionPayloadTypes = retransmissionPayloadTypes
        self.extensions = extensions
        self.isNACKEnabled = isNACKEnabled
        self.keyframeRequests = keyframeRequests
        self.shortestWait = shortestWait ?? .milliseconds(kind == .audio ? 20 : 60)
        self.longestWait = longestWait ?? .milliseconds(kind == .audio ? (isNACKEnabled ? 300 : 120) : 500)
        self.maximumPackets = maximumPackets ?? (kind == .audio ? 512 : 2_048)
        self.maximumBytes = maximumBytes
        self.maximumMissing = maximumMissing
        self.maximumNACKs = maximumNACKs
    }
}

public enum KeyframeRequestReason: String, Hashable, Sendable, CaseIterable {
    /// The stream did not begin with one.
    case start
    /// Packets were given up.
    case loss
    /// The buffer ran full, or a gap was longer than what is kept track of.
    case overflow
    /// A packet did not make sense where it stood.
    case malformed
    /// The sender began a new sequence.
    case restart
    /// The decoder asked (`requireKeyframe`).
    case decoder
}

/// What a receive stream tells its owner.
public enum ReceiveEvent: Hashable, Sendable {
    /// A whole frame, in decoding order.
    case frame(EncodedFrame)
    /// Ask the sender for these again; ascending, at most 250 in one.
    case sendNACK([SequenceNumber])
    case requestKeyframe(KeyframeRequestReason)
    case telephoneEvent(ReceivedTelephoneEvent)
    /// The sender's clock when what bears this extended RTP timestamp was captured; every half second at most.
    case captureTime(NTPTime, timestamp: Int64)
}

/// What happened inside, for the diagnosis.
public enum RTPTrace: Hashable, Sendable {
    public enum Discard: String, Hashable, Sendable, CaseIterable {
        case duplicate
        case late
        /// Far from the sequence; the next packet will tell whether it was a restart.
        case jump
        case malformedPayload
        case unknownPayloadType
        case notARetransmission
    }

    case packetDiscarded(SSRC, SequenceNumber, Discard)
    case packetsSkipped(SSRC, count: Int)
    case sequenceRestarted(SSRC, at: SequenceNumber)
    case bufferOverflowed(SSRC)
    case keyframeRequested(SSRC, KeyframeRequestReason)
    case keyframeReceived(SSRC, waited: TimeDelta)
}
