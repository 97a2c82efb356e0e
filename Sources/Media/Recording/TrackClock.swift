import Primitives

/// One track's RTP timestamps as a media time that starts at zero with the first frame and never jumps.
///
/// Beside that it keeps two offsets, each such that media time + offset = a clock both tracks share:
/// - `arrivalOffset`, to our clock: the least (arrival − media time) of the last two to four seconds. The least, because
///   the network only ever delays.
/// - `ntpOffset`, to the sender's wall clock, from its latest sender report (RFC 3550 §6.4.1).
///
/// Three things can happen to timestamps:
/// - They run ahead of the arrivals by more than `jump`, or back by as much: another source, an encoder that started
///   anew. Media time goes on by the arrivals, and the sender reports so far mean nothing. "Ahead" is meant against the
///   delay that was usual from the start, so no series of small leaps makes a file longer than the call.
/// - They lag behind the arrivals. That is a stall in the network, after which frames come in a burst, or a sender whose
///   timestamps stood still over a pause. Only time tells: when every arrival of two whole windows was late by more than
///   `lag`, the pause is put in.
/// - They repeat or go back a little: a frame out of order, which has no place in a recording.
struct TrackClock: Sendable {
    static let window = TimeDelta.milliseconds(2_000)
    static let lag = TimeDelta.milliseconds(3_000)
    /// How long the least delay may still turn out to be less at once.
    static let firstImpression = TrackClock.window + TrackClock.window + .milliseconds(1_000)
    /// A sender report further from now than this belongs to another run of timestamps.
    static let reportReach = TimeDelta.milliseconds(5_000)

    let clockRate: Int64
    private let jump: TimeDelta
    private let base: Int64
    private var shift = TimeDelta.zero
    private(set) var lastMedia: TimeDelta?
    private(set) var lastArrival: Instant
    let firstArrival: Instant
    private(set) var jumps = 0
    private(set) var ntpOffset: TimeDelta?

    private var windowStart: Instant
    private var current: TimeDelta?
    private var previous: TimeDelta?
    /// What `arrivalOffset` is while nothing is amiss; follows slowly, for clocks drift.
    private var usual: TimeDelta?

    init(clockRate: Int, firstTimestamp: Int64, arrival: Instant, jump: TimeDelta) {
        self.clockRate = Int64(Swift.max(1, clockRate))
        self.jump = jump
        base = firstTimestamp
        firstArrival = arrival
        lastArrival = arrival
        windowStart = arrival
    }

    /// The media time of a frame, later than every one before; `nil` for a frame out of order.
    mutating func note(_ timestamp: Int64, at arrival: Instant) -> TimeDelta? {
        let arrival = Swift.max(arrival, lastArrival)
        var media = time(of: timestamp)
        if let last = lastMedia {
            let step = media - last
            let elapsed = arrival - lastArrival
            let ahead = media + (usual ?? .zero) - sinceZero(arrival)
            let leaps = ahead > jump && step - elapsed > jump
            if step < -jump || leaps || ahead > jump + jump {
                let delay = (leaps || step < -jump ? arrivalOffset : usual) ?? (sinceZero(lastArrival) - last)
                let expected = sinceZero(arrival) - delay
                let resumed = Swift.max(expected, last + .milliseconds(1))
                shift += resumed - media
                media = resumed
                ntpOffset = nil
                jumps &+= 1
            } else if step <= .zero {
                return nil
            }
        }
        observe(sinceZero(arrival) - media, at: arrival)
        if let behind = standstill() {
            shift += behind
            media += behind
            current = current.map { $0 - behind }
            previous = previous.map { $0 - behind }
            ntpOffset = nil
            jumps &+= 1
        }
        lastMedia = media
        lastArrival = arrival
        return media
    }

    /// Takes in a report whose NTP time is given as the distance from one fixed NTP time. Returns whether it was of use.
    mutating func noteSenderReport(ntp: TimeDelta, timestamp: Int64, at now: Instant) -> Bool {
        guard let lastMedia else { return false }
        // Whoever unwrapped the report's timestamp may have started from another turn of the 32 bits than the frames did.
        let turns = Double(timestamp &- base &- ticks(lastMedia - shift)) / 0x1p32
        let near = timestamp &- Int64(turns.rounded()) &* 0x1_0000_0000
        let media = time(of: near)
        let expected = lastMedia + (Swift.max(now, lastArrival) - lastArrival)
        guard media - expected < TrackClock.reportReach, expected - media < TrackClock.reportReach else { return false }
        ntpOffset = ntp - media
        return true
    }

    var arrivalOffset: TimeDelta? {
        guard let current else { return previous }
        return previous.map { Swift.min($0, current) } ?? current
    }

    /// Whether `arrivalOffset` rests on more than a few frames.
    var isArrivalSettled: Bool {
        previous != nil || (current != nil && lastArrival - windowStart >= .milliseconds(900))
    }

    private func time(of timestamp: Int64) -> TimeDelta {
        let (seconds, rest) = (timestamp &- base).quotientAndRemainder(dividingBy: clockRate)
        return TimeDelta.milliseconds(1_000) * seconds + .nanoseconds(rest &* 1_000_000_000 / clockRate) + shift
    }

    private func ticks(_ time: TimeDelta) -> Int64 {
        let (seconds, rest) = time.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        return seconds &* clockRate &+ rest &* clockRate / 1_000_000_000
    }

    private func sinceZero(_ instant: Instant) -> TimeDelta { instant - .zero }

    private mutating func observe(_ offset: TimeDelta, at arrival: Instant) {
        let age = arrival - windowStart
        if current != nil, age >= TrackClock.window {
            previous = age >= TrackClock.window + TrackClock.window ? nil : current
            current = nil
            windowStart = arrival
            if let usual, let previous {
                // A clock is wrong by 1 in 1,000 at most; what is more is the network or a sender that plays tricks.
                let drift = Swift.max(.milliseconds(-2), Swift.min(previous - usual, .milliseconds(2)))
                self.usual = usual + drift
            }
        }
        current = current.map { Swift.min($0, offset) } ?? offset
        guard let usual else { return usual = offset }
        if offset < usual, arrival - firstArrival < TrackClock.firstImpression {
            self.usual = Swift.max(offset, sinceZero(firstArrival) - jump)
        }
    }

    /// How far behind the arrivals the timestamps have stayed for two windows.
    private func standstill() -> TimeDelta? {
        guard let previous, let current, let usual, lastArrival - windowStart >= TrackClock.window - .milliseconds(200)
        else { return nil }
        let behind = Swift.min(previous, current) - usual
        return behind > TrackClock.lag ? behind : nil
    }
}
