import Primitives

/// Answers to our checks.
extension CheckList {
    /// The pair and the place of the transaction among its own; the pair of the same path is tried first.
    func transaction(_ id: STUNTransactionID, on path: NetworkPath) -> (pair: Int, transaction: Int)? {
        if let i = index(of: path), let t = pairs[i].transactions.firstIndex(where: { $0.id == id }) { return (i, t) }
        for i in pairs.indices {
            if let t = pairs[i].transactions.firstIndex(where: { $0.id == id }) { return (i, t) }
        }
        return nil
    }

    /// Judges a response by transaction, integrity and source; the mapped address is information
    /// (RFC 8445 §7.2.5.2, §7.2.5.3; RFC 8489 §6.3.3). `found` is of `transaction(_:on:)`.
    mutating func receive(
        _ response: STUNMessage, for found: (pair: Int, transaction: Int), on path: NetworkPath,
        _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard let remote else { return }
        let i = found.pair
        guard response.isIntact(under: remote.key) else {
            context.counters.unauthenticated += 1
            if response.messageClass == .error, !response.hasIntegrity, let error = response.errorCode {
                // Anyone on the path could have sent it. The checks go on; the hint is kept.
                pairs[i].lastError = .unauthenticatedErrorResponse(error)
                out.trace.append(.checkFailed(pairs[i].path, .unauthenticatedErrorResponse(error)))
            } else {
                out.trace.append(.dropped(path, .wrongIntegrity))
            }
            return
        }
        let transaction = pairs[i].transactions.remove(at: found.transaction)
        context.counters.responsesReceived += 1
        pairs[i].responsesReceived += 1
        let unknown = response.unknownRequiredTypes
        context.lastHeard = now
        if path != pairs[i].path, !allows(path, for: i, context, into: &out) {
            reject(i, .responseFromElsewhere(path), context, at: now, into: &out)
        } else if !unknown.isEmpty {
            reject(i, .unknownAttributes(unknown), context, at: now, into: &out)
        } else if response.messageClass == .success {
            succeed(i, transaction, mapped: response.mappedAddress, &context, at: now, into: &out)
        } else {
            let error = response.errorCode ?? .badRequest
            if error.code == STUNErrorCode.roleConflict.code {
                yieldRole(i, transaction, &context, at: now, into: &out)
            } else {
                reject(i, .errorResponse(error), context, at: now, into: &out)
            }
        }
    }

    /// Whether an answer from another address than asked may count, and its address with it.
    private mutating func allows(
        _ path: NetworkPath, for i: Int, _ context: CheckContext, into out: inout ICEAgent.Output
    ) -> Bool {
        guard context.configuration.allowsAsymmetricResponses, path.local == pairs[i].path.local else { return false }
        if !pairs[i].answeredFrom.contains(path.remote) {
            if pairs[i].answeredFrom.count >= context.configuration.limits.answeringAddresses {
                pairs[i].answeredFrom.removeFirst()
            }
            pairs[i].answeredFrom.append(path.remote)
            out.trace.append(.asymmetricAnswer(pairs[i].path, from: path.remote))
        }
        return true
    }

    /// A check failed by its answer. A pair that is in use lives on what was answered before, until its consent ends.
    private mutating func reject(
        _ i: Int, _ failure: CheckFailure, _ context: CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        if pairs[i].id == sendingID || pairs[i].id == nomineeID {
            pairs[i].lastError = failure
            out.trace.append(.checkFailed(pairs[i].path, failure))
        } else {
            fail(i, failure, at: now, context, into: &out)
        }
    }

