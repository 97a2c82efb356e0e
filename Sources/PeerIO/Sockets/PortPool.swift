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
        let free = ledger.withLock { $0.free(on: ip, at: loop.now) }
        var taken = 0
        for port in free {
            var configuration = configuration
            configuration.port = .exactly(port)
            let address = TransportAddress(ip, port)
            do throws(SocketFailure) {
                let socket = try UDPSocket(loop: loop, configuration)
                ledger.withLock { $0.take(address) }
                socket.whenClosed = { [ledger, loop] in ledger.withLock { $0.release(address, at: loop.now) } }
                return socket
            } catch {
                guard error.code == EADDRINUSE else { throw error }
                taken += 1
            }
        }
        let usage = usage(on: ip, at: loop.now)
        var advice = "is exhausted: \(usage.inUse.count) ports are used by calls of this process"
        if taken > 0 { advice += ", \(taken) by other programs (ss -lunp shows which)" }
        if !usage.resting.isEmpty { advice += ", \(usage.resting.count) rest after a call" }
        if let wait = usage.nextFree { advice += "; the next is free in \(Int(wait.seconds.rounded(.up))) s" }
        advice += "; widen the range or use one port for all calls (--udp-port)"
        let range = usage.range
        throw SocketFailure(
            code: EADDRINUSE, call: "bind", subject: "port range \(range.lowerBound)-\(range.upperBound) on \(ip)",
            advice: advice)
    }

    public func usage(on ip: IPAddress, at now: Instant) -> PortUsage { ledger.withLock { $0.usage(on: ip, at: now) } }
}
