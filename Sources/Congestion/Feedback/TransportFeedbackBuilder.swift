import Primitives

/// When a packet with a transport-wide sequence number came.
public struct PacketArrival: Hashable, Sendable {
    /// Unwrapped.
    public var sequence: Int64
    public var at: Instant

    public init(sequence: Int64, at: Instant) {
        self.sequence = sequence
        self.at = at
    }
}

/// What one transport-wide feedback packet is to say (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
public struct ArrivalReport: Hashable, Sendable {
    /// The media source of the newest packet.
    public var media: SSRC
    /// Counts the reports, modulo 256.
    public var count: UInt8
    /// The first number the report speaks of, unwrapped; numbers from here to the last arrival that are not among the
    /// arrivals did not come.
    public var base: Int64
    /// In order of their numbers; never empty. Any two follow each other within 8 s, as a delta can say.
    public var arrivals: [PacketArrival]
}

/// The receiving half of transport-wide congestion control: notes arrivals and says when to report what.
///
/// A report speaks of everything from the first number not yet reported to the highest that came. A packet that comes
/// late, after it was reported missing, moves the beginning of the next report back, so that the sender learns better.
/// Arrivals are kept in a ring by number; a gap wider than the ring starts the reporting anew.
public struct TransportFeedbackBuilder: Sendable {
    private struct Slot {
        var sequence: Int64
        var at: Instant
    }

    /// From the first unreported arrival to the report.
    public let interval: TimeDelta
    /// Numbers one report speaks of at most, so that it fits a packet.
    public let maximumNumbers: Int
    private let mask: Int64
    /// How long after it was reported missing a packet is still reported.
    private let lateWindow = TimeDelta.milliseconds(500)
    private var ring: [Slot] = []
    private var unwrapper = SequenceNumberUnwrapper()
    private var base: Int64 = 0
    private var end: Int64 = 0
    private var media = SSRC(0)
    private var count: UInt8 = 0
    private var lastReport: Instant?
    public private(set) var deadline: Instant?

    public init(interval: TimeDelta = .milliseconds(100), capacity: Int = 4_096, maximumNumbers: Int = 400) {
        self.interval = interval
        self.maximumNumbers = Swift.max(1, maximumNumbers)
        var size = 64
        while size < capacity, size < 32_768 { size *= 2 }
        mask = Int64(size - 1)
    }

    public mutating func noteArrival(_ number: SequenceNumber, media: SSRC, at now: Instant) {
        let isFirst = ring.isEmpty
        if isFirst { ring = Array(repeating: Slot(sequence: .min, at: .zero), count: Int(mask) + 1) }
        let sequence = unwrapper.unwrap(number)
        if isFirst {
            base = sequence
            end = sequence
        }
        if sequence < base {
            let isLate = end - sequence <= mask && now - (lastReport ?? now) <= lateWindow
            guard isLate else { return }
        }
        let index = Int(sequence & mask)
        guard ring[index].sequence != sequence else { return }
        ring[index] = Slot(sequence: sequence, at: now)
        self.media = media
        if sequence < base { base = sequence }
        if sequence >= end { end = sequence + 1 }
        if end - base > mask { base = sequence }
        if deadline == nil { deadline = now + interval }
    }

    /// The report that is due, or `nil` without arrivals. Ask again until `nil`: a long gap takes several.
    public mutating func take(at now: Instant) -> ArrivalReport? {
        guard deadline != nil else { return nil }
        var arrivals: [PacketArrival] = []
        arrivals.reserveCapacity(Int(Swift.min(end - base, Int64(maximumNumbers))))
        var first = base
        var sequence = base
        while sequence < end, sequence - first < Int64(maximumNumbers) || arrivals.isEmpty {
            let slot = ring[Int(sequence & mask)]
            if slot.sequence == sequence {
                if let last = arrivals.last, abs((slot.at - last.at).nanoseconds) > 8_000_000_000 { break }
                // A hole wider than a report begins the report after it.
                if arrivals.isEmpty, sequence - first >= Int64(maximumNumbers) { first = sequence }
                arrivals.append(PacketArrival(sequence: sequence, at: slot.at))
            }
            sequence += 1
        }
        guard let last = arrivals.last else {
            base = end
            deadline = nil
            return nil
        }
        base = last.sequence + 1
        if base >= end { deadline = nil }
        lastReport = now
        defer { count &+= 1 }
        return ArrivalReport(media: media, count: count, base: first, arrivals: arrivals)
    }
}
