import Primitives

/// What the network delivers.
extension ICEAgent {
    /// A STUN datagram (first byte 0 ... 3, RFC 7983), or a TURN server's ChannelData (64 ... 79).
    public mutating func receive(_ datagram: Datagram, at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return receiveReleasing(datagram, at: now, into: &out) }
        begin(at: now, into: &out)
        if !receiveRelayed(datagram, at: now, into: &out) { receiveMessage(datagram, at: now, into: &out) }
        settle(at: now, into: &out)
    }

    mutating func receiveMessage(_ datagram: Datagram, at now: Instant, into out: inout Output) {
        let path = datagram.path
        guard configuration.policy != .relay || relays.index(ofRelayed: path.local) != nil else {
            return out.trace.append(.dropped(path, .notRelayed))
        }
        do throws(STUNParseError) {
            let message = try STUNMessage(parsing: datagram.bytes)
            if message.fingerprint == .differs {
                context.counters.malformed += 1
                out.trace.append(.dropped(path, .wrongFingerprint))
            } else if message.method != .binding {
                out.trace.append(.dropped(path, .unknownMethod(message.method.rawValue)))
            } else {
                receive(message, on: path, at: now, into: &out)
            }
        } catch {
            context.counters.malformed += 1
            out.trace.append(.dropped(path, .malformed(error)))
        }
    }

    mutating func receive(
        _ message: STUNMessage, on path: NetworkPath, at now: Instant, into out: inout Output
    ) {
        switch message.messageClass {
        case .request: receiveRequest(message, on: path, at: now, into: &out)
        case .indication:
            context.counters.indicationsReceived += 1
            out.trace.append(.indicationReceived(path))
        case .success, .error:
            if gatherer.expects(message, on: path) {
                let answer = gatherer.receive(
                    message, on: path, configuration, random: &context.random, at: now, into: &out)
                if let answer { announceReflexive(answer, into: &out) }
                gatherer.advance(to: now, configuration, random: &context.random, into: &out)
            } else if let found = current.transaction(message.transactionID, on: path) {
                current.receive(message, for: found, on: path, &context, at: now, into: &out)
            } else if let found = previous?.transaction(message.transactionID, on: path) {
                previous?.receive(message, for: found, on: path, &context, at: now, into: &out)
            } else {
                context.counters.unmatchedResponses += 1
                out.trace.append(.dropped(path, .unmatchedResponse))
            }
        }
    }

    /// RFC 8445 §7.3.
    mutating func receiveRequest(
        _ request: STUNMessage, on path: NetworkPath, at now: Instant, into out: inout Output
    ) {
        guard let username = request.username, request.hasIntegrity,
            let colon = username.firstIndex(of: ":")
        else {
            context.counters.unauthenticated += 1
            out.trace.append(.dropped(path, .missingCredentials))
            return
        }
        let localUfrag = String(username[..<colon])
        let isCurrent = localUfrag == current.localCredentials.ufrag
        guard isCurrent || localUfrag == previous?.localCredentials.ufrag else {
            context.counters.unauthenticated += 1
            out.trace.append(.dropped(path, .unknownUfrag(localUfrag)))
            return
        }
        guard let key = isCurrent ? current.localKey : previous?.localKey, request.isIntact(under: key) else {
            context.counters.unauthenticated += 1
            out.trace.append(.dropped(path, .wrongIntegrity))
            return
        }
        context.counters.requestsReceived += 1
        context.lastHeard = now
        let unknown = request.unknownRequiredTypes
        if !unknown.isEmpty {
            refuse(request, .unknownAttribute, [.unknownAttributes(unknown)], key, path, into: &out)
            return
        }
        guard settleRoleConflict(request, path, into: &out) else {
            refuse(request, .roleConflict, [], key, path, into: &out)
            return
        }
        respond(.success, to: request, [.xorMappedAddress(path.remote)], key, path, into: &out)
        out.trace.append(.requestAnswered(path, useCandidate: request.useCandidate))
        let check = InboundCheck(
            path: path, localUfrag: localUfrag, remoteUfrag: String(username[colon...].dropFirst()),
            priority: request.priority
                ?? CandidatePriority.candidate(type: .peerReflexive, localPreference: 65_535),
            useCandidate: request.useCandidate)
        note(check, at: now, into: &out)
    }

    mutating func note(_ check: InboundCheck, at now: Instant, into out: inout Output) {
        let isTaken =
            check.localUfrag == current.localCredentials.ufrag
            ? current.note(check, &context, at: now, into: &out)
            : previous?.note(check, &context, at: now, into: &out) ?? true
        if !isTaken { keep(check, into: &out) }
    }

    mutating func keep(_ check: InboundCheck, into out: inout Output) {
        if let known = earlyChecks.firstIndex(where: { $0.path == check.path && $0.remoteUfrag == check.remoteUfrag }) {
            earlyChecks[known].useCandidate = earlyChecks[known].useCandidate || check.useCandidate
        } else if earlyChecks.count < configuration.limits.earlyChecks {
            earlyChecks.append(check)
            out.trace.append(.requestKept(check.path, remoteUfrag: check.remoteUfrag))
        } else {
            out.trace.append(.dropped(check.path, .earlyChecksFull))
        }
    }

    /// What came before the remote description or before the base was known gets its checks now.
    mutating func admitEarlyChecks(at now: Instant, into out: inout Output) {
        guard current.remote != nil, !earlyChecks.isEmpty else { return }
        let waiting = earlyChecks
        earlyChecks = []
        for check in waiting where check.localUfrag == current.localCredentials.ufrag {
            if !current.note(check, &context, at: now, into: &out) { earlyChecks.append(check) }
        }
    }

    /// RFC 8445 §7.3.1.1. False when the other side has to yield.
    mutating func settleRoleConflict(
        _ request: STUNMessage, _ path: NetworkPath, into out: inout Output
    ) -> Bool {
        guard !configuration.isLite else { return true }
        switch context.role {
        case .controlling:
            guard let theirs = request.iceControlling else { return true }
            if context.tieBreaker >= theirs { return false }
        case .controlled:
            guard let theirs = request.iceControlled else { return true }
            if context.tieBreaker < theirs { return false }
        }
        context.switchRole(to: context.role.opposite, because: "conflict on \(path)", into: &out)
        rank()
        return true
    }

    mutating func refuse(
        _ request: STUNMessage, _ error: STUNErrorCode, _ more: [STUNAttribute], _ key: MessageIntegrityKey,
        _ path: NetworkPath, into out: inout Output
    ) {
        respond(.error, to: request, [.errorCode(error)] + more, key, path, into: &out)
        out.trace.append(.requestRefused(path, error))
    }

    mutating func respond(
        _ kind: STUNMessage.Class, to request: STUNMessage, _ attributes: [STUNAttribute], _ key: MessageIntegrityKey,
        _ path: NetworkPath, into out: inout Output
    ) {
        var response = STUNMessage(kind, transactionID: request.transactionID, attributes: attributes)
        if let software = configuration.software { response.attributes.append(.software(software)) }
        context.counters.responsesSent += 1
        out.datagrams.append(Datagram(bytes: response.encoded(integrity: key), path: path))
    }

    /// An ICMP error or a failed send. It slows checks to that destination down, lets us ask a path in use at once, and
    /// breaks the tie when the other side may have moved; it fails nothing.
    public mutating func noteUnreachable(
        _ path: NetworkPath, reason: String, at now: Instant, into out: inout Output
    ) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        context.counters.unreachable += 1
        out.trace.append(.unreachable(path, reason: reason))
        current.noteUnreachable(path, reason: reason, &context, at: now, into: &out)
        previous?.noteUnreachable(path, reason: reason, &context, at: now, into: &out)
        settle(at: now, into: &out)
    }

    /// A packet that only the other side can have sent (SRTP that authenticates) came on a path that is not validated.
    /// The path is checked; nothing moves on data alone.
    ///
    /// What is not `isAuthentic`, a record of a handshake, counts only from a host that a validated pair leads to or that
    /// has sent an authenticated check, where checks are welcome: anyone can send it in another's name.
    public mutating func noteTraffic(
        on path: NetworkPath, isAuthentic: Bool = true, at now: Instant, into out: inout Output
    ) {
        guard connectionState != .closed, path != sendingPath else { return }
        guard
            isAuthentic
                || pairs.contains(where: {
                    ($0.state == .succeeded || $0.lastRequestReceived != nil) && $0.path.local == path.local
                        && $0.path.remote.ip == path.remote.ip
                })
        else { return }
        begin(at: now, into: &out)
        if current.sendingID != nil || previous == nil {
            current.noteTraffic(on: path, &context, at: now, into: &out)
        } else {
            previous?.noteTraffic(on: path, &context, at: now, into: &out)
        }
        settle(at: now, into: &out)
    }
}
