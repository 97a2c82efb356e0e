import Primitives

extension MappingRule {
    /// Reads a rule and refuses what can never apply.
    public init(parsing text: String) throws(MappingError) {
        let rule = text.trimmed
        func refuse(_ reason: String) -> MappingError { MappingError(rule: rule, reason: reason) }

        let (body, options) = try Self.splitOptions(of: rule)
        let sides = body.split(separator: "=", omittingEmptySubsequences: false).map { $0.trimmed }
        guard sides.count == 2 else {
            throw refuse("write SCOPE FROM = TO, such as local 192.0.2.33:30008-30208 = 198.51.100.40:30008-30208")
        }
        let words = sides[0].split { $0 == " " || $0 == "\t" }
        guard let first = words.first, let scope = Scope(rawValue: first.lowercased()) else {
            throw refuse("it begins with local, remote or server, not with '\(words.first ?? "")'")
        }
        guard words.count == 2 else { throw refuse("one address or range stands between \(scope.rawValue) and =") }
        let from = try Side(parsing: words[1], rule: rule)
        let to = try Side(parsing: sides[1][...], rule: rule)
        var offset: Int?
        for option in options {
            guard let value = Self.offset(in: option) else { continue }
            guard let value = value else { throw refuse("'\(option)' is no port offset; write port+N or port-N") }
            guard offset == nil else { throw refuse("the port offset stands twice") }
            offset = value
        }
        let ports = try Self.ports(from: from.ports, to: to.ports, offset: offset, rule: rule)
        self.init(
            scope: scope, from: from.host, to: to.host, ports: ports.range, offset: ports.offset, text: rule)
        try apply(options.filter { Self.offset(in: $0) == nil })
        try check()
    }

    // MARK: Parts

    private struct Side {
        var host: Host
        var ports: ClosedRange<UInt16>?

        init(parsing text: Substring, rule: String) throws(MappingError) {
            func refuse(_ reason: String) -> MappingError { MappingError(rule: rule, reason: reason) }
            guard !text.isEmpty, !text.contains(where: { $0 == " " || $0 == "\t" }) else {
                throw refuse(text.isEmpty ? "an address is missing beside =" : "'\(text)' is no address")
            }
            var host = text
            var portText: Substring?
            if text.first == "[" {
                guard let end = text.firstIndex(of: "]") else { throw refuse("'\(text)' lacks its ]") }
                host = text[text.index(after: text.startIndex)..<end]
                let rest = text[text.index(after: end)...]
                guard rest.isEmpty || rest.first == ":" else { throw refuse("'\(text)' has '\(rest)' after ]") }
                portText = rest.isEmpty ? nil : rest.dropFirst()
                guard host.contains(":") else { throw refuse("'\(host)' in brackets is no IPv6 address") }
            } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
                host = text[..<colon]
                portText = text[text.index(after: colon)...]
            }
            if let portText {
                ports = try Self.ports(portText, rule)
            } else {
                ports = nil
            }
            self.host = try Self.host(host, rule)
        }

        private static func ports(_ text: Substring, _ rule: String) throws(MappingError) -> ClosedRange<UInt16>? {
            if text == "*" { return nil }
            let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
            guard (1...2).contains(parts.count), let first = parts[0], let last = parts.last ?? nil, first > 0 else {
                throw MappingError(
                    rule: rule, reason: "'\(text)' is no port: write one from 1 to 65535, FIRST-LAST, or *")
            }
            guard first <= last else {
                throw MappingError(rule: rule, reason: "the range \(text) ends before it begins")
            }
            return first...last
        }

