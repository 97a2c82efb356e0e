import Foundation
import ICE

/// The HTTP proxy that STUN and TURN servers over TCP and TLS are reached through.
public struct HTTPProxy: Hashable, Sendable {
    public var host: String
    public var port: UInt16
    public var credential: HTTPProxyCredential?

    /// The way through it to a server. The server's name is the proxy's to look up: behind such a proxy there is often
    /// nobody else who could.
    func tunnel(to url: ICEServerURL) -> HTTPTunnel {
        HTTPTunnel(host: url.host, port: url.port, credential: credential)
    }
}

extension NetworkOptions {
    /// Takes `http://HOST:PORT`, with `USER:PASSWORD@` or `USER@` before the host; without a password there it is taken from
    /// the environment, `POSTERN_PROXY_PASSWORD`. To be called after the servers are known.
    public mutating func setProxy(
        _ text: String, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(NetworkOptionError) {
        var rest = text[...]
        let at = text.lastIndex(of: "@")
        // What is said of it may end in logs, so without the password.
        let shown = at.map { "http://…\(text[$0...])" } ?? text
        func refuse(_ reason: String) -> NetworkOptionError {
            NetworkOptionError(description: "--proxy \(shown): \(reason)")
        }
        guard rest.lowercased().hasPrefix("http://") else { throw refuse("write http://HOST:PORT") }
        rest = rest.dropFirst(7)
        var credential: HTTPProxyCredential?
        if let at {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let user = ICEServerURL.decoded(parts[0]), !user.isEmpty, !user.contains(":") else {
                throw refuse("before the @ stands USER:PASSWORD or USER, with %40 for an @ in either")
            }
            let given = parts.count > 1 ? ICEServerURL.decoded(parts[1]) : environment["POSTERN_PROXY_PASSWORD"]
            guard let password = given else { throw refuse("the user needs a password: POSTERN_PROXY_PASSWORD") }
            credential = HTTPProxyCredential(user: user, password: password)
            rest = rest[text.index(after: at)...]
        }
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        // The rules for hosts and ports are those of servers.
        guard let place = try? ICEServerURI(parsing: "stun:\(rest)"), place.transport == .udp,
            rest.hasSuffix(":\(place.port)")
        else { throw refuse("write http://HOST:PORT, an IPv6 address in brackets") }
        proxy = HTTPProxy(host: place.host, port: place.port, credential: credential)
        guard iceServers.contains(where: { $0.uri.transport == .tcp }) else {
            throw refuse(
                "a proxy passes TCP and TLS on, and no --ice-server is reached so: add turn:HOST?transport=tcp or turns:HOST"
            )
        }
    }
}
