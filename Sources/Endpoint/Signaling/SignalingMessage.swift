import Foundation

/// One message of signalling, as a line of `stdio:` and as a room carries it: a description, a trickled candidate, or the end of candidates.
///
///     {"type":"offer","sdp":"v=0\r\n…"}
///     {"candidate":"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host","sdpMid":"0","sdpMLineIndex":0}
///     {"candidate":null}
///
/// The forms are those of RTCSessionDescriptionInit and RTCIceCandidateInit, so a browser's JSON goes in as it is.
public enum SignalingMessage: Hashable, Sendable {
    case offer(String)
    case answer(String)
    case candidate(String, sdpMid: String?, sdpMLineIndex: Int?)
    case endOfCandidates
    case bye

    /// Longest line that is read, in bytes: descriptions of browsers are 5 to 20 kB.
    public static let maximumLine = 256 * 1024

    public init(parsing line: String) throws(SignalingError) {
        guard line.utf8.count <= Self.maximumLine else {
            throw SignalingError("the line has \(line.utf8.count) bytes; \(Self.maximumLine) are the most")
        }
        let parsed: Any
        do {
            parsed = try JSONSerialization.jsonObject(with: Data(line.utf8), options: [.fragmentsAllowed])
        } catch {
            throw SignalingError("not JSON: \(shortened(line))")
        }
        if parsed is NSNull {
            self = .endOfCandidates
            return
        }
        guard let object = parsed as? [String: Any] else {
            throw SignalingError("not a JSON object: \(shortened(line))")
        }
        if let type = object["type"] as? String {
            try self.init(type: type, object: object)
        } else if let candidate = object["candidate"] {
            try self.init(candidate: candidate, object: object)
        } else {
            throw SignalingError(
                "neither \"type\" nor \"candidate\" in it: \(shortened(line)); "
                    + "write {\"type\":\"offer\",\"sdp\":…} or {\"candidate\":…}")
        }
    }

    private init(type: String, object: [String: Any]) throws(SignalingError) {
        switch type {
        case "offer", "answer":
            guard let sdp = object["sdp"] as? String, !sdp.isEmpty else {
                throw SignalingError("\"\(type)\" without a string \"sdp\"")
            }
            self = type == "offer" ? .offer(sdp) : .answer(sdp)
        case "candidate":
            guard let candidate = object["candidate"] else {
                throw SignalingError("\"candidate\" message without a \"candidate\"")
            }
            try self.init(candidate: candidate, object: object)
        case "end-of-candidates": self = .endOfCandidates
        case "bye": self = .bye
        default:
            throw SignalingError(
                "unknown type \"\(shortened(type))\"; known are offer, answer, candidate, end-of-candidates, bye")
        }
    }

    private init(candidate: Any, object: [String: Any]) throws(SignalingError) {
        if candidate is NSNull {
            self = .endOfCandidates
            return
        }
        // Some applications nest the RTCIceCandidateInit: {"candidate":{"candidate":"…","sdpMid":"0"}}.
        if let nested = candidate as? [String: Any], let inner = nested["candidate"] {
            try self.init(candidate: inner, object: nested)
            return
        }
        guard let text = candidate as? String else {
            throw SignalingError("\"candidate\" is neither a string nor null")
        }
        if text.isEmpty {
            self = .endOfCandidates
            return
        }
        self = .candidate(
            text, sdpMid: object["sdpMid"] as? String, sdpMLineIndex: (object["sdpMLineIndex"] as? NSNumber)?.intValue)
    }

    /// As a room carries it (Docs/signaling.md): with a type, whatever it is.
    public var roomText: String {
        switch self {
        case .candidate(let text, let mid, let index):
            ([
                "type": "candidate", "candidate": .string(text), "sdpMid": JSONValue(mid),
                "sdpMLineIndex": JSONValue(index),
            ] as JSONValue).line
        case .endOfCandidates: (["type": "end-of-candidates"] as JSONValue).line
        case .offer, .answer, .bye: line
        }
    }

    /// The line to write, without its newline.
    public var line: String {
        switch self {
        case .offer(let sdp): (["type": "offer", "sdp": .string(sdp)] as JSONValue).line
        case .answer(let sdp): (["type": "answer", "sdp": .string(sdp)] as JSONValue).line
        case .candidate(let text, let mid, let index):
            (["candidate": .string(text), "sdpMid": JSONValue(mid), "sdpMLineIndex": JSONValue(index)] as JSONValue)
                .line
        case .endOfCandidates: (["candidate": nil] as JSONValue).line
        case .bye: (["type": "bye"] as JSONValue).line
        }
    }
}

/// What is wrong with a line of signalling.
public struct SignalingError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}

private func shortened(_ text: String) -> String {
    text.count <= 80 ? text : text.prefix(77) + "…"
}
