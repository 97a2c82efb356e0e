import Locks
import Primitives

/// Where the calls of a process get their sockets: each from a pool of ports, or all a share of one port.
///
/// Pools and shared sockets are made when first asked for and kept, so that calls that come later use the same.
public final class SocketSupply: Sendable {
    /// That of this process.
    public static let process = SocketSupply()

    private struct SharedKey: Hashable {
        var loop: ObjectIdentifier
        var address: TransportAddress
    }
    private struct State {
        var pools: [ClosedRange<UInt16>: PortPool] = [:]
        var shared: [SharedKey: SharedUDPSocket] = [:]
        /// TCP has port numbers of its own.
        var streamPools: [ClosedRange<UInt16>: PortPool] = [:]
        var listeners: [SharedKey: TCPListener] = [:]
    }
    private let state = Locked(State())

    public init() {}

    /// A socket for one call: by `port`, a share of the one with that port, from the pool of that range, or any.
    public func socket(
        loop: IOLoop, _ configuration: UDPSocketConfiguration, isShared: Bool = false
    ) throws(SocketFailure) -> any MediaSocket {
        switch configuration.port {
        case .exactly(let port) where isShared:
            let key = SharedKey(loop: ObjectIdentifier(loop), address: TransportAddress(configuration.address, port))
            if let known = state.withLock({ $0.shared[key] }) { return known.share() }
            let opened = try SharedUDPSocket(loop: loop, configuration)
            // Two calls may have come here at once; then the second `init` failed, for the port was taken.
            state.withLock { $0.shared[key] = opened }
            return opened.share()
        case .range(let range, _):
            let pool = state.withLock { Self.pool(of: range, in: &$0.pools) }
            return try pool.open(loop: loop, configuration)
        default:
            return try UDPSocket(loop: loop, configuration)
        }
    }

    /// A listener for one call: by an exact port a share of the one with that port, from the pool of that range, or any.
    public func listener(
        loop: IOLoop, on ip: IPAddress, _ port: PortChoice
    ) throws(SocketFailure) -> TCPListenerShare {
        switch port {
        case .exactly(let port):
            let key = SharedKey(loop: ObjectIdentifier(loop), address: TransportAddress(ip, port))
            if let known = state.withLock({ $0.listeners[key] }) { return known.share() }
            let opened = try TCPListener(loop: loop, on: ip, port: port)
            state.withLock { $0.listeners[key] = opened }
            return opened.share()
        case .range(let range, _):
            let pool = state.withLock { Self.pool(of: range, in: &$0.streamPools) }
            return try pool.listen(loop: loop, on: ip).share()
        case .any: return try TCPListener(loop: loop, on: ip, closesWithLastShare: true).share()
        }
    }

    /// The one that was made for the range, or a new one.
    private static func pool(
        of range: ClosedRange<UInt16>, in pools: inout [ClosedRange<UInt16>: PortPool]
    ) -> PortPool {
        let pool = pools[range] ?? PortPool(range)
        pools[range] = pool
        return pool
    }

    /// How the pool of a range stands; `nil` before it was first used.
    public func usage(of range: ClosedRange<UInt16>, on ip: IPAddress, at now: Instant) -> PortUsage? {
        state.withLock { $0.pools[range] }?.usage(on: ip, at: now)
    }

    /// Closes what is shared on a loop, before that stops.
    public func forget(loop: IOLoop) {
        state.withLock { state in
            state.shared = state.shared.filter { $0.key.loop != ObjectIdentifier(loop) }
            state.listeners = state.listeners.filter { $0.key.loop != ObjectIdentifier(loop) }
        }
    }
}
