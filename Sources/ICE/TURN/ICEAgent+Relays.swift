import Primitives

/// Relayed candidates: where TURN allocations and the agent meet.
///
/// A relayed address is a base like any other. Checks, nomination and consent know it as the local address of a path and
/// nothing of the server; what they send from there is wrapped on the way out (`wrapRelayed`), and what the server
/// delivers is unwrapped on the way in (`receiveRelayed`) and taken as if it had come to the relayed address.
///
///     check list ── path relayed → peer ──► allocation ── path base → server ──► datagrams
///     datagrams ── path base → server ──► allocation ── path relayed → peer ──► check list, or `relayedDatagram`
///
/// **Permissions** are asked for when a remote candidate is admitted, before its first check, and for the addresses that
/// peers are seen as behind a proxy (`relayPeers`), which no candidate names. **Channels** are for the pair that is sent
/// on. **Loss** of an allocation takes its candidates and pairs away and, when another comes, announces new ones: a
/// server that is started anew costs a gap, not the call. When the pair in use goes silent and is relayed, or while no
/// pair is found, the server is asked whether the allocation still stands.
extension ICEAgent {
    /// Begins, or goes on with, an allocation for each base and server of a family; announces those that there are.
    mutating func gatherRelayed(on bases: [LocalBase], at now: Instant, into out: inout Output) {
        guard configuration.policy != .hostOnly, !configuration.isLite else { return }
        relays.limit = now + configuration.gatheringLimit
        let servers = mappedRelayServers(into: &out)
        let chosen = bases.filter(\.isForRelays)
        for base in chosen.isEmpty ? bases : chosen {
            for server in servers where server.stream == nil && Self.reaches(base.address.ip, server.address.ip) {
                gatherRelayed(on: base, by: server, at: now, into: &out)
            }
        }
        for server in servers where server.stream != nil {
            let known = relays.relays.indices.filter { relays.relays[$0].server.url == server.url }
            for i in known {
                for address in relays.relays[i].addresses { announceRelayed(address, of: i, into: &out) }
            }
            if known.isEmpty { wantConnection(to: server, into: &out) }
        }
    }

    private mutating func wantConnection(to server: RelayServer, into out: inout Output) {
        guard !relays.awaited.contains(server) else { return }
        relays.awaited.append(server)
        out.events.append(.relayConnectionWanted(server))
    }

    private func mappedRelayServers(into out: inout Output) -> [RelayServer] {
        configuration.relayServers.flatMap { server in
            mapping.server(server.address).map { mapped in
                var server = server
                server.address = mapped.address
                if mapped.isMapped {
                    out.trace.append(.serverMapped(url: server.url, used: mapped.address, rule: mapped.rule ?? ""))
                }
                return server
            }
        }
    }

    private static func reaches(_ base: IPAddress, _ server: IPAddress) -> Bool {
        base.family == server.family && (!base.isLoopback || server.isLoopback)
            && base.isLinkLocal == server.isLinkLocal
    }

    private mutating func gatherRelayed(
        on base: LocalBase, by server: RelayServer, at now: Instant, into out: inout Output
    ) {
        let path = NetworkPath(local: base.address, remote: server.address)
        if let known = relays.index(on: path) {
            guard relays.relays[known].allocation.hasEnded else {
                for address in relays.relays[known].addresses { announceRelayed(address, of: known, into: &out) }
                return
            }
            relays.relays.remove(at: known)
        }
        guard relays.relays.count < configuration.limits.relays else {
            return out.trace.append(
                .serverFailed(
                    url: server.url, base: base.address,
                    reason: "there are \(configuration.limits.relays) allocations", isFinal: true))
        }
        var settings = configuration.allocation
        settings.credential = server.credential
        settings.isReliable = server.stream != nil
        relays.relays.append(
            Relay(
                server: server, base: base,
                allocation: TURNAllocation(configuration: settings, random: context.random.split())))
        let index = relays.relays.count - 1
        relays.relays[index].allocation.start(at: now, into: &relays.output)
        drainRelay(index, at: now, into: &out)
    }

    // MARK: Connections

