import Primitives

/// Chooses which of the input's pictures are shown, and when.
///
/// With a rate, the output is a grid: picture k is at start + k / rate and shows the input's picture that is nearest in
/// time, repeated or left out as need be. The grid ends where the last picture's duration ends.
///
/// Without one, pictures keep their own times. Those that come sooner than 1 / 30 s after the last are left out, with
/// a quarter of that as leeway for times rounded by the container; but one left out that would have stood longer (the last
/// of a burst) is shown late rather than never. A picture that stands for more than a second is repeated each second,
/// so that a far end that asked for a keyframe does not wait for the next slide; the last one until its duration ends.
///
/// The pictures come from `pull`, one ahead at most, in order of time; those set back in time were mended before.
struct FrameRateConformer<Picture> {
    struct Shown {
        var picture: Picture
        var time: TimeDelta
    }
    struct Input {
        var picture: Picture
        var time: TimeDelta
        var duration: TimeDelta
        var end: TimeDelta { time + duration }
    }
    enum Rate {
        case grid(Double)
        case own(most: Double)
    }

    private let rate: Rate
    private var current: Input?
    private var following: Input?
    private var inputEnded = false
    /// Grid: pictures shown so far. Own times: unused.
    private var count: Int64 = 0
    private var start: TimeDelta?
    /// Own times: when the last picture was shown, and from when on the next is welcome.
    private var lastShown: TimeDelta?
    private var due: TimeDelta?

    static var longestStand: TimeDelta { .milliseconds(1_000) }

    init(_ rate: Rate) { self.rate = rate }

    mutating func next(_ pull: () throws(MediaError) -> Input?) throws(MediaError) -> Shown? {
        switch rate {
        case .grid(let rate): try nextOnGrid(rate, pull)
        case .own(let most): try nextAtOwnTime(interval: .seconds(1 / most), pull)
        }
    }

    private mutating func look(_ pull: () throws(MediaError) -> Input?) throws(MediaError) -> Input? {
        if following == nil, !inputEnded {
            following = try pull()
            if following == nil { inputEnded = true }
        }
        return following
    }

    private mutating func nextOnGrid(
        _ rate: Double, _ pull: () throws(MediaError) -> Input?
    ) throws(MediaError) -> Shown? {
        if current == nil {
            current = try look(pull)
            following = nil
            start = current?.time
        }
        guard let start else { return nil }
        let time = start + .seconds(Double(count) / rate)
        // A little less than half, so that rounding does not choose between two pictures that are as near.
        let half = TimeDelta.seconds(0.48 / rate)
        while let next = try look(pull), next.time < time + half {
            current = next
            following = nil
        }
        guard let current else { return nil }
        if following == nil, time + half >= current.end, count > 0 { return nil }
        count += 1
        return Shown(picture: current.picture, time: time)
    }

    private mutating func nextAtOwnTime(
        interval: TimeDelta, _ pull: () throws(MediaError) -> Input?
    ) throws(MediaError) -> Shown? {
        let leeway = interval / 4
        guard let lastShown, let due, let standing = current else {
            guard let first = try look(pull) else { return nil }
            following = nil
            return show(first, at: first.time, interval)
        }
        let repeatTime = lastShown + Self.longestStand
        while let next = try look(pull) {
            if next.time > repeatTime { return show(standing, at: repeatTime, interval) }
            following = nil
            if next.time + leeway >= due { return show(next, at: next.time, interval) }
            // Too soon. Unless another takes its place in time, it is shown when the next is due.
            if let after = try look(pull) {
                if after.time > due + leeway { return show(next, at: due, interval) }
            } else if next.end > due + leeway {
                return show(next, at: due, interval)
            }
        }
        guard repeatTime + interval / 2 < standing.end else { return nil }
        return show(standing, at: repeatTime, interval)
    }

    private mutating func show(_ input: Input, at time: TimeDelta, _ interval: TimeDelta) -> Shown {
        current = input
        lastShown = time
        // A grid, so that 50 a second become 30 and not 25; taken up afresh after a gap.
        let grid = (due ?? .zero - interval) + interval
        due = due != nil && grid > time + interval / 2 ? grid : time + interval
        return Shown(picture: input.picture, time: time)
    }
}
