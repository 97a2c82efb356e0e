import Primitives

/// The local side: bases, candidates, restarts.
extension ICEAgent {
    /// Changes the role known from the descriptions (RFC 8445 §6.1.1). A lite agent stays controlled.
    public mutating func setRole(_ role: ICERole, at now: Instant, into out: inout Output) {
        guard connectionState != .closed, !configuration.isLite else { return }
        begin(at: now, into: &out)
        context.switchRole(to: role, because: "set", into: &out)
        settle(at: now, into: &out)
    }

    /// Announces host candidates of the bases at once and asks the STUN servers. Bases known already are kept.
    public mutating func gather(bases: [LocalBase], at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        var added: [LocalBase] = []
        for base in bases where !self.bases.contains(where: { $0.address == base.address }) {
            let ip = base.address.ip
            guard self.bases.count < configuration.limits.bases, configuration.families.contains(ip.family),
                !ip.isUnspecified, !ip.isMulticast, !ip.isV4MappedOrCompatible, !ip.isSiteLocalV6
            else {
                let host = hostCandidate(base, at: MappedAddress(base.address))
                out.trace.append(
                    .candidateIgnored(
                        host, configuration.families.contains(ip.family) ? .unusableAddress : .family))
                continue
            }
            self.bases.append(base)
            added.append(base)
        }
        gather(on: added, at: now, into: &out)
        settle(at: now, into: &out)
    }

    mutating func gather(on bases: [LocalBase], at now: Instant, into out: inout Output) {
        setGatheringState(.gathering, into: &out)
        let own = bases.filter { !$0.isForRelays }
        if configuration.policy != .relay {
            for base in own { announceHost(base, into: &out) }
        }
        if configuration.policy == .all {
            gatherer.start(own, withMappedServers(into: &out), random: &context.random, at: now)
        }
        gatherRelayed(on: bases, at: now, into: &out)
        gatherer.advance(to: now, configuration, random: &context.random, into: &out)
        admitEarlyChecks(at: now, into: &out)
    }

    mutating func hostCandidate(_ base: LocalBase, at announced: MappedAddress, rank: Int = 0) -> Candidate {
        Candidate(
            foundation: foundation(.host, base.address.ip, announced.isMapped ? "\(announced.address.ip)" : ""),
            priority: CandidatePriority.candidate(
                type: .host, localPreference: UInt16(clamping: Int(base.preference) - rank)),
            address: announced.address, type: .host, base: base.address, ufrag: localCredentials.ufrag)
    }

    /// A base under the addresses the mapping gives it; those announced already are passed over. Where the mapping gives
    /// none, or one that another base has, the base is known to the check list all the same: what comes in on it counts.
    mutating func announceHost(_ base: LocalBase, into out: inout Output) {
        let announced = mapping.announced(base.address, interface: base.interfaceName)
        for (rank, result) in announced.enumerated() {
            let candidate = hostCandidate(base, at: result, rank: rank * 64)
            let known = context.localCandidates.first { $0.address == result.address && $0.type == .host }
            if known?.base == base.address { continue }
            if result.isMapped {
                out.trace.append(
                    .localMapped(base: base.address, announced: result.address, rule: result.rule ?? ""))
            }
            if isHidden(result) {
                out.trace.append(.candidateIgnored(candidate, .hidden))
                add(candidate, into: &out)
            } else if known == nil {
                announce(candidate, into: &out)
            } else {
                out.trace.append(.candidateIgnored(candidate, .duplicate))
                add(candidate, into: &out)
            }
        }
        guard announced.isEmpty, context.bestLocal(on: base.address) == nil else { return }
        out.trace.append(.localMapped(base: base.address, announced: nil, rule: "its name is not resolved"))
        add(hostCandidate(base, at: MappedAddress(base.address)), into: &out)
    }

    private func isHidden(_ announced: MappedAddress) -> Bool {
        let ip = announced.address.ip
        return configuration.hidesPrivateAddresses && !announced.isMapped && (ip.isPrivate || ip.isLinkLocal)
    }

    private func withMappedServers(into out: inout Output) -> Configuration {
        var result = configuration
        result.stunServers = configuration.stunServers.flatMap { server in
            mapping.server(server.address).map { mapped in
                var server = server
                server.address = mapped.address
                if mapped.isMapped {
                    out.trace.append(
                        .serverMapped(url: server.url, used: mapped.address, rule: mapped.rule ?? ""))
                }
                return server
            }
        }
        return result
    }

