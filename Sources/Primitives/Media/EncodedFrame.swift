public enum MediaKind: String, Hashable, Sendable, CaseIterable {
    case audio
    case video
}

/// The codecs Postern knows by name. Raw values are the encoding names of their RTP payload formats.
public enum Codec: String, Hashable, Sendable, CaseIterable {
    case opus
    case vp8 = "VP8"
    case pcmu = "PCMU"
    case pcma = "PCMA"
    case telephoneEvent = "telephone-event"
    case comfortNoise = "CN"

    @inlinable public var kind: MediaKind { self == .vp8 ? .video : .audio }
}

/// One encoded frame: a VP8 frame, an Opus packet, a block of G.711. One copy of its bytes is made on the way in.
public struct EncodedFrame: Sendable, Hashable {
    public var codec: Codec
    public var payload: [UInt8]
    /// Media time in ticks of the RTP clock (48,000 Hz Opus, 90,000 Hz video, 8,000 Hz G.711). A sender counts from
    /// its own zero, a receiver from the unwrapped RTP timestamp.
    public var timestamp: Int64
    /// The ticks this frame lasts, where that is known (audio); 0 where it is not (video).
    public var duration: Int64
    public var isKeyframe: Bool
    /// Received frames: when the last packet of it came. `nil` when sending.
    public var arrival: Instant?
    /// Sent frames: when the media clock stood at `timestamp`, where the sender knows; sender reports are then exact from the
    /// first on. `nil`: taken from when the frames are sent, the least late of which count.
    public var captured: Instant?
    /// Received frames: whether packets before this frame were given up (a gap in the media, not in time).
    public var followsLoss: Bool
    /// RTP marker bit: on audio, the first packet after silence (RFC 3551 §4.1).
    public var marker: Bool
    /// Received video: clockwise quarter turns, 0...3, after which the picture stands upright (3GPP TS 26.114 §7.4.5).
    public var quarterTurns: UInt8
    /// Audio: the level as RFC 6464 has it, bit 7 for voice and -dBov 0...127 below; `nil` where it is not known.
    public var audioLevel: UInt8?

    public init(
        codec: Codec, payload: [UInt8], timestamp: Int64, duration: Int64 = 0, isKeyframe: Bool = true,
        arrival: Instant? = nil, captured: Instant? = nil, followsLoss: Bool = false, marker: Bool = false,
        quarterTurns: UInt8 = 0, audioLevel: UInt8? = nil
    ) {
        self.codec = codec
        self.payload = payload
        self.timestamp = timestamp
        self.duration = duration
        self.isKeyframe = isKeyframe
        self.arrival = arrival
        self.captured = captured
        self.followsLoss = followsLoss
        self.marker = marker
        self.quarterTurns = quarterTurns
        self.audioLevel = audioLevel
    }
}
