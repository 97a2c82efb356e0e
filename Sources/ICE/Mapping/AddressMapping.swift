import Primitives

/// Which addresses stand for which, where something between the two sides translates: a reverse proxy, a 1:1 NAT.
///
/// A value without state. The agent applies it at two places and no others: when a local candidate is announced
/// (`announced`) and when a remote one is admitted (`admitted`); servers are looked up as they are configured (`server`).
/// All that is between, sockets, pairs, checks, knows the real addresses only.
///
///     socket 192.0.2.33:30008 ── announced ──► 198.51.100.40:30008 ── signalling ──► the other side
///     signalling: 192.0.2.33:30008 ── admitted ──► 198.51.100.40:30008 ── checks are sent there
///
/// Of each scope at most one rule holds for an address and port: rules that overlap are refused. So are two `local` rules
/// that announce the same address, for what comes in could not be told apart. What no rule names stays as it is.
///
/// Names in rules are looked up by whoever owns the value: until `setAddresses(_:of:)` has told them, a rule whose TO is a
/// name announces nothing, and one whose FROM is a name holds for nothing.
public struct AddressMapping: Hashable, Sendable {
    /// In the order they were given.
    public private(set) var rules: [MappingRule]
    /// Addresses of the names in rules, the preferred one first.
    public private(set) var addresses: [String: [IPAddress]] = [:]

    /// Nothing is mapped.
    public static let identity = AddressMapping(unchecked: [])
    public static let maximumRules = 256
    private static let maximumAddressesOfName = 8

    private init(unchecked rules: [MappingRule]) { self.rules = rules }

    /// - Throws: where two rules overlap, or announce the same.
    public init(rules: [MappingRule]) throws(MappingError) {
        self.rules = []
        for rule in rules { try add(rule) }
    }

