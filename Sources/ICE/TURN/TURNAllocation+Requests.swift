import Primitives

/// Requests out: made, repeated, given up.
extension TURNAllocation {
    mutating func begin(_ request: TURNRequest, challenges: Int = 0, at now: Instant, into out: inout Output) {
        let transaction = TURNTransaction(
            request: request, id: STUNTransactionID(using: &random), bytes: [],
            wasAuthenticated: authentication.isReady, firstSent: now, due: now, timeout: firstTimeout,
            challenges: challenges)
        var message = STUNMessage(.request, method: transaction.method, transactionID: transaction.id)
        message.attributes = attributes(of: request)
        if let software = configuration.software { message.attributes.append(.software(software)) }
        var sent = transaction
        sent.bytes = authentication.encode(message)
        sent.due = now + sent.timeout
        transmit(sent.bytes, at: now, into: &out)
        out.trace.append(.requestSent(request, attempt: 1))
        transactions.append(sent)
    }

    private func attributes(of request: TURNRequest) -> [STUNAttribute] {
        switch request {
        case .allocate:
            var attributes: [STUNAttribute] = [.requestedTransport(17)]
            // Servers of RFC 5766's time refuse what they do not know; IPv4 needs no asking.
            switch configuration.families {
            case .ipv4: break
            case .ipv6: attributes.append(.requestedAddressFamily(.ipv6))
            case .both:
                attributes.append(.additionalAddressFamily(.ipv6))
                // coturn up to 4.6 knows it by its draft's number only. Who knows neither passes both over.
                attributes.append(.unknown(type: 0x8032, value: [2, 0, 0, 0]))
            }
            return attributes + lifetime
        case .refresh: return lifetime
        case .release: return [.lifetime(0)]
        case .createPermission(let ip): return [.xorPeerAddress(TransportAddress(ip, 0))]
        case .channelBind(let peer, let number): return [.channelNumber(number), .xorPeerAddress(peer)]
        }
    }

    private var lifetime: [STUNAttribute] {
        configuration.lifetime.map { [.lifetime(UInt32(clamping: max(1, $0.milliseconds / 1_000)))] } ?? []
    }

    private var firstTimeout: TimeDelta {
        configuration.isReliable ? configuration.reliableTimeout : roundTrip.timeout(configuration)
    }

    mutating func repeatRequests(at now: Instant, into out: inout Output) {
        // Giving one up may drop or begin others: one at a time, and those begun here are due later.
        while let i = transactions.firstIndex(where: { $0.due <= now }) {
            let limit = limit(of: transactions[i].request)
            guard !configuration.isReliable, transactions[i].sends < limit else {
                giveUp(transactions.remove(at: i), at: now, into: &out)
                continue
            }
            transactions[i].sends += 1
            let factor =
                transactions[i].sends == limit
                ? configuration.finalWait : Int64(1 << min(transactions[i].sends - 1, 16))
            transactions[i].due = now + max(.milliseconds(1), transactions[i].timeout * factor)
            transmit(transactions[i].bytes, at: now, into: &out)
            out.trace.append(.requestSent(transactions[i].request, attempt: transactions[i].sends))
        }
    }

    private func limit(of request: TURNRequest) -> Int {
        request == .release && !isClearing ? configuration.releaseLimit : configuration.requestLimit
    }

    /// Whether the release under way makes room for an allocation of ours.
    var isClearing: Bool {
        if case .allocating = phase { true } else { false }
    }

    private mutating func giveUp(_ transaction: TURNTransaction, at now: Instant, into out: inout Output) {
        out.trace.append(.unanswered(transaction.request, requests: transaction.sends))
        retryLater(transaction, at: now, into: &out) {
            .noAnswer(requests: transaction.sends, problem: transaction.problem)
        }
    }

    /// What is asked again after a while when it was not answered, or refused for a reason that passes.
    mutating func retryLater(
        _ transaction: TURNTransaction, after wait: TimeDelta? = nil, at now: Instant, into out: inout Output,
        failure: () -> TURNFailure
    ) {
        let again = now + (wait ?? configuration.retryInterval)
        switch transaction.request {
        case .allocate: failAllocating(failure(), at: now, into: &out)
        case .refresh:
            guard case .active(let lease, _) = phase else { return }
            guard lease.expires > now else { return lose(.expired, at: now, into: &out) }
            phase = .active(lease, refreshDue: min(again, lease.expires))
        case .release:
            if isClearing { failAllocating(failure(), at: now, into: &out) } else { end(nil, into: &out) }
        case .createPermission(let ip):
            if let i = permissions.firstIndex(where: { $0.ip == ip }) { permissions[i].due = again }
        case .channelBind(let peer, _):
            if let i = channels.firstIndex(where: { $0.peer == peer }) { channels[i].due = again }
        }
    }
}
