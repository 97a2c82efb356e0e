import Primitives

/// When to repeat a flight (RFC 6347 §4.2.4), from the measured round trip instead of a second.
struct RetransmissionTimer {
    /// A peer needs some milliseconds for its signatures, whatever the round trip.
    static let shortest = TimeDelta.milliseconds(50)
    /// While nothing is known of the path.
    static let initialGuess = TimeDelta.milliseconds(100)
    /// RFC 6347 §4.2.4.1 allows 60 s; a caller who waits is better served by a try every 3 s.
    static let longest = TimeDelta.milliseconds(3_000)
    /// Repetitions at the first interval, where the round trip is known: what is not answered then was lost, and doubling at
    /// once would make seconds of a few losses.
    static let evenRepetitions = 3

    private(set) var roundTripTime: TimeDelta?
    private(set) var deadline: Instant?
    /// When the flight went out first.
    private(set) var flightStart: Instant?
    /// Repetitions of the flight so far.
    private(set) var repetitions = 0
    private var interval = initialGuess

    init(roundTripTime: TimeDelta?) { self.roundTripTime = roundTripTime }

    /// The interval a new flight starts with.
    var initialInterval: TimeDelta { Self.interval(for: roundTripTime) }

    /// As `initialInterval`, if the flight that is out now is answered at `now`.
    func initialInterval(answeredAt now: Instant) -> TimeDelta { Self.interval(for: roundTripTime ?? sample(at: now)) }

    private static func interval(for roundTripTime: TimeDelta?) -> TimeDelta {
        guard let roundTripTime else { return initialGuess }
        return min(max(roundTripTime * Int64(2), shortest), longest)
    }

    /// The interval after the next repetition.
    var nextInterval: TimeDelta {
        if roundTripTime != nil, repetitions < Self.evenRepetitions { return interval }
        return min(interval * Int64(2), Self.longest)
    }

    mutating func start(at now: Instant) {
        flightStart = now
        repetitions = 0
        interval = initialInterval
        deadline = now + interval
    }

    mutating func backOff(at now: Instant) {
        interval = nextInterval
        repetitions += 1
        deadline = now + interval
    }

    mutating func postpone(until later: Instant) { deadline = later }

    mutating func stop() {
        deadline = nil
        flightStart = nil
    }

    /// The peer answered the flight. A flight sent once measures the round trip where none was known (Karn's rule).
    mutating func noteAnswer(at now: Instant) -> TimeDelta? {
        guard roundTripTime == nil, let sample = sample(at: now) else { return nil }
        roundTripTime = sample
        return sample
    }

    private func sample(at now: Instant) -> TimeDelta? {
        guard repetitions == 0, let flightStart else { return nil }
        return max(now - flightStart, .zero)
    }

    /// A better estimate, from ICE's checks. A flight that has not been repeated yet gets its deadline anew.
    mutating func setRoundTripTime(_ value: TimeDelta) {
        roundTripTime = max(value, .zero)
        guard repetitions == 0, deadline != nil, let flightStart else { return }
        interval = initialInterval
        deadline = flightStart + interval
    }
}
