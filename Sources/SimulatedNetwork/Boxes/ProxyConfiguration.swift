import Primitives

/// Ports a reverse proxy forwards: `outside` on its front, to `target` at the outside port plus `offset`.
public struct ProxyRule: Hashable, Sendable {
    public var outside: ClosedRange<UInt16>
    public var offset: Int
    public var target: IPAddress

    public init(outside: ClosedRange<UInt16>, offset: Int = 0, target: IPAddress) {
        self.outside = outside
        self.offset = offset
        self.target = target
    }
}

/// A port-level reverse proxy: a front host outside and a back host inside that pass flows between them, of UDP and of TCP by the
/// segment.
///
/// Each client endpoint that sends to a front port gets a flow with an upstream port of its own on the back's address, so
/// the inside sees every client at the back's address. Nothing from inside opens a flow.
public struct ProxyConfiguration: Hashable, Sendable {
    public enum WhenFull: Hashable, Sendable {
        case refuse
        case evictOldest
    }

    public var rules: [ProxyRule]
    /// A flow ends when no traffic in the directions of `refresh` was seen for so long. Outbound is what the client sends.
    public var idleTimeout: TimeDelta
    public var refresh: Directions
    /// Upstream ports on the back, chosen at random.
    public var upstreamPorts: ClosedRange<UInt16>
    public var maximumFlows: Int
    public var whenFull: WhenFull
    /// What a client hears at a front port with no rule, and the inside at an upstream port with no flow.
    public var closedPort: Refusal
    /// Whether the client hears ICMP errors from the inside. A relay in user space ends them; a packet filter does not.
    public var passesErrors: Bool
    /// What it forwards at all. For the client a port it does not forward is a closed one.
    public var carries: Set<PathTransport> = [.udp, .tcp]

    public init(
        rules: [ProxyRule], idleTimeout: TimeDelta = .milliseconds(60_000), refresh: Directions = .both,
        upstreamPorts: ClosedRange<UInt16> = 32_768...60_999, maximumFlows: Int = 1_024, whenFull: WhenFull = .refuse,
        closedPort: Refusal = .report(.portUnreachable), passesErrors: Bool = false
    ) {
        self.rules = rules
        self.idleTimeout = idleTimeout
        self.refresh = refresh
        self.upstreamPorts = upstreamPorts
        self.maximumFlows = maximumFlows
        self.whenFull = whenFull
        self.closedPort = closedPort
        self.passesErrors = passesErrors
    }
}

/// One flow of a reverse proxy, for a test to look at.
public struct ProxyFlow: Hashable, Sendable {
    public var client: TransportAddress
    public var front: TransportAddress
    public var upstream: TransportAddress
    public var target: TransportAddress
    public var lastRefresh: Instant
}

public struct ProxyStatistics: Hashable, Sendable {
    public var flowsCreated = 0
    public var flowsExpired = 0
    public var flowsEvicted = 0
    public var flowsFlushed = 0
    public var flowsRebound = 0
    /// Packets of clients for which there was no room.
    public var refused = 0
    /// Packets to a port without rule or flow, or from another than the flow's target.
    public var unmatched = 0

    public init() {}
}
