import Primitives

/// A network between two peers as one line of text: `rtt=100ms,loss=2%,jitter=20ms,rate=2mbps,nat=symmetric/fullcone`.
///
/// | key | value | meaning |
/// |---|---|---|
/// | `rtt` | time | round trip between the peers, half of it each way |
/// | `delay` | time | one way |
/// | `jitter` | time | added delay, evenly spread over 0 ... value, without overtaking |
/// | `loss` | share | packets lost, alone or in bursts |
/// | `burst` | number ≥ 1 | mean length of a burst of loss |
/// | `duplicate`, `reorder` | share | packets that arrive twice, or 10 ms late so that others overtake them |
/// | `rate` | bit rate | of IP packets |
/// | `queue` | time or bytes | drop-tail queue before the rate |
/// | `mtu` | bytes | largest IP packet |
/// | `outage` | `from-to` times, joined by `+` | when nothing gets through |
/// | `nat` | `left/right` or one for both | none, cone, fullcone, restricted, port-restricted, symmetric |
/// | `stun` | on, off | a STUN server on the internet |
/// | `ipv6` | on, off, only | IPv6 addresses besides IPv4, or instead; there is no NAT for them |
///
/// Times: `ns us ms s min`. Shares: `2%` or `0.02`. Rates: `bps kbps mbps gbps` (or `bit`, `kbit`…, decimal). Sizes: `b kb kib mb`.
/// Every key from `delay` to `outage` may bear `up.` (left to right) or `down.` (right to left) and then overrules the
/// plain one.
public struct NetworkSpecification: Hashable, Sendable {
    /// One direction between the peers.
    public struct Direction: Hashable, Sendable {
        public var delay = TimeDelta.zero
        public var jitter = TimeDelta.zero
        /// Share of packets lost, 0 ... 1.
        public var loss = 0.0
        /// Mean length of a burst of loss in packets; `nil` for losses independent of each other.
        public var burst: Double?
        public var duplicate = 0.0
        public var reorder = 0.0
        /// Bits per second.
        public var rate: Int?
        public var queue: QueueLimit?
        public var mtu: Int?
        /// From the start of the run.
        public var outages: [Range<TimeDelta>] = []

        public init() {}

        /// The link this describes, for a run that starts at `start`.
        public func linkConfiguration(start: Instant = .zero) -> LinkConfiguration {
            var link = LinkConfiguration(
                delay: delay, jitter: jitter, duplicate: duplicate, reorder: reorder, rate: rate, mtu: mtu,
                outages: outages.map { start + $0.lowerBound..<start + $0.upperBound })
            if loss > 0 { link.loss = burst.map { .bursts(rate: loss, meanLength: $0) } ?? .independent(loss) }
            if let queue { link.queue = queue }
            return link
        }
    }

    public enum IPv6: String, Hashable, Sendable, CaseIterable {
        case off, on, only
    }

    /// From the left peer to the right one.
    public var up = Direction()
    /// From the right peer to the left one.
    public var down = Direction()
    public var leftNAT = NATKind.none
    public var rightNAT = NATKind.none
    public var hasSTUNServer = true
    public var ipv6 = IPv6.off

    /// Two peers on one ideal network, with a STUN server.
    public init() {}

    /// The round trip between the peers, jitter and time on the wire aside.
    public var roundTrip: TimeDelta { up.delay + down.delay }
}

/// What is wrong with the text of a specification, and what would be right.
public struct NetworkSpecificationError: Error, Hashable, Sendable {
    public enum Problem: Hashable, Sendable {
        case unknownKey
        case repeatedKey
        case missingValue
        case badValue
        /// The key has no `up.` and `down.` forms.
        case notDirectional
        case tooLong
    }
    public var problem: Problem
    public var key: String
    public var value: String
    /// What is allowed, in words.
    public var allowed: String
}

extension NetworkSpecificationError: CustomStringConvertible {
    public var description: String {
        switch problem {
        case .unknownKey: "unknown key '\(key)' in the network specification; allowed: \(allowed)"
        case .repeatedKey: "'\(key)' is given twice in the network specification"
        case .missingValue: "'\(key)' needs a value in the network specification; allowed: \(allowed)"
        case .badValue: "'\(value)' is no value for '\(key)' in the network specification; allowed: \(allowed)"
        case .notDirectional: "'\(key)' holds for both directions and takes no prefix"
        case .tooLong: "the network specification is too long; allowed: \(allowed)"
        }
    }
}
