import Glibc
import Locks
import Primitives

/// Sockets from a range of ports, for all calls of a process. From any thread.
public final class PortPool: Sendable {
    private let ledger: Locked<PortLedger>

    public init(_ range: ClosedRange<UInt16>, quarantine: TimeDelta = .seconds(60)) {
        ledger = Locked(PortLedger(range: range, quarantine: quarantine))
    }

    /// Opens a socket on a free port of the pool. Ports that another program has are passed over.
    public func open(
        loop: IOLoop, _ configuration: UDPSocketConfiguration
    ) throws(SocketFailure) -> UDPSocket {
        let ip = configuration.address
        return try open(on: ip, loop, "-lunp", "--udp-port") { port throws(SocketFailure) in
            var configuration = configuration
            configuration.port = .exactly(port)
            let socket = try UDPSocket(loop: loop, configuration)
            socket.whenClosed = releasing(TransportAddress(ip, port), loop)
            return socket
        }
    }

    /// Listens on a free port of the pool, whose ports are then TCP ports.
    public func listen(loop: IOLoop, on ip: IPAddress) throws(SocketFailure) -> TCPListener {
        try open(on: ip, loop, "-ltnp", "--tcp-port") { port throws(SocketFailure) in
            let listener = try TCPListener(loop: loop, on: ip, port: port, closesWithLastShare: true)
            listener.whenClosed = releasing(TransportAddress(ip, port), loop)
            return listener
        }
    }

    private func releasing(_ address: TransportAddress, _ loop: IOLoop) -> @Sendable () -> Void {
        { [ledger, loop] in ledger.withLock { $0.release(address, at: loop.now) } }
    }

    private func open<Socket>(
        on ip: IPAddress, _ loop: IOLoop, _ listing: String, _ flag: String,
        _ body: (UInt16) throws(SocketFailure) -> Socket
    ) throws(SocketFailure) -> Socket {
        let free = ledger.withLock { $0.free(on: ip, at: loop.now) }
        var taken = 0
        for port in free {
            do throws(SocketFailure) {
                let socket = try body(port)
                ledger.withLock { $0.take(TransportAddress(ip, port)) }
                return socket
            } catch {
                guard error.code == EADDRINUSE else { throw error }
                taken += 1
            }
        }
        let usage = usage(on: ip, at: loop.now)
        var advice = "is exhausted: \(usage.inUse.count) ports are used by calls of this process"
        if taken > 0 { advice += ", \(taken) by other programs (ss \(listing) shows which)" }
        if !usage.resting.isEmpty { advice += ", \(usage.resting.count) rest after a call" }
        if let wait = usage.nextFree { advice += "; the next is free in \(Int(wait.seconds.rounded(.up))) s" }
        advice += "; widen the range or use one port for all calls (\(flag))"
        let range = usage.range
        throw SocketFailure(
            code: EADDRINUSE, call: "bind", subject: "port range \(range.lowerBound)-\(range.upperBound) on \(ip)",
            advice: advice)
    }

    public func usage(on ip: IPAddress, at now: Instant) -> PortUsage { ledger.withLock { $0.usage(on: ip, at: now) } }
}
