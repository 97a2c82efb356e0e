import Primitives

/// Ends: of consent, of patience, of a generation.
extension CheckList {
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
}
