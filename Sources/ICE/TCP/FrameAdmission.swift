import Primitives

/// Which frames a connection still takes when bytes wait to leave it.
///
/// A connection that is slower than what is sent on it makes everything late, and late media is worse than lost media, which is
/// seen, repaired or adapted to. So media is dropped in whole frames while more waits than has left within `delay`, by what was
/// measured since bytes began to wait; what keeps the call alive (checks, DTLS, RTCP) is little and is taken up to `everything`.
public struct FrameAdmission: Hashable, Sendable {
    public struct Limits: Hashable, Sendable {
        /// What media may wait, as time and, whatever was measured, in bytes: at first, at least and at most.
        public var delay = TimeDelta.milliseconds(400)
        public var initial = 32_000
        public var minimum = 12_000
        public var maximum = 96_000
        /// What anything may.
        public var everything = 262_144
        /// How long is measured at a time.
        public var interval = TimeDelta.milliseconds(250)

        public init() {}
    }

    public let limits: Limits
    /// Bytes of media that may wait now.
    public private(set) var mediaLimit: Int
    private var lastQueued = 0
    private var drained = 0
    private var since: Instant?

    public init(limits: Limits = Limits()) {
        self.limits = limits
        mediaLimit = limits.initial
    }

    /// Whether a frame is taken while so many bytes wait; it waits then, too.
    public mutating func admits(_ frame: [UInt8], queued: Int, at now: Instant) -> Bool {
        measure(queued, at: now)
        guard frame.count <= 65_535, queued + frame.count <= limits.everything else { return false }
        guard queued <= mediaLimit || !Self.isMedia(frame) else { return false }
        lastQueued += frame.count + 2
        return true
    }

    private mutating func measure(_ queued: Int, at now: Instant) {
        guard queued > 0, let since else {
            since = now
            drained = 0
            lastQueued = queued
            if queued == 0 { mediaLimit = limits.initial }
            return
        }
        drained += max(0, lastQueued - queued)
        lastQueued = queued
        let elapsed = now - since
        guard elapsed >= limits.interval else { return }
        let left = Double(drained) / elapsed.seconds * limits.delay.seconds
        mediaLimit = min(limits.maximum, max(limits.minimum, Int(left)))
        self.since = now
        drained = 0
    }

    /// RTP, and not RTCP, by the first two bytes (RFC 7983 §7, RFC 5761 §4).
    private static func isMedia(_ frame: [UInt8]) -> Bool {
        guard frame.count >= 2, frame[0] >> 6 == 2 else { return false }
        return !(192...223).contains(frame[1])
    }
}
