import Primitives

/// Two places and who has them.
struct Room: Hashable, Sendable {
    static let places = 2

    var name: String
    var members: [Member] = []
    private var nextID = 1

    init(name: String) { self.name = name }

    /// A number no one in this room had before.
    mutating func makeID() -> String {
        defer { nextID &+= 1 }
        return String(nextID)
    }

    func index(of id: Member.ID) -> Int? { members.firstIndex { $0.id == id } }
    func index(besides id: Member.ID) -> Int? { members.firstIndex { $0.id != id } }
    var isDeserted: Bool { members.allSatisfy(\.isResident) }
}

/// A place in a room, held through `resumeTime` without a connection.
struct Member: Hashable, Sendable {
    typealias ID = String

    var id: ID
    var session: String
    var name: String?
    var polite: Bool
    /// The server's own peer, which lives as long as somebody is there to talk to.
    var isResident = false
    var connection: ConnectionID?
    /// When the place is given up; `nil` while connected.
    var heldUntil: Instant?
    /// What was said to it while it was away.
    var waiting: [String] = []
    var waitingBytes = 0

    var peer: ServerMessage.Peer { ServerMessage.Peer(id: id, name: name) }
}

/// One WebSocket, or one peer of the server's own.
public struct ConnectionID: Hashable, Sendable {
    public var rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}
