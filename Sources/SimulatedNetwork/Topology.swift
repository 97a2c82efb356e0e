import Primitives

/// Ready-made simulations.
public enum Topology {
    /// Two peers, `left` and `right`, across the network that a specification describes.
    ///
    /// The impairments of each direction sit on the sending peer's up link, which takes half the delay; the other half is on
    /// the receiver's down link, so that the round trip between the peers is exactly `rtt` (time on the wire at `rate`
    /// besides) and that to the STUN server half of it. Addresses are those of RFC 5737 and RFC 3849; a peer behind a NAT has
    /// a private IPv4 one (RFC 1918).
    public static func twoPeers(
        _ specification: NetworkSpecification, seed: UInt64, start: Instant = .zero
    ) -> TwoPeers {
        var simulation = Simulation(seed: seed, start: start)
        var links = (left: Link.ideal, right: Link.ideal)
        links.left.up = specification.up.linkConfiguration(start: start)
        links.right.down.delay = links.left.up.delay / 2
        links.left.up.delay -= links.right.down.delay
        links.right.up = specification.down.linkConfiguration(start: start)
        links.left.down.delay = links.right.up.delay / 2
        links.right.up.delay -= links.left.down.delay

        let left = Side(
            name: "left", nat: specification.leftNAT, external: v4(192, 0, 2, 1), open: v4(192, 0, 2, 10),
            hidden: v4(10, 1, 0, 10), v6: IPAddress(v6: 0x2001_0DB8_0001_0000, 0x10), link: links.left)
        let right = Side(
            name: "right", nat: specification.rightNAT, external: v4(198, 51, 100, 1), open: v4(198, 51, 100, 10),
            hidden: v4(10, 2, 0, 10), v6: IPAddress(v6: 0x2001_0DB8_0002_0000, 0x10), link: links.right)
        let (leftHost, leftNAT) = left.build(in: &simulation, specification.ipv6)
        let (rightHost, rightNAT) = right.build(in: &simulation, specification.ipv6)

        var servers: [TransportAddress] = []
        var serverID: STUNServerID?
        if specification.hasSTUNServer {
            if specification.ipv6 != .only { servers.append(TransportAddress(v4(203, 0, 113, 1), 3_478)) }
            if specification.ipv6 != .off {
                servers.append(TransportAddress(IPAddress(v6: 0x2001_0DB8_0003_0000, 1), 3_478))
            }
            serverID = simulation.addSTUNServer(at: servers)
        }
        return TwoPeers(
            simulation: simulation, left: leftHost, right: rightHost, leftNAT: leftNAT, rightNAT: rightNAT,
            stunServers: servers, stunServerID: serverID)
    }
}

/// Two peers and what stands between them.
public struct TwoPeers: Sendable {
    public var simulation: Simulation
    public let left: HostID
    public let right: HostID
    public let leftNAT: NATID?
    public let rightNAT: NATID?
    /// One address a family in use; empty without a STUN server.
    public let stunServers: [TransportAddress]
    public let stunServerID: STUNServerID?

    public var leftAddresses: [IPAddress] { simulation.addresses(of: left) }
    public var rightAddresses: [IPAddress] { simulation.addresses(of: right) }
}

private struct Side {
    var name: String
    var nat: NATKind
    var external: IPAddress
    var open: IPAddress
    var hidden: IPAddress
    var v6: IPAddress
    var link: Link

    func build(in simulation: inout Simulation, _ ipv6: NetworkSpecification.IPv6) -> (HostID, NATID?) {
        guard let configuration = nat.configuration else {
            return (simulation.addHost(name, addresses: addresses(open, ipv6), link: link), nil)
        }
        let nat = simulation.addNAT(name + " NAT", configuration, external: [external])
        return (simulation.addHost(name, addresses: addresses(hidden, ipv6), behind: nat, link: link), nat)
    }

    private func addresses(_ v4: IPAddress, _ ipv6: NetworkSpecification.IPv6) -> [IPAddress] {
        switch ipv6 {
        case .off: [v4]
        case .on: [v4, v6]
        case .only: [v6]
        }
    }
}

private func v4(_ a: UInt32, _ b: UInt32, _ c: UInt32, _ d: UInt32) -> IPAddress {
    IPAddress(v4: a << 24 | b << 16 | c << 8 | d)
}
