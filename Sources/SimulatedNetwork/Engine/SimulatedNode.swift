import Primitives

/// A machine that lives on a host of a simulation.
public protocol SimulatedNode {
    mutating func receive(_ datagram: Datagram, at now: Instant, into out: inout [Datagram])
    /// An ICMP error about a datagram this node sent.
    mutating func noteUnreachable(
        _ path: NetworkPath, _ reason: UnreachableReason, at now: Instant, into out: inout [Datagram])
    mutating func advance(to now: Instant, into out: inout [Datagram])
    /// When the node next wants to be advanced. After `advance(to: d)` it is `nil` or later than `d`.
    var deadline: Instant? { get }
}

extension SimulatedNode {
    public mutating func noteUnreachable(
        _ path: NetworkPath, _ reason: UnreachableReason, at now: Instant, into out: inout [Datagram]
    ) {}
}

/// Why a run ended before its time.
public enum SimulationError: Error, Hashable, Sendable {
    /// So many calls were made at one instant without the clock moving; `node` had most of them.
    case neverSettles(node: String, at: Instant, calls: Int, deadline: Instant?)
}

extension SimulationError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .neverSettles(let node, let instant, let calls, let deadline):
            "\(node) never settles: \(calls) calls at \(instant) and the clock has not moved; its deadline is "
                + (deadline?.description ?? "nil")
        }
    }
}

/// One call to a node, for a driver that holds its nodes in a way of its own.
public enum NodeCall: Sendable {
    case datagram(Datagram)
    case unreachable(NetworkPath, UnreachableReason)
    case advance
}
