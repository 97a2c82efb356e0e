import Primitives

/// Which pair is used, and who says so.
extension CheckList {
    // MARK: The pair in use

    /// Chooses the pair to send on and keeps its consent going.
    mutating func updateSending(_ context: inout CheckContext, at now: Instant) {
        let before = sendingID
        sendingID = bestSending(context, at: now).map { pairs[$0].id }
        guard sendingID != before else { return }
        if let old = index(before), before != nomineeID, pairs[old].state == .succeeded,
            pairs[old].unansweredSince == nil
        {
            pairs[old].nextSend = nil
        }
        isDisconnected = false
        guard let i = index(sendingID) else { return }
        patienceEnd = nil
        isInterrupted = false
        guard sendingID != nomineeID else { return }
        if pairs[i].unansweredSince == nil || context.configuration.isLite {
            pairs[i].nextSend = max(now, pairs[i].lastRequestSent ?? now) + context.consentInterval()
        } else {
            // Asked before it was needed, and not heard since: the waiting starts anew.
            pairs[i].unansweredSince = now
            pairs[i].nextSend = earliest(pairs[i].nextSend, now + context.configuration.initialCheckTimeout)
        }
    }

    func bestSending(_ context: CheckContext, at now: Instant) -> Int? {
        if let selected = index(selectedID), isUsable(selected, context, at: now) { return selected }
        if context.configuration.isLite { return nil }
        if let nominee = index(nomineeID), isUsable(nominee, context, at: now) { return nominee }
        return pairs.indices.lazy.filter { isUsable($0, context, at: now) }
            .max { pairs[$0].priority < pairs[$1].priority }
    }

    /// Validated, with consent younger than 30 s.
    private func isUsable(_ i: Int, _ context: CheckContext, at now: Instant) -> Bool {
        guard !isRetired, pairs[i].state == .succeeded, context.connections.carries(pairs[i].path),
            let proof = proof(of: pairs[i], context)
        else { return false }
        return now - proof < context.configuration.consentExpiry
    }

    /// The last sign that the other side wants what we send. For a lite agent a request has to do.
    func proof(of pair: CandidatePair, _ context: CheckContext) -> Instant? {
        guard context.configuration.isLite else { return pair.lastResponseReceived }
        guard let request = pair.lastRequestReceived else { return pair.lastResponseReceived }
        return max(request, pair.lastResponseReceived ?? request)
    }

    // MARK: Nomination

    /// Controlling: nominates the best validated pair when none is selected or being nominated (RFC 8445 §8.1.1).
    mutating func pursueNomination(
        _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard context.role == .controlling, context.configuration.nominationPolicy == .firstValidated,
            !context.configuration.isLite, selectedID == nil, nomineeID == nil, let i = index(sendingID)
        else { return }
        nominate(i, &context, at: now, into: &out)
    }

    mutating func nominate(
        _ i: Int, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        nomineeID = pairs[i].id
        pairs[i].sends = 0
        pairs[i].budget = context.configuration.checkLimit
        out.trace.append(.nominating(pairs[i].path))
        send(i, .nomination, &context, at: now, into: &out)
    }

    /// The nominee has been asked often enough. True when another pair, heard since, takes its place.
    mutating func giveUpNominee(at i: Int, _ context: CheckContext, at now: Instant) -> Bool {
        guard let since = pairs[i].unansweredSince else { return false }
        let isBetter = pairs.contains {
            $0.id != pairs[i].id && $0.state == .succeeded && $0.lastResponseReceived.map { $0 > since } ?? false
        }
        guard isBetter else { return false }
        nomineeID = nil
        pairs[i].state = .failed
        pairs[i].lastError = .noResponse(requests: pairs[i].sends)
        return true
    }

    /// Controlled: USE-CANDIDATE on a pair validated lately (RFC 8445 §8.1.1, and the essay).
    mutating func nominatedByPeer(
        _ i: Int, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard let current = index(selectedID), current != i else {
            if selectedID == nil || !pairs[i].isNominated { select(i, context, at: now, into: &out) }
            return
        }
        let isDoubtful =
            pairs[current].unreachableCount > 0 || pairs[current].state != .succeeded
            || pairs[current].unansweredSince.map { now - $0 > .milliseconds(1_000) } ?? false
        if isDoubtful || remoteNominatesEveryCheck != true || pairs[i].priority >= pairs[current].priority {
            select(i, context, at: now, into: &out)
        } else {
            challengeIncumbent(by: i, &context, at: now, into: &out)
        }
    }

    mutating func select(_ i: Int, _ context: CheckContext, at now: Instant, into out: inout ICEAgent.Output) {
        let id = pairs[i].id
        let previous = index(selectedID)
        if let previous, previous != i { out.trace.append(.moved(from: pairs[previous].path, to: pairs[i].path)) }
        for k in pairs.indices { pairs[k].isNominated = k == i }
        out.trace.append(.nominated(pairs[i].path))
        selectedID = id
        failure = nil
        if nomineeID == id { nomineeID = nil }
        finishSelection(of: id, into: &out)
    }

    /// Sends on another pair from now on, because the one in use is silent and this one answers.
    mutating func move(
        to i: Int, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        let id = pairs[i].id
        guard id != selectedID else { return }
        out.trace.append(.moved(from: sendingPair?.path, to: pairs[i].path))
        selectedID = id
        nomineeID = nil
        finishSelection(of: id, into: &out)
        if context.role == .controlling, context.configuration.nominationPolicy != .never {
            for k in pairs.indices { pairs[k].isNominated = k == i }
            nominate(i, &context, at: now, into: &out)
        }
    }

    private mutating func finishSelection(of id: Int, into out: inout ICEAgent.Output) {
        if let challenge, challenge.challengerID == id || challenge.incumbentID != id { self.challenge = nil }
        isDisconnected = false
        for k in pairs.indices where pairs[k].id != id && pairs[k].id != challenge?.challengerID {
            pairs[k].nominateOnSuccess = false
            guard !isOpen(pairs[k]) else { continue }
            pairs[k].nextSend = nil
            pairs[k].unansweredSince = nil
            if pairs[k].state == .inProgress { setState(k, .waiting, into: &out) }
        }
    }
}
