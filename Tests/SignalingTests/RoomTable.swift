import Primitives
import Testing

@testable import Signaling

/// Rooms with scripted connections and a clock that only moves when told.
struct RoomTable {
    var rooms: Rooms
    var now = Instant.zero
    private(set) var sent: [ConnectionID: [String]] = [:]
    private(set) var closes: [ConnectionID: Rooms.CloseCode] = [:]
    private(set) var residents: [String: [ConnectionID]] = [:]
    private var next: UInt64 = 0

    init(_ limits: SignalingLimits = SignalingLimits(), hasResidents: Bool = false) {
        rooms = Rooms(limits: limits, hasResidents: hasResidents, random: .seeded(1))
    }

    mutating func perform(_ body: (inout Rooms, Instant, inout [Rooms.Output]) -> Void) {
        var out: [Rooms.Output] = []
        body(&rooms, now, &out)
        for output in out {
            switch output {
            case .send(let id, let text): sent[id, default: []].append(text)
            case .close(let id, let code): closes[id] = code
            case .resident(let room, let id): residents[room, default: []].append(id)
            }
        }
    }

    mutating func connect(_ room: String) -> ConnectionID {
        next += 1
        let id = ConnectionID(next)
        perform { rooms, now, _ in rooms.connected(id, room: room, at: now) }
        return id
    }

    mutating func join(_ room: String, name: String? = nil) -> ConnectionID {
        let id = connect(room)
        say(ClientMessage.join(session: nil, name: name).text, from: id)
        return id
    }

    mutating func pair(_ room: String = "demo") -> (ConnectionID, ConnectionID) { (join(room), join(room)) }

    mutating func say(_ text: String, from id: ConnectionID) {
        perform { $0.receive(text, from: id, at: $1, into: &$2) }
    }
    mutating func drop(_ id: ConnectionID) { perform { $0.disconnected(id, at: $1, into: &$2) } }

    mutating func advance(_ time: TimeDelta) {
        now += time
        perform { $0.advance(to: $1, into: &$2) }
    }

    func texts(to id: ConnectionID) -> [String] { sent[id] ?? [] }
    func said(to id: ConnectionID) -> [ServerMessage] { texts(to: id).compactMap { try? ServerMessage(parsing: $0) } }
    func isClosed(_ id: ConnectionID) -> Bool { closes[id] != nil }

    func joined(_ id: ConnectionID) throws -> ServerMessage.Joined {
        for case .joined(let joined) in said(to: id) { return joined }
        throw MissingMessage()
    }

    func error(_ id: ConnectionID) -> ServerMessage.ErrorCode? {
        for case .error(let code, _, _) in said(to: id).reversed() { return code }
        return nil
    }

    struct MissingMessage: Error {}
}
