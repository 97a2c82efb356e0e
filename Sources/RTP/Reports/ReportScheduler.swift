import Primitives

/// When to send RTCP (RFC 3550 §6.2, RFC 4585 §3.5).
///
/// Two kinds of packets are timed. Regular ones, compound, come about every `minimumInterval`, less often where the
/// session's bandwidth is too small for that, and at random within half and one and a half of the interval so that many
/// endpoints do not fall into step. Early ones carry feedback that cannot wait, a NACK or a keyframe request; between two
/// endpoints they need no dither and leave at once (RFC 4585 §3.5.2: T_dither_max is zero for two members), as long as
/// RTCP keeps to its twentieth of the bandwidth. Bytes are counted as in a bucket: what is sent is taken out, time fills
/// it; when it is empty, early feedback waits until it is not.
///
/// The first regular report leaves with the first media, so that the receiver can put audio and video together at
/// once and need not wait a second for the report that tells how.
///
///     owner: noteMediaSent ─▶ deadline = now ─▶ advance(to:) = .regular ─▶ SR SDES (feedback) ─▶ noteSent(bytes:)
///            requestFeedback ─▶ deadline = now ─▶ advance(to:) = .early ─▶ NACK, PLI … ─▶ noteSent(bytes:)
public struct ReportScheduler: Sendable {
    public enum Due: String, Hashable, Sendable {
        /// A compound packet: SR or RR, SDES, and the feedback that waits.
        case regular
        /// The feedback that waits, alone (RFC 5506).
        case early
    }

    /// The shortest mean interval of regular reports.
    public var minimumInterval: TimeDelta
    /// Bits per second of the session; RTCP takes a twentieth at most.
    public var sessionBandwidth: Int

    private var random: RandomSource
    private var regularAt: Instant?
    private var earlyAt: Instant?
    private var hasSentMedia = false
    private var hasReceivedMedia = false
    /// Bytes, an exponential mean with a gain of 1/16 (RFC 3550 §6.3.3).
    private var meanSize: Double = 100
    private var budget: Double = Self.burst
    private var budgetAt: Instant?

    /// Bytes of RTCP that may leave at once.
    private static let burst: Double = 4_000
    /// IP and UDP headers count (RFC 3550 §6.2).
    private static let lowerLayers: Double = 28

    public init(
        minimumInterval: TimeDelta = .milliseconds(1_000), sessionBandwidth: Int = 300_000, random: RandomSource
    ) {
        self.minimumInterval = minimumInterval
        self.sessionBandwidth = sessionBandwidth
        self.random = random
    }

    /// When `advance(to:)` has something due; `nil` before there is anything to report.
    public var deadline: Instant? { earliest(regularAt, earlyAt) }

    /// Media leaves. The first time, a report is due at once.
    public mutating func noteMediaSent(at now: Instant) {
        if hasSentMedia { return }
        hasSentMedia = true
        reportSoon(at: now)
    }

    /// Media came. The first time, a report is due within half an interval, so that the sender learns its round trip.
    public mutating func noteMediaReceived(at now: Instant) {
        if hasReceivedMedia { return }
        hasReceivedMedia = true
        let soon = now + minimumInterval * Double.random(in: 0.1...0.5, using: &random)
        regularAt = earliest(regularAt, soon)
    }

    /// A regular report is due now: a stream was added.
    public mutating func reportSoon(at now: Instant) { regularAt = earliest(regularAt, now) }

    /// Feedback waits: an early packet is due as soon as RTCP's share allows.
    public mutating func requestFeedback(at now: Instant) {
        guard earlyAt == nil else { return }
        fill(at: now)
        earlyAt = now + (budget >= meanSize ? .zero : .seconds((meanSize - budget) / bytesPerSecond))
    }

    /// What is due. A regular report takes waiting feedback with it.
    public mutating func advance(to now: Instant) -> Due? {
        if let at = regularAt, at <= now {
            regularAt = now + interval
            earlyAt = nil
            return .regular
        }
        if let at = earlyAt, at <= now {
            earlyAt = nil
            return .early
        }
        return nil
    }

    /// Tells the size of an RTCP datagram that was sent, all of it.
    public mutating func noteSent(bytes: Int, at now: Instant) {
        fill(at: now)
        let size = Double(clamp(bytes, 0, 65_535)) + Self.lowerLayers
        budget -= size
        meanSize += (size - meanSize) / 16
    }

    private var bytesPerSecond: Double { Double(clamp(sessionBandwidth, 64_000, 1_000_000_000)) * 0.05 / 8 }

    private mutating func fill(at now: Instant) {
        if let budgetAt, now > budgetAt {
            budget = Swift.min(Self.burst, budget + (now - budgetAt).seconds * bytesPerSecond)
        }
        budgetAt = budgetAt.map { Swift.max($0, now) } ?? now
    }

    private var interval: TimeDelta {
        mutating get {
            // Two members, each with its share (RFC 3550 §6.3.1).
            let fair = TimeDelta.seconds(2 * meanSize / bytesPerSecond)
            return Swift.max(minimumInterval, fair) * Double.random(in: 0.5...1.5, using: &random)
        }
    }
}
