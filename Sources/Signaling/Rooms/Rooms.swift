import Primitives

/// The rooms of a signalling server: who has a place, who hears what, who is refused. Told the time, outputs as values;
/// it knows nothing of sockets.
///
/// A connection comes with the name of a room and first has to `join`:
///
///     connected ──join──► placed ──leave, fatal error──► gone
///         │                 │  ▲
///         │ joinTime        │  │ join with the session, within resumeTime
///         ▼                 ▼  │
///       refused          away (the place is held, what the other says waits) ──► gone
///
/// A room has two places and is there as long as somebody has one. Who comes second makes the first offer and is the
/// polite one (perfect negotiation, W3C webrtc-pc §10.7): the first is there already and hears it. What the two say to each
/// other passes as they wrote it; the server only looks whether it is well-formed. What is said to nobody is dropped.
///
/// A place belongs to whoever knows its session, not to an address or a connection: a phone that changes networks takes
/// its place up again, and what was said meanwhile is delivered in order. If the old connection is still there, as the
/// phone left without a word, it is `replaced`. A place whose waiting messages outgrow their bound is given up.
///
/// With `hasResidents` every room is answered by the server itself: a resident takes the first place before the first
/// guest gets the second. It comes as an output, is a connection like any other to this machine, and goes when the guest
/// goes. A guest that is alone again (the resident hung up) and makes a new offer gets a new resident.
///
/// Refusals name a code of Docs/signaling.md. Fatal ones end the connection, and give up the place but for those which
/// the network may have caused (`too-slow`).
///
/// Everything is bounded by `SignalingLimits`: rooms, the rate and size of messages, what waits. The number of
/// connections is the transport's to bound; each costs a few hundred bytes here.
public struct Rooms: Sendable {
    public enum Output: Hashable, Sendable {
        case send(ConnectionID, String)
        /// After what was sent. The connection is forgotten here.
        case close(ConnectionID, CloseCode)
        /// A peer of the server's own is to answer in this room; it is connected and joined under this identity.
        case resident(room: String, ConnectionID)
    }

    /// WebSocket close codes (RFC 6455 §7.4.1).
    public enum CloseCode: UInt16, Hashable, Sendable {
        case normal = 1000
        case goingAway = 1001
        case policyViolation = 1008
        case messageTooBig = 1009
    }

    /// A connection that came, as long as it is there.
    struct Connection: Hashable, Sendable {
        var room: String
        var member: Member.ID?
        var joinBy: Instant?
        var rate: RateLimit
        var byteRate: RateLimit
        var malformed = 0
    }

    public let limits: SignalingLimits
    public let hasResidents: Bool
    var connections: [ConnectionID: Connection] = [:]
    var rooms: [String: Room] = [:]
    var random: RandomSource
    var nextResident = UInt64.max
    /// How often each error was told, for the metrics.
    public internal(set) var refusals: [ServerMessage.ErrorCode: Int] = [:]
    public internal(set) var relayedMessages = 0

    public init(limits: SignalingLimits = SignalingLimits(), hasResidents: Bool = false, random: RandomSource) {
        self.limits = limits
        self.hasResidents = hasResidents
        self.random = random
    }

    public var roomCount: Int { rooms.count }
    public var memberCount: Int { rooms.values.reduce(0) { $0 + $1.members.count } }

    // MARK: What happens

    public mutating func connected(_ id: ConnectionID, room: String, at now: Instant) {
        connections[id] = Connection(
            room: room, joinBy: now + limits.joinTime,
            rate: RateLimit(burst: limits.burst, perSecond: limits.messagesPerSecond, at: now),
            byteRate: RateLimit(burst: limits.burstBytes, perSecond: limits.bytesPerSecond, at: now))
    }

    public mutating func receive(_ text: String, from id: ConnectionID, at now: Instant, into out: inout [Output]) {
        guard connections[id] != nil else { return }
        guard text.utf8.count <= limits.messageBytes else { return refuseSize(of: id, at: now, into: &out) }
        let isWithin =
            connections[id]?.rate.take(at: now) == true
            && connections[id]?.byteRate.take(text.utf8.count, at: now) == true
        guard isWithin || isResident(id) else {
            return refuse(
                id, .tooFast,
                "more than \(limits.burst) messages or \(limits.burstBytes) bytes at once, or "
                    + "\(limits.messagesPerSecond) messages or \(limits.bytesPerSecond) bytes a second",
                at: now, into: &out)
        }
        do throws(MessageError) {
            switch try ClientMessage(parsing: text) {
            case .join(let session, let name):
                if connections[id]?.member != nil { throw MessageError("you have joined already") }
                join(id, session: session, name: name, at: now, into: &out)
            case .relayed(let kind, let text): relay(text, kind, from: id, at: now, into: &out)
            case .leave:
                guard connections[id]?.member != nil else { return refuseUnjoined(id, at: now, into: &out) }
                giveUp(id, reason: "left", at: now, into: &out)
                close(id, .normal, into: &out)
            }
        } catch {
            noteMalformed(id, error, at: now, into: &out)
        }
    }

    /// The connection is gone; its place is held for a while.
    public mutating func disconnected(_ id: ConnectionID, at now: Instant, into out: inout [Output]) {
        guard let connection = connections.removeValue(forKey: id), let member = connection.member,
            let index = rooms[connection.room]?.index(of: member)
        else { return }
        rooms[connection.room]?.members[index].connection = nil
        rooms[connection.room]?.members[index].heldUntil = now + limits.resumeTime
    }

    /// What the transport noticed: a frame beyond the bound, or a peer that does not read what waits for it.
    public mutating func refuse(
        _ id: ConnectionID, _ code: ServerMessage.ErrorCode, at now: Instant, into out: inout [Output]
    ) {
        switch code {
        case .tooLarge: refuseSize(of: id, at: now, into: &out)
        case .tooSlow:
            guard connections[id] != nil else { return }
            tell(id, code, "you do not read what is sent to you", isFatal: true, into: &out)
            disconnected(id, at: now, into: &out)
            out.append(.close(id, .policyViolation))
        default: refuse(id, code, "refused", at: now, into: &out)
        }
    }

    /// What the time brings: who has not joined, who did not come back.
    public mutating func advance(to now: Instant, into out: inout [Output]) {
        for (id, connection) in connections where connection.joinBy.map({ $0 <= now }) ?? false {
            refuse(id, .notJoined, "no join within \(Int(limits.joinTime.seconds)) s", at: now, into: &out)
        }
        for name in Array(rooms.keys) {
            for member in rooms[name]?.members ?? [] where member.heldUntil.map({ $0 <= now }) ?? false {
                remove(member.id, from: name, reason: "timeout", at: now, into: &out)
            }
        }
    }

    public var deadline: Instant? {
        var result: Instant?
        for connection in connections.values { result = earliest(result, connection.joinBy) }
        for room in rooms.values {
            for member in room.members { result = earliest(result, member.heldUntil) }
        }
        return result
    }

    /// The server stops: calls get `bye`.
    public mutating func shutDown(into out: inout [Output]) {
        for (id, connection) in connections {
            if connection.member != nil {
                out.append(.send(id, #"{"type":"bye","reason":"shutting-down"}"#))
            }
            tell(id, .shuttingDown, "the server stops", isFatal: true, into: &out)
            out.append(.close(id, .goingAway))
        }
        connections = [:]
        rooms = [:]
    }
}

extension Rooms {
    /// Whether a connection has a place in a room.
    public func hasPlace(_ id: ConnectionID) -> Bool { connections[id]?.member != nil }
}
