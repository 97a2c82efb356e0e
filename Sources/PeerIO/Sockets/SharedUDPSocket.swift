import ICE
import Primitives

/// One UDP socket for any number of connections on one loop, so that a single proxied port serves every call of a process.
///
/// `share()` gives what a connection takes in place of a socket of its own. Which datagram is whose is `SharedSocketTable`'s
/// knowledge; this is the driver around it: it cuts each batch that was read into the batches of the connections, in
/// order, and shows the table what they send.
///
/// The socket lives until `close()`, or as long as someone holds it or a share of it: that no call is there just now does not
/// free the port.
public final class SharedUDPSocket: @unchecked Sendable {
    // Everything mutable is used on the loop's thread only, from the first `start` of a share on.
    public let loop: IOLoop
    let socket: UDPSocket
    private var table = SharedSocketTable()
    private var shares: [SharedSocketTable.Member: Seat] = [:]
    private var isStarted = false
    private var touched: [SharedSocketTable.Member] = []

    private struct Seat {
        weak var owner: (any UDPSocketOwner)?
        var batch = DatagramBatch()
    }

    /// Opens and binds it.
    public init(loop: IOLoop, _ configuration: UDPSocketConfiguration) throws(SocketFailure) {
        self.loop = loop
        socket = try UDPSocket(loop: loop, configuration)
    }

    public var localAddress: TransportAddress { socket.localAddress }
    /// Of all connections together. On the loop's thread.
    public var counters: UDPSocketCounters { socket.counters }
    /// What was for nobody. On the loop's thread.
    public var strays: SharedSocketTable.Counters { table.counters }
    /// Connections that use it now. On the loop's thread.
    public var shareCount: Int { shares.count }

    /// A share for one connection. From any thread.
    public func share() -> SharedSocketShare { SharedSocketShare(of: self) }

    /// Closes it under all shares. On the loop's thread once one of them was started.
    public func close() {
        socket.close()
        shares = [:]
    }

    fileprivate func join(_ owner: any UDPSocketOwner) throws(SocketFailure) -> SharedSocketTable.Member {
        if !isStarted {
            try socket.start(owner: self)
            isStarted = true
        }
        guard let member = table.join() else {
            throw SocketFailure(
                code: 105, call: "share", subject: "UDP port \(localAddress)",
                advice: "serves \(table.limits.members) calls already, which is the limit; end one")
        }
        shares[member] = Seat(owner: owner)
        return member
    }

    fileprivate func setUfrags(_ ufrags: [String], of member: SharedSocketTable.Member) {
        _ = table.setUfrags(ufrags, of: member)
    }

    fileprivate func send(_ datagrams: [Datagram], for member: SharedSocketTable.Member) {
        for datagram in datagrams where datagram.bytes.first.map({ $0 <= 3 }) ?? false {
            table.noteSent(datagram, by: member, at: loop.now)
        }
        socket.send(datagrams)
    }

    fileprivate func leave(_ member: SharedSocketTable.Member) {
        table.leave(member)
        shares[member] = nil
    }
}

extension SharedUDPSocket: UDPSocketOwner {
    public func receive(_ batch: inout DatagramBatch) {
        let arrival = batch.arrival
        for index in batch.datagrams.indices {
            guard let member = table.member(for: batch.datagrams[index], at: arrival) else { continue }
            // The bytes change hands, so that they can be decrypted where they lie.
            var datagram = Datagram(bytes: [], path: batch.datagrams[index].path)
            swap(&datagram.bytes, &batch.datagrams[index].bytes)
            guard var seat = shares[member] else { continue }
            shares[member]?.batch = DatagramBatch()
            if seat.batch.isEmpty { touched.append(member) }
            seat.batch.datagrams.append(datagram)
            seat.batch.trafficClasses.append(batch.trafficClasses[index])
            shares[member] = seat
        }
        batch.removeAll()
        for member in touched {
            // What one connection does on receiving may end another.
            guard var seat = shares[member] else { continue }
            shares[member]?.batch = DatagramBatch()
            seat.batch.arrival = arrival
            seat.owner?.receive(&seat.batch)
            seat.batch.removeAll()
            // The room goes back, for the next read.
            shares[member]?.batch = seat.batch
        }
        touched.removeAll(keepingCapacity: true)
    }

    public func receive(_ errors: [SocketError], at now: Instant) {
        for error in errors {
            for member in table.members(unreachable: error.path.remote) {
                shares[member]?.owner?.receive([error], at: now)
            }
        }
    }
}

/// A connection's part of a shared socket. Given to `PeerConnection.gather(on:)` like a socket.
public final class SharedSocketShare: MediaSocket {
    private let shared: SharedUDPSocket
    private var member: SharedSocketTable.Member?

    fileprivate init(of shared: SharedUDPSocket) { self.shared = shared }

    public var loop: IOLoop { shared.loop }
    public var localAddress: TransportAddress { shared.localAddress }
    /// Of the whole socket: the kernel does not count by call.
    public var counters: UDPSocketCounters { shared.counters }

    public func start(owner: any UDPSocketOwner) throws(SocketFailure) {
        precondition(member == nil, "a share is started once")
        member = try shared.join(owner)
    }

    public func send(_ datagrams: [Datagram]) {
        if let member { shared.send(datagrams, for: member) }
    }

    public func setUfrags(_ ufrags: [String]) {
        if let member { shared.setUfrags(ufrags, of: member) }
    }

    public func close() {
        guard let member else { return }
        shared.leave(member)
        self.member = nil
    }
}
