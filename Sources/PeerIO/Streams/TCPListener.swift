import CLinuxIO
import Glibc
import ICE
import Primitives

/// Who takes connections of a listener that are its. On the loop's thread.
public protocol TCPListenerOwner: FramedConnectionOwner {
    /// The first frame on it named this owner; frames follow.
    func accepted(_ connection: FramedConnection)
}

/// A listening TCP port for ICE (RFC 6544 passive candidates), for one connection or for all calls of a process.
///
/// Whose an accepted connection is, and how long a stranger may stay, is `ConnectionReception`'s knowledge; this is the driver
/// around it. `share()` gives what a `PeerConnection` takes. The port stays open until `close()`, or with its last share where
/// that is said.
public final class TCPListener: @unchecked Sendable {
    // Everything mutable is used on the loop's thread only, from the first `start` of a share on.
    public let loop: IOLoop
    public let localAddress: TransportAddress
    private var descriptor: Int32
    private var registration: LoopRegistration?
    private var timer: LoopTimer?
    private var reception: ConnectionReception
    private var seats: [ConnectionReception.Member: Seat] = [:]
    /// Those that no call has taken yet.
    private var strangers: [ConnectionReception.Connection: FramedConnection] = [:]
    /// Set while there are no descriptors to be had.
    private var pausedUntil: Instant?
    private let closesWithLastShare: Bool
    /// Tells that the port is free again.
    var whenClosed: (@Sendable () -> Void)?

    private struct Seat {
        weak var owner: (any TCPListenerOwner)?
    }
    private static let backlog: Int32 = 128
    private static let acceptsPerTurn = 32
    private static let pause = TimeDelta.milliseconds(200)

    /// Binds and listens; nothing is accepted before a share is started.
    public init(
        loop: IOLoop, on ip: IPAddress, port: UInt16 = 0, limits: ConnectionReception.Limits = .init(),
        closesWithLastShare: Bool = false
    ) throws(SocketFailure) {
        let subject = "TCP port \(port == 0 ? "any" : "\(port)") on \(ip)"
        let descriptor = postern_tcp_open(ip.family.number)
        guard descriptor >= 0 else { throw SocketFailure(code: -descriptor, call: "socket", subject: subject) }
        let address: TransportAddress
        do throws(SocketFailure) {
            if ip.family == .ipv6 { _ = postern_v6_only(descriptor) }
            _ = postern_reuse_address(descriptor)
            let bound = postern_bind(descriptor, postern_address(TransportAddress(ip, port)))
            let result = bound == 0 ? postern_tcp_listen(descriptor, Self.backlog) : bound
            guard result == 0 else {
                throw SocketFailure(
                    code: -result, call: bound == 0 ? "listen" : "bind", subject: subject,
                    advice: Self.advice(-result))
            }
            address = try PeerIO.localAddress(of: descriptor, subject: subject)
        } catch {
            _ = Glibc.close(descriptor)
            throw error
        }
        self.loop = loop
        self.descriptor = descriptor
        localAddress = address
        self.closesWithLastShare = closesWithLastShare
        reception = ConnectionReception(limits: limits)
    }

    private static func advice(_ code: Int32) -> String {
        switch code {
        case EADDRINUSE: "is taken: stop the program that has it (ss -ltnp shows it) or choose another"
        case EADDRNOTAVAIL: "cannot be bound: this host does not have the address (ip address shows which it has)"
        case EACCES: "is not allowed: ports below 1024 need a privilege; choose higher ones"
        default: ""
        }
    }

    deinit {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        whenClosed?()
    }

    /// A share for one connection. From any thread.
    public func share() -> TCPListenerShare { TCPListenerShare(of: self) }

    /// Connections that came to nothing. On the loop's thread.
    public var counters: ConnectionReception.Counters { reception.counters }
    public var strangerCount: Int { reception.strangerCount }

    /// On the loop's thread once a share was started.
    public func close() {
        for stranger in strangers.values { stranger.close() }
        strangers = [:]
        seats = [:]
        timer?.cancel()
        timer = nil
        if let registration { loop.remove(registration) }
        registration = nil
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
        whenClosed?()
        whenClosed = nil
    }

