import Primitives

/// A network in virtual time: hosts, links, NATs, reverse proxies and STUN servers, repeatable from one seed.
///
/// The model has two kinds of thing. A *network* is a set of addresses that reach each other at once; the internet is
/// network 0, each NAT brings the network behind it, and `addNetwork` makes others. A *box* is a host, a NAT, a proxy or a
/// server; it hangs on a network by an interface, and every interface has an access link with an up and a down direction.
/// All delay, queueing and loss happens on these links. From left to right a datagram goes
///
///     host ─ up ─► network (NAT: translated ─ up ─► network)… ─ down ─► (NAT: translated ─ down ─►)… host
///
/// so one crossing is two events, one more for each NAT with a link of its own; down links that do nothing cost none.
///
/// A network that does not know an address passes the packet to its gateway, the NAT it belongs to; where there is none the
/// packet is refused, silently or with an ICMP error. Errors go straight back to the host that sent the packet and take as
/// long as the packet had taken. They are not lost; a NAT can be told to swallow them, and a relay ends them.
///
/// Time moves only in `advance(to:)`, and only to events. The verbs are those of every machine here: `send` and `advance`
/// in, arrivals out, `nextEvent` as the deadline. Events of one instant happen in the order they were scheduled. Each
/// link direction, NAT and proxy has random numbers of its own, split from the seed in the order of construction, so that
/// traffic on one link leaves the fate of packets on another alone.
///
/// Everything fed by traffic has a cap: packets in flight (`maximumInFlight`), mappings and permissions of a NAT, flows of a
/// proxy. The caps are counted where they are hit.
///
/// Building mistakes (an address twice in one network, an unknown identifier) are preconditions; traffic never traps.
public struct Simulation: Sendable {
    struct Network {
        var name: String
        var routes: [IPAddress: Int] = [:]
        /// The NAT whose inside this is.
        var gateway: Int?
        var noRoute: Refusal
    }
    enum Box {
        case host(Int)
        case nat(Int)
        case proxyFront(Int)
        case proxyBack(Int)
        case stunServer(Int)
    }
    struct Interface {
        var network: Int
        var box: Box
        var addresses: [IPAddress]
        var up: LinkDirection
        var down: LinkDirection
    }
    struct Host {
        var name: String
        var interfaces: [Int]
        /// Once one socket was opened by name, only the open ones accept.
        var open: Set<TransportAddress>?
        var closed: Set<TransportAddress> = []
    }
    struct STUNServer {
        var sockets: [TransportAddress]
        var interface: Int
        var answered = 0
    }

    /// The instant up to which everything has happened.
    public internal(set) var now: Instant
    public internal(set) var statistics = SimulationStatistics()
    var random: RandomSource
    var networks: [Network]
    var interfaces: [Interface] = []
    var hosts: [Host] = []
    var nats: [NATBox] = []
    var proxies: [ProxyBox] = []
    var servers: [STUNServer] = []
    var events = EventQueue()
    var packets: PacketStore

    /// - Parameter maximumInFlight: packets on their way at one time; more are dropped and counted.
    public init(seed: UInt64, start: Instant = .zero, maximumInFlight: Int = 65_536) {
        random = .seeded(seed)
        now = start
        networks = [Network(name: "internet", noRoute: .report(.hostUnreachable))]
        packets = PacketStore(capacity: maximumInFlight)
    }
}

public struct SimulationStatistics: Hashable, Sendable {
    /// Datagrams that hosts sent and got.
    public var sent = 0
    public var received = 0
    public var unreachableReports = 0
    /// Packets to an address that no network on the way knew.
    public var noRoute = 0
    public var closedPort = 0
    /// Datagrams sent from an address that is not the host's.
    public var badSource = 0
    public var droppedOverCap = 0
    public var looped = 0

    public init() {}
}

// MARK: Construction

extension Simulation {
    /// A network of its own, without a way out; `noRoute` is what happens to packets for elsewhere.
    public mutating func addNetwork(_ name: String, noRoute: Refusal = .report(.hostUnreachable)) -> NetworkID {
        networks.append(Network(name: name, noRoute: noRoute))
        return NetworkID(index: networks.count - 1)
    }

    /// What happens in a network to packets for addresses it does not know.
    public mutating func setNoRoute(_ refusal: Refusal, in network: NetworkID) {
        networks[network.index].noRoute = refusal
    }

    public mutating func addHost(
        _ name: String, addresses: [IPAddress], in network: NetworkID = .internet, link: Link = .ideal
    ) -> HostID {
        let host = HostID(index: hosts.count)
        hosts.append(Host(name: name, interfaces: []))
        _ = addInterface(to: host, addresses: addresses, in: network, link: link)
        return host
    }

