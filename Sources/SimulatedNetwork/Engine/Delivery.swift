import Primitives

/// Why a datagram could not be delivered, as ICMP would say it (RFC 792, RFC 4443).
public enum UnreachableReason: Hashable, Sendable {
    case portUnreachable
    case hostUnreachable
    case networkUnreachable
    case administrativelyProhibited
    /// The packet, IP and UDP headers included, is larger than the link takes. `mtu` in bytes (RFC 1191).
    case fragmentationNeeded(mtu: Int)
}

/// What a box does with a packet it will not pass on.
public enum Refusal: Hashable, Sendable {
    case silent
    case report(UnreachableReason)
}

/// What reaches a host.
public enum Delivery: Hashable, Sendable {
    /// A datagram with the path as the receiver sees it: `local` is its own address, `remote` the last translation's.
    case datagram(Datagram)
    /// An ICMP error about a datagram sent earlier, with the path as it was sent.
    case unreachable(NetworkPath, UnreachableReason)
}

public struct Arrival: Hashable, Sendable {
    public var host: HostID
    public var instant: Instant
    public var delivery: Delivery
}