    /// RFC 8445 §7.2.5.1: the other role, a new tie-breaker, the same pair again.
    private mutating func yieldRole(
        _ i: Int, _ transaction: CheckTransaction, _ context: inout CheckContext, at now: Instant,
        into out: inout ICEAgent.Output
    ) {
        if context.role == transaction.role, !context.configuration.isLite {
            context.switchRole(to: transaction.role.opposite, because: "487 on \(pairs[i].path)", into: &out)
            context.tieBreaker = context.random.next()
            recomputePriorities(context)
        }
        pairs[i].lastError = .errorResponse(.roleConflict)
        trigger(i, &context, at: now, into: &out)
    }

    private mutating func succeed(
        _ i: Int, _ transaction: CheckTransaction, mapped: TransportAddress?, _ context: inout CheckContext,
        at now: Instant, into out: inout ICEAgent.Output
    ) {
        let roundTrip = now - transaction.sentAt
        context.noteRoundTrip(roundTrip)
        pairs[i].currentRoundTripTime = roundTrip
        pairs[i].totalRoundTripTime += roundTrip
        pairs[i].lastResponseReceived = now
        pairs[i].unansweredSince = nil
        pairs[i].unreachableCount = 0
        pairs[i].connectionFailures = 0
        let repetition = pairs[i].nextSend
        pairs[i].nextSend = nil
        out.trace.append(.checkSucceeded(pairs[i].path, roundTrip: roundTrip, mapped: mapped))
        noteMapped(mapped, on: i, &context, into: &out)
        setState(i, .succeeded, into: &out)
        failure = nil

        let id = pairs[i].id
        settleChallenge(answeredBy: id, sentAt: transaction.sentAt, &context, at: now, into: &out)
        if transaction.useCandidate, context.role == .controlling, transaction.role == .controlling,
            id == nomineeID || (context.configuration.nominationPolicy == .everyCheck && beatsSelected(i))
        {
            select(i, context, at: now, into: &out)
        }
        if pairs[i].nominateOnSuccess {
            pairs[i].nominateOnSuccess = false
            if context.role == .controlled { nominatedByPeer(i, &context, at: now, into: &out) }
        }
        if id == sendingID || id == selectedID {
            isDisconnected = false
        } else if isDisconnected {
            move(to: i, &context, at: now, into: &out)
        } else if context.role == .controlling, let selected = index(selectedID), pairs[selected].isSecondBest,
            !pairs[i].isSecondBest
        {
            nominate(i, &context, at: now, into: &out)
        }
        guard let i = index(id) else { return }
        if id == nomineeID, pairs[i].nextSend == nil {
            // Answered, but to a check without USE-CANDIDATE that left before the nomination.
            pairs[i].unansweredSince = pairs[i].transactions.last?.sentAt
            pairs[i].nextSend = repetition ?? now + context.configuration.initialCheckTimeout
        } else if id == sendingID, id != nomineeID {
            pairs[i].nextSend = max(now, pairs[i].lastRequestSent ?? now) + context.consentInterval()
        }
    }

    private func beatsSelected(_ i: Int) -> Bool {
        index(selectedID).map { pairs[$0].priority < pairs[i].priority } ?? true
    }

    private mutating func noteMapped(
        _ mapped: TransportAddress?, on i: Int, _ context: inout CheckContext, into out: inout ICEAgent.Output
    ) {
        guard let mapped, pairs[i].mappedAddress != mapped else { return }
        pairs[i].mappedAddress = mapped
        // A connection of ours has a port of its own, which no candidate names.
        guard !context.localCandidates.contains(where: { $0.address == mapped }),
            context.connections.localAddress(of: pairs[i].path) != mapped
        else { return }
        out.trace.append(.seenAs(pairs[i].path, mapped: mapped))
        guard context.localCandidates.count < context.configuration.limits.localCandidates else { return }
        let local = pairs[i].local
        context.localCandidates.append(
            Candidate(
                foundation: "prflx\(mapped)", transport: local.transport,
                priority: CandidatePriority.peerReflexive(of: local.priority, over: local.transport), address: mapped,
                type: .peerReflexive, relatedAddress: local.base, base: local.base,
                ufrag: localCredentials.ufrag))
    }
}
