import Primitives

/// Loss and jitter of one source as RFC 3550 defines them (A.3, A.8), for reception reports.
///
/// Retransmissions on a stream of their own are not counted: the report tells the sender what the path does, not what
/// was repaired. Jitter is taken between packets of different timestamps, in order; packets of one video frame share a
/// timestamp and would only measure the sender's pacing.
public struct ReceptionAccounting: Hashable, Sendable {
    private let clockRate: Int
    private var base: Int64?
    private var highest: Int64 = 0
    private var received: Int64 = 0
    private var lostBefore: Int64 = 0
    private var expectedPrior: Int64 = 0
    private var receivedPrior: Int64 = 0
    private var origin: Instant?
    private struct Sample: Hashable, Sendable {
        var transit: Int64
        var timestamp: Int64
    }
    private var last: Sample?
    /// Sixteen times the jitter.
    private var scaledJitter: Int64 = 0

    public init(clockRate: Int) { self.clockRate = clockRate }

    /// Takes in a packet by its unwrapped sequence number and timestamp. Duplicates count, as RFC 3550 has it.
    public mutating func receive(sequence: Int64, timestamp: Int64, at now: Instant) {
        let isInOrder = base == nil || sequence > highest
        received += 1
        if let base {
            // Reordering around the first packet: the stream began earlier than it seemed.
            if sequence < base, received <= 64, base - sequence <= 64 { self.base = sequence }
            highest = Swift.max(highest, sequence)
        } else {
            base = sequence
            highest = sequence
        }
        guard isInOrder else { return }
        let began = origin ?? now
        origin = began
        let transit = ticks(now - began, clockRate: clockRate) &- timestamp
        defer { last = Sample(transit: transit, timestamp: timestamp) }
        guard let last, last.timestamp != timestamp else { return }
        let difference = transit.subtractingReportingOverflow(last.transit).partialValue.magnitude
        // More than five seconds is a clock set anew, not jitter.
        guard difference < UInt64(clamp(clockRate, 1, 1_000_000)) * 5 else { return }
        scaledJitter += Int64(difference) - ((scaledJitter + 8) >> 4)
    }

    /// Begins a new sequence (a sender that restarted); losses so far stay.
    public mutating func restart() {
        lostBefore = packetsLost
        base = nil
        received = 0
        expectedPrior = 0
        receivedPrior = 0
        last = nil
    }

    private var expected: Int64 { base.map { highest - $0 + 1 } ?? 0 }

    /// Expected less received; duplicates can make it negative.
    public var packetsLost: Int64 { lostBefore + expected - received }
    /// Ticks of the media clock.
    public var jitterTicks: Int64 { scaledJitter >> 4 }
    public var jitter: TimeDelta { duration(ofTicks: jitterTicks, clockRate: clockRate) }
    public var hasReceived: Bool { base != nil }

    /// The block for a report made now, without the times of the last sender report; begins the next interval.
    public mutating func report(ssrc: SSRC) -> ReportBlock {
        let expectedNow = expected - expectedPrior
        let lostNow = expectedNow - (received - receivedPrior)
        expectedPrior = expected
        receivedPrior = received
        let fraction = expectedNow > 0 && lostNow > 0 ? clamp(lostNow * 256 / expectedNow, 0, 255) : 0
        return ReportBlock(
            ssrc: ssrc, fractionLost: UInt8(fraction),
            cumulativeLost: Int32(clamp(packetsLost, -0x80_0000, 0x7F_FFFF)),
            highestSequence: UInt32(truncatingIfNeeded: highest), jitter: UInt32(clamp(jitterTicks, 0, 0xFFFF_FFFF)))
    }
}

/// The last sender report of a source: binds its media clock to its wall clock (RFC 3550 §6.4.1).
struct SenderClock: Hashable, Sendable {
    private var report: Report?
    private struct Report: Hashable, Sendable {
        var ntp: NTPTime
        var timestamp: RTPTimestamp
        var at: Instant
    }
    private let clockRate: Int

    init(clockRate: Int) { self.clockRate = clockRate }

    mutating func note(ntp: NTPTime, timestamp: RTPTimestamp, at now: Instant) {
        report = Report(ntp: ntp, timestamp: timestamp, at: now)
    }

    /// The sender's wall clock when the sample of this timestamp was taken.
    func captureTime(of timestamp: Int64) -> NTPTime? {
        guard let report else { return nil }
        let distance = RTPTimestamp(UInt32(truncatingIfNeeded: timestamp)).distance(from: report.timestamp)
        let span = duration(ofTicks: distance, clockRate: clockRate).nanoseconds
        let (seconds, rest) = span.quotientAndRemainder(dividingBy: 1_000_000_000)
        let fraction = (rest << 32) / 1_000_000_000
        return NTPTime(rawValue: report.ntp.rawValue &+ UInt64(bitPattern: seconds << 32 &+ fraction))
    }

    /// LSR and DLSR for a report made now.
    func fields(at now: Instant) -> (lastReport: UInt32, delay: UInt32) {
        guard let report else { return (0, 0) }
        return (report.ntp.compact, (now - report.at).compact)
    }
}
