import Primitives

/// What a receive stream counted: the members of `RTCInboundRtpStreamStats` that RTP can know. Bytes are payload,
/// without headers and padding.
public struct ReceiveStatistics: Hashable, Sendable {
    public var packetsReceived: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    public var headerBytesReceived: UInt64 = 0
    public var lastPacketReceivedAt: Instant?
    /// Of the last media packet; `nil` before.
    public var payloadType: UInt8?
    public var retransmittedPacketsReceived: UInt64 = 0
    public var retransmittedBytesReceived: UInt64 = 0
    /// Came too late to be used.
    public var packetsDiscarded: UInt64 = 0
    public var packetsDuplicated: UInt64 = 0
    /// Given up: never came, or not in time.
    public var packetsSkipped: UInt64 = 0
    /// Times packets were given up; each is a gap the decoder has to conceal (audio) or a wait for a keyframe (video).
    public var skipEvents: UInt64 = 0
    public var packetsMalformed: UInt64 = 0
    public var packetsOfUnknownType: UInt64 = 0

    public var framesReceived: UInt64 = 0
    public var framesDropped: UInt64 = 0
    public var keyFramesReceived: UInt64 = 0
    /// Size of the last keyframe, pixels.
    public var frameWidth: Int?
    public var frameHeight: Int?

    /// Sent by us. `nackCount` is messages, `nackedPackets` sequence numbers.
    public var nackCount: UInt64 = 0
    public var nackedPackets: UInt64 = 0
    public var pliCount: UInt64 = 0
    public var firCount: UInt64 = 0

    /// From the first packet of a frame to its release, summed: seconds × frames for video, seconds × samples for audio.
    public var jitterBufferDelay: Double = 0
    /// Frames for video, samples for audio.
    public var jitterBufferEmittedCount: UInt64 = 0

    /// Of the last packet that told it (RFC 6464): 0...1, linear, 1 is overload.
    public var audioLevel: Double?
    /// Level² × seconds, summed, and the seconds it was summed over.
    public var totalAudioEnergy: Double = 0
    public var totalSamplesDuration: Double = 0
    /// Clockwise quarter turns that put the last picture upright.
    public var quarterTurns: UInt8 = 0
    /// The last limits the sender set for the playout delay.
    public var playoutDelay: PlayoutDelay?
    /// Packets that told when their content was captured.
    public var captureTimesReceived: UInt64 = 0

    /// Video frames as released here; a renderer that delays them evenly sees the same.
    public var freezeCount: UInt64 = 0
    public var totalFreezesDuration: Double = 0
    public var pauseCount: UInt64 = 0
    public var totalPausesDuration: Double = 0
    public var totalInterFrameDelay: Double = 0
    public var totalSquaredInterFrameDelay: Double = 0

    /// RFC 3550; filled in by `ReceiveStream.statistics`.
    public var packetsLost: Int64 = 0
    public var jitter: TimeDelta = .zero

    public init() {}
}

/// Counts freezes as W3C webrtc-stats defines them: an interval between two frames of at least
/// max(3 × average, average + 150 ms), where the average is that of the last 30 intervals. An interval over five
/// seconds is a pause.
///
/// One thing is left to the sender: where the timestamps say that it took no picture for as long as none came, and none
/// was lost, there was nothing to freeze. A camera switched off, a tab in the background at one picture a second and a
/// still slide are gaps in time.
struct FreezeTracker: Hashable, Sendable {
    private var last: Instant?
    private var lastTimestamp: Int64 = 0
    private var intervals: [TimeDelta] = []
    private var next = 0
    private var sum: TimeDelta = .zero

    /// - Parameters:
    ///   - timestamp: extended, 90 kHz.
    ///   - followsLoss: whether packets before it were given up.
    mutating func note(
        frameAt now: Instant, timestamp: Int64, followsLoss: Bool, into statistics: inout ReceiveStatistics
    ) {
        let media = duration(ofTicks: timestamp &- lastTimestamp, clockRate: 90_000)
        defer {
            last = now
            lastTimestamp = timestamp
        }
        guard let last else { return }
        let interval = Swift.max(now - last, .zero)
        statistics.totalInterFrameDelay += interval.seconds
        statistics.totalSquaredInterFrameDelay += interval.seconds * interval.seconds
        if interval > .milliseconds(5_000) {
            statistics.pauseCount += 1
            statistics.totalPausesDuration += interval.seconds
            return
        }
        if !intervals.isEmpty {
            let average = sum / Int64(intervals.count)
            let isOfTheSender = !followsLoss && interval - media < .milliseconds(150)
            if interval >= Swift.max(average * 3.0, average + .milliseconds(150)), !isOfTheSender {
                statistics.freezeCount += 1
                statistics.totalFreezesDuration += interval.seconds
            }
        }
        if intervals.count < 30 {
            intervals.append(interval)
        } else {
            sum -= intervals[next]
            intervals[next] = interval
            next = (next + 1) % 30
        }
        sum += interval
    }
}
