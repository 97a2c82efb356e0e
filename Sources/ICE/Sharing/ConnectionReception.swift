import Primitives

/// Whose an accepted TCP connection is, so that one proxied port serves any number of calls; and how strangers are kept short.
///
///     accepted ── first frame: a Binding request that names a call's ufrag ──► that call's
///        │                                                                       │ the call answers: it authenticated
///        └── anything else, too long, or too late: closed ◄── no answer in time ─┘
///
/// A call answers only what authenticates, so the first frame that leaves is the proof, as on a shared UDP socket. Until then
/// a connection has `patience` in all, whatever trickles in, a frame of `strangerFrame` bytes at most, and one of `strangers`
/// places; where these are taken the oldest stranger makes room. Nothing is told by source address: behind a proxy all
/// come from one.
public struct ConnectionReception: Sendable {
    public struct Connection: Hashable, Sendable, Comparable {
        let number: Int
        public static func < (a: Connection, b: Connection) -> Bool { a.number < b.number }
    }
    public struct Member: Hashable, Sendable {
        let number: Int
    }

    public struct Limits: Hashable, Sendable {
        public var members = 256
        public var ufragsPerMember = 4
        /// Connections that have not proved anything yet.
        public var strangers = 128
        public var connections = 1_024
        public var connectionsPerMember = 64
        /// From accepting to the first authenticated request.
        public var patience = TimeDelta.seconds(10)
        /// A Binding request fits well.
        public var strangerFrame = 2_048
        public init() {}
    }

    /// Connections that came to nothing, by reason.
    public struct Counters: Hashable, Sendable {
        public var accepted = 0
        /// The first frame was no Binding request, or too long.
        public var malformed = 0
        public var unknownUfrag = 0
        /// Nothing authenticated in time.
        public var late = 0
        /// Had to make room.
        public var evicted = 0
        public init() {}
    }

    public enum Verdict: Hashable, Sendable {
        case member(Member)
        /// To be closed.
        case refused
    }

    private struct Guest: Sendable {
        var member: Member?
        var deadline: Instant?
    }

    public let limits: Limits
    public private(set) var counters = Counters()
    private var guests: [Connection: Guest] = [:]
    private var ufrags: [Member: [String]] = [:]
    private var byUfrag: [String: Member] = [:]
    private var lastNumber = 0

    public init(limits: Limits = Limits()) { self.limits = limits }

    public var count: Int { guests.count }
    public var strangerCount: Int { guests.values.lazy.filter { $0.deadline != nil }.count }
    public var memberCount: Int { ufrags.count }
    public var deadline: Instant? { guests.values.reduce(nil as Instant?) { earliest($0, $1.deadline) } }

    // MARK: Members

    public mutating func join() -> Member? {
        guard ufrags.count < limits.members else { return nil }
        lastNumber += 1
        let member = Member(number: lastNumber)
        ufrags[member] = []
        return member
    }

    /// The ufrags a call answers to now. One that is another's is left to that one.
    public mutating func setUfrags(_ names: [String], of member: Member) {
        guard let old = ufrags[member] else { return }
        for name in old where byUfrag[name] == member { byUfrag[name] = nil }
        var taken: [String] = []
        for name in names.prefix(limits.ufragsPerMember) where byUfrag[name] == nil {
            byUfrag[name] = member
            taken.append(name)
        }
        ufrags[member] = taken
    }

    /// A call ends; its connections, which are to be closed.
    public mutating func leave(_ member: Member) -> [Connection] {
        setUfrags([], of: member)
        ufrags[member] = nil
        let left = guests.filter { $0.value.member == member }.keys.sorted()
        for connection in left { guests[connection] = nil }
        return left
    }

    // MARK: Connections

    /// A connection was accepted. `evicted` is to be closed; without a name the new one is.
    public mutating func accept(at now: Instant) -> (connection: Connection?, evicted: Connection?) {
        counters.accepted += 1
        var evicted: Connection?
        if guests.count >= limits.connections || strangerCount >= limits.strangers {
            evicted = guests.filter { $0.value.deadline != nil }.keys.min()
            guard let evicted else {
                counters.evicted += 1
                return (nil, nil)
            }
            counters.evicted += 1
            guests[evicted] = nil
        }
        lastNumber += 1
        let connection = Connection(number: lastNumber)
        guests[connection] = Guest(deadline: now + limits.patience)
        return (connection, evicted)
    }

    /// Whose a frame is.
    public mutating func receive(_ frame: [UInt8], on connection: Connection) -> Verdict {
        guard let guest = guests[connection] else { return .refused }
        if let member = guest.member { return .member(member) }
        guard frame.count <= limits.strangerFrame, frame.first.map({ $0 <= 3 }) ?? false,
            let message = try? STUNMessage(parsing: frame), message.method == .binding,
            message.messageClass == .request, let name = message.username, let colon = name.firstIndex(of: ":")
        else {
            counters.malformed += 1
            guests[connection] = nil
            return .refused
        }
        guard let member = byUfrag[String(name[..<colon])] else {
            counters.unknownUfrag += 1
            guests[connection] = nil
            return .refused
        }
        guard guests.values.lazy.filter({ $0.member == member }).count < limits.connectionsPerMember else {
            counters.evicted += 1
            guests[connection] = nil
            return .refused
        }
        guests[connection]?.member = member
        return .member(member)
    }

    /// The connection's call has sent something on it: what came had authenticated.
    public mutating func noteSent(on connection: Connection) {
        if guests[connection]?.deadline != nil { guests[connection]?.deadline = nil }
    }

    /// Whether nothing has authenticated on it yet.
    public func isStranger(_ connection: Connection) -> Bool { guests[connection]?.deadline != nil }

    public mutating func remove(_ connection: Connection) { guests[connection] = nil }

    /// Connections whose time is over, which are to be closed.
    public mutating func advance(to now: Instant) -> [Connection] {
        guard let due = deadline, due <= now else { return [] }
        let late = guests.filter { $0.value.deadline.map { $0 <= now } ?? false }.keys.sorted()
        counters.late += late.count
        for connection in late { guests[connection] = nil }
        return late
    }
}
