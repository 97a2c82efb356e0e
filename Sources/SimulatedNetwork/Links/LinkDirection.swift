import Primitives

/// One direction of a link at work.
///
/// The queue is not a list of packets but the instant until which the transmitter is busy: a packet that enters knows
/// at once when it will leave. So a link costs no event of its own for queueing.
struct LinkDirection {
    enum Outcome {
        case arrives(at: Instant, twice: Bool)
        case dropped
        case tooBig(mtu: Int)
    }

    private(set) var configuration: LinkConfiguration
    private(set) var isIdeal: Bool
    var statistics = LinkStatistics()
    /// Packets still to be lost whatever the model says.
    var forcedLosses = 0
    private var random: RandomSource
    private var loss = LossState()
    private var busyUntil: Instant
    private var lastArrival: Instant

    init(_ configuration: LinkConfiguration, random: RandomSource, start: Instant) {
        self.configuration = configuration
        self.random = random
        isIdeal = configuration.isIdeal
        busyUntil = start
        lastArrival = start
    }

    mutating func configure(_ new: LinkConfiguration) {
        configuration = new
        isIdeal = new.isIdeal
    }

    /// How long a packet that enters now would wait before its transmission.
    func queueDelay(at now: Instant) -> TimeDelta { Swift.max(.zero, busyUntil - now) }

    mutating func transmit(_ size: Int, at now: Instant) -> Outcome {
        statistics.entered += 1
        if isIdeal, forcedLosses == 0 {
            count(delivered: size)
            lastArrival = Swift.max(lastArrival, now)
            return .arrives(at: lastArrival, twice: false)
        }
        for outage in configuration.outages where outage.contains(now) {
            statistics.droppedByOutage += 1
            return .dropped
        }
        if let mtu = configuration.mtu, size > mtu {
            statistics.droppedByMTU += 1
            return .tooBig(mtu: mtu)
        }
        var departure = now
        if let rate = configuration.rate {
            let wait = queueDelay(at: now)
            guard rate > 0, hasRoom(for: size, behind: wait, rate: rate) else {
                statistics.droppedByQueue += 1
                return .dropped
            }
            statistics.longestQueueDelay = Swift.max(statistics.longestQueueDelay, wait)
            departure = now + wait + .nanoseconds(Int64(size) * 8 * 1_000_000_000 / Int64(rate))
            busyUntil = departure
        }
        if forcedLosses > 0 {
            forcedLosses -= 1
            statistics.lost += 1
            return .dropped
        }
        if loss.loses(under: configuration.loss, using: &random) {
            statistics.lost += 1
            return .dropped
        }
        return arrival(leavingAt: departure, size: size)
    }

    private mutating func arrival(leavingAt departure: Instant, size: Int) -> Outcome {
        var arrival = departure + configuration.delay
        if configuration.jitter > .zero { arrival += configuration.jitter * random.nextUnit() }
        if configuration.reorder > 0, random.nextUnit() < configuration.reorder {
            arrival += configuration.reorderDelay
            statistics.reordered += 1
        } else if !configuration.jitterReorders {
            arrival = Swift.max(arrival, lastArrival)
            lastArrival = arrival
        }
        count(delivered: size)
        let twice = configuration.duplicate > 0 && random.nextUnit() < configuration.duplicate
        if twice { statistics.duplicated += 1 }
        return .arrives(at: arrival, twice: twice)
    }

    private func hasRoom(for size: Int, behind wait: TimeDelta, rate: Int) -> Bool {
        switch configuration.queue {
        case .time(let limit): wait <= limit
        case .bytes(let limit): wait.seconds * Double(rate) / 8 + Double(size) <= Double(limit)
        }
    }

    private mutating func count(delivered size: Int) {
        statistics.delivered += 1
        statistics.deliveredBytes += size
    }
}
