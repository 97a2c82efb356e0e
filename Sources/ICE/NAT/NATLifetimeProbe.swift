import Primitives

/// Finds out how long the NAT in front of us keeps a mapping that nobody uses (RFC 5780 §4.6), with a server that knows
/// RESPONSE-PORT.
///
///     opening ── the server tells the outside port ──► resting ── its span ──► asking ── answer at our socket ──► kept
///        └── no answer: void                                                     └── no answer ──► gone
///
/// All spans are tried at once, each with a socket of its own, so that it takes the longest of them and not their sum. A
/// socket asks the server once and is silent for its span. Then another, the first, asks in its name: RESPONSE-PORT makes the
/// server answer to the resting socket's outside port. What arrives shows that the mapping stands. The answer comes from
/// where the resting socket has sent to, so filtering has no part in it (but for a filter that forgets sooner than its
/// mapping, which comes to the same for us).
///
/// A span of zero is the control: where even that does not arrive, or the answer comes to who asked, the server does not
/// do as it is told and nothing is known. It ends as soon as a span is gone and all shorter ones are settled.
public struct NATLifetimeProbe: NATProbing {
    public struct Configuration: Sendable {
        /// Of one family with the sockets.
        public var server: TransportAddress
        /// The longest silence that is tried.
        public var limit: TimeDelta
        public var firstWait: TimeDelta = .milliseconds(250)
        public var sends = 4

        public init(server: TransportAddress, limit: TimeDelta) {
            self.server = server
            self.limit = limit
        }

        /// The spans that are tried, shortest first.
        public var spans: [TimeDelta] {
            [0, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600].map { .seconds($0) }.filter { $0 <= limit }
        }
    }

    private enum State: Hashable, Sendable {
        case opening
        case resting
        case asking
        case kept
        case gone
        case void

        var isSettled: Bool { self == .kept || self == .gone || self == .void }
    }

    private struct Trial: Sendable {
        var span: TimeDelta
        var socket: TransportAddress
        var state = State.opening
        var id: STUNTransactionID
        var sends = 0
        var due: Instant?
        var outsidePort: UInt16 = 0
    }

    public let configuration: Configuration
    public private(set) var result: NATLifetime?
    public private(set) var deadline: Instant?
    private let asker: TransportAddress
    private var trials: [Trial] = []
    private var random: RandomSource

    /// - Parameter sockets: bound ones of ours, one more than there are spans.
    public init(configuration: Configuration, sockets: [TransportAddress], random: RandomSource) {
        precondition(sockets.count == configuration.spans.count + 1, "a socket that asks, and one for each span")
        self.configuration = configuration
        self.random = random
        asker = sockets[0]
        for (span, socket) in zip(configuration.spans, sockets.dropFirst()) {
            trials.append(Trial(span: span, socket: socket, id: STUNTransactionID(using: &self.random)))
        }
    }

    public var hasEnded: Bool { result != nil }

    public mutating func start(at now: Instant, into datagrams: inout [Datagram]) {
        for i in trials.indices { send(i, at: now, into: &datagrams) }
        settle()
    }

    public mutating func advance(to now: Instant, into datagrams: inout [Datagram]) {
        for i in trials.indices {
            guard result == nil, let due = trials[i].due, due <= now else { continue }
            switch trials[i].state {
            case .resting:
                trials[i].state = .asking
                trials[i].id = STUNTransactionID(using: &random)
                trials[i].sends = 0
                send(i, at: now, into: &datagrams)
            case .opening, .asking:
                if trials[i].sends < configuration.sends {
                    send(i, at: now, into: &datagrams)
                } else {
                    settle(i, as: trials[i].state == .opening ? .void : .gone)
                }
            case .kept, .gone, .void: break
            }
        }
        settle()
    }

    public mutating func receive(_ datagram: Datagram, at now: Instant, into datagrams: inout [Datagram]) {
        guard result == nil, let message = try? STUNMessage(parsing: datagram.bytes), message.method == .binding,
            message.messageClass == .success || message.messageClass == .error,
            let i = trials.firstIndex(where: { $0.id == message.transactionID })
        else { return }
        switch trials[i].state {
        case .opening where datagram.path.local == trials[i].socket:
            guard message.messageClass == .success, let mapped = message.mappedAddress else {
                settle(i, as: .void)
                break
            }
            trials[i].outsidePort = mapped.port
            trials[i].state = .resting
            trials[i].due = now + trials[i].span
        case .asking where datagram.path.local == trials[i].socket:
            settle(i, as: .kept)
        case .asking where datagram.path.local == asker:
            // It answers whoever asks, or says that it does not know RESPONSE-PORT.
            return finish(NATLifetime(isKnown: false))
        default: return
        }
        // What rests for no time asks at once.
        advance(to: now, into: &datagrams)
    }

    private mutating func send(_ i: Int, at now: Instant, into datagrams: inout [Datagram]) {
        var request = STUNMessage(.request, transactionID: trials[i].id)
        let isAsking = trials[i].state == .asking
        if isAsking { request.attributes = [.responsePort(trials[i].outsidePort)] }
        trials[i].sends += 1
        trials[i].due = now + configuration.firstWait * Int64(1 << min(trials[i].sends - 1, 10))
        datagrams.append(
            Datagram(
                bytes: request.encoded(),
                path: NetworkPath(local: isAsking ? asker : trials[i].socket, remote: configuration.server)))
    }

    private mutating func settle(_ i: Int, as state: State) {
        trials[i].state = state
        trials[i].due = nil
    }

    private mutating func settle() {
        guard result == nil else { return }
        deadline = trials.reduce(nil as Instant?) { earliest($0, $1.due) }
        guard let control = trials.first, control.state != .gone, control.state != .void else {
            return finish(NATLifetime(isKnown: false))
        }
        let end = trials.firstIndex { $0.state == .gone } ?? trials.endIndex
        guard trials[..<end].allSatisfy(\.state.isSettled) else { return }
        var lifetime = NATLifetime(isKnown: true)
        lifetime.keptFor = trials[..<end].last { $0.state == .kept }?.span
        lifetime.goneAfter = end < trials.endIndex ? trials[end].span : nil
        finish(lifetime)
    }

    private mutating func finish(_ lifetime: NATLifetime) {
        result = lifetime
        deadline = nil
    }
}

/// How long a mapping is kept that nobody uses.
public struct NATLifetime: Hashable, Sendable {
    /// Whether the server could be made to help.
    public var isKnown: Bool
    /// The longest silence after which it stood.
    public var keptFor: TimeDelta?
    /// The shortest silence after which it was gone; `nil` where none that was tried was too long.
    public var goneAfter: TimeDelta?

    public init(isKnown: Bool) { self.isKnown = isKnown }
}

/// What asks STUN servers questions and ends with an answer: a machine with sockets that whoever drives it opens.
public protocol NATProbing: Sendable {
    /// When `advance` is next due.
    var deadline: Instant? { get }
    var hasEnded: Bool { get }
    mutating func start(at now: Instant, into datagrams: inout [Datagram])
    mutating func advance(to now: Instant, into datagrams: inout [Datagram])
    mutating func receive(_ datagram: Datagram, at now: Instant, into datagrams: inout [Datagram])
}

extension STUNAttribute {
    /// RESPONSE-PORT (RFC 5780 §7.5): the answer is to go to this port.
    public static func responsePort(_ port: UInt16) -> STUNAttribute {
        .unknown(type: 0x0027, value: [UInt8(port >> 8), UInt8(truncatingIfNeeded: port), 0, 0])
    }
}
