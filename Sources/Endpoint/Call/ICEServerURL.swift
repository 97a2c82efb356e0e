import ICE
import Primitives

/// A STUN or TURN server as `--ice-server` names it: a URI of RFC 7064 or RFC 7065, which may have a user name and a
/// password before its host.
///
///     stun:stun.example.org    turn:203.0.113.5:3478?transport=udp    turn:alice:secret@turn.example.org
///
/// The two are split at the last colon, since user names with a time of expiry have one; `%3A` and `%40` stand for a colon
/// and an @. Neither is in `description`, nor in any error: those end in logs.
public struct ICEServerURL: Hashable, Sendable, CustomStringConvertible {
    public var uri: ICEServerURI
    public var credential: TURNCredential?

    /// Whether the text has a port, and a transport: where it has not, a domain's records may tell (`ServerDiscovery`).
    public private(set) var hasPort: Bool
    public private(set) var hasTransport: Bool

    public var host: String { uri.host }
    public var port: UInt16 { uri.port }
    public static let defaultPort: UInt16 = 3478

    public init(parsing text: String) throws(ICEServerError) {
        var bare = text
        if let at = text.lastIndex(of: "@"), let colon = text.firstIndex(of: ":"), colon < at {
            bare = String(text[...colon]) + text[text.index(after: at)...]
            let both = text[text.index(after: colon)..<at]
            guard let split = both.lastIndex(of: ":"), let name = Self.decoded(both[..<split]),
                let password = Self.decoded(both[both.index(after: split)...]), !name.isEmpty
            else { throw ICEServerError(bare, "before the @ stands USER:PASSWORD, with %3A for a colon in either") }
            credential = TURNCredential(username: name, password: password)
        }
        do throws(ICEServerURI.ParseError) {
            (uri, hasPort, hasTransport) = try ICEServerURI.parse(bare)
        } catch {
            throw ICEServerError(bare, error.description)
        }
        if credential != nil, uri.service == .stun {
            throw ICEServerError(bare, "a STUN server wants no user name and password")
        }
        if uri.isSecure, uri.transport == .udp {
            throw ICEServerError(bare, "TURN over DTLS is not supported; leave ?transport=udp out for TLS")
        }
    }

    /// Without its percent escapes; `nil` where one is malformed or the bytes are no UTF-8.
    static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    public var description: String { "\(uri)" }

    /// How it is reached, where not by UDP.
    var stream: RelayStream? { uri.isSecure ? .tls(host: host) : uri.transport == .tcp ? .tcp : nil }
}

public struct ICEServerError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String

    init(_ text: String, _ reason: String) {
        description = "--ice-server \(text): \(reason); write stun:HOST:PORT or turn:HOST:PORT"
    }
}
