import Primitives

/// How packets move. `send` puts one on a link; `advance(to:)` takes events off the heap and moves each packet one
/// link further, through whatever boxes stand between that link and the next.
extension Simulation {
    /// When something happens next; `nil` while nothing is under way.
    public var nextEvent: Instant? { events.nextTime.map { Instant(nanoseconds: $0) } }

    /// Sends from a host. `path.local` is one of its sockets; an unspecified address stands for the first of the family.
    ///
    /// An instant before the simulation's own counts as its own.
    public mutating func send(_ datagram: Datagram, from host: HostID, at instant: Instant) {
        let time = Swift.max(instant, now)
        statistics.sent += 1
        var source = datagram.path.local
        let destination = datagram.path.remote
        let owner = hosts[host.index]
        let interface = owner.interfaces.first { index in
            source.ip.isUnspecified
                ? interfaces[index].addresses.contains { $0.family == destination.ip.family }
                : interfaces[index].addresses.contains(source.ip)
        }
        if source.ip.isUnspecified, let interface,
            let address = interfaces[interface].addresses.first(where: { $0.family == destination.ip.family })
        {
            source.ip = address
        }
        let isLoopback = destination.ip.isLoopback
        if isLoopback, source.ip.isUnspecified { source.ip = destination.ip }
        let packet = Packet(
            bytes: datagram.bytes, source: source, destination: destination, origin: host.index,
            originPath: datagram.path, sentAt: time)
        guard let slot = packets.insert(packet) else {
            statistics.droppedOverCap += 1
            return
        }
        guard source.ip.family == destination.ip.family, isLoopback ? source.ip.isLoopback : interface != nil else {
            statistics.badSource += 1
            return report(slot, .networkUnreachable, at: time)
        }
        if isLoopback {
            // Any interface will do: the packet does not leave the host.
            events.push(time: time.nanoseconds, kind: .intoBox, slot: slot, interface: owner.interfaces[0])
        } else if let interface {
            enter(slot, upFrom: interface, at: time)
        }
    }

    /// Lets everything up to and including `instant` happen, and appends what reached hosts, in order.
    public mutating func advance(to instant: Instant, into arrivals: inout [Arrival]) {
        while let time = events.nextTime, time <= instant.nanoseconds, let event = events.pop() {
            let moment = Instant(nanoseconds: time)
            now = Swift.max(now, moment)
            let interface = Int(event.interface)
            switch event.kind {
            case .intoNetwork: route(event.slot, in: interfaces[interface].network, at: moment, into: &arrivals)
            case .intoBox: receive(event.slot, at: moment, over: interface, into: &arrivals)
            case .report:
                let packet = packets[event.slot]
                packets.discard(event.slot)
                statistics.unreachableReports += 1
                arrivals.append(
                    Arrival(
                        host: HostID(index: packet.origin), instant: moment,
                        delivery: .unreachable(packet.originPath, packet.reason)))
            }
        }
        now = Swift.max(now, instant)
    }

    /// As above, with an array of its own.
    public mutating func advance(to instant: Instant) -> [Arrival] {
        var arrivals: [Arrival] = []
        advance(to: instant, into: &arrivals)
        return arrivals
    }

    // MARK: Links

    /// Puts a packet on the up link of an interface.
    private mutating func enter(_ slot: Int32, upFrom index: Int, at time: Instant) {
        let outcome = interfaces[index].up.transmit(packets[slot].wireSize, at: time)
        settle(outcome, slot, kind: .intoNetwork, interface: index, at: time)
    }

    /// Puts a packet on the down link; returns true when the link is ideal and the packet is at its box already.
    private mutating func enter(_ slot: Int32, downTo index: Int, at time: Instant) -> Bool {
        let outcome = interfaces[index].down.transmit(packets[slot].wireSize, at: time)
        if interfaces[index].down.isIdeal, case .arrives(at: time, twice: false) = outcome { return true }
        settle(outcome, slot, kind: .intoBox, interface: index, at: time)
        return false
    }

    private mutating func settle(
        _ outcome: LinkDirection.Outcome, _ slot: Int32, kind: Event.Kind, interface: Int, at time: Instant
    ) {
        switch outcome {
        case .arrives(let arrival, let twice):
            events.push(time: arrival.nanoseconds, kind: kind, slot: slot, interface: interface)
            guard twice else { return }
            if let copy = packets.insert(packets[slot]) {
                events.push(time: arrival.nanoseconds, kind: kind, slot: copy, interface: interface)
            } else {
                statistics.droppedOverCap += 1
            }
        case .dropped: packets.discard(slot)
        case .tooBig(let mtu): report(slot, .fragmentationNeeded(mtu: mtu), at: time)
        }
    }

    // MARK: Networks and boxes

    private mutating func route(_ slot: Int32, in network: Int, at time: Instant, into arrivals: inout [Arrival]) {
        packets[slot].hops &+= 1
        guard packets[slot].hops <= 32 else {
            statistics.looped += 1
            return packets.discard(slot)
        }
        if let interface = networks[network].routes[packets[slot].destination.ip] {
            if enter(slot, downTo: interface, at: time) { receive(slot, at: time, over: interface, into: &arrivals) }
        } else if let gateway = networks[network].gateway {
            leave(slot, by: gateway, at: time, into: &arrivals)
        } else {
            statistics.noRoute += 1
            refuse(slot, networks[network].noRoute, at: time)
        }
    }