    public mutating func addHost(
        _ name: String, addresses: [IPAddress], behind nat: NATID, link: Link = .ideal
    ) -> HostID {
        addHost(name, addresses: addresses, in: nat.inside, link: link)
    }

    /// A further interface, such as a phone's mobile network besides its wireless one.
    public mutating func addInterface(
        to host: HostID, addresses: [IPAddress], in network: NetworkID, link: Link = .ideal
    ) -> LinkID {
        let index = attach(.host(host.index), addresses, to: network.index, link)
        hosts[host.index].interfaces.append(index)
        return LinkID(index: index)
    }

    /// A NAT with these external addresses in `network`. Families without an external address are routed, not translated.
    public mutating func addNAT(
        _ name: String, _ configuration: NATConfiguration, external: [IPAddress], in network: NetworkID = .internet,
        link: Link = .ideal
    ) -> NATID {
        let index = nats.count
        let inside = addNetwork("behind " + name)
        networks[inside.index].gateway = index
        let interface = attach(.nat(index), external, to: network.index, link)
        nats.append(
            NATBox(
                name: name, configuration: configuration, external: external, interface: interface,
                inside: inside.index, random: random.split()))
        return NATID(index: index, inside: inside)
    }

    /// A reverse proxy with its front in `outside` and its back in `inside`.
    public mutating func addProxy(
        _ name: String, _ configuration: ProxyConfiguration, front: [IPAddress], outside: NetworkID = .internet,
        back: [IPAddress], inside: NetworkID, frontLink: Link = .ideal, backLink: Link = .ideal
    ) -> ProxyID {
        let index = proxies.count
        let frontInterface = attach(.proxyFront(index), front, to: outside.index, frontLink)
        let backInterface = attach(.proxyBack(index), back, to: inside.index, backLink)
        proxies.append(
            ProxyBox(
                name: name, configuration: configuration, frontInterface: frontInterface,
                backInterface: backInterface, back: back, random: random.split()))
        return ProxyID(index: index)
    }

    /// A server that answers Binding requests at these sockets.
    public mutating func addSTUNServer(
        at sockets: [TransportAddress], in network: NetworkID = .internet, link: Link = .ideal
    ) -> STUNServerID {
        var addresses: [IPAddress] = []
        for socket in sockets where !addresses.contains(socket.ip) { addresses.append(socket.ip) }
        let interface = attach(.stunServer(servers.count), addresses, to: network.index, link)
        servers.append(STUNServer(sockets: sockets, interface: interface))
        return STUNServerID(index: servers.count - 1)
    }

    private mutating func attach(_ box: Box, _ addresses: [IPAddress], to network: Int, _ link: Link) -> Int {
        let index = interfaces.count
        interfaces.append(
            Interface(
                network: network, box: box, addresses: addresses,
                up: LinkDirection(link.up, random: random.split(), start: now),
                down: LinkDirection(link.down, random: random.split(), start: now)))
        for address in addresses { route(address, to: index, in: network) }
        return index
    }

    /// Makes an address known in a network, and further out where it is public and the NAT does not translate it.
    private mutating func route(_ address: IPAddress, to interface: Int, in network: Int) {
        precondition(networks[network].routes[address] == nil, "\(address) is in \(networks[network].name) twice")
        networks[network].routes[address] = interface
        guard let gateway = networks[network].gateway, !address.isPrivate, !nats[gateway].translates(address.family)
        else { return }
        let outer = nats[gateway].interface
        route(address, to: outer, in: interfaces[outer].network)
    }

    private mutating func unroute(_ address: IPAddress, in network: Int) {
        networks[network].routes[address] = nil
        guard let gateway = networks[network].gateway else { return }
        let outer = nats[gateway].interface
        if networks[interfaces[outer].network].routes[address] == outer, !nats[gateway].external.contains(address) {
            unroute(address, in: interfaces[outer].network)
        }
    }
}

// MARK: Change and inspection

extension Simulation {
    public func name(of host: HostID) -> String { hosts[host.index].name }
    public func addresses(of host: HostID) -> [IPAddress] {
        hosts[host.index].interfaces.flatMap { interfaces[$0].addresses }
    }

