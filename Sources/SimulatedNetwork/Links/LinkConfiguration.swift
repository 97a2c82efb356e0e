import Primitives

/// How much a link's queue holds before it drops what comes (drop tail). It matters only where there is a rate.
public enum QueueLimit: Hashable, Sendable {
    /// The longest wait before a packet's own transmission begins.
    case time(TimeDelta)
    /// Bytes on the wire, the packet in transmission included.
    case bytes(Int)
}

/// One direction of a link. In order: outage, MTU, queue and rate, loss, delay, jitter, reordering, duplication.
///
/// Sizes and rates are those of IP packets: payload + 8 bytes UDP + 20 or 40 bytes IP. A change made while packets are
/// under way holds for those that enter after it.
public struct LinkConfiguration: Hashable, Sendable {
    /// Propagation, besides the time on the wire at `rate`.
    public var delay: TimeDelta
    /// Added to `delay`, evenly spread over 0 ... `jitter`.
    public var jitter: TimeDelta
    /// Whether jitter lets packets overtake each other. If not, each arrives no earlier than the one before.
    public var jitterReorders: Bool
    public var loss: LossModel
    /// Probability that a packet arrives twice, at one instant.
    public var duplicate: Double
    /// Probability that a packet is held back by `reorderDelay`, so that later ones overtake it.
    public var reorder: Double
    public var reorderDelay: TimeDelta
    /// Bits per second; `nil` for no limit.
    public var rate: Int?
    public var queue: QueueLimit
    /// The largest IP packet in bytes; larger ones are dropped and reported to the sender (RFC 1191).
    public var mtu: Int?
    /// When the link is down; what enters then is lost without a word.
    public var outages: [Range<Instant>]

    public init(
        delay: TimeDelta = .zero, jitter: TimeDelta = .zero, jitterReorders: Bool = false, loss: LossModel = .none,
        duplicate: Double = 0, reorder: Double = 0, reorderDelay: TimeDelta = .milliseconds(10), rate: Int? = nil,
        queue: QueueLimit = .time(.milliseconds(300)), mtu: Int? = nil, outages: [Range<Instant>] = []
    ) {
        self.delay = delay
        self.jitter = jitter
        self.jitterReorders = jitterReorders
        self.loss = loss
        self.duplicate = duplicate
        self.reorder = reorder
        self.reorderDelay = reorderDelay
        self.rate = rate
        self.queue = queue
        self.mtu = mtu
        self.outages = outages
    }

    /// No delay, no loss, no limit.
    public static let ideal = LinkConfiguration()

    var isIdeal: Bool { self == .ideal }
}

/// An access link: `up` from the box into its network, `down` from the network to the box.
public struct Link: Hashable, Sendable {
    public var up: LinkConfiguration
    public var down: LinkConfiguration

    public init(up: LinkConfiguration = .ideal, down: LinkConfiguration = .ideal) {
        self.up = up
        self.down = down
    }

    public static let ideal = Link()

    /// The same in both directions.
    public static func symmetric(_ configuration: LinkConfiguration) -> Link {
        Link(up: configuration, down: configuration)
    }
}

/// What one direction of a link did, in packets unless said otherwise.
public struct LinkStatistics: Hashable, Sendable {
    public var entered = 0
    /// Packets that came or will come out, duplicates not counted.
    public var delivered = 0
    /// Bytes on the wire of the delivered ones.
    public var deliveredBytes = 0
    public var lost = 0
    public var droppedByQueue = 0
    public var droppedByMTU = 0
    public var droppedByOutage = 0
    public var duplicated = 0
    public var reordered = 0
    /// The longest wait in the queue of a packet that got through it.
    public var longestQueueDelay = TimeDelta.zero

    public init() {}
}
