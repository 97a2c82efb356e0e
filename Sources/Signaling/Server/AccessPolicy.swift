/// Who gets what over HTTP: a pure function of a request's head.
///
/// A WebSocket is not held by the same-origin policy: any page in a browser may open one to any server, this machine's
/// included. So the `Origin` a browser sends must be the server itself, or one that was allowed. Without a token a server
/// on loopback also wants to be called by an address or `localhost`: a name that an attacker makes point here (DNS rebinding)
/// would make the attacker's page same-origin.
struct AccessPolicy: Sendable {
    enum Verdict: Hashable, Sendable {
        case page
        case health
        case metrics
        case room(String)
        case refused(status: Int, reason: String)
    }

    struct Request: Sendable {
        var method = "GET"
        var target: String
        var host: String?
        var origin: String?
        var authorization: String?
        var isUpgrade = false
    }

    let token: String?
    let origins: Set<String>
    let isLocalOnly: Bool

    init(token: String?, origins: [String], isLocalOnly: Bool) {
        self.token = token
        self.origins = Set(origins.map { $0.lowercased() })
        self.isLocalOnly = isLocalOnly
    }

    func verdict(on request: Request) -> Verdict {
        guard request.method == "GET" || request.method == "HEAD" else {
            return .refused(status: 405, reason: "only GET is answered")
        }
        let parts = request.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts.first ?? ""
        switch path {
        case "/", "/index.html": return .page
        case "/healthz": return .health
        case "/metrics": return .metrics
        default: break
        }
        guard let room = RoomName.inPath(path) else {
            return .refused(
                status: 404,
                reason: path.hasPrefix("/room/")
                    ? "a room's name is 1 to \(RoomName.maximumLength) of A-Z a-z 0-9 . _ -" : "there is no such page")
        }
        guard isFromHere(request) else {
            return .refused(status: 403, reason: "this origin is not allowed; see --origin")
        }
        let query = parts.count > 1 ? parts[1] : ""
        guard knowsToken(request, query: query) else {
            return .refused(status: 401, reason: "the token is missing or wrong")
        }
        guard request.isUpgrade else {
            return .refused(status: 426, reason: "open a WebSocket here; people go to /")
        }
        return .room(room)
    }

    private func isFromHere(_ request: Request) -> Bool {
        if let origin = request.origin?.lowercased(), origins.contains(origin) { return true }
        guard let host = request.host?.lowercased() else { return false }
        if isLocalOnly, token == nil, !isAddressOrLocalhost(host) { return false }
        guard let origin = request.origin?.lowercased() else { return true }
        guard let scheme = origin.firstRange(of: "://") else { return false }
        return withoutDefaultPort(origin[scheme.upperBound...]) == withoutDefaultPort(host[...])
    }

    private func knowsToken(_ request: Request, query: Substring) -> Bool {
        guard let token else { return true }
        if let header = request.authorization, header.lowercased().hasPrefix("bearer ") {
            return isEqualInConstantTime(token, String(header.dropFirst("bearer ".count)))
        }
        for item in query.split(separator: "&") where item.hasPrefix("token=") {
            return isEqualInConstantTime(token, percentDecoded(item.dropFirst("token=".count)))
        }
        return false
    }

    private func isAddressOrLocalhost(_ host: String) -> Bool {
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } : host.prefix { $0 != ":" }
        return name == "localhost" || name.hasPrefix("[") || name.allSatisfy { $0.isNumber || $0 == "." }
    }

    private func withoutDefaultPort(_ host: Substring) -> Substring {
        for suffix in [":80", ":443"] where host.hasSuffix(suffix) { return host.dropLast(suffix.count) }
        return host
    }
}

/// `%41` is `A`; what is no escape stays as it is.
func percentDecoded(_ text: some StringProtocol) -> String {
    let bytes = Array(text.utf8)
    var result: [UInt8] = []
    var index = 0
    while index < bytes.count {
        if bytes[index] == UInt8(ascii: "%"), bytes.count - index > 2,
            let code = UInt8(String(decoding: bytes[(index + 1)...(index + 2)], as: UTF8.self), radix: 16)
        {
            result.append(code)
            index += 3
        } else {
            result.append(bytes[index])
            index += 1
        }
    }
    return String(decoding: result, as: UTF8.self)
}
