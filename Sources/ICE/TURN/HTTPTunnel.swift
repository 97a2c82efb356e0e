import Primitives

/// A way through an HTTP proxy to a server: CONNECT (RFC 9110 §9.3.6), with Basic credentials (RFC 7617) where given.
///
/// Neither user name nor password is in any description, dump or reflection, because those end in logs.
public struct HTTPTunnel: Hashable, Sendable {
    /// What the proxy is asked for, a name or an address, and its port.
    public var host: String
    public var port: UInt16
    public var credential: HTTPProxyCredential?

    public init(host: String, port: UInt16, credential: HTTPProxyCredential? = nil) {
        self.host = host
        self.port = port
        self.credential = credential
    }

    /// `host:port`, an IPv6 address in brackets.
    public var authority: String { (host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host) + ":\(port)" }

    /// What is sent to the proxy.
    public var request: [UInt8] {
        var text = "CONNECT \(authority) HTTP/1.1\r\nHost: \(authority)\r\n"
        if let credential {
            let both = Array("\(credential.user):\(credential.password)".utf8)
            text += "Proxy-Authorization: Basic \(Base64.encode(both))\r\n"
        }
        return Array((text + "\r\n").utf8)
    }
}

public struct HTTPProxyCredential: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    public var user: String
    public var password: String

    public init(user: String, password: String) {
        self.user = user
        self.password = password
    }

    public var description: String { "user \(user)" }
    public var customMirror: Mirror { Mirror(self, children: ["user": user]) }
}

/// Reads a proxy's answer to CONNECT, up to its end and not further: what follows is the server's.
public struct HTTPTunnelAnswer: Sendable {
    /// A head that is longer is not read.
    public static let limit = 16_384

    private let tunnel: HTTPTunnel
    private var head: [UInt8] = []

    public init(to tunnel: HTTPTunnel) { self.tunnel = tunnel }

    /// Takes what the proxy sent. Gives what came after the head once the way is open; `nil` while the head goes on.
    public mutating func receive(_ bytes: [UInt8]) throws(HTTPTunnelFailure) -> [UInt8]? {
        for index in bytes.indices {
            head.append(bytes[index])
            guard head.count <= Self.limit else { throw .notHTTP }
            if head.count == 5, head != Array("HTTP/".utf8) { throw .notHTTP }
            guard head.suffix(4) == [13, 10, 13, 10] || head.suffix(2) == [10, 10] else { continue }
            if try isOpen() { return Array(bytes[(index + 1)...]) }
            // A 1xx is not the answer yet (RFC 9110 §15.2).
            head = []
        }
        return nil
    }

    private func isOpen() throws(HTTPTunnelFailure) -> Bool {
        let lines = head.split(whereSeparator: { $0 == 13 || $0 == 10 }).map { String(decoding: $0, as: UTF8.self) }
        let words = (lines.first ?? "").split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[1].utf8.count == 3, let status = UInt16(words[1]) else { throw .notHTTP }
        switch status {
        case 100..<200: return false
        case 200..<300: return true
        case 407:
            let schemes = lines.dropFirst().compactMap(Self.scheme)
            if !schemes.isEmpty, !schemes.contains(where: { $0.lowercased() == "basic" }) {
                throw .schemeUnsupported(schemes.prefix(4).joined(separator: ", "))
            }
            throw tunnel.credential == nil ? .credentialsRequired : .credentialsRejected
        default:
            throw .refused(
                status: Int(status), reason: words.count > 2 ? printable(String(words[2])) : "",
                target: tunnel.authority)
        }
    }

    /// The scheme of a Proxy-Authenticate line (RFC 9110 §11.7.1).
    private static func scheme(_ line: String) -> String? {
        guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == "proxy-authenticate" else {
            return nil
        }
        return line[line.index(after: colon)...].split(separator: " ").first.map { printable(String($0)) }
    }
}

/// Why a proxy gives no way, in words for people.
public enum HTTPTunnelFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// 407, and there were no user name and password.
    case credentialsRequired
    /// 407 to those that were given.
    case credentialsRejected
    /// 407 that wants other proof than Basic.
    case schemeUnsupported(String)
    case refused(status: Int, reason: String, target: String)
    case notHTTP

    /// Whether asking again as we did is of no use; wrong passwords close accounts.
    public var isFinal: Bool {
        switch self {
        case .credentialsRequired, .credentialsRejected, .schemeUnsupported: true
        case .refused(let status, _, _): (400..<500).contains(status) && status != 408 && status != 429
        case .notHTTP: false
        }
    }

    public var description: String {
        switch self {
        case .credentialsRequired: "the proxy asks for a user name and password (407)"
        case .credentialsRejected: "the proxy does not accept the user name and password (407)"
        case .schemeUnsupported(let schemes): "the proxy wants \(schemes), and only Basic is known here (407)"
        case .refused(403, let reason, let target):
            "the proxy does not let us to \(target) (\(Self.said(403, reason)))"
        case .refused(let status, let reason, let target) where (502...504).contains(status):
            "the proxy does not reach \(target) (\(Self.said(status, reason)))"
        case .refused(let status, let reason, let target):
            "the proxy refuses CONNECT \(target) (\(Self.said(status, reason)))"
        case .notHTTP: "what answers is no HTTP proxy"
        }
    }

    private static func said(_ status: Int, _ reason: String) -> String {
        reason.isEmpty ? "\(status)" : "\(status) \(reason)"
    }
}
