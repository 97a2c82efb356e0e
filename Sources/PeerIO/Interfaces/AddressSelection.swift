import Primitives

/// An address to bind a socket to, where candidates are gathered.
public struct HostAddress: Hashable, Sendable {
    public var ip: IPAddress
    public var interfaceName: String
    public var interfaceIndex: UInt32
    /// It is the source address of a default route.
    public var isDefaultRoute: Bool

    public init(ip: IPAddress, interfaceName: String, interfaceIndex: UInt32, isDefaultRoute: Bool = false) {
        self.ip = ip
        self.interfaceName = interfaceName
        self.interfaceIndex = interfaceIndex
        self.isDefaultRoute = isDefaultRoute
    }
}

/// Which of a host's addresses to use, and in which order. A pure function of the interfaces and these rules.
///
/// Left out at all times: interfaces that are down, addresses that are tentative, multicast or unspecified, IPv4-mapped
/// and -compatible IPv6 and site-local IPv6 (RFC 8445 §5.1.1.1). Loopback is left out unless asked for; so is
/// link-local, which is of no use beyond the link. Where an interface has a temporary IPv6 address, its other ones of
/// the same prefix are left out, and link-local IPv6 everywhere (same section: they would give away what the
/// temporary one hides). Deprecated addresses are left out where the interface has another of the family.
///
/// The order within a family: on the default route before off it, global before private, wired or wireless links
/// before point-to-point ones (tunnels). The families are then interleaved as RFC 8421 §4 has it, IPv6 first, so that
/// a broken family delays the checks of the other by little. Link-local addresses follow, loopback comes last.
public struct AddressSelection: Hashable, Sendable {
    public var families: Set<IPAddress.Family>
    public var allowsLoopback: Bool
    public var allowsLinkLocal: Bool
    /// If not empty, only these interfaces. A name may end in `*`.
    public var onlyInterfaces: [String]
    /// Never these interfaces. A name may end in `*`.
    public var excludedInterfaces: [String]
    /// If not empty, only these addresses, in this order: what the user says goes, loopback and link-local too.
    public var onlyAddresses: [IPAddress]
    /// At most so many addresses.
    public var limit: Int

    public init(
        families: Set<IPAddress.Family> = [.ipv4, .ipv6], allowsLoopback: Bool = false, allowsLinkLocal: Bool = false,
        onlyInterfaces: [String] = [], excludedInterfaces: [String] = [], onlyAddresses: [IPAddress] = [],
        limit: Int = 16
    ) {
        self.families = families
        self.allowsLoopback = allowsLoopback
        self.allowsLinkLocal = allowsLinkLocal
        self.onlyInterfaces = onlyInterfaces
        self.excludedInterfaces = excludedInterfaces
        self.onlyAddresses = onlyAddresses
        self.limit = limit
    }

    /// The addresses to bind, most preferred first.
    public func select(from interfaces: [NetworkInterface], defaultRoutes: [IPAddress]) -> [HostAddress] {
        var seen: Set<IPAddress> = []
        let hosts = interfaces.filter(isWanted).flatMap { candidates(of: $0, defaultRoutes) }
            .filter { seen.insert($0.host.ip).inserted }
        guard onlyAddresses.isEmpty else {
            return Array(
                onlyAddresses.compactMap { ip in hosts.first { $0.host.ip == ip }?.host }.prefix(Swift.max(0, limit)))
        }
        let hasTemporary = hosts.contains(where: \.isTemporary)
        let kept = hosts.filter { !(hasTemporary && $0.host.ip.family == .ipv6 && $0.host.ip.isLinkLocal) }
        let ordered = kept.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
            .map(\.element)
        let tiers = [Reach.routed, .link, .host].flatMap { reach in
            Self.interleave(ordered.filter { $0.reach == reach }.map(\.host))
        }
        return Array(tiers.prefix(Swift.max(0, limit)))
    }

    /// The same for this host, now.
    public func selectFromSystem() throws(SocketFailure) -> [HostAddress] {
        select(from: try NetworkInterfaces.list(), defaultRoutes: NetworkInterfaces.defaultRouteAddresses())
    }

    private enum Reach {
        case routed
        case link
        case host
    }

    private struct Candidate {
        var host: HostAddress
        var reach: Reach
        var rank: Int
        var isTemporary: Bool
    }

    private func isWanted(_ interface: NetworkInterface) -> Bool {
        func matches(_ pattern: String) -> Bool {
            pattern.hasSuffix("*") ? interface.name.hasPrefix(pattern.dropLast()) : interface.name == pattern
        }
        guard interface.isUp, !excludedInterfaces.contains(where: matches) else { return false }
        return onlyInterfaces.isEmpty || onlyInterfaces.contains(where: matches)
    }

    private func candidates(of interface: NetworkInterface, _ defaultRoutes: [IPAddress]) -> [Candidate] {
        let usable = interface.addresses.filter { isUsable($0, on: interface) }
        return usable.filter { address in
            guard onlyAddresses.isEmpty else { return true }
            let others = usable.filter { $0.ip.family == address.ip.family && $0.ip != address.ip }
            if address.isDeprecated, others.contains(where: { !$0.isDeprecated && !$0.ip.isLinkLocal }) { return false }
            return address.isTemporary
                || !others.contains {
                    $0.isTemporary && !$0.isDeprecated && address.ip.isInside($0.ip, prefix: $0.prefixLength)
                }
        }.map { address in
            let isDefault = defaultRoutes.contains(address.ip)
            let onDefaultInterface = interface.addresses.contains { defaultRoutes.contains($0.ip) }
            let route = isDefault ? 0 : onDefaultInterface ? 1 : 2
            return Candidate(
                host: HostAddress(
                    ip: address.ip, interfaceName: interface.name, interfaceIndex: interface.index,
                    isDefaultRoute: isDefault),
                reach: interface.isLoopback || address.ip.isLoopback ? .host : address.ip.isLinkLocal ? .link : .routed,
                rank: route * 4 + (address.ip.isPrivate ? 2 : 0) + (interface.isPointToPoint ? 1 : 0),
                isTemporary: address.isTemporary)
        }
    }

    private func isUsable(_ address: NetworkInterface.Address, on interface: NetworkInterface) -> Bool {
        let ip = address.ip
        guard families.contains(ip.family), !address.isTentative, !ip.isMulticast, !ip.isUnspecified,
            !ip.isV4MappedOrCompatible, !ip.isSiteLocalV6
        else { return false }
        guard onlyAddresses.isEmpty else { return onlyAddresses.contains(ip) }
        if interface.isLoopback || ip.isLoopback { return allowsLoopback }
        return allowsLinkLocal || !ip.isLinkLocal
    }

    /// `(v4 + v6) / v4` IPv6 addresses for each IPv4 address (RFC 8421 §4).
    private static func interleave(_ hosts: [HostAddress]) -> [HostAddress] {
        let v6 = hosts.filter { $0.ip.family == .ipv6 }
        let v4 = hosts.filter { $0.ip.family == .ipv4 }
        guard !v4.isEmpty else { return v6 }
        let run = Swift.max(1, (v4.count + v6.count) / v4.count)
        var result: [HostAddress] = []
        var six = v6[...]
        for four in v4 {
            result += six.prefix(run)
            six = six.dropFirst(run)
            result.append(four)
        }
        return result + six
    }
}
