/// What the server of rooms says to a peer (Docs/signaling.md).
public enum ServerMessage: Hashable, Sendable {
    case joined(Joined)
    case peerJoined(PeerJoined)
    case peerLeft(id: String, reason: String)
    case error(code: ErrorCode, message: String, fatal: Bool)
    /// From the other in the room, as it was written.
    case relayed(String)

    public struct Joined: Hashable, Sendable {
        public var room: String
        public var id: String
        /// What takes up the place again. A secret.
        public var session: String
        public var resumed = false
        public var polite: Bool
        /// Whether to make the offer now.
        public var offers: Bool
        public var peers: [Peer]
    }

    public struct Peer: Hashable, Sendable {
        public var id: String
        public var name: String?
    }

    public struct PeerJoined: Hashable, Sendable {
        public var peer: Peer
        /// Of the one who is told.
        public var polite: Bool
        public var offers: Bool
        public var resumed = false
    }

    public enum ErrorCode: String, Hashable, Sendable, CaseIterable {
        case roomFull = "room-full"
        case tooManyRooms = "too-many-rooms"
        case notJoined = "not-joined"
        case unknownSession = "unknown-session"
        case malformed
        case tooLarge = "too-large"
        case tooFast = "too-fast"
        case tooSlow = "too-slow"
        case replaced
        case shuttingDown = "shutting-down"
    }

    public var text: String {
        let quoted = JSONText.quoted
        switch self {
        case .joined(let joined):
            return #"{"type":"joined","room":"# + quoted(joined.room) + #","id":"# + quoted(joined.id)
                + #","session":"# + quoted(joined.session)
                + #","resumed":\#(joined.resumed),"polite":\#(joined.polite)"#
                + #","offers":\#(joined.offers),"peers":["#
                + joined.peers.map { "{\($0.members)}" }.joined(separator: ",")
                + #"],"iceServers":[]}"#
        case .peerJoined(let joined):
            return #"{"type":"peer-joined","# + joined.peer.members
                + #","polite":\#(joined.polite),"offers":\#(joined.offers),"resumed":\#(joined.resumed)}"#
        case .peerLeft(let id, let reason):
            return #"{"type":"peer-left","id":"# + quoted(id) + #","reason":"# + quoted(reason) + "}"
        case .error(let code, let message, let fatal):
            return #"{"type":"error","code":"\#(code.rawValue)","message":"# + quoted(message) + #","fatal":\#(fatal)}"#
        case .relayed(let text): return text
        }
    }

    /// Reads what a server said. Unknown error codes are read as `malformed`, which is what is left of them.
    public init(parsing text: String) throws(MessageError) {
        let document = try JSONText(parsing: text)
        guard let type = document["type"]?.string else { throw MessageError("there is no \"type\" in it") }
        switch type {
        case "joined":
            guard let room = document["room"]?.string, let id = document["id"]?.string,
                let session = document["session"]?.string
            else { throw MessageError("\"joined\" without room, id or session") }
            self = .joined(
                Joined(
                    room: room, id: id, session: session, resumed: document["resumed"]?.bool ?? false,
                    polite: document["polite"]?.bool ?? true, offers: document["offers"]?.bool ?? false,
                    peers: (document["peers"]?.array ?? []).compactMap(Peer.init)))
        case "peer-joined":
            guard let peer = Peer(document) else { throw MessageError("\"peer-joined\" without an id") }
            self = .peerJoined(
                PeerJoined(
                    peer: peer, polite: document["polite"]?.bool ?? false, offers: document["offers"]?.bool ?? false,
                    resumed: document["resumed"]?.bool ?? false))
        case "peer-left":
            self = .peerLeft(
                id: document["id"]?.string ?? "", reason: document["reason"]?.string ?? "left")
        case "error":
            let code = document["code"]?.string ?? ""
            self = .error(
                code: ErrorCode(rawValue: code) ?? .malformed, message: document["message"]?.string ?? code,
                fatal: document["fatal"]?.bool ?? false)
        default: self = .relayed(text)
        }
    }
}

extension ServerMessage.Peer {
    init?(_ document: JSONText) {
        guard let id = document["id"]?.string else { return nil }
        self.init(id: id, name: document["name"]?.string)
    }

    fileprivate var members: String {
        #""id":"# + JSONText.quoted(id) + (name.map { #","name":"# + JSONText.quoted($0) } ?? "")
    }
}
