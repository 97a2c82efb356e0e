/// Where a room is: `ws://HOST[:PORT]/room/NAME` or `wss://…`, with a path before `/room/` where a proxy wants one.
///
/// A token in the query is taken out, so that what is printed holds no secret.
public struct RoomURL: Hashable, Sendable, CustomStringConvertible {
    public var isSecure: Bool
    /// A name or an address, without brackets.
    public var host: String
    public var port: Int
    public var path: String
    public var room: String
    public var token: String?

    public init(parsing text: String) throws(MessageError) {
        let rest: Substring
        if text.lowercased().hasPrefix("ws://") {
            (isSecure, rest) = (false, text.dropFirst(5))
        } else if text.lowercased().hasPrefix("wss://") {
            (isSecure, rest) = (true, text.dropFirst(6))
        } else {
            throw MessageError("it does not begin with ws:// or wss://; \(Self.remedy)")
        }
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !authority.contains("@") else { throw MessageError("a user name has no place in it; use --token") }
        (host, port) = try Self.hostAndPort(authority, defaultPort: isSecure ? 443 : 80)
        let parts = rest.dropFirst(authority.count).prefix { $0 != "#" }
            .split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts.first ?? "")
        guard let slash = path.ranges(of: "/room/").last else {
            throw MessageError("there is no /room/NAME in it; \(Self.remedy)")
        }
        room = String(path[slash.upperBound...])
        guard RoomName.isValid(room) else {
            throw MessageError("\"\(room.prefix(80))\" is no name of a room: 1 to 64 of A-Z a-z 0-9 . _ -")
        }
        guard path.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw MessageError("the path holds what belongs in no URL")
        }
        for item in (parts.count > 1 ? parts[1] : "").split(separator: "&") where item.hasPrefix("token=") {
            token = percentDecoded(item.dropFirst("token=".count))
        }
    }

    private static let remedy = "write ws://HOST:8099/room/NAME"

    private static func hostAndPort(_ text: Substring, defaultPort: Int) throws(MessageError) -> (String, Int) {
        var (host, tail): (Substring, Substring)
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { throw MessageError("[ without ]") }
            host = text[text.index(after: text.startIndex)..<close]
            tail = text[text.index(after: close)...]
        } else {
            host = text.prefix { $0 != ":" }
            tail = text.dropFirst(host.count)
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw MessageError("there is no host in it; \(remedy)")
        }
        if tail.isEmpty { return (String(host), defaultPort) }
        guard tail.hasPrefix(":"), let port = Int(tail.dropFirst()), (1...65_535).contains(port) else {
            throw MessageError("\"\(tail)\" is no port; an IPv6 address goes in brackets")
        }
        return (String(host), port)
    }

    /// `HOST:PORT` as it goes into a request.
    public var authority: String { (host.contains(":") ? "[\(host)]" : host) + ":\(port)" }
    public var description: String { (isSecure ? "wss://" : "ws://") + authority + path }
}
