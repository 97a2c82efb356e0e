import Primitives

/// What signalling says of the other side.
extension ICEAgent {
    /// The longest Ta we let the other side impose.
    private static let slowestPacing: TimeDelta = .milliseconds(500)

    /// The other side's credentials. The same ones again change nothing; others than before are its restart.
    ///
    /// - Parameter localCredentials: ours for the generation that such a restart begins, where they were told the other
    ///   side already; `nil` for new ones.
    public mutating func setRemoteDescription(
        credentials: ICECredentials, isLite: Bool, pacing: TimeDelta? = nil, localCredentials: ICECredentials? = nil,
        at now: Instant, into out: inout Output
    ) {
        guard connectionState != .closed else { return }
        guard (1...256).contains(credentials.ufrag.utf8.count), (1...256).contains(credentials.password.utf8.count)
        else {
            out.trace.append(.credentialsRefused)
            return
        }
        begin(at: now, into: &out)
        if current.remote?.credentials == credentials || previous?.remote?.credentials == credentials {
            settle(at: now, into: &out)
            return
        }
        let isRestart = current.remote != nil
        let waiting = earlyCandidates
        if isRestart { beginGeneration(localCredentials, at: now, into: &out) }
        restartPoint = nil
        current.remote = CheckList.RemoteParameters(
            credentials: credentials, key: MessageIntegrityKey(password: credentials.password), isLite: isLite)
        current.checkInterval = max(configuration.checkInterval, min(pacing ?? .zero, Self.slowestPacing))
        current.patienceEnd = now + configuration.patience
        restartAskedAt = isRestart ? now : restartAskedAt
        if isLite, !configuration.isLite {
            context.switchRole(to: .controlling, because: "the other side is lite", into: &out)
        }
        if isRestart { out.events.append(.restartedByRemote) }
        earlyCandidates = []
        for candidate in waiting { admit(candidate, into: &out) }
        admitEarlyChecks(at: now, into: &out)
        settle(at: now, into: &out)
    }

    /// A description of ours is on its way to the other side: patience counts from here, where it is not over.
    public mutating func localDescriptionSent(at now: Instant, into out: inout Output) {
        guard connectionState != .closed, current.remote != nil, current.patienceEnd != nil else { return }
        begin(at: now, into: &out)
        current.patienceEnd = now + configuration.patience
        settle(at: now, into: &out)
    }

    /// A candidate of the other side, trickled or from its description.
    public mutating func addRemoteCandidate(_ candidate: Candidate, at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        admit(candidate, into: &out)
        settle(at: now, into: &out)
    }

    /// The one place where a signaled remote candidate becomes known to a check list.
    mutating func admit(_ candidate: Candidate, into out: inout Output) {
        if let refusal = refusal(of: candidate) {
            out.trace.append(.candidateIgnored(candidate, refusal))
            return
        }
        var candidate = candidate
        candidate.base = candidate.address
        candidate.priority = min(candidate.priority, CandidatePriority.maximum)
        let old = previous.flatMap { $0.isRetired ? nil : $0.remote?.credentials.ufrag }
        if let remote = current.remote {
            if candidate.ufrag == nil || candidate.ufrag == remote.credentials.ufrag {
                for candidate in mapped(candidate, into: &out) { current.admit(candidate, &context, into: &out) }
            } else if candidate.ufrag == previous?.remote?.credentials.ufrag || isKnownEarly(candidate) {
                out.trace.append(.candidateIgnored(candidate, .otherGeneration))
            } else {
                // It may have overtaken the description of its generation.
                earlyCandidates.append(candidate)
            }
        } else if let old, candidate.ufrag == nil || candidate.ufrag == old {
            for candidate in mapped(candidate, into: &out) { previous?.admit(candidate, &context, into: &out) }
        } else if earlyCandidates.count < configuration.limits.earlyCandidates {
            earlyCandidates.append(candidate)
        } else {
            out.trace.append(.candidateIgnored(candidate, .tooMany))
        }
    }

    /// The candidate with the addresses to send to.
    private func mapped(_ candidate: Candidate, into out: inout Output) -> [Candidate] {
        mapping.admitted(candidate.address).enumerated().map { index, result in
            guard result.rule != nil else { return candidate }
            var used = candidate
            used.address = result.address
            used.base = result.address
            used.priority -= min(UInt32(clamping: index), used.priority)
            if result.isMapped {
                used.signaledAddress = candidate.address
                out.trace.append(
                    .remoteMapped(signaled: candidate.address, used: result.address, rule: result.rule ?? ""))
            }
            return used
        }
    }

    /// Whether there is no room or no need to keep it.
    private func isKnownEarly(_ candidate: Candidate) -> Bool {
        earlyCandidates.count >= configuration.limits.earlyCandidates || earlyCandidates.contains(candidate)
    }

    private func refusal(of candidate: Candidate) -> ICECandidateRefusal? {
        let ip = candidate.address.ip
        if candidate.component != 1 { return .component }
        if candidate.transport == .tcpSimultaneousOpen { return .transport }
        if candidate.transport.isTCP, !bases.isEmpty, !bases.contains(where: \.transport.isTCP) { return .transport }
        if (candidate.address.port == 0 && candidate.transport != .tcpActive) || ip.isUnspecified || ip.isMulticast
            || ip.isV4MappedOrCompatible
        {
            return .unusableAddress
        }
        return nil
    }

    /// No further candidates will be signaled for this generation (RFC 8838 §8.2). Checks may still reveal some.
    public mutating func endOfRemoteCandidates(at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        current.hasRemoteEnd = true
        settle(at: now, into: &out)
    }
}
