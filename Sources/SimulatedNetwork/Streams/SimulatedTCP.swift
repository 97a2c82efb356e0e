import Primitives

/// The TCP of one simulated host: connections that deliver in order over the links, NATs and proxies of a `Simulation`.
///
/// It stands beside the simulation like any node: segments leave as datagrams whose path says `tcp`, and what arrives with
/// such a path is given to `receive`. So loss, delay, a translated port and a flow that a proxy has forgotten do to it what they
/// do to the real thing, head-of-line blocking included.
///
/// There is what ICE's connections need of TCP and no more: the handshake, acknowledgements, repetition (after a timeout from
/// the measured round trip, or three acknowledgements of the same), a window that grows and shrinks (slow start, then additive
/// increase and multiplicative decrease), orderly and abortive ends. A connection nobody acknowledges ends after `patience`.
public struct SimulatedTCP: Sendable {
    public struct Connection: Hashable, Sendable, Comparable {
        let number: Int
        public static func < (a: Connection, b: Connection) -> Bool { a.number < b.number }
    }
    public enum End: String, Hashable, Sendable {
        case refused = "connection refused"
        case unreachable = "no route to host"
        case reset = "connection reset"
        case closed = "closed by the other side"
        case timedOut = "timed out"
    }
    public enum Event: Hashable, Sendable {
        case accepted(Connection, NetworkPath)
        case connected(Connection, NetworkPath)
        case received(Connection, [UInt8])
        /// It has ended by itself; not told of those that were closed here.
        case ended(Connection, End)
    }

    public struct Configuration: Hashable, Sendable {
        public var segmentSize = 1_400
        /// Bytes under way at a time, at most.
        public var window = 65_536
        public var patience = TimeDelta.seconds(30)
        public var connectPatience = TimeDelta.seconds(20)
        public var maximumConnections = 1_024
        /// Segments out of order that are kept for their turn.
        public var maximumWaiting = 256
        public init() {}
    }

    let configuration: Configuration
    public private(set) var datagrams: [Datagram] = []
    public private(set) var events: [Event] = []
    private var listeners: Set<TransportAddress> = []
    private var states: [Connection: TCPState] = [:]
    private var byPath: [NetworkPath: Connection] = [:]
    private var lastNumber = 0
    private var nextPort: UInt16

    /// - Parameter firstPort: of those that connections are made from, in turn.
    public init(_ configuration: Configuration = Configuration(), firstPort: UInt16 = 20_000) {
        self.configuration = configuration
        nextPort = firstPort
    }

    public var deadline: Instant? { states.values.reduce(nil as Instant?) { earliest($0, $1.deadline) } }
    public var connections: [Connection] { states.keys.sorted() }
    public func path(of connection: Connection) -> NetworkPath? { states[connection]?.path }
    /// Bytes that have not left yet.
    public func waitingBytes(of connection: Connection) -> Int { states[connection]?.waitingBytes ?? 0 }

    /// What is to be sent and told, which is forgotten here.
    public mutating func takeOutput() -> (datagrams: [Datagram], events: [Event]) {
        defer {
            datagrams = []
            events = []
        }
        return (datagrams, events)
    }

    // MARK: Doing

    public mutating func listen(on address: TransportAddress) { listeners.insert(address) }
    public mutating func stopListening(on address: TransportAddress) { listeners.remove(address) }

    public mutating func connect(
        from ip: IPAddress, to remote: TransportAddress, at now: Instant
    ) -> Connection {
        nextPort = nextPort >= 29_999 ? 20_000 : nextPort + 1
        let path = NetworkPath(local: TransportAddress(ip, nextPort), remote: remote, transport: .tcp)
        let connection = add(TCPState(path, configuration, isActive: true, at: now))
        turn(connection, at: now) { _, _ in }
        return connection
    }

    public mutating func send(_ bytes: [UInt8], on connection: Connection, at now: Instant) {
        turn(connection, at: now) { state, _ in state.write(bytes) }
    }

    /// Ends it when all is delivered.
    public mutating func close(_ connection: Connection, at now: Instant) {
        turn(connection, at: now) { state, _ in state.finish() }
    }

    /// Ends it at once, which the other side is told.
    public mutating func abort(_ connection: Connection) {
        guard let state = remove(connection) else { return }
        datagrams.append(state.resetSegment)
    }

    // MARK: Network

    public mutating func receive(_ datagram: Datagram, at now: Instant) {
        guard let segment = TCPSegment(parsing: datagram.bytes) else { return }
        let path = datagram.path
        if byPath[path] == nil {
            guard segment.flags == .synchronize, listeners.contains(path.local),
                states.count < configuration.maximumConnections
            else {
                guard !segment.flags.contains(.reset) else { return }
                let reset = TCPSegment(
                    [.reset, .acknowledge], sequence: segment.acknowledgment,
                    acknowledgment: segment.sequence + segment.length)
                return datagrams.append(Datagram(bytes: reset.bytes, path: path))
            }
            _ = add(TCPState(path, configuration, isActive: false, at: now))
        }
        guard let connection = byPath[path] else { return }
        turn(connection, at: now) { state, events in state.receive(segment, at: now, connection, into: &events) }
    }

    /// An ICMP error: ends a connection that is being made, and nothing else (RFC 5927 §5).
    public mutating func noteUnreachable(_ path: NetworkPath, _ reason: UnreachableReason) {
        guard let connection = byPath[path], states[connection]?.isConnecting == true else { return }
        _ = remove(connection)
        events.append(.ended(connection, reason == .portUnreachable ? .refused : .unreachable))
    }

    public mutating func advance(to now: Instant) {
        for connection in connections where states[connection]?.deadline.map({ $0 <= now }) ?? false {
            turn(connection, at: now) { state, events in state.expire(at: now, connection, into: &events) }
        }
    }

    // MARK: Inside

    private mutating func add(_ state: TCPState) -> Connection {
        lastNumber += 1
        let connection = Connection(number: lastNumber)
        states[connection] = state
        byPath[state.path] = connection
        return connection
    }

    private mutating func remove(_ connection: Connection) -> TCPState? {
        guard let state = states.removeValue(forKey: connection) else { return nil }
        byPath[state.path] = nil
        return state
    }

    private mutating func turn(
        _ connection: Connection, at now: Instant, _ body: (inout TCPState, inout [Event]) -> Void
    ) {
        guard var state = states.removeValue(forKey: connection) else { return }
        body(&state, &events)
        state.transmit(at: now, into: &datagrams)
        if state.isOver { byPath[state.path] = nil } else { states[connection] = state }
    }
}