        private static func host(_ text: Substring, _ rule: String) throws(MappingError) -> Host {
            if text == "any" || text == "*" { return .any }
            if text.contains("/") {
                guard let (ip, prefix) = MappingRule.network(text) else {
                    throw MappingError(rule: rule, reason: "'\(text)' is no network: write ADDRESS/BITS")
                }
                return .network(ip, prefix: prefix)
            }
            if let ip = IPAddress(text) { return .address(ip) }
            if text.contains(":") {
                throw MappingError(
                    rule: rule, reason: "'\(text)' is no IPv6 address; with a port it is written [ADDRESS]:PORT")
            }
            let name = text.lowercased()
            let isName =
                name.utf8.count <= 253
                && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                    (1...63).contains(label.utf8.count)
                        && label.utf8.allSatisfy {
                            (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95
                        }
                }
            // A last label of digits only is a mistyped address, not a name (RFC 1123 §2.1).
            guard isName, name.split(separator: ".").last?.utf8.allSatisfy({ (48...57).contains($0) }) == false else {
                throw MappingError(rule: rule, reason: "'\(text)' is neither an address nor a host name")
            }
            return .name(name)
        }
    }

    static func network(_ text: some StringProtocol) -> (IPAddress, Int)? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let ip = IPAddress(parts[0]), let prefix = Int(parts[1]),
            (0...ip.width).contains(prefix)
        else { return nil }
        return (ip, prefix)
    }

    private static func splitOptions(of rule: String) throws(MappingError) -> (String, [String]) {
        guard let open = rule.firstIndex(of: "(") else { return (rule, []) }
        guard rule.last == ")" else { throw MappingError(rule: rule, reason: "the options' ) is not at the end") }
        let inner = rule[rule.index(after: open)...].dropLast()
        let options = inner.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmed }
        guard options.allSatisfy({ !$0.isEmpty }) else { throw MappingError(rule: rule, reason: "an option is empty") }
        return (String(rule[..<open]), options)
    }

    /// `nil` where the option is another one; an inner `nil` where its number is none.
    private static func offset(in option: String) -> Int?? {
        guard option.hasPrefix("port+") || option.hasPrefix("port-") else { return nil }
        let digits = option.dropFirst(5)
        guard let value = UInt16(digits), digits.first != "+" else { return .some(nil) }
        return .some(option.hasPrefix("port+") ? Int(value) : -Int(value))
    }

    private static func ports(
        from: ClosedRange<UInt16>?, to: ClosedRange<UInt16>?, offset: Int?, rule: String
    ) throws(MappingError) -> (range: ClosedRange<UInt16>, offset: Int) {
        func refuse(_ reason: String) -> MappingError { MappingError(rule: rule, reason: reason) }
        func shifted(_ range: ClosedRange<UInt16>, by offset: Int) throws(MappingError) -> ClosedRange<UInt16> {
            guard let first = UInt16(exactly: Int(range.lowerBound) + offset), first > 0,
                let last = UInt16(exactly: Int(range.upperBound) + offset)
            else { throw refuse("the port offset moves \(range.text) out of 1-65535") }
            return first...last
        }
        switch (from, to) {
        case (let from?, let to?):
            guard from.count == to.count else {
                throw refuse(
                    "\(from.text) are \(from.count) ports and \(to.text) are \(to.count); they must be as many")
            }
            let difference = Int(to.lowerBound) - Int(from.lowerBound)
            guard offset == nil || offset == difference else {
                throw refuse("the ports differ by \(difference), the offset says \(offset ?? 0); leave one out")
            }
            return (from, difference)
        case (let from?, nil):
            _ = try shifted(from, by: offset ?? 0)
            return (from, offset ?? 0)
        case (nil, let to?):
            return (try shifted(to, by: -(offset ?? 0)), offset ?? 0)
        case (nil, nil):
            let offset = offset ?? 0
            return (UInt16(clamping: max(1, 1 - offset))...UInt16(clamping: min(65_535, 65_535 - offset)), offset)
        }
    }

    private mutating func apply(_ options: [String]) throws(MappingError) {
        var seen: Set<String> = []
        for option in options {
            let words = option.split { $0 == " " || $0 == "\t" }.map(String.init)
            let kind: String
            switch (words[0], words.count) {
            case ("replace", 1), ("add-raw", 1), ("append", 1):
                mode = words[0] == "replace" ? .replace : .addRaw
                kind = "replace or add-raw"
            case ("on", 2) where words[1].utf8.count <= 15:
                interface = words[1]
                kind = "on"
            case ("in", 2):
                guard let network = Self.network(words[1]) else {
                    throw MappingError(rule: text, reason: "'\(words[1])' is no network: write in ADDRESS/BITS")
                }
                self.network = network
                kind = "in"
            case ("ipv4", 1), ("ipv6", 1):
                family = words[0] == "ipv4" ? .ipv4 : .ipv6
                kind = "ipv4 or ipv6"
            default:
                throw MappingError(
                    rule: text,
                    reason: "'\(option)' is no option; there are port+N, port-N, replace, add-raw, on INTERFACE, "
                        + "in CIDR, ipv4, ipv6")
            }
            guard seen.insert(kind).inserted else {
                throw MappingError(rule: text, reason: "the option \(kind) stands twice")
            }
        }
    }

    /// What is well formed and can still never be meant.
    private func check() throws(MappingError) {
        func refuse(_ reason: String) -> MappingError { MappingError(rule: text, reason: reason) }
        switch to {
        case .any: throw refuse("nothing can be mapped to any address: write one after =")
        case .name: break
        case .network(let ip, let prefix):
            if ip.isUnspecified || ip.isMulticast { throw refuse("nobody can send to \(ip)") }
            if scope == .local, ip.isLoopback { throw refuse("nobody else can send to \(ip)") }
            guard prefix != ip.width else { break }
            guard case .network(let other, let own) = from, other.family == ip.family, own == prefix else {
                throw refuse("a network can only stand for one of the same size")
            }
        }
        if case .network(let ip, let prefix) = from {
            if ip.isMulticast || (ip.isUnspecified && prefix > 0) {
                throw refuse("nothing has the address \(ip); write any for all")
            }
            if let family, family != ip.family { throw refuse("\(ip) is not \(family.rawValue)") }
            if let network, !ip.isInside(network.ip, prefix: network.prefix),
                !network.ip.isInside(ip, prefix: prefix) || ip.family != network.ip.family
            {
                throw refuse("\(ip) is not in \(network.ip)/\(network.prefix)")
            }
        }
        if let network, let family, network.ip.family != family {
            throw refuse("\(network.ip)/\(network.prefix) is not \(family.rawValue)")
        }
        if case .name = from, scope == .local {
            throw refuse("our own addresses have no names: write an address or any")
        }
        if scope != .local, interface != nil { throw refuse("only a local rule can ask for an interface") }
        if scope != .local, from == .any {
            throw refuse("every \(scope.rawValue) address would become the same: name the address it replaces")
        }
        if from == to, offset == 0 { throw refuse("it maps everything to itself") }
    }
}

extension ClosedRange<UInt16> {
    /// `30008-30208`, or one port.
    var text: String { count == 1 ? "\(lowerBound)" : "\(lowerBound)-\(upperBound)" }
}

extension StringProtocol {
    /// Without spaces and tabs at either end.
    var trimmed: String {
        func isSpace(_ character: Character) -> Bool { character == " " || character == "\t" || character == "\r" }
        guard let first = firstIndex(where: { !isSpace($0) }), let last = lastIndex(where: { !isSpace($0) }) else {
            return ""
        }
        return String(self[first...last])
    }
}