    fileprivate func join(_ owner: any TCPListenerOwner) throws(SocketFailure) -> ConnectionReception.Member {
        if registration == nil {
            registration = try loop.register(descriptor, for: .read, source: self)
            timer = loop.timer(for: self)
        }
        guard let member = reception.join() else {
            throw SocketFailure(
                code: EUSERS, call: "share", subject: "TCP port \(localAddress)",
                advice: "serves \(reception.limits.members) calls already, which is the limit; end one")
        }
        seats[member] = Seat(owner: owner)
        return member
    }

    fileprivate func setUfrags(_ ufrags: [String], of member: ConnectionReception.Member) {
        reception.setUfrags(ufrags, of: member)
    }

    fileprivate func leave(_ member: ConnectionReception.Member) {
        seats[member] = nil
        for guest in reception.leave(member) { strangers.removeValue(forKey: guest)?.close() }
        if closesWithLastShare, seats.isEmpty { return close() }
        settle()
    }

    private func settle() { timer?.deadline = earliest(reception.deadline, pausedUntil) }

    // MARK: Guests

    private func accept(_ accepted: Int32, from remote: TransportAddress) {
        let path = NetworkPath(local: localAddress, remote: remote, transport: .tcp)
        let connection = FramedConnection(
            loop: loop, accepted: accepted, path: path, frameLimit: reception.limits.strangerFrame)
        let (guest, evicted) = reception.accept(at: loop.now)
        if let evicted { strangers.removeValue(forKey: evicted)?.close() }
        guard let guest else { return connection.close() }
        strangers[guest] = connection
        connection.whenEnded = { [weak self] in self?.forget(guest) }
        connection.whenProved = { [weak self] in
            self?.reception.noteSent(on: guest)
            self?.strangers[guest] = nil
            self?.settle()
        }
        do throws(SocketFailure) { try connection.start(owner: self) } catch { connection.close() }
    }

    private func forget(_ guest: ConnectionReception.Connection) {
        reception.remove(guest)
        strangers[guest] = nil
        settle()
    }
}

extension TCPListener: LoopSource {
    public func ready(_ readiness: Readiness, on loop: IOLoop) {
        for _ in 0..<Self.acceptsPerTurn {
            var from = postern_address.none
            let accepted = unsafe postern_tcp_accept(descriptor, &from)
            guard accepted < 0 else {
                accept(accepted, from: from.transportAddress)
                continue
            }
            if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(-accepted), let registration {
                // It would be ready for ever; the calls that stand come first.
                loop.change(registration, to: [])
                pausedUntil = loop.now + Self.pause
            }
            break
        }
        settle()
    }

    public func loopStopped() {
        registration = nil
        timer = nil
        close()
    }
}

extension TCPListener: LoopClient {
    public func deadlineReached(at now: Instant) {
        if let until = pausedUntil, until <= now {
            pausedUntil = nil
            if let registration { loop.change(registration, to: .read) }
        }
        for guest in reception.advance(to: now) {
            guard let connection = strangers.removeValue(forKey: guest) else { continue }
            connection.expire()
        }
        settle()
    }
}

extension TCPListener: FramedConnectionOwner {
    public func opened(_ connection: FramedConnection, from local: TransportAddress) {}

    public func received(_ batch: inout DatagramBatch, on connection: FramedConnection) {
        guard let guest = strangers.first(where: { $0.value === connection })?.key,
            let first = batch.datagrams.first?.bytes, case .member(let member) = reception.receive(first, on: guest),
            let owner = seats[member]?.owner
        else { return connection.close() }
        connection.hand(to: owner)
        owner.accepted(connection)
        owner.received(&batch, on: connection)
    }

    public func ended(_ connection: FramedConnection, reason: String) {}
}

/// A connection's part of a listener.
public final class TCPListenerShare: @unchecked Sendable {
    // Opened anywhere; used on the loop's thread only from `start` on.
    private let listener: TCPListener
    private var member: ConnectionReception.Member?

    fileprivate init(of listener: TCPListener) { self.listener = listener }

    public var loop: IOLoop { listener.loop }
    public var localAddress: TransportAddress { listener.localAddress }

    func start(owner: any TCPListenerOwner) throws(SocketFailure) {
        precondition(member == nil, "a share is started once")
        member = try listener.join(owner)
    }

    func setUfrags(_ ufrags: [String]) {
        if let member { listener.setUfrags(ufrags, of: member) }
    }

    public func close() {
        guard let member else { return }
        listener.leave(member)
        self.member = nil
    }
}
