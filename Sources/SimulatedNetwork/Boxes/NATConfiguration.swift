import Primitives

/// How a NAT tells endpoints apart, in mapping (RFC 4787 §4.1) and in filtering (§5).
public enum NATBehavior: String, Hashable, Sendable, CaseIterable {
    case endpointIndependent
    case addressDependent
    case addressAndPortDependent
}

/// Which traffic keeps a mapping or a flow alive (RFC 4787 §4.3, NAT Mapping Refresh Behavior).
public struct Directions: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// From the inside, or from the side that opened the flow, outward.
    public static let outbound = Directions(rawValue: 1)
    public static let inbound = Directions(rawValue: 2)
    public static let both: Directions = [.outbound, .inbound]
}

/// A network address translator (RFC 4787).
public struct NATConfiguration: Hashable, Sendable {
    public enum PortAllocation: Hashable, Sendable {
        /// The inside port where it is free, else the next free one (RFC 4787 §4.2.1).
        case preserving
        case random
    }

    public var mapping: NATBehavior
    public var filtering: NATBehavior
    public var portAllocation: PortAllocation
    /// External ports to choose from.
    public var ports: ClosedRange<UInt16>
    /// A mapping, and a filter's permission, ends when it was not refreshed for so long (RFC 4787 REQ-5: 2 minutes).
    public var lifetime: TimeDelta
    public var refresh: Directions
    /// Whether inside hosts reach each other by their external addresses (RFC 4787 REQ-9), with the external source.
    public var hairpinning: Bool
    /// What happens to traffic from outside that has no mapping or is filtered.
    public var unsolicited: Refusal
    /// Whether ICMP errors pass back through to the inside (RFC 5508 REQ-3).
    public var passesErrors: Bool
    public var maximumMappings: Int
    /// Remote endpoints a mapping lets in, where filtering depends on them; the oldest makes room.
    public var maximumPermissions: Int

    public init(
        mapping: NATBehavior, filtering: NATBehavior, portAllocation: PortAllocation = .preserving,
        ports: ClosedRange<UInt16> = 1_024...65_535, lifetime: TimeDelta = .milliseconds(120_000),
        refresh: Directions = .outbound, hairpinning: Bool = false, unsolicited: Refusal = .silent,
        passesErrors: Bool = true, maximumMappings: Int = 4_096, maximumPermissions: Int = 256
    ) {
        self.mapping = mapping
        self.filtering = filtering
        self.portAllocation = portAllocation
        self.ports = ports
        self.lifetime = lifetime
        self.refresh = refresh
        self.hairpinning = hairpinning
        self.unsolicited = unsolicited
        self.passesErrors = passesErrors
        self.maximumMappings = maximumMappings
        self.maximumPermissions = maximumPermissions
    }

    /// One mapping for all, and anyone may answer on it.
    public static let fullCone = NATConfiguration(mapping: .endpointIndependent, filtering: .endpointIndependent)
    /// One mapping for all; whoever was sent to may answer, from any port.
    public static let addressRestricted = NATConfiguration(mapping: .endpointIndependent, filtering: .addressDependent)
    /// One mapping for all; only the endpoint that was sent to may answer.
    public static let portRestricted = NATConfiguration(
        mapping: .endpointIndependent, filtering: .addressAndPortDependent)
    /// A mapping of its own, on a random port, for each remote endpoint.
    public static let symmetric = NATConfiguration(
        mapping: .addressAndPortDependent, filtering: .addressAndPortDependent, portAllocation: .random)
}

/// The named kinds of NAT (RFC 3489 §5), as a specification names them.
public enum NATKind: String, Hashable, Sendable, CaseIterable {
    case none
    case fullCone = "fullcone"
    case addressRestricted = "restricted"
    case portRestricted = "port-restricted"
    case symmetric

    /// `nil` for `none`: there is no box at all.
    public var configuration: NATConfiguration? {
        switch self {
        case .none: nil
        case .fullCone: .fullCone
        case .addressRestricted: .addressRestricted
        case .portRestricted: .portRestricted
        case .symmetric: .symmetric
        }
    }
}

/// One mapping of a NAT, for a test to look at.
public struct NATMapping: Hashable, Sendable {
    public var inside: TransportAddress
    public var outside: TransportAddress
    public var lastRefresh: Instant
}

public struct NATStatistics: Hashable, Sendable {
    public var mappingsCreated = 0
    public var mappingsExpired = 0
    /// Packets from inside that found no room for a mapping.
    public var refused = 0
    /// Packets from outside to a port that has no mapping.
    public var unmapped = 0
    /// Packets from outside that the filter kept out.
    public var filtered = 0
    /// Packets from one inside host to another by way of the external address.
    public var hairpinned = 0

    public init() {}
}
