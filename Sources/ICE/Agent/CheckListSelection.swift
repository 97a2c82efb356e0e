import Primitives

/// Which pair is used: nomination, moving, consent.
extension CheckList {
    // MARK: The pair in use

    /// Chooses the pair to send on and keeps its consent going.
    mutating func updateSending(_ context: inout CheckContext, at now: Instant) {
        let before = sendingID
        sendingID = bestSending(context, at: now).map { pairs[$0].id }
        guard sendingID != before else { return }
        if let old = index(before), before != nomineeID, pairs[old].state == .succeeded, pairs[old].unansweredSince == nil
        {
            pairs[old].nextSend = nil
        }
        isDisconnected = false
        guard let i = index(sendingID) else { return }
        patienceEnd = nil
        guard !context.configuration.isLite, sendingID != nomineeID else { return }
        if pairs[i].unansweredSince == nil || pairs[i].nextSend == nil {
            pairs[i].nextSend = max(now, pairs[i].lastRequestSent ?? now) + context.consentInterval()
        }
    }

    private func bestSending(_ context: CheckContext, at now: Instant) -> Int? {
        if let selected = index(selectedID), isUsable(selected, context, at: now) { return selected }
        if context.configuration.isLite { return nil }
        if let nominee = index(nomineeID), isUsable(nominee, context, at: now) { return nominee }
        return pairs.indices.lazy.filter { isUsable($0, context, at: now) }
            .max { pairs[$0].priority < pairs[$1].priority }
    }

    /// Validated, with consent younger than 30 s.
    private func isUsable(_ i: Int, _ context: CheckContext, at now: Instant) -> Bool {
        guard !isRetired, pairs[i].state == .succeeded, let proof = proof(of: pairs[i], context) else { return false }
        return now - proof < context.configuration.consentExpiry
    }

