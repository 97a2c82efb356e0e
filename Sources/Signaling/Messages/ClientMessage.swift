/// What a peer says to the server of rooms (Docs/signaling.md).
public enum ClientMessage: Hashable, Sendable {
    /// `session` takes up a place again; `name` is shown to the other.
    case join(session: String?, name: String?)
    /// For the other in the room, as it was written.
    case relayed(Relayed, String)
    case leave

    /// What passes through a room untouched.
    public enum Relayed: String, Hashable, Sendable, CaseIterable {
        case offer
        case answer
        case candidate
        case endOfCandidates = "end-of-candidates"
        case bye
    }

    /// Longest name, in characters; what is beyond is cut.
    static let maximumName = 64

    public init(parsing text: String) throws(MessageError) {
        let document = try JSONText(parsing: text)
        guard case .object = document else { throw MessageError("not a JSON object") }
        guard let type = document["type"] else {
            // Applications of old send an RTCIceCandidateInit, or one in another, without a type.
            guard document["candidate"] != nil, let brace = text.firstIndex(of: "{") else {
                throw MessageError("there is no \"type\" in it")
            }
            try Self.checkCandidate(document)
            self = .relayed(.candidate, #"{"type":"candidate","# + text[text.index(after: brace)...])
            return
        }
        guard let name = type.string else { throw MessageError("\"type\" is no string") }
        switch name {
        case "join":
            self = .join(
                session: try Self.text("session", of: document),
                name: try Self.text("name", of: document).map { String($0.prefix(Self.maximumName)) })
        case "leave": self = .leave
        default:
            guard let kind = Relayed(rawValue: name) else {
                throw MessageError(
                    "unknown type \"\(name.prefix(32))\"; known are join, offer, answer, candidate, "
                        + "end-of-candidates, bye, leave")
            }
            try Self.check(document, as: kind)
            self = .relayed(kind, text)
        }
    }

    private static func check(_ document: JSONText, as kind: Relayed) throws(MessageError) {
        switch kind {
        case .offer, .answer:
            guard let sdp = document["sdp"]?.string, !sdp.isEmpty else {
                throw MessageError("\"\(kind.rawValue)\" without a string \"sdp\"")
            }
        case .candidate: try checkCandidate(document)
        case .bye: _ = try text("reason", of: document)
        case .endOfCandidates: break
        }
    }

    private static func checkCandidate(_ document: JSONText) throws(MessageError) {
        switch document["candidate"] {
        case .string?, .null?: break
        case .object?:
            guard let nested = document["candidate"], nested["candidate"]?.string != nil else {
                throw MessageError("\"candidate\" holds no candidate")
            }
            return try checkPlace(nested)
        default: throw MessageError("\"candidate\" is neither a string nor null")
        }
        try checkPlace(document)
    }

    private static func checkPlace(_ document: JSONText) throws(MessageError) {
        _ = try text("sdpMid", of: document)
        switch document["sdpMLineIndex"] {
        case nil, .null?, .number?: break
        default: throw MessageError("\"sdpMLineIndex\" is no number")
        }
    }

    private static func text(_ name: String, of document: JSONText) throws(MessageError) -> String? {
        switch document[name] {
        case nil, .null?: return nil
        case .string(let text)?: return text
        default: throw MessageError("\"\(name)\" is no string")
        }
    }

    /// The message as it goes over the wire.
    public var text: String {
        switch self {
        case .join(let session, let name):
            #"{"type":"join""# + (session.map { #","session":"# + JSONText.quoted($0) } ?? "")
                + (name.map { #","name":"# + JSONText.quoted($0) } ?? "") + "}"
        case .relayed(_, let text): text
        case .leave: #"{"type":"leave"}"#
        }
    }
}
