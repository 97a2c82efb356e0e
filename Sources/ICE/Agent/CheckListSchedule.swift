import Primitives

/// When checks leave.
extension CheckList {
    /// Follow-ups on a doubtful pair are spaced between these.
    private static let doubtFloor: TimeDelta = .milliseconds(500)
    private static let doubtCeiling: TimeDelta = .milliseconds(1_000)
    /// Checks to a destination that keeps being reported unreachable are no closer than this.
    private static let unreachablePause: TimeDelta = .milliseconds(1_000)
    /// Checks in reply to a check while another pair is selected.
    private static let courtesyChecks = 3

    /// A Binding request on a pair (RFC 8445 §7.2.4), and the time of the next.
    mutating func send(
        _ i: Int, _ purpose: CheckPurpose, _ context: inout CheckContext, at now: Instant,
        into out: inout ICEAgent.Output
    ) {
        guard let remote, !isRetired else { return }
        guard context.connections.carries(pairs[i].path) else { return connect(i, &context, at: now, into: &out) }
        let configuration = context.configuration
        let id = STUNTransactionID(using: &context.random)
        let isOurs = pairs[i].id == nomineeID || (pairs[i].id == selectedID && configuration.nominationPolicy != .never)
        let useCandidate =
            context.role == .controlling && (isOurs || configuration.nominationPolicy == .everyCheck)
        var message = STUNMessage(.request, transactionID: id)
        message.attributes = [
            .username("\(remote.credentials.ufrag):\(localCredentials.ufrag)"),
            .priority(
                CandidatePriority.peerReflexive(of: pairs[i].local.priority, over: pairs[i].local.transport)),
            context.role == .controlling
                ? .iceControlling(context.tieBreaker) : .iceControlled(context.tieBreaker),
        ]
        if useCandidate { message.attributes.append(.useCandidate) }
        if let software = configuration.software { message.attributes.append(.software(software)) }
        out.datagrams.append(Datagram(bytes: message.encoded(integrity: remote.key), path: pairs[i].path))
        out.trace.append(.checkSent(pairs[i].path, purpose, useCandidate: useCandidate))

        context.counters.requestsSent += 1
        pairs[i].requestsSent += 1
        pairs[i].sends += 1
        pairs[i].lastRequestSent = now
        if purpose == .consent {
            pairs[i].consentRequestsSent += 1
            pairs[i].lastConsentSent = now
        }
        if pairs[i].unansweredSince == nil { pairs[i].unansweredSince = now }
        if pairs[i].transactions.count >= max(1, configuration.limits.transactionsPerPair) {
            pairs[i].transactions.removeFirst()
        }
        pairs[i].transactions.append(
            CheckTransaction(id: id, sentAt: now, role: context.role, useCandidate: useCandidate))
        if pairs[i].state == .waiting || (pairs[i].state == .failed && purpose != .recheck) {
            setState(i, .inProgress, into: &out)
        }
        pairs[i].nextSend = now + wait(after: purpose, on: pairs[i], context)
    }

    private func wait(after purpose: CheckPurpose, on pair: CandidatePair, _ context: CheckContext) -> TimeDelta {
        let pause = pair.unreachableCount >= 3 ? Self.unreachablePause : .zero
        if purpose == .recheck { return max(pause, context.configuration.recheckInterval) }
        if pair.id == sendingID, pair.id != nomineeID || pair.sends > pair.budget {
            let guess = (pair.currentRoundTripTime ?? .zero) * Int64(2)
            return max(pause, min(max(guess, Self.doubtFloor), Self.doubtCeiling))
        }
        let active = pairs.lazy.filter { $0.state == .waiting || $0.state == .inProgress }.count
        // A connection repeats what was lost itself; what is asked again is for the one that answers nothing.
        let isStream = pair.path.transport == .tcp
        let ceiling = isStream ? Self.doubtCeiling : context.configuration.maximumCheckTimeout
        let base = max(
            isStream ? Self.doubtFloor : context.configuration.initialCheckTimeout, checkInterval * Int64(active),
            (context.roundTrip ?? .zero) * 1.25)
        return max(pause, min(base * Int64(1 << min(max(pair.sends - 1, 0), 16)), ceiling))
    }

    /// A check in reply to a check (RFC 8445 §7.3.1.4): at once, unless one has only just left.
    mutating func trigger(
        _ i: Int, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard remote != nil, !isRetired else { return }
        if pairs[i].state == .failed || pairs[i].state == .waiting { setState(i, .inProgress, into: &out) }
        pairs[i].sends = 0
        pairs[i].budget = selectedID == nil ? context.configuration.checkLimit : Self.courtesyChecks
        if let last = pairs[i].lastRequestSent, now - last < checkInterval {
            pairs[i].nextSend = earliest(pairs[i].nextSend, last + checkInterval)
        } else {
            send(i, .triggered, &context, at: now, into: &out)
        }
    }