    /// The last sign that the other side wants what we send. For a lite agent a request has to do.
    private func proof(of pair: CandidatePair, _ context: CheckContext) -> Instant? {
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
            if pairs[k].state == .inProgress { setState(k, .waiting, into: &out) }
        }
    }

    // MARK: Challenge

    /// The incumbent is granted one round trip and a little; two and more before a pair of lower priority wins.
    mutating func challengeIncumbent(
        by i: Int, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard let s = index(sendingID), s != i, !context.configuration.isLite else { return }
        if let challenge, challenge.incumbentID == sendingID, challenge.endsAt > now {
            self.challenge?.challengerID = pairs[i].id
            return
        }
        var startedAt = now
        let last = pairs[s].lastRequestSent
        if let last, pairs[s].unansweredSince != nil, now - last < .milliseconds(100) {
            startedAt = last  // one is in flight
        } else if last.map({ now - $0 >= checkInterval }) ?? true {
            send(s, pairs[s].id == nomineeID ? .nomination : .doubt, &context, at: now, into: &out)
        }
        let roundTrip = pairs[s].currentRoundTripTime ?? context.roundTrip ?? .milliseconds(100)
        let margin =
            pairs[i].priority >= pairs[s].priority
            ? roundTrip / 4 + .milliseconds(20) : roundTrip + .milliseconds(200)
        challenge = Challenge(
            incumbentID: pairs[s].id, challengerID: pairs[i].id, startedAt: startedAt,
            decideAt: startedAt + roundTrip + margin, endsAt: now + .milliseconds(5_000))
        out.trace.append(.challenged(incumbent: pairs[s].path, by: pairs[i].path))
    }

    var challengeDeadline: Instant? { challenge.map { $0.decideAt ?? $0.endsAt } }

    /// A check was answered: the incumbent's answer ends a challenge, the challenger's may decide it.
    mutating func settleChallenge(
        answeredBy id: Int, sentAt: Instant, _ context: inout CheckContext, at now: Instant,
        into out: inout ICEAgent.Output
    ) {
        guard let current = challenge else { return }
        if id == current.incumbentID, sentAt >= current.startedAt {
            if let a = index(current.incumbentID), let b = index(current.challengerID) {
                out.trace.append(.challengeDeclined(incumbent: pairs[a].path, by: pairs[b].path))
            }
            challenge = nil
        } else if id == current.challengerID, !pairs.contains(where: { $0.id == id && $0.nominateOnSuccess }) {
            decideChallenge(&context, at: now, into: &out)
        }
    }

    /// Moves if the incumbent's time is over, or it is known to be unreachable, and the challenger has answered.
    mutating func decideChallenge(
        _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard let current = challenge, current.endsAt > now, current.incumbentID == sendingID,
            let incumbent = index(current.incumbentID), let challenger = index(current.challengerID)
        else {
            challenge = nil
            return
        }
        let isOver = current.decideAt.map { $0 <= now } ?? true
        guard isOver || pairs[incumbent].unreachableCount > 0 else { return }
        if isRecent(challenger, at: now) {
            challenge = nil
            move(to: challenger, &context, at: now, into: &out)
        } else if isOver {
            challenge?.decideAt = nil
        }
    }

    // MARK: Consent

    /// When sending on the pair in use has to stop (RFC 7675 §5.1).
    func consentEnd(_ context: CheckContext) -> Instant? {
        guard !isRetired, let pair = sendingPair, let proof = proof(of: pair, context) else { return nil }
        return proof + context.configuration.consentExpiry
    }

    /// Stops using a pair whose consent has run out. Called before anything else happens at `now`.
    mutating func lapse(_ context: CheckContext, at now: Instant, into out: inout ICEAgent.Output) {
        guard let end = consentEnd(context), end <= now else { return }
        out.trace.append(.timer(.consentExpiry))
        expireConsent(context, at: now, into: &out)
    }

    private mutating func expireConsent(_ context: CheckContext, at now: Instant, into out: inout ICEAgent.Output) {
        guard let i = index(sendingID) else { return }
        pairs[i].lastError = .consentExpired
        pairs[i].isNominated = false
        out.trace.append(.checkFailed(pairs[i].path, .consentExpired))
        setState(i, .failed, into: &out)
        pairs[i].nextSend = nil
        selectedID = nil
        nomineeID = nil
        challenge = nil
        isDisconnected = false
        guard bestSending(context, at: now) == nil else { return }
        for k in pairs.indices {
            pairs[k].nextSend = nil
            setState(k, .failed, into: &out)
        }
        out.events.append(.consentExpired)
        giveUp(.consentExpired, context, into: &out)
    }

    func disconnectTime(_ context: CheckContext) -> Instant? {
        guard !isRetired, let pair = sendingPair else { return nil }
        if context.configuration.isLite {
            return proof(of: pair, context).map { $0 + context.configuration.consentInterval * Int64(2) }
        }
        return pair.unansweredSince.map { $0 + context.configuration.disconnectAfter }
    }

    /// The pair in use is silent: everything else is worth a try again, Ta apart.
    mutating func disconnect(_ context: CheckContext, at now: Instant) {
        isDisconnected = true
        guard !context.configuration.isLite else { return }
        var time = now
        for i in pairs.indices where pairs[i].id != sendingID && pairs[i].state != .waiting {
            pairs[i].nextSend = earliest(pairs[i].nextSend, time)
            time += checkInterval
        }
    }

    // MARK: Failure

    /// RFC 8863 §3: fails only when patience is over and no check is under way.
    mutating func judgePatience(_ context: CheckContext, at now: Instant, into out: inout ICEAgent.Output) {
        guard !isRetired, sendingID == nil, let end = patienceEnd, end <= now else { return }
        let isUnderWay = pairs.contains { $0.state == .waiting || ($0.state == .inProgress && $0.nextSend != nil) }
        guard context.configuration.isLite || !isUnderWay else { return }
        patienceEnd = nil
        out.trace.append(.timer(.patience))
        for i in pairs.indices { pairs[i].nextSend = nil }
        let counters = context.counters
        let reason: ICEFailureReason =
            if context.localCandidates.isEmpty {
                .noLocalCandidates
            } else if counters.requestsReceived > 0 {
                .requestsWithoutResponses
            } else if counters.unauthenticated > 0 {
                .onlyUnauthenticated
            } else if remoteCandidates.isEmpty {
                .noRemoteCandidates
            } else if pairs.isEmpty {
                .noUsablePair
            } else {
                .nothingReceived
            }
        giveUp(reason, context, into: &out)
    }

    private mutating func giveUp(
        _ reason: ICEFailureReason, _ context: CheckContext, into out: inout ICEAgent.Output
    ) {
        let summary = ICEFailure(
            reason: reason, counters: context.counters,
            pairs: pairs.map {
                ICEFailure.Pair(
                    path: $0.path, state: $0.state, requestsSent: $0.requestsSent,
                    responsesReceived: $0.responsesReceived, requestsReceived: $0.requestsReceived,
                    lastError: $0.lastError)
            })
        failure = summary
        out.trace.append(.failed(summary))
    }

    /// A newer generation works: this one only answers from now on.
    mutating func retire() {
        isRetired = true
        challenge = nil
        sendingID = nil
        for i in pairs.indices {
            pairs[i].nextSend = nil
            pairs[i].transactions = []
        }
    }

    // MARK: ICMP

    mutating func noteUnreachable(
        _ path: NetworkPath, reason: String, _ context: inout CheckContext, at now: Instant,
        into out: inout ICEAgent.Output
    ) {
        guard let i = index(of: path) else { return }
        pairs[i].unreachableCount += 1
        pairs[i].lastError = .unreachable(reason)
        if pairs[i].id == challenge?.incumbentID {
            decideChallenge(&context, at: now, into: &out)
        } else if pairs[i].id == sendingID, !context.configuration.isLite,
            pairs[i].lastRequestSent.map({ now - $0 >= .milliseconds(500) }) ?? true
        {
            // The mapping may be gone: ask now, and not when consent is next due.
            send(i, .doubt, &context, at: now, into: &out)
        }
    }
}