    /// Another mapping from now on, as names in it are looked up anew. What it announces besides is announced; what was
    /// announced before cannot be taken back.
    public mutating func setMapping(_ new: AddressMapping, at now: Instant, into out: inout Output) {
        guard connectionState != .closed, new != mapping else { return }
        begin(at: now, into: &out)
        mapping = new
        if gatheringState != .new, configuration.policy != .relay {
            for base in bases where !base.isForRelays { announceHost(base, into: &out) }
        }
        settle(at: now, into: &out)
    }

    /// The address to stand in `c=` and `m=` (RFC 8445 §5.1.4): the best mapped one, for without a mapping `0.0.0.0:9`
    /// says that candidates tell.
    public var defaultAddress: TransportAddress? {
        context.localCandidates.filter { $0.type == .host && $0.address != $0.base }
            .max { $0.priority < $1.priority }?.address
    }

    /// RFC 8445 §5.1.1.3: equal for candidates of one type, base address and server.
    mutating func foundation(_ type: CandidateType, _ base: IPAddress, _ server: String) -> String {
        let key = "\(type.sdpName) \(base) \(server)"
        if let known = foundations.firstIndex(of: key) { return "\(known + 1)" }
        foundations.append(key)
        return "\(foundations.count)"
    }

    /// The one place where a local candidate becomes known to signalling and to the check list.
    mutating func announce(_ candidate: Candidate, into out: inout Output) {
        guard context.localCandidates.count < configuration.limits.localCandidates else {
            out.trace.append(.candidateIgnored(candidate, .tooMany))
            return
        }
        // A check may have revealed it already.
        context.localCandidates.removeAll { $0.type == .peerReflexive && $0.address == candidate.address }
        out.events.append(.localCandidate(candidate))
        add(candidate, into: &out)
    }

    private mutating func add(_ candidate: Candidate, into out: inout Output) {
        guard context.localCandidates.count < configuration.limits.localCandidates else { return }
        context.localCandidates.append(candidate)
        current.pairLocal(candidate, &context, into: &out)
    }

    mutating func announceReflexive(_ answer: Gatherer.Answer, into out: inout Output) {
        let base = answer.base.address
        // Equal to the base, or to a candidate of the same base: redundant (RFC 8445 §5.1.3).
        guard
            !context.localCandidates.contains(where: {
                $0.address == answer.mapped && $0.base == base && $0.type != .peerReflexive
            })
        else { return }
        // The inside address stays inside, unless it is announced itself.
        let told = mapping.announced(base, interface: answer.base.interfaceName).last { !isHidden($0) }
        let related =
            told?.address
            ?? TransportAddress(base.ip.family == .ipv4 ? .anyV4 : .anyV6, 9)
        announce(
            Candidate(
                foundation: foundation(.serverReflexive, base.ip, answer.url),
                priority: CandidatePriority.candidate(
                    type: .serverReflexive, localPreference: answer.base.preference),
                address: answer.mapped, type: .serverReflexive, relatedAddress: related, base: base,
                ufrag: localCredentials.ufrag, url: answer.url),
            into: &out)
    }

    mutating func setGatheringState(_ state: ICEGatheringState, into out: inout Output) {
        guard state != gatheringState else { return }
        gatheringState = state
        out.events.append(.gatheringStateChanged(state))
    }

    /// New credentials on the same sockets (RFC 8839 §4.4.1.1.1), `credentials` if they were promised before.
    /// What sends goes on sending.
    public mutating func restart(credentials: ICECredentials? = nil, at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        rememberRestartPoint()
        beginGeneration(credentials, at: now, into: &out)
        settle(at: now, into: &out)
    }

    mutating func beginGeneration(
        _ credentials: ICECredentials?, at now: Instant, into out: inout Output
    ) {
        // Of the two only one can be in use; it is the one worth keeping. One that was never agreed to is not.
        let isAgreed = current.remote != nil || previous == nil
        if isAgreed, previous?.sendingID == nil || current.sendingID != nil { previous = current }
        previous?.patienceEnd = nil
        current = CheckList(
            credentials: credentials ?? ICECredentials(using: &context.random),
            checkInterval: configuration.checkInterval)
        context.localCandidates = []
        earlyChecks = []
        earlyCandidates = []
        out.trace.append(.restarted(local: current.localCredentials))
        withdrawPermissions()
        guard gatheringState != .new else { return }
        gatherer = Gatherer()
        gather(on: bases, at: now, into: &out)
    }

    /// Ends everything; allocations are freed. Until `areRelaysReleased`, `receive` and `advance` still serve that.
    public mutating func close(at now: Instant, into out: inout Output) {
        close()
        releaseRelays(at: now, into: &out)
    }

    public mutating func close() {
        connectionState = .closed
        sendingPath = nil
        deadline = nil
        previous = nil
        gatherer = Gatherer()
        current.retire()
        earlyChecks = []
        earlyCandidates = []
    }
}
