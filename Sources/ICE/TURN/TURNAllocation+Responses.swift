import Primitives

/// Answers in: believed or not, and what they change.
extension TURNAllocation {
    mutating func receiveResponse(_ response: STUNMessage, at now: Instant, into out: inout Output) {
        guard
            let i = transactions.firstIndex(where: {
                $0.id == response.transactionID && $0.method == response.method
            })
        else { return drop(.unknownTransaction, into: &out) }
        let error = response.messageClass == .error ? response.errorCode ?? STUNErrorCode(0, "no error code") : nil
        if let error, error.code == 401 || error.code == 438 {
            return receiveChallenge(error, response, of: i, at: now, into: &out)
        }
        guard !transactions[i].wasAuthenticated || authentication.isIntact(response) else {
            transactions[i].problem =
                error.map { "an answer that nobody signed: \($0)" } ?? "an answer with a wrong signature"
            return drop(.unauthenticated(error), into: &out)
        }
        let transaction = transactions.remove(at: i)
        let elapsed = now - transaction.firstSent
        // Of what was repeated nobody knows which one was answered (Karn's algorithm).
        if transaction.sends == 1 { roundTrip.note(elapsed) }
        if let error {
            out.trace.append(.refused(transaction.request, error))
            refused(transaction, error, response, at: now, into: &out)
        } else {
            out.trace.append(.answered(transaction.request, roundTrip: elapsed))
            succeeded(transaction, response, at: now, into: &out)
        }
    }

    // MARK: 401 and 438

    private mutating func receiveChallenge(
        _ error: STUNErrorCode, _ response: STUNMessage, of i: Int, at now: Instant, into out: inout Output
    ) {
        let isStale = error.code == 438
        let transaction = transactions[i]
        let verdict =
            isStale
            ? authentication.takeNonce(of: response)
            : authentication.takeChallenge(response, wasAuthenticated: transaction.wasAuthenticated)
        if verdict == .downgraded {
            // As if it had not come; the true answer may still do.
            transactions[i].problem = "\(error) from which the password algorithms are missing"
            return drop(.securityDowngrade, into: &out)
        }
        transactions.remove(at: i)
        if transaction.sends == 1 { roundTrip.note(now - transaction.firstSent) }
        let realm = response.realm ?? ""
        switch verdict {
        case .retry where transaction.challenges < configuration.limits.challenges:
            if isStale { out.trace.append(.staleNonce(transaction.request)) }
            begin(transaction.request, challenges: transaction.challenges + 1, at: now, into: &out)
        case .retry:
            retryLater(transaction, at: now, into: &out) { .nonceNeverFresh }
        case .rejected where isAllocating(transaction):
            failAllocating(.credentialsRejected(realm: realm), at: now, into: &out)
        case .noCredential where isAllocating(transaction):
            failAllocating(.credentialsRequired(realm: realm), at: now, into: &out)
        case .noSupportedAlgorithm where isAllocating(transaction):
            failAllocating(.passwordAlgorithmsUnsupported, at: now, into: &out)
        case .incomplete where isAllocating(transaction):
            failAllocating(.unusableAnswer("\(error) without realm or nonce"), at: now, into: &out)
        default:
            // Credentials that were good are good no more: for the server we are new.
            out.trace.append(.refused(transaction.request, error))
            if case .releasing = phase { end(nil, into: &out) } else { lose(.unknownToServer, at: now, into: &out) }
        }
    }

    private func isAllocating(_ transaction: TURNTransaction) -> Bool {
        transaction.request == .allocate || (transaction.request == .release && isClearing)
    }

    // MARK: Success