    /// The connection to a server stands; `base` is its address on our side.
    public mutating func relayConnected(
        _ server: RelayServer, on base: LocalBase, at now: Instant, into out: inout Output
    ) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        relays.awaited.removeAll { $0 == server }
        gatherRelayed(on: base, by: server, at: now, into: &out)
        settle(at: now, into: &out)
    }

    /// There is no connection to a server, or none any more: what it relayed is lost. Gives whether another connection is
    /// of use: not where the server had refused us before.
    public mutating func relayDisconnected(
        _ server: RelayServer, from base: TransportAddress?, reason: String, at now: Instant, into out: inout Output
    ) -> Bool {
        let i = relays.relays.firstIndex { $0.server == server && $0.base.address == base }
        guard connectionState != .closed else {
            if let i { relays.relays.remove(at: i) }
            return false
        }
        let isRefused = i.flatMap { relays.relays[$0].allocation.failure }.map { !$0.isTransient } ?? false
        begin(at: now, into: &out)
        relays.awaited.removeAll { $0 == server }
        if !isRefused {
            out.trace.append(
                .serverFailed(
                    url: server.url, base: base ?? TransportAddress(.anyV4, 0), reason: reason, isFinal: false))
        }
        if let i {
            let addresses = relays.relays[i].addresses
            relays.relays.remove(at: i)
            if !addresses.isEmpty {
                out.trace.append(.relayLost(url: server.url, relayed: addresses, because: reason))
            }
            drop(addresses, because: "the relayed address is lost: \(reason)", at: now, into: &out)
        }
        settle(at: now, into: &out)
        return !isRefused
    }

    // MARK: In

    /// Whether a path leads to a TURN server of ours.
    public func isRelay(_ path: NetworkPath) -> Bool { relays.index(on: path) != nil }

    /// Makes what a TURN server delivered on a channel into what the peer sent, in place: the way of most packets of a relayed
    /// call, which need not pass the rest of the agent. False, and nothing done, for checks and for whatever is not quite right.
    public func unwrapRelayed(_ datagram: inout Datagram) -> Bool {
        guard datagram.bytes.count > 4, datagram.bytes[4] >= 4, let i = relays.index(on: datagram.path),
            let path = relays.relays[i].allocation.unwrapChannelData(&datagram.bytes)
        else { return false }
        datagram.path = path
        return true
    }

    /// Takes a datagram of a TURN server's. False when it is none: a Binding answer may come from the same address.
    mutating func receiveRelayed(_ datagram: Datagram, at now: Instant, into out: inout Output) -> Bool {
        guard !relays.isEmpty, let i = relays.index(on: datagram.path) else { return false }
        // The upper bits too: ChannelData of the second channel begins with 0x4001.
        let isBinding = datagram.bytes.count >= 2 && datagram.bytes[0] & 0xFE == 0 && datagram.bytes[1] & 0xEF == 1
        guard !isBinding else { return false }
        relays.relays[i].allocation.receive(datagram.bytes, at: now, into: &relays.output)
        drainRelay(i, at: now, into: &out)
        return true
    }

    mutating func advanceRelays(to now: Instant, into out: inout Output) {
        guard let due = relays.deadline, due <= now else { return }
        out.trace.append(.timer(.relay))
        if let limit = relays.limit, limit <= now { relays.limit = nil }
        for i in relays.relays.indices {
            relays.relays[i].allocation.advance(to: now, into: &relays.output)
            drainRelay(i, at: now, into: &out)
        }
    }

    // MARK: Out

    /// Wraps what leaves from a relayed address and appends what goes to the server instead. False when the datagram is
    /// of no relayed address: it leaves as it is.
    public mutating func relay(_ datagram: Datagram, at now: Instant, into datagrams: inout [Datagram]) -> Bool {
        guard !relays.isEmpty, let i = relays.index(ofRelayed: datagram.path.local) else { return false }
        relays.relays[i].allocation.send(datagram.bytes, to: datagram.path.remote, at: now, into: &relays.output)
        let path = relays.relays[i].path
        for message in relays.output.messages { datagrams.append(Datagram(bytes: message, path: path)) }
        relays.output.messages.removeAll(keepingCapacity: true)
        deadline = earliest(deadline, relays.relays[i].allocation.deadline)
        return true
    }

    /// The same for all that is in the outbox.
    mutating func wrapRelayed(at now: Instant, into out: inout Output) {
        guard out.datagrams.contains(where: { relays.index(ofRelayed: $0.path.local) != nil }) else { return }
        var wrapped: [Datagram] = []
        for datagram in out.datagrams where !relay(datagram, at: now, into: &wrapped) { wrapped.append(datagram) }
        out.datagrams = wrapped
    }

    // MARK: What allocations want

    private mutating func drainRelay(_ i: Int, at now: Instant, into out: inout Output) {
        guard !relays.output.isEmpty else { return }
        var output = TURNOutput()
        swap(&output, &relays.output)
        let relay = relays.relays[i]
        for message in output.messages { out.datagrams.append(Datagram(bytes: message, path: relay.path)) }
        for entry in output.trace { out.trace.append(.relay(url: relay.server.url, entry)) }
        for event in output.events { apply(event, of: i, at: now, into: &out) }
        for arrival in output.arrivals {
            let datagram = Datagram(
                bytes: arrival.bytes, path: NetworkPath(local: arrival.relayed, remote: arrival.peer))
            if datagram.bytes.first.map({ $0 < 4 }) ?? false {
                receiveMessage(datagram, at: now, into: &out)
            } else {
                out.events.append(.relayedDatagram(datagram))
            }
        }
        output.removeAll()
        if relays.output.isEmpty { swap(&output, &relays.output) }
    }

    private mutating func apply(_ event: TURNEvent, of i: Int, at now: Instant, into out: inout Output) {
        let relay = relays.relays[i]
        switch event {
        case .allocated(let lease):
            out.trace.append(
                .relayAllocated(url: relay.server.url, relayed: lease.relayed, lifetime: lease.lifetime))
            relays.relays[i].addresses = lease.relayed
            for address in lease.relayed { announceRelayed(address, of: i, into: &out) }
            if let mapped = lease.mapped {
                out.trace.append(
                    .serverAnswered(url: relay.server.url, base: relay.base.address, mapped: mapped))
            }
            if let mapped = lease.mapped, configuration.policy == .all, relay.server.stream == nil,
                !relay.base.isForRelays
            {
                announceReflexive(
                    Gatherer.Answer(base: relay.base, url: relay.server.url, mapped: mapped), into: &out)
            }
            admitEarlyChecks(at: now, into: &out)
        case .lost(let loss):
            out.trace.append(.relayLost(url: relay.server.url, relayed: relay.addresses, because: "\(loss)"))
            drop(relay.addresses, because: "the relayed address is lost: \(loss)", at: now, into: &out)
            relays.relays[i].addresses = []
        case .failed(.tryAlternate(let address?, let domain)) where !relay.server.isRedirected:
            out.trace.append(
                .serverFailed(
                    url: relay.server.url, base: relay.base.address,
                    reason: "\(TURNFailure.tryAlternate(address, domain: domain))", isFinal: true))
            guard address.port != 0,
                relay.server.stream != nil || address.ip.family == relay.base.address.ip.family
            else { return }
            let server = relay.server.redirected(to: address)
            if server.stream == nil {
                gatherRelayed(on: relay.base, by: server, at: now, into: &out)
            } else {
                wantConnection(to: server, into: &out)
            }
        case .failed(let failure):
            out.trace.append(
                .serverFailed(
                    url: relay.server.url, base: relay.base.address, reason: "\(failure)",
                    isFinal: relay.server.stream == nil || !failure.isTransient))
            drop(relay.addresses, because: "the relayed address is lost: \(failure)", at: now, into: &out)
            relays.relays[i].addresses = []
        case .permissionRefused(let ip, let error):
            out.trace.append(.relayRefused(url: relay.server.url, peer: ip, error))
            let reason = "the TURN server does not permit it: \(error)"
            for pair in pairs where relay.addresses.contains(pair.path.local) && pair.path.remote.ip == ip {
                current.noteUnreachable(pair.path, reason: reason, &context, at: now, into: &out)
            }
        case .peerUnreachable(let peer, let error):
            guard let local = relay.addresses.first(where: { $0.ip.family == peer.ip.family }) else { return }
            let path = NetworkPath(local: local, remote: peer)
            let reason = "the TURN server got an ICMP error (type \(error.type), code \(error.code))"
            context.counters.unreachable += 1
            out.trace.append(.unreachable(path, reason: reason))
            current.noteUnreachable(path, reason: reason, &context, at: now, into: &out)
            previous?.noteUnreachable(path, reason: reason, &context, at: now, into: &out)
        case .permissionInstalled, .channelBound, .channelRefused, .released:
            break
        }
    }

    private mutating func announceRelayed(_ relayed: TransportAddress, of i: Int, into out: inout Output) {
        let relay = relays.relays[i]
        // Whoever wants relayed addresses only does not want to tell others (RFC 8839 §5.1: 0.0.0.0 and 9 instead).
        let related =
            configuration.policy == .all ? relay.allocation.lease?.mapped : nil
        for (rank, result) in mapping.announced(relayed).enumerated() {
            if result.isMapped {
                out.trace.append(
                    .localMapped(base: relayed, announced: result.address, rule: result.rule ?? ""))
            }
            guard !context.localCandidates.contains(where: { $0.address == result.address && $0.base == relayed })
            else { continue }
            // UDP before TCP before TLS, for late media is lost media.
            let cost = relay.server.stream.map { $0 == .tcp ? 8_192 : 16_384 } ?? 0
            let preference = Int(relay.base.preference) - cost - rank * 64 - i
            announce(
                Candidate(
                    foundation: foundation(.relayed, relayed.ip, relay.server.url),
                    priority: CandidatePriority.candidate(
                        type: .relayed, localPreference: UInt16(clamping: preference)),
                    address: result.address, type: .relayed,
                    relatedAddress: related ?? TransportAddress(relayed.ip.family == .ipv4 ? .anyV4 : .anyV6, 9),
                    base: relayed, ufrag: localCredentials.ufrag, url: relay.server.url),
                into: &out)
        }
    }

    private mutating func drop(
        _ bases: [TransportAddress], because reason: String, at now: Instant, into out: inout Output
    ) {
        for base in bases {
            context.localCandidates.removeAll { $0.base == base }
            current.drop(base: base, because: reason, context, at: now, into: &out)
            previous?.drop(base: base, because: reason, context, at: now, into: &out)
        }
    }

    // MARK: What the agent wants of allocations

    /// Permissions for all that may be sent to, a channel for the pair in use, and doubt where that is silent.
    mutating func settleRelays(_ pair: CandidatePair?, at now: Instant, into out: inout Output) {
        guard !relays.isEmpty else { return }
        for i in relays.relays.indices where !relays.relays[i].allocation.hasEnded {
            permit(i, at: now)
            if let pair, relays.relays[i].addresses.contains(pair.path.local) {
                if relays.relays[i].bound.insert(pair.path.remote).inserted {
                    relays.relays[i].allocation.bindChannel(to: pair.path.remote, at: now, into: &relays.output)
                }
                if let since = pair.unansweredSince, now - since >= Self.doubtAfter { verify(i, since: since, at: now) }
            } else if pair == nil, current.patienceEnd != nil, hasStood {
                verify(i, since: now - Self.verifyInterval, at: now)
            }
            drainRelay(i, at: now, into: &out)
        }
        wrapRelayed(at: now, into: &out)
    }

    /// Unanswered for this long, a relayed pair is reason to ask the server.
    private static let doubtAfter: TimeDelta = .milliseconds(1_000)
    private static let verifyInterval: TimeDelta = .milliseconds(10_000)

    private mutating func verify(_ i: Int, since: Instant, at now: Instant) {
        if let last = relays.relays[i].verifiedAt, last >= since { return }
        relays.relays[i].verifiedAt = now
        relays.relays[i].allocation.verify(at: now, into: &relays.output)
    }

    private mutating func permit(_ i: Int, at now: Instant) {
        func ask(_ ip: IPAddress) {
            guard relays.relays[i].permitted.insert(ip).inserted else { return }
            relays.relays[i].allocation.permit(ip, at: now, into: &relays.output)
        }
        let relay = relays.relays[i]
        // Before there is an allocation nobody knows which families it has.
        guard let lease = relay.allocation.lease else { return }
        for ip in configuration.relayPeers where lease.relayed(ip.family) != nil { ask(ip) }
        for candidate in current.remoteCandidates
        where candidate.transport == .udp && lease.relayed(candidate.address.ip.family) != nil {
            ask(candidate.address.ip)
        }
    }

    /// A new generation: what only older ones may send to is not renewed any more.
    mutating func withdrawPermissions() {
        guard !relays.isEmpty else { return }
        var wanted = Set(configuration.relayPeers)
        for list in [current, previous] {
            for remote in list?.remoteCandidates ?? [] { wanted.insert(remote.address.ip) }
        }
        for i in relays.relays.indices {
            for ip in relays.relays[i].permitted.subtracting(wanted) {
                relays.relays[i].allocation.withdraw(ip)
                relays.relays[i].permitted.remove(ip)
                relays.relays[i].bound = relays.relays[i].bound.filter { $0.ip != ip }
            }
        }
    }

    // MARK: The end

    /// Whether no server holds anything for us, as far as we are told. After `close` it is time to close sockets.
    public var areRelaysReleased: Bool { relays.areReleased }

    /// Frees all allocations; the agent is being closed. What the servers answer is taken until then.
    mutating func releaseRelays(at now: Instant, into out: inout Output) {
        relays.limit = nil
        for i in relays.relays.indices {
            relays.relays[i].addresses = []
            relays.relays[i].allocation.release(at: now, into: &relays.output)
            drainReleasing(i, into: &out)
        }
        deadline = relays.deadline
    }

    mutating func receiveReleasing(_ datagram: Datagram, at now: Instant, into out: inout Output) {
        guard let i = relays.index(on: datagram.path) else { return }
        relays.relays[i].allocation.receive(datagram.bytes, at: now, into: &relays.output)
        drainReleasing(i, into: &out)
        deadline = relays.deadline
    }

    mutating func advanceReleasing(to now: Instant, into out: inout Output) {
        for i in relays.relays.indices {
            relays.relays[i].allocation.advance(to: now, into: &relays.output)
            drainReleasing(i, into: &out)
        }
        deadline = relays.deadline
    }

    private mutating func drainReleasing(_ i: Int, into out: inout Output) {
        let relay = relays.relays[i]
        for message in relays.output.messages { out.datagrams.append(Datagram(bytes: message, path: relay.path)) }
        for entry in relays.output.trace { out.trace.append(.relay(url: relay.server.url, entry)) }
        relays.output.removeAll()
    }
}
