import Primitives

/// Where the media clock stands at an instant, learnt from the frames that went by.
///
/// A frame comes some time after its capture: the encoder takes longer for one than for another. The least delay of
/// the last seconds is the truest, so the map is a minimum over two windows; sender reports drawn from it do not carry
/// the encoder's jitter, and audio and video of one capture stay together. A media clock that is set anew (another
/// source, a seek) is taken over at once.
struct MediaClockMap: Hashable, Sendable {
    private let clockRate: Int
    /// Instant at which the media clock would have read zero.
    private var current: Instant?
    private var previous: Instant?
    private var windowBegan: Instant?

    private static let window: TimeDelta = .milliseconds(5_000)
    private static let jump: TimeDelta = .milliseconds(500)

    init(clockRate: Int) { self.clockRate = clockRate }

    mutating func note(timestamp: Int64, at now: Instant) {
        let zero = now - duration(ofTicks: timestamp, clockRate: clockRate)
        guard let origin, let began = windowBegan, zero - origin < Self.jump, origin - zero < Self.jump else {
            current = zero
            previous = nil
            windowBegan = now
            return
        }
        if now - began > Self.window {
            previous = current
            current = zero
            windowBegan = now
        } else {
            current = current.map { Swift.min($0, zero) } ?? zero
        }
    }

    private var origin: Instant? { earliest(current, previous) }

    /// Ticks of the media clock; `nil` before the first frame.
    func timestamp(at now: Instant) -> Int64? {
        origin.map { ticks(now - $0, clockRate: clockRate) }
    }
}
