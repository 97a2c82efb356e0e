import Primitives

/// A NAT at work: the table of mappings, each with the remote endpoints it lets in.
///
/// An outbound packet finds its mapping by the inside endpoint and as much of the remote one as the mapping behaviour
/// looks at (RFC 4787 §4.1); if there is none, an external port is chosen. An inbound packet finds its mapping by the
/// external endpoint and must come from where the filtering behaviour allows (§5): anywhere, an address, or an endpoint
/// that the inside sent to within the lifetime. Mappings end lazily: an expired one is taken out when it is looked up, or
/// when room is needed. External endpoints belong to one mapping at a time, so that a symmetric NAT shows each remote
/// a port of its own.
struct NATBox {
    enum Inbound {
        case pass(to: TransportAddress)
        case refused
    }

    private struct Key: Hashable {
        var inside: TransportAddress
        /// The part of the remote endpoint the mapping depends on: none, the address (port 0), or all of it.
        var remote: TransportAddress?
    }
    private struct Permission {
        var remote: TransportAddress
        var last: Instant
    }
    private struct Mapping {
        var key: Key
        var outside: TransportAddress
        var last: Instant
        var permissions: [Permission]
    }

    let name: String
    let interface: Int
    let inside: Int
    var configuration: NATConfiguration
    private(set) var external: [IPAddress]
    var statistics = NATStatistics()
    private var mappings: [Mapping?] = []
    private var free: [Int] = []
    private var byKey: [Key: Int] = [:]
    private var byOutside: [TransportAddress: Int] = [:]
    private var random: RandomSource

    init(
        name: String, configuration: NATConfiguration, external: [IPAddress], interface: Int, inside: Int,
        random: RandomSource
    ) {
        self.name = name
        self.configuration = configuration
        self.external = external
        self.interface = interface
        self.inside = inside
        self.random = random
    }

    func translates(_ family: IPAddress.Family) -> Bool { external.contains { $0.family == family } }

    /// The external endpoint that stands for `source` towards `destination`; `nil` when there is no room for a mapping.
    mutating func translateOutbound(
        from source: TransportAddress, to destination: TransportAddress, at now: Instant
    ) -> TransportAddress? {
        let key = Key(inside: source, remote: reduced(destination, by: configuration.mapping))
        var index = byKey[key]
        if let found = index, isExpired(found, at: now) {
            expire(found)
            index = nil
        }
        guard let index = index ?? open(key, at: now) else {
            statistics.refused += 1
            return nil
        }
        if configuration.refresh.contains(.outbound) { mappings[index]?.last = now }
        permit(reduced(destination, by: configuration.filtering), on: index, at: now)
        return mappings[index]?.outside
    }

    /// The inside endpoint behind `destination`, if `source` may reach it.
    mutating func translateInbound(
        from source: TransportAddress, to destination: TransportAddress, at now: Instant
    ) -> Inbound {
        guard let index = byOutside[destination] else {
            statistics.unmapped += 1
            return .refused
        }
        if isExpired(index, at: now) {
            expire(index)
            statistics.unmapped += 1
            return .refused
        }
        guard admits(reduced(source, by: configuration.filtering), on: index, at: now),
            let inside = mappings[index]?.key.inside
        else {
            statistics.filtered += 1
            return .refused
        }
        return .pass(to: inside)
    }

    /// Forgets every mapping, as a reboot does; ports are chosen anew.
    mutating func flush() {
        mappings.removeAll()
        free.removeAll()
        byKey.removeAll()
        byOutside.removeAll()
    }

    mutating func reboot(external new: [IPAddress]) {
        flush()
        external = new
    }

    func list(at now: Instant) -> [NATMapping] {
        mappings.compactMap { mapping in
            guard let mapping, now - mapping.last <= configuration.lifetime else { return nil }
            return NATMapping(inside: mapping.key.inside, outside: mapping.outside, lastRefresh: mapping.last)
        }
    }

    // MARK: Mappings

    private func reduced(_ remote: TransportAddress, by behavior: NATBehavior) -> TransportAddress? {
        switch behavior {
        case .endpointIndependent: nil
        case .addressDependent: TransportAddress(remote.ip, 0)
        case .addressAndPortDependent: remote
        }
    }

    private func isExpired(_ index: Int, at now: Instant) -> Bool {
        guard let mapping = mappings[index] else { return true }
        return now - mapping.last > configuration.lifetime
    }

    private mutating func expire(_ index: Int) {
        guard let mapping = mappings[index] else { return }
        byKey[mapping.key] = nil
        byOutside[mapping.outside] = nil
        mappings[index] = nil
        free.append(index)
        statistics.mappingsExpired += 1
    }

    private mutating func open(_ key: Key, at now: Instant) -> Int? {
        if byKey.count >= configuration.maximumMappings {
            for index in mappings.indices where mappings[index] != nil && isExpired(index, at: now) { expire(index) }
            guard byKey.count < configuration.maximumMappings else { return nil }
        }
        guard let outside = choosePort(for: key.inside, at: now) else { return nil }
        let mapping = Mapping(key: key, outside: outside, last: now, permissions: [])
        let index: Int
        if let slot = free.popLast() {
            index = slot
            mappings[slot] = mapping
        } else {
            index = mappings.count
            mappings.append(mapping)
        }
        byKey[key] = index
        byOutside[outside] = index
        statistics.mappingsCreated += 1
        return index
    }

    private mutating func choosePort(for inside: TransportAddress, at now: Instant) -> TransportAddress? {
        guard let ip = external.first(where: { $0.family == inside.ip.family }) else { return nil }
        let ports = configuration.ports
        let first: UInt16 =
            switch configuration.portAllocation {
            case .preserving: ports.contains(inside.port) ? inside.port : ports.lowerBound
            case .random: UInt16.random(in: ports, using: &random)
            }
        var port = first
        repeat {
            let candidate = TransportAddress(ip, port)
            guard let taken = byOutside[candidate] else { return candidate }
            if isExpired(taken, at: now) {
                expire(taken)
                return candidate
            }
            port = port == ports.upperBound ? ports.lowerBound : port + 1
        } while port != first
        return nil
    }

    // MARK: Filtering

    private mutating func permit(_ remote: TransportAddress?, on index: Int, at now: Instant) {
        guard let remote, var permissions = mappings[index]?.permissions else { return }
        // One owner while it changes, so that the array is not copied.
        mappings[index]?.permissions = []
        defer { mappings[index]?.permissions = permissions }
        if let known = permissions.firstIndex(where: { $0.remote == remote }) {
            permissions[known].last = now
            return
        }
        if permissions.count >= configuration.maximumPermissions,
            let oldest = permissions.indices.min(by: { permissions[$0].last < permissions[$1].last })
        {
            permissions.remove(at: oldest)
        }
        permissions.append(Permission(remote: remote, last: now))
    }

    private mutating func admits(_ remote: TransportAddress?, on index: Int, at now: Instant) -> Bool {
        let refreshes = configuration.refresh.contains(.inbound)
        if let remote {
            guard let permissions = mappings[index]?.permissions,
                let known = permissions.firstIndex(where: { $0.remote == remote }),
                now - permissions[known].last <= configuration.lifetime
            else { return false }
            if refreshes { mappings[index]?.permissions[known].last = now }
        }
        if refreshes { mappings[index]?.last = now }
        return true
    }
}
