import Primitives

/// A `stun:` URI (RFC 7064). TURN comes with a later issue and is refused by name until then.
public struct ICEServerURL: Hashable, Sendable, CustomStringConvertible {
    public var host: String
    public var port: UInt16

    public static let defaultPort: UInt16 = 3478

    public init(parsing text: String) throws(ICEServerError) {
        guard let colon = text.firstIndex(of: ":") else { throw ICEServerError(text, "no scheme") }
        switch text[..<colon].lowercased() {
        case "stun": break
        case "stuns", "turn", "turns":
            throw ICEServerError(text, "\(text[..<colon]): servers are not supported yet, only stun:")
        default: throw ICEServerError(text, "unknown scheme \"\(text[..<colon])\"")
        }
        let rest = text[text.index(after: colon)...]
        guard !rest.contains("?") else { throw ICEServerError(text, "a stun: URI has no query (RFC 7064 §3.1)") }
        guard !rest.hasPrefix("//") else { throw ICEServerError(text, "there is no // in a stun: URI (RFC 7064 §3.1)") }
        var host = rest
        port = Self.defaultPort
        if rest.hasPrefix("[") {
            guard let close = rest.firstIndex(of: "]") else { throw ICEServerError(text, "[ without ]") }
            host = rest[rest.index(after: rest.startIndex)..<close]
            guard IPAddress(host)?.family == .ipv6 else { throw ICEServerError(text, "\(host) is no IPv6 address") }
            let tail = rest[rest.index(after: close)...]
            if !tail.isEmpty {
                guard tail.hasPrefix(":"), let number = UInt16(tail.dropFirst()), number > 0 else {
                    throw ICEServerError(text, "\"\(tail)\" is no port")
                }
                port = number
            }
        } else if let separator = rest.lastIndex(of: ":") {
            guard rest.firstIndex(of: ":") == separator else {
                throw ICEServerError(text, "an IPv6 address goes in brackets")
            }
            guard let number = UInt16(rest[rest.index(after: separator)...]), number > 0 else {
                throw ICEServerError(text, "\"\(rest[separator...].dropFirst())\" is no port")
            }
            host = rest[..<separator]
            port = number
        }
        guard !host.isEmpty, host.utf8.count <= 253,
            !host.contains(where: { $0.isWhitespace || $0 == "/" || $0 == "@" })
        else { throw ICEServerError(text, "no host name or address") }
        self.host = String(host)
    }

    public var description: String { "stun:" + (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
}

public struct ICEServerError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String

    init(_ text: String, _ reason: String) {
        description = "--ice-server \(text): \(reason); write stun:HOST:PORT"
    }
}
