import Primitives

/// When rules hold, and whether two can hold at once.
extension MappingRule {
    /// One address to one address.
    var isSingle: Bool {
        guard case .network(let a, let from) = self.from, case .network(let b, let to) = self.to else { return false }
        return from == a.width && to == b.width
    }

    /// Whether the conditions other than the port are met.
    func holds(for ip: IPAddress, interface: String, _ names: [String: [IPAddress]]) -> Bool {
        if let family, family != ip.family { return false }
        if let network, !ip.isInside(network.ip, prefix: network.prefix) { return false }
        if let wanted = self.interface, wanted != interface { return false }
        switch from {
        case .any: return true
        case .network(let network, let prefix): return ip.isInside(network, prefix: prefix)
        case .name(let name): return names[name]?.contains(ip) ?? false
        }
    }

    /// What both rules hold for, in words; `nil` where there is nothing.
    func overlap(with other: MappingRule) -> String? {
        guard let ports = ports.intersection(other.ports) else { return nil }
        if let a = interface, let b = other.interface, a != b { return nil }
        if case .name(let a) = from, case .name(let b) = other.from {
            return a == b ? "\(a):\(ports.text)" : nil
        }
        // A name may come to be any address; it is refused only where the other rule takes all of them.
        if case .name(let name) = from { return other.from == .any ? "\(name):\(ports.text)" : nil }
        if case .name(let name) = other.from { return from == .any ? "\(name):\(ports.text)" : nil }
        var areas: [(ip: IPAddress, prefix: Int)] = []
        for rule in [self, other] {
            if case .network(let ip, let prefix) = rule.from { areas.append((ip, prefix)) }
            if let network = rule.network { areas.append(network) }
        }
        let families = Set([family, other.family].compactMap { $0 } + areas.map(\.ip.family))
        guard families.count <= 1 else { return nil }
        guard let narrowest = areas.max(by: { $0.prefix < $1.prefix }) else { return "any:\(ports.text)" }
        // Networks lie within each other or apart, so it is enough to look at the smallest.
        guard areas.allSatisfy({ narrowest.ip.isInside($0.ip, prefix: $0.prefix) }) else { return nil }
        let isAddress = narrowest.prefix == narrowest.ip.width
        return Self.text(narrowest.ip, isAddress ? nil : narrowest.prefix, ports)
    }

    /// An address both rules announce, in words. That they hold for different interfaces does not help: what comes in for
    /// it comes to one of them.
    func commonTarget(with other: MappingRule) -> String? {
        guard let ports = mappedPorts.intersection(other.mappedPorts) else { return nil }
        switch (to, other.to) {
        case (.network(let a, let aPrefix), .network(let b, let bPrefix)):
            let narrow = aPrefix >= bPrefix ? (a, aPrefix) : (b, bPrefix)
            let wide = aPrefix >= bPrefix ? (b, bPrefix) : (a, aPrefix)
            guard narrow.0.isInside(wide.0, prefix: wide.1) else { return nil }
            return Self.text(narrow.0, narrow.1 == narrow.0.width ? nil : narrow.1, ports)
        case (.name(let a), .name(let b)): return a == b ? "\(a):\(ports.text)" : nil
        default: return nil
        }
    }

    private static func text(_ ip: IPAddress, _ prefix: Int?, _ ports: ClosedRange<UInt16>) -> String {
        let host = prefix.map { "\(ip)/\($0)" } ?? (ip.family == .ipv6 ? "[\(ip)]" : "\(ip)")
        return "\(host):\(ports.text)"
    }
}

extension ClosedRange<UInt16> {
    func intersection(_ other: ClosedRange<UInt16>) -> ClosedRange<UInt16>? {
        overlaps(other) ? clamped(to: other) : nil
    }
}