    /// First checks of waiting pairs, best first, as far as pacing allows (RFC 8445 §6.1.4.2).
    mutating func sendWaiting(
        _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard remote != nil, !isRetired, !context.configuration.isLite else { return }
        while paceAllows(context).map({ $0 <= now }) ?? true, let i = nextWaiting() {
            paceTime = max(paceTime ?? now, now) + checkInterval
            pairs[i].sends = 0
            pairs[i].budget = context.configuration.checkLimit
            send(i, .ordinary, &context, at: now, into: &out)
        }
    }

    private func paceAllows(_ context: CheckContext) -> Instant? {
        paceTime.map { $0 - checkInterval * Int64(max(0, context.configuration.checkBurst - 1)) }
    }

    private func nextWaiting() -> Int? {
        pairs.indices.lazy.filter { pairs[$0].state == .waiting && isOpen(pairs[$0]) }
            .max { pairs[$0].priority < pairs[$1].priority }
    }

    /// Whether we check a pair of our own accord.
    func isOpen(_ pair: CandidatePair) -> Bool {
        guard let selected = index(selectedID) else { return true }
        return isDisconnected || (pairs[selected].isSecondBest && !pair.isSecondBest)
    }

    func rechecks(at now: Instant) -> Bool {
        isDisconnected || (sendingID == nil && patienceEnd.map { now < $0 } ?? false)
    }

    // MARK: Timers

    mutating func advance(to now: Instant, _ context: inout CheckContext, into out: inout ICEAgent.Output) {
        guard !isRetired else { return }
        if !isDisconnected, let when = disconnectTime(context), when <= now {
            out.trace.append(.timer(.disconnect))
            disconnect(context, at: now)
        }
        if let due = challengeDeadline, due <= now {
            out.trace.append(.timer(.challenge))
            decideChallenge(&context, at: now, into: &out)
        }
        // Ids, since firing may change the order of things.
        for id in pairs.filter({ $0.nextSend.map { $0 <= now } ?? false }).map(\.id) {
            guard let i = index(id), pairs[i].nextSend.map({ $0 <= now }) ?? false else { continue }
            out.trace.append(.timer(.check))
            fire(i, &context, at: now, into: &out)
        }
        if let pace = paceAllows(context), pace <= now, !context.configuration.isLite, nextWaiting() != nil {
            out.trace.append(.timer(.pace))
        }
        if sendingID == nil, let end = patienceEnd, end <= now { out.trace.append(.timer(.patience)) }
    }

    /// A pair's time has come.
    private mutating func fire(
        _ i: Int, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        let pair = pairs[i]
        pairs[i].nextSend = nil
        if context.connections.isOverdue(pair.path, at: now) {
            context.connections.close(pair.path, into: &out)
            connectionFailed(
                i, "no connection within \(context.configuration.connectLimit)", context, at: now, into: &out)
        } else if pair.id == nomineeID {
            if pair.sends >= pair.budget, giveUpNominee(at: i, context, at: now) { return }
            send(i, .nomination, &context, at: now, into: &out)
        } else if pair.id == sendingID {
            send(
                i, pair.unansweredSince == nil || context.configuration.isLite ? .consent : .doubt, &context, at: now,
                into: &out)
            // A lite agent's requests keep mappings open; its consent are the other side's requests.
            if context.configuration.isLite { pairs[i].nextSend = now + context.consentInterval() }
        } else if pair.state == .inProgress || (pair.state == .succeeded && pair.unansweredSince != nil) {
            if pair.sends < pair.budget {
                send(i, .repeated, &context, at: now, into: &out)
            } else {
                let reason = pair.unreachableCount > 0 ? pair.lastError : nil
                fail(i, reason ?? .noResponse(requests: pair.sends), at: now, context, into: &out)
            }
        } else if rechecks(at: now), !context.configuration.isLite {
            pairs[i].sends = 0
            send(i, .recheck, &context, at: now, into: &out)
        }
    }

    mutating func fail(
        _ i: Int, _ failure: CheckFailure, at now: Instant, _ context: CheckContext, into out: inout ICEAgent.Output
    ) {
        pairs[i].lastError = failure
        out.trace.append(.checkFailed(pairs[i].path, failure))
        setState(i, .failed, into: &out)
        pairs[i].nextSend = rechecks(at: now) ? now + context.configuration.recheckInterval : nil
    }

    /// When `advance` has something to do; later than `now` right after it.
    func deadline(_ context: CheckContext, at now: Instant) -> Instant? {
        guard !isRetired else { return nil }
        var result = pairs.reduce(nil as Instant?) { earliest($0, $1.nextSend) }
        if remote != nil, !context.configuration.isLite, nextWaiting() != nil {
            result = earliest(result, paceAllows(context))
        }
        result = earliest(result, consentEnd(context))
        if !isDisconnected { result = earliest(result, disconnectTime(context)) }
        result = earliest(result, challengeDeadline)
        if let end = patienceEnd, end > now { result = earliest(result, end) }
        return result
    }
}
