import Primitives

/// What a send stream counted: the members of `RTCOutboundRtpStreamStats` that RTP can know. Packets and bytes include
/// retransmissions on the RTX stream; bytes are payload, without headers and padding.
public struct SendStatistics: Hashable, Sendable {
    public var packetsSent: UInt64 = 0
    public var bytesSent: UInt64 = 0
    public var headerBytesSent: UInt64 = 0
    public var retransmittedPacketsSent: UInt64 = 0
    public var retransmittedBytesSent: UInt64 = 0
    public var framesSent: UInt64 = 0
    public var keyFramesSent: UInt64 = 0
    /// Frames that could not be packetised (empty ones).
    public var framesDiscarded: UInt64 = 0
    /// Received by us, each counted once.
    public var nackCount: UInt64 = 0
    public var pliCount: UInt64 = 0
    public var firCount: UInt64 = 0
    /// Packets asked for again that were not sent: too old, or sent a moment ago.
    public var retransmissionsRefused: UInt64 = 0
    public var probePacketsSent: UInt64 = 0

    public init() {}
}

/// What the far end reported of a send stream: the members of `RTCRemoteInboundRtpStreamStats`.
public struct RemoteReception: Hashable, Sendable {
    /// 0...1, between the last two reports.
    public var fractionLost: Double = 0
    public var packetsLost: Int64 = 0
    /// Ticks of the media clock.
    public var jitterTicks: UInt32 = 0
    public var jitter: TimeDelta = .zero
    /// The last measurement; `nil` before the first.
    public var roundTripTime: TimeDelta?
    /// Smoothed with a gain of 1/8.
    public var smoothedRoundTripTime: TimeDelta?
    public var totalRoundTripTime: TimeDelta = .zero
    public var roundTripTimeMeasurements: UInt64 = 0
    /// Highest sequence number it has, cycles in the upper half.
    public var highestSequence: UInt32 = 0
    public var reports: UInt64 = 0
    public var lastReportAt: Instant?

    public init() {}
}