    private mutating func succeeded(
        _ transaction: TURNTransaction, _ response: STUNMessage, at now: Instant, into out: inout Output
    ) {
        switch transaction.request {
        case .allocate: allocated(by: response, at: now, into: &out)
        case .refresh:
            guard case .active(var lease, _) = phase else { return }
            let lifetime = granted(response)
            guard lifetime > .zero else { return lose(.unknownToServer, at: now, into: &out) }
            lease.lifetime = lifetime
            // From when it was asked: the server cannot have counted from earlier.
            lease.expires = transaction.firstSent + lifetime
            phase = .active(lease, refreshDue: max(now + .seconds(1), transaction.firstSent + age(lifetime)))
        case .release:
            if isClearing { begin(.allocate, at: now, into: &out) } else { end(nil, into: &out) }
        case .createPermission(let ip): permissionInstalled(ip, by: transaction, at: now, into: &out)
        case .channelBind(let peer, let number):
            channelBound(peer, number, by: transaction, at: now, into: &out)
        }
    }

    private mutating func allocated(by response: STUNMessage, at now: Instant, into out: inout Output) {
        guard case .allocating = phase else { return }
        let families: Set<IPAddress.Family> =
            switch configuration.families {
            case .ipv4: [.ipv4]
            case .ipv6: [.ipv6]
            case .both: [.ipv4, .ipv6]
            }
        var relayed: [TransportAddress] = []
        for address in response.relayedAddresses
        where address.port != 0 && !address.ip.isUnspecified && !address.ip.isMulticast
            && families.contains(address.ip.family) && !relayed.contains(where: { $0.ip.family == address.ip.family })
        {
            relayed.append(address)
        }
        let lifetime = granted(response)
        guard !relayed.isEmpty, lifetime > .zero else {
            let what = relayed.isEmpty ? "no relayed address that was asked for" : "a lifetime of zero"
            return failAllocating(.unusableAnswer(what), at: now, into: &out)
        }
        let lease = TURNLease(
            relayed: relayed, mapped: response.mappedAddress, lifetime: lifetime, expires: now + lifetime,
            missing: response.addressError?.error, software: response.software.map(printable))
        phase = .active(lease, refreshDue: now + age(lifetime))
        allocatedAt = now
        out.events.append(.allocated(lease))
        renewEverything(at: now)
        renew(at: now, into: &out)
    }

    /// LIFETIME; ten minutes where it is missing (RFC 8656 §3.2), a day at most.
    private func granted(_ response: STUNMessage) -> TimeDelta {
        .milliseconds(Int64(min(response.lifetime ?? 600, 86_400)) * 1_000)
    }

    /// The age at which an allocation is renewed.
    private func age(_ lifetime: TimeDelta) -> TimeDelta {
        max(.seconds(1), max(lifetime - configuration.refreshMargin, lifetime / 2))
    }

    // MARK: Errors

    private mutating func refused(
        _ transaction: TURNTransaction, _ error: STUNErrorCode, _ response: STUNMessage, at now: Instant,
        into out: inout Output
    ) {
        switch (transaction.request, error.code) {
        case (.allocate, 437) where !hasCleared && authentication.isReady:
            hasCleared = true
            begin(.release, at: now, into: &out)
        case (.allocate, _): failAllocating(TURNFailure(error, in: response), at: now, into: &out)
        case (.release, _):
            // 437: there was nothing to free. Whatever it is, Allocate will tell.
            if isClearing { begin(.allocate, at: now, into: &out) } else { end(nil, into: &out) }
        case (_, 437): lose(.unknownToServer, at: now, into: &out)
        case (_, 441): end(.wrongCredentials, into: &out)
        case (.refresh, _):
            retryLater(transaction, at: now, into: &out) { TURNFailure(error, in: response) }
        case (.createPermission(let ip), let code):
            if let i = permissions.firstIndex(where: { $0.ip == ip }) { permissions[i].isInstalled = false }
            out.events.append(.permissionRefused(ip, error))
            if code >= 500 {
                retryLater(transaction, after: .seconds(30), at: now, into: &out) { .refused(error) }
            }
        case (.channelBind(let peer, _), let code):
            channelRefused(peer, error, at: now, into: &out)
            if code >= 500 {
                retryLater(transaction, after: .seconds(30), at: now, into: &out) { .refused(error) }
            }
        }
    }
}