    private mutating func receive(
        _ slot: Int32, at time: Instant, over interface: Int, into arrivals: inout [Arrival]
    ) {
        switch interfaces[interface].box {
        case .host(let index): hand(slot, to: index, at: time, into: &arrivals)
        case .nat(let index): enter(slot, through: index, at: time, into: &arrivals)
        case .proxyFront(let index):
            let packet = packets[slot]
            guard proxies[index].configuration.carries.contains(packet.transport) else {
                proxies[index].statistics.unmatched += 1
                return refuse(slot, proxies[index].configuration.closedPort, at: time)
            }
            let verdict = proxies[index].receive(fromOutside: packet.source, to: packet.destination, at: time)
            relay(slot, verdict, of: index, over: proxies[index].backInterface, at: time)
        case .proxyBack(let index):
            let packet = packets[slot]
            let verdict = proxies[index].receive(fromInside: packet.source, to: packet.destination, at: time)
            relay(slot, verdict, of: index, over: proxies[index].frontInterface, at: time)
        case .stunServer(let index): answer(slot, by: index, at: time)
        }
    }

    private mutating func hand(_ slot: Int32, to index: Int, at time: Instant, into arrivals: inout [Arrival]) {
        let destination = packets[slot].destination
        let transport = packets[slot].transport
        // Whether anybody listens for a segment is told by the host's TCP.
        if transport == .udp,
            hosts[index].closed.contains(destination) || hosts[index].open?.contains(destination) == false
        {
            statistics.closedPort += 1
            return report(slot, .portUnreachable, at: time)
        }
        let source = packets[slot].source
        statistics.received += 1
        arrivals.append(
            Arrival(
                host: HostID(index: index), instant: time,
                delivery: .datagram(
                    Datagram(
                        bytes: packets.takeBytes(slot),
                        path: NetworkPath(local: destination, remote: source, transport: transport)))))
    }

    /// From the inside of a NAT outward, or back in where the destination is the NAT itself.
    private mutating func leave(_ slot: Int32, by index: Int, at time: Instant, into arrivals: inout [Arrival]) {
        let packet = packets[slot]
        guard nats[index].translates(packet.destination.ip.family) else {
            return enter(slot, upFrom: nats[index].interface, at: time)
        }
        let isHairpin = nats[index].external.contains(packet.destination.ip)
        if isHairpin, !nats[index].configuration.hairpinning { return packets.discard(slot) }
        guard let outside = nats[index].translateOutbound(from: packet.source, to: packet.destination, at: time) else {
            return packets.discard(slot)
        }
        packets[slot].source = outside
        if !nats[index].configuration.passesErrors { packets[slot].origin = -1 }
        if isHairpin {
            nats[index].statistics.hairpinned += 1
            enter(slot, through: index, at: time, into: &arrivals)
        } else {
            enter(slot, upFrom: nats[index].interface, at: time)
        }
    }

    /// From the outside of a NAT inward.
    private mutating func enter(
        _ slot: Int32, through index: Int, at time: Instant, into arrivals: inout [Arrival]
    ) {
        let packet = packets[slot]
        if nats[index].external.contains(packet.destination.ip) {
            switch nats[index].translateInbound(from: packet.source, to: packet.destination, at: time) {
            case .pass(let inside): packets[slot].destination = inside
            case .refused: return refuse(slot, nats[index].configuration.unsolicited, at: time)
            }
        }
        // Routed inward the packet must find its host there, or it would be sent out again.
        guard networks[nats[index].inside].routes[packets[slot].destination.ip] != nil else {
            statistics.noRoute += 1
            return packets.discard(slot)
        }
        route(slot, in: nats[index].inside, at: time, into: &arrivals)
    }

    private mutating func relay(
        _ slot: Int32, _ verdict: ProxyBox.Verdict, of index: Int, over interface: Int, at time: Instant
    ) {
        switch verdict {
        case .refused(let refusal): refuse(slot, refusal, at: time)
        case .forward(let source, let destination):
            packets[slot].source = source
            packets[slot].destination = destination
            if !proxies[index].configuration.passesErrors { packets[slot].origin = -1 }
            enter(slot, upFrom: interface, at: time)
        }
    }

    private mutating func answer(_ slot: Int32, by index: Int, at time: Instant) {
        let packet = packets[slot]
        guard packet.transport == .udp, servers[index].sockets.contains(packet.destination) else {
            statistics.closedPort += 1
            return report(slot, .portUnreachable, at: time)
        }
        guard let response = STUNResponder.response(to: packet.bytes, from: packet.source) else {
            return packets.discard(slot)
        }
        servers[index].answered += 1
        packets[slot].bytes = response
        packets[slot].source = packet.destination
        packets[slot].destination = packet.source
        packets[slot].origin = -1
        packets[slot].hops = 0
        enter(slot, upFrom: servers[index].interface, at: time)
    }

    // MARK: Errors

    private mutating func refuse(_ slot: Int32, _ refusal: Refusal, at time: Instant) {
        switch refusal {
        case .silent: packets.discard(slot)
        case .report(let reason): report(slot, reason, at: time)
        }
    }

    /// Sends an ICMP error to the origin; it takes as long as the packet has taken so far.
    private mutating func report(_ slot: Int32, _ reason: UnreachableReason, at time: Instant) {
        let packet = packets[slot]
        guard packet.origin >= 0 else { return packets.discard(slot) }
        packets[slot].bytes = []
        packets[slot].reason = reason
        let arrival = time + (time - packet.sentAt)
        events.push(time: arrival.nanoseconds, kind: .report, slot: slot, interface: 0)
    }
}