    /// The host's links, in the order its interfaces were added.
    public func links(of host: HostID) -> [LinkID] { hosts[host.index].interfaces.map { LinkID(index: $0) } }
    /// The host's first link.
    public func link(of host: HostID) -> LinkID { LinkID(index: hosts[host.index].interfaces[0]) }
    /// The link on the outside of a NAT.
    public func link(of nat: NATID) -> LinkID { LinkID(index: nats[nat.index].interface) }
    public func frontLink(of proxy: ProxyID) -> LinkID { LinkID(index: proxies[proxy.index].frontInterface) }
    public func backLink(of proxy: ProxyID) -> LinkID { LinkID(index: proxies[proxy.index].backInterface) }
    public func link(of server: STUNServerID) -> LinkID { LinkID(index: servers[server.index].interface) }

    public func configuration(of link: LinkID) -> Link {
        Link(
            up: interfaces[link.index].up.configuration, down: interfaces[link.index].down.configuration)
    }
    /// Holds for packets that enter from now on.
    public mutating func configure(_ link: LinkID, _ new: Link) {
        interfaces[link.index].up.configure(new.up)
        interfaces[link.index].down.configure(new.down)
    }
    /// Loses the next packets that enter, whatever the loss model says.
    public mutating func loseNext(up: Int = 0, down: Int = 0, on link: LinkID) {
        interfaces[link.index].up.forcedLosses += up
        interfaces[link.index].down.forcedLosses += down
    }
    public func statistics(of link: LinkID) -> (up: LinkStatistics, down: LinkStatistics) {
        (interfaces[link.index].up.statistics, interfaces[link.index].down.statistics)
    }
    /// How long a packet that enters now would wait for its transmission.
    public func queueDelay(of link: LinkID) -> (up: TimeDelta, down: TimeDelta) {
        (interfaces[link.index].up.queueDelay(at: now), interfaces[link.index].down.queueDelay(at: now))
    }

    /// Opens a socket. A host of which no socket was ever opened by name accepts every port.
    public mutating func open(_ socket: TransportAddress, on host: HostID) {
        hosts[host.index].open = (hosts[host.index].open ?? []).union([socket])
        hosts[host.index].closed.remove(socket)
    }
    /// Closes a socket: what comes for it is answered with port unreachable.
    public mutating func close(_ socket: TransportAddress, on host: HostID) {
        hosts[host.index].open?.remove(socket)
        hosts[host.index].closed.insert(socket)
    }

    /// Gives a link's interface an address more, as a host gets one that roams.
    public mutating func addAddress(_ address: IPAddress, to link: LinkID) {
        interfaces[link.index].addresses.append(address)
        route(address, to: link.index, in: interfaces[link.index].network)
    }
    public mutating func removeAddress(_ address: IPAddress, from link: LinkID) {
        guard let at = interfaces[link.index].addresses.firstIndex(of: address) else { return }
        interfaces[link.index].addresses.remove(at: at)
        unroute(address, in: interfaces[link.index].network)
    }

    public func configuration(of nat: NATID) -> NATConfiguration { nats[nat.index].configuration }
    public mutating func configure(_ nat: NATID, _ new: NATConfiguration) { nats[nat.index].configuration = new }
    public func mappings(of nat: NATID) -> [NATMapping] { nats[nat.index].list(at: now) }
    public func statistics(of nat: NATID) -> NATStatistics { nats[nat.index].statistics }
    /// Forgets every mapping.
    public mutating func flush(_ nat: NATID) { nats[nat.index].flush() }
    /// Forgets every mapping and takes other external addresses.
    public mutating func reboot(_ nat: NATID, external: [IPAddress]) {
        let link = link(of: nat)
        for address in nats[nat.index].external { removeAddress(address, from: link) }
        nats[nat.index].reboot(external: external)
        for address in external { addAddress(address, to: link) }
    }

    public func configuration(of proxy: ProxyID) -> ProxyConfiguration { proxies[proxy.index].configuration }
    public mutating func configure(_ proxy: ProxyID, _ new: ProxyConfiguration) {
        proxies[proxy.index].configuration = new
    }
    public func flows(of proxy: ProxyID) -> [ProxyFlow] { proxies[proxy.index].list(at: now) }
    public func statistics(of proxy: ProxyID) -> ProxyStatistics { proxies[proxy.index].statistics }
    /// Forgets every flow.
    public mutating func flush(_ proxy: ProxyID) { proxies[proxy.index].flush() }
    /// Gives every flow another upstream port.
    public mutating func rebind(_ proxy: ProxyID) { proxies[proxy.index].rebind() }

    /// Binding requests the server answered.
    public func requestsAnswered(by server: STUNServerID) -> Int { servers[server.index].answered }
    public var packetsInFlight: Int { packets.count }
}
