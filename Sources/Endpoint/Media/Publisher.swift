import Media
import Peer
import Primitives

/// Feeds a source into a call on an absolute media clock: frame n leaves at start + its media time, however long frame
/// n - 1 took. It decides what is due; threads and simulated time are its driver's business.
///
/// The encoder is told, never asks: bit rates, keyframe requests and loss come in from the call and are handed on before
/// the next frame is made.
public final class Publisher {
    private let source: any MediaSource
    private let mids: [MediaKind: String]
    private let audioBitrate: Int
    private let videoBitrateCap: Int
    /// Media time at which to stop; `nil` sends the source to its end.
    private let limit: TimeDelta?
    private var start: Instant?
    public private(set) var isFinished = false
    /// Frames given out and the media time of the last one with its duration, by kind.
    public private(set) var sent: [MediaKind: SentTotals] = [:]

    public struct SentTotals: Hashable, Sendable {
        public var frames = 0
        public var bytes = 0
        public var end: TimeDelta = .zero

        /// One source after another.
        public static func + (a: SentTotals, b: SentTotals) -> SentTotals {
            SentTotals(frames: a.frames + b.frames, bytes: a.bytes + b.bytes, end: a.end + b.end)
        }
    }

    /// - Parameter mids: the section each kind goes out on; kinds without one are made and dropped.
    public init(
        source: any MediaSource, mids: [MediaKind: String], audioBitrate: Int, videoBitrateCap: Int,
        limit: TimeDelta? = nil
    ) {
        self.limit = limit
        self.source = source
        self.mids = mids
        self.audioBitrate = audioBitrate
        self.videoBitrateCap = videoBitrateCap
    }

    /// The media clock's zero. Frames of time zero are due at once.
    public func start(at now: Instant) {
        if start == nil { start = now }
    }

    /// When the next frame is due; `nil` before the start and after the end.
    public func nextDue() throws(MediaError) -> Instant? {
        guard let start, !isFinished else { return nil }
        guard let time = try source.peekTime(), limit.map({ time < $0 }) ?? true else {
            isFinished = true
            return nil
        }
        return start + time
    }

    /// Makes the next frame, if it is due by `now`.
    public func produce(at now: Instant) throws(MediaError) -> (frame: EncodedFrame, mid: String)? {
        while let due = try nextDue(), due <= now {
            guard let (frame, mid) = try take() else { return nil }
            if let mid { return (frame, mid) }
        }
        return nil
    }

    /// Makes the frames of time zero before the start, for whoever sends them at the start itself: a first picture takes
    /// longer to decode and to encode than a call takes to be set up.
    public func produceFirst() throws(MediaError) -> [(frame: EncodedFrame, mid: String)] {
        var first: [(frame: EncodedFrame, mid: String)] = []
        while start == nil, first.count < 4, !isFinished, let time = try source.peekTime(), time <= .zero,
            limit.map({ time < $0 }) ?? true
        {
            guard let (frame, mid) = try take() else { break }
            if let mid { first.append((frame, mid)) }
        }
        return first
    }

    private func take() throws(MediaError) -> (frame: EncodedFrame, mid: String?)? {
        guard let next = try source.next() else {
            isFinished = true
            return nil
        }
        let time = next.time
        var frame = next.frame
        if frame.payload.isEmpty { return (frame, nil) }
        frame.captured = start.map { $0 + time }
        let kind = frame.codec.kind
        let ticks = kind == .video ? 90_000.0 : (frame.codec == .opus ? 48_000.0 : 8_000.0)
        sent[kind, default: SentTotals()].frames += 1
        sent[kind, default: SentTotals()].bytes += frame.payload.count
        sent[kind, default: SentTotals()].end = time + .seconds(Double(frame.duration) / ticks)
        return (frame, mids[kind])
    }

    /// What of the call concerns an encoder.
    public func apply(_ event: PeerEvent) {
        switch event {
        case .keyframeRequested: source.requestKeyframe()
        case .targetBitrate(let total):
            let audio = audioBitrate > 0 ? audioBitrate + Self.headers(packetsPerSecond: 50) : 0
            let rest = total - audio - Self.headers(packetsPerSecond: 30)
            source.setTargetBitrate(min(videoBitrateCap, max(30_000, rest)), for: .video)
        case .lossReported(_, let fraction): source.setExpectedLoss(fraction)
        default: break
        }
    }

    /// Bits per second of RTP headers, with extensions and the authentication tag: the target is for whole packets.
    private static func headers(packetsPerSecond: Int) -> Int { packetsPerSecond * 40 * 8 }

    public func close() { source.close() }
}