    /// Rules as text, one a line; what follows `#` is a comment. The error names the line.
    public init(parsing text: String) throws(MappingError) {
        self = .identity
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.prefix { $0 != "#" }.trimmed
            guard !line.isEmpty else { continue }
            do throws(MappingError) {
                try add(MappingRule(parsing: line))
            } catch {
                throw MappingError(rule: error.rule, reason: "\(error.reason) (line \(index + 1))")
            }
        }
    }

    public mutating func add(_ rule: MappingRule) throws(MappingError) {
        guard rules.count < Self.maximumRules else {
            throw MappingError(rule: rule.text, reason: "there are \(Self.maximumRules) rules already")
        }
        for (index, other) in rules.enumerated() where other.scope == rule.scope {
            if let common = rule.overlap(with: other) {
                throw MappingError(
                    rule: rule.text, reason: "it overlaps rule \(index + 1), '\(other)': \(common) is in both")
            }
            if rule.scope == .local, let common = rule.commonTarget(with: other) {
                throw MappingError(
                    rule: rule.text,
                    reason:
                        "rule \(index + 1), '\(other)', announces \(common) too; what comes in for it could be for either"
                )
            }
        }
        rules.append(rule)
    }

    public var isEmpty: Bool { rules.isEmpty }

    /// The names whose addresses are to be looked up, and looked up again from time to time.
    public var names: [String] {
        var names: [String] = []
        for rule in rules {
            for case .name(let name) in [rule.from, rule.to] where !names.contains(name) { names.append(name) }
        }
        return names
    }

    /// Tells the addresses of a name. An empty list changes nothing: an answer that fails to come does not undo a rule.
    public mutating func setAddresses(_ found: [IPAddress], of name: String) {
        let name = name.lowercased()
        guard !found.isEmpty, names.contains(name) else { return }
        addresses[name] = Array(found.prefix(Self.maximumAddressesOfName))
    }

    // MARK: Applying

    /// What is announced for a socket of ours, in order: first the mapped address, then the real one where it is to stay.
    public func announced(_ base: TransportAddress, interface: String = "") -> [MappedAddress] {
        guard let rule = rule(.local, for: base, interface: interface) else { return [MappedAddress(base)] }
        return results(of: rule, base)
    }

    /// The same for an address that TCP connections are made from, whatever their ports (RFC 6544 §4.1): an address that is
    /// mapped for any port is announced as that.
    public func announcedHosts(_ base: TransportAddress, interface: String = "") -> [MappedAddress] {
        let rule = rules.first { $0.scope == .local && $0.holds(for: base.ip, interface: interface, addresses) }
        guard let rule else { return [MappedAddress(base)] }
        return results(of: rule, base).map { result in
            var result = result
            result.address.port = base.port
            return result
        }
    }

    /// Where to send for an address the other side announced.
    public func admitted(_ signaled: TransportAddress) -> [MappedAddress] {
        guard let rule = rule(.remote, for: signaled) else { return [MappedAddress(signaled)] }
        return results(of: rule, signaled)
    }

    /// Where to reach a server.
    public func server(_ address: TransportAddress) -> [MappedAddress] {
        guard let rule = rule(.server, for: address) else { return [MappedAddress(address)] }
        return results(of: rule, address)
    }

    /// The same for a server known by name; `nil` where no rule names it, so that it is looked up as usual.
    public func server(name: String, port: UInt16) -> [MappedAddress]? {
        let name = name.lowercased()
        guard
            let rule = rules.first(where: { $0.scope == .server && $0.from == .name(name) && $0.ports.contains(port) })
        else { return nil }
        let targets = addresses(of: rule.to)
        return targets.map { MappedAddress(TransportAddress($0, rule.moved(port)), isMapped: true, by: rule.text) }
    }

    /// The mapping that undoes this one's announcing: with it, the other side admits what this one announced as the
    /// addresses they really are. Only for rules that map one to one; `any`, and networks to one address, have none.
    public var reversed: AddressMapping {
        var result = AddressMapping.identity
        for rule in rules where rule.scope != .server {
            switch (rule.from, rule.to) {
            case (.any, _), (_, .any), (.name, _), (_, .name): continue
            case (.network(_, let from), .network(_, let to)):
                guard from == to || rule.isSingle else { continue }
            }
            var turned = MappingRule(
                scope: rule.scope == .local ? .remote : .local, from: rule.to, to: rule.from, ports: rule.mappedPorts,
                offset: -rule.offset, text: "reversed \(rule.text)")
            turned.mode = rule.mode
            result.rules.append(turned)
        }
        return result
    }

    /// Ports of `range` that could be bound on a local address and that no rule would announce, while one announces
    /// others: nobody outside could reach them. Empty where all is well.
    public func unannounced(
        _ range: ClosedRange<UInt16>, on ip: IPAddress, interface: String = ""
    ) -> [ClosedRange<UInt16>] {
        let mapped = announcedPorts(on: ip, interface: interface)
        guard !mapped.isEmpty else { return [] }
        var result: [ClosedRange<UInt16>] = []
        var next = Int(range.lowerBound)
        for ports in mapped.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            let low = Int(ports.lowerBound)
            if next < low, next <= Int(range.upperBound) {
                result.append(UInt16(clamping: next)...UInt16(clamping: min(low - 1, Int(range.upperBound))))
            }
            next = max(next, Int(ports.upperBound) + 1)
        }
        if next <= Int(range.upperBound) { result.append(UInt16(clamping: next)...range.upperBound) }
        return result
    }

    /// Ports of a local address that rules announce elsewhere.
    public func announcedPorts(on ip: IPAddress, interface: String = "") -> [ClosedRange<UInt16>] {
        rules.filter { $0.scope == .local && $0.holds(for: ip, interface: interface, addresses) }.map(\.ports)
    }

    private func rule(
        _ scope: MappingRule.Scope, for address: TransportAddress, interface: String = ""
    ) -> MappingRule? {
        rules.first {
            $0.scope == scope && $0.ports.contains(address.port)
                && $0.holds(for: address.ip, interface: interface, addresses)
        }
    }

    private func results(of rule: MappingRule, _ address: TransportAddress) -> [MappedAddress] {
        let port = rule.moved(address.port)
        var result: [MappedAddress]
        if case .network(let ip, let prefix) = rule.to, prefix < ip.width {
            let mapped = TransportAddress(address.ip.moved(into: ip, prefix: prefix), port)
            result = [MappedAddress(mapped, isMapped: true, by: rule.text)]
        } else {
            result = addresses(of: rule.to).map {
                MappedAddress(TransportAddress($0, port), isMapped: true, by: rule.text)
            }
        }
        if rule.mode == .addRaw { result.append(MappedAddress(address, by: rule.text)) }
        return result
    }

    private func addresses(of host: MappingRule.Host) -> [IPAddress] {
        switch host {
        case .any: []
        case .network(let ip, _): [ip]
        case .name(let name): addresses[name] ?? []
        }
    }
}

/// An address as a mapping gives it.
public struct MappedAddress: Hashable, Sendable {
    public var address: TransportAddress
    /// Whether it is other than what was mapped.
    public var isMapped: Bool
    /// The rule that held; `nil` where none did.
    public var rule: String?

    init(_ address: TransportAddress, isMapped: Bool = false, by rule: String? = nil) {
        self.address = address
        self.isMapped = isMapped
        self.rule = rule
    }
}
