import Primitives
import Signaling

/// What `postern serve` is to do.
public struct ServeOptions: Sendable {
    public var host = "127.0.0.1"
    /// 0 takes a free one.
    public var port = 8099
    public var token: String?
    /// Listen beyond loopback without a token.
    public var isOpen = false
    /// Origins of web pages that may connect besides the server's own page.
    public var origins: [String] = []
    /// A PEM certificate chain and its key.
    public var certificate: CertificateFiles?
    /// TLS with a certificate made for this run.
    public var isSelfSigned = false
    public var rooms = SignalingLimits().rooms
    /// Answers every room, each call with these options. Paths for the recording and reports are made for each.
    public var answer: CallOptions?
    /// Where the recordings and reports of answered calls go.
    public var directory: String?

    public init() {}

    /// Takes `HOST:PORT`, `[ADDRESS]:PORT`, or either part alone.
    public mutating func listen(on text: String) throws(SignalingError) {
        var (name, tail) = (text[...], Substring())
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { throw SignalingError("--listen \(text): [ without ]") }
            name = text[text.index(after: text.startIndex)..<close]
            tail = text[text.index(after: close)...]
        } else if text.filter({ $0 == ":" }).count > 1 {
            throw SignalingError("--listen \(text): an IPv6 address goes in brackets, as [::1]:8099")
        } else if let colon = text.lastIndex(of: ":") {
            name = text[..<colon]
            tail = text[colon...]
        } else if let number = UInt16(text) {
            port = Int(number)
            return
        }
        if !tail.isEmpty {
            guard tail.hasPrefix(":"), let number = UInt16(tail.dropFirst()) else {
                throw SignalingError("--listen \(text): \"\(tail.dropFirst())\" is no port; write HOST:PORT")
            }
            port = Int(number)
        }
        if !name.isEmpty { host = String(name) }
    }

    /// Whether only this machine can connect.
    var isLocalOnly: Bool {
        if host.lowercased() == "localhost" { return true }
        return IPAddress(host)?.isLoopback ?? false
    }

    /// What does not go together, in words; `nil` when all does.
    public var problem: String? {
        if !isLocalOnly, token == nil, !isOpen {
            return
                "--listen \(host) is open to others: give a --token (or POSTERN_TOKEN), or say --open to let anyone in"
        }
        if certificate != nil, isSelfSigned { return "--tls-cert and --tls-self-signed: give one of them" }
        if let token, token.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
            return "--token: write printable ASCII without spaces"
        }
        guard (1...10_000).contains(rooms) else { return "--rooms \(rooms): write 1 to 10000" }
        for origin in origins where !origin.hasPrefix("http://") && !origin.hasPrefix("https://") {
            return "--origin \(origin): write scheme and host, such as https://example.org"
        }
        return nil
    }
}
