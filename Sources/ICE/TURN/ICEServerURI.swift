import Primitives

/// A `stun:`, `stuns:`, `turn:` or `turns:` URI (RFC 7064, RFC 7065).
///
///     turn:turn.example.org            UDP, port 3478
///     turn:203.0.113.5:80?transport=tcp
///     turns:[2001:db8::5]              TLS over TCP, port 5349
///     stun:192.0.2.1?transport=tcp     ours: RFC 7064 knows stun: over UDP and stuns: over TLS only
///
/// There is no user name or password in one; `postern` has its own way to write them, and takes them off before.
public struct ICEServerURI: Hashable, Sendable {
    public enum Service: String, Hashable, Sendable { case stun, turn }
    public enum Transport: String, Hashable, Sendable { case udp, tcp }

    public struct ParseError: Error, Hashable, Sendable, CustomStringConvertible {
        public var description: String
    }

    public var service: Service
    /// TLS over TCP, or DTLS over UDP (RFC 7065 §3.2, RFC 7350).
    public var isSecure: Bool
    /// A name or an address, without brackets.
    public var host: String
    public var port: UInt16
    public var transport: Transport

    public init(
        service: Service, isSecure: Bool = false, host: String, port: UInt16? = nil, transport: Transport? = nil
    ) {
        self.service = service
        self.isSecure = isSecure
        self.host = host
        self.port = port ?? (isSecure ? 5349 : 3478)
        self.transport = transport ?? (isSecure ? .tcp : .udp)
    }

    public init(parsing text: some StringProtocol) throws(ParseError) {
        self = try Self.parse(text).uri
    }

    /// The URI, and which of its parts the text has: the others have their default values.
    public static func parse(
        _ text: some StringProtocol
    ) throws(ParseError) -> (uri: ICEServerURI, hasPort: Bool, hasTransport: Bool) {
        guard let colon = text.firstIndex(of: ":") else { throw ParseError(description: "no scheme") }
        let scheme = text[..<colon].lowercased()
        guard let service = ["stun": Service.stun, "stuns": .stun, "turn": .turn, "turns": .turn][scheme] else {
            throw ParseError(description: "unknown scheme \"\(scheme)\"")
        }
        let rest = text[text.index(after: colon)...]
        guard !rest.hasPrefix("//") else {
            throw ParseError(description: "there is no // in a \(scheme): URI (RFC 7065 §3.1)")
        }
        let mark = rest.firstIndex(of: "?")
        let (host, port) = try parseAuthority(rest[..<(mark ?? rest.endIndex)])
        let transport = try mark.map { mark throws(ParseError) in
            try parseQuery(rest[rest.index(after: mark)...], of: service)
        }
        let uri = ICEServerURI(
            service: service, isSecure: scheme.hasSuffix("s"), host: host, port: port, transport: transport)
        return (uri, port != nil, transport != nil)
    }

    private static func parseQuery(
        _ query: some StringProtocol, of service: Service
    ) throws(ParseError) -> Transport {
        guard service == .turn || query.lowercased() == "transport=tcp" else {
            throw ParseError(description: "a stun: URI has no query but ?transport=tcp (RFC 7064 §3.1 has none at all)")
        }
        let parts = query.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].lowercased() == "transport" else {
            throw ParseError(description: "\"?\(query)\" is no ?transport=udp or ?transport=tcp")
        }
        guard let transport = Transport(rawValue: parts[1].lowercased()) else {
            throw ParseError(description: "unknown transport \"\(parts[1])\", only udp and tcp are known")
        }
        return transport
    }

    private static func parseAuthority(
        _ text: some StringProtocol
    ) throws(ParseError) -> (host: String, port: UInt16?) {
        var host = String(text)
        var digits: String?
        if host.hasPrefix("[") {
            guard let close = host.firstIndex(of: "]") else { throw ParseError(description: "[ without ]") }
            let tail = String(host[host.index(after: close)...])
            host = String(host[host.index(after: host.startIndex)..<close])
            guard IPAddress(host)?.family == .ipv6 else {
                throw ParseError(description: "\(host) is no IPv6 address")
            }
            if !tail.isEmpty {
                guard tail.hasPrefix(":") else { throw ParseError(description: "\"\(tail)\" is no port") }
                digits = String(tail.dropFirst())
            }
        } else if let separator = host.lastIndex(of: ":") {
            guard host.firstIndex(of: ":") == separator else {
                throw ParseError(description: "an IPv6 address goes in brackets")
            }
            digits = String(host[host.index(after: separator)...])
            host = String(host[..<separator])
        }
        guard !host.isEmpty, host.utf8.count <= 253,
            !host.unicodeScalars.contains(where: {
                $0.value <= 32 || $0.value == 127 || "/@?#[]%\"<>\\".unicodeScalars.contains($0)
            })
        else { throw ParseError(description: "no host name or address") }
        guard let digits else { return (host, nil) }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(digits), port > 0
        else { throw ParseError(description: "\"\(digits)\" is no port") }
        return (host, port)
    }
}

extension ICEServerURI: CustomStringConvertible {
    public var description: String {
        let host = host.contains(":") ? "[\(host)]" : host
        let isTold = service == .turn || (transport == .tcp && !isSecure)
        let query = isTold ? "?transport=\(transport.rawValue)" : ""
        return "\(service.rawValue)\(isSecure ? "s" : ""):\(host):\(port)\(query)"
    }
}
