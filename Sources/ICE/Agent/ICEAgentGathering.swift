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
                let host = hostCandidate(base)
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
        for base in bases { announce(hostCandidate(base), into: &out) }
        gatherer.start(bases, configuration, random: &context.random, at: now)
        gatherer.advance(to: now, configuration, random: &context.random, into: &out)
        admitEarlyChecks(at: now, into: &out)
    }

    mutating func hostCandidate(_ base: LocalBase) -> Candidate {
        Candidate(
            foundation: foundation(.host, base.address.ip, ""),
            priority: CandidatePriority.candidate(type: .host, localPreference: base.preference),
            address: base.address, type: .host, ufrag: localCredentials.ufrag)
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
        context.localCandidates.append(candidate)
        out.events.append(.localCandidate(candidate))
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
        announce(
            Candidate(
                foundation: foundation(.serverReflexive, base.ip, answer.url),
                priority: CandidatePriority.candidate(
                    type: .serverReflexive, localPreference: answer.base.preference),
                address: answer.mapped, type: .serverReflexive, relatedAddress: base, base: base,
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
        guard gatheringState != .new else { return }
        gatherer = Gatherer()
        gather(on: bases, at: now, into: &out)
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
