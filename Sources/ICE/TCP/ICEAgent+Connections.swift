import Primitives

/// ICE-TCP (RFC 6544): where connections and the agent meet.
///
/// The agent makes none itself. It asks for one by an event when the pair's turn has come, and is told what became of it;
/// what came in on a connection is given to `receive` like a datagram, on the path that names the connection.
///
///     pair's turn ── connectionWanted ──► driver ── connected ──► first check, from then on as over UDP
///                                           └────── disconnected ──► pair failed, tried again after a while
///     driver accepts ── first authenticated request ──► pair, check in reply
///
/// **Pairs.** From us only to a listener: `active` with `passive` (§6.2). A listener of ours makes no pairs; who connects to
/// it is a peer-reflexive candidate when its first check authenticates (§7.2). A connection that is ours keeps its path when
/// it has to be made again; one that was accepted ends with its path, and its pair is failed for good, left for reports until another
/// needs the room.
///
/// **Frames.** Everything is sent in frames of RFC 4571, checks too, which are repeated at half a second: the connection itself
/// repeats what the network lost, but it does not make a deaf peer hear. When the checks of a pair stay unanswered its
/// connection is closed, and made anew with the next try.
///
/// **Loss** of the connection in use does not end the call. Sending stops, other pairs are tried at once, and ours is made
/// again after 250 ms doubling to 2.5 s while there is patience.
///
/// **UDP first.** UDP pairs stand before TCP pairs in priority (§4.2), and one that is validated while a TCP pair is in use takes
/// its place (deviating from RFC 8445 §8.1.1 as relayed pairs do). Connections no pair has use for are closed (§11.1): when
/// UDP works, none is left.
extension ICEAgent {
    /// A connection that was wanted stands, from this address of ours. The first check leaves.
    public mutating func connected(
        _ path: NetworkPath, from local: TransportAddress?, at now: Instant, into out: inout Output
    ) {
        guard connectionState != .closed, context.connections.open(path, from: local) else {
            return out.events.append(.connectionUnwanted(path))
        }
        begin(at: now, into: &out)
        out.trace.append(.connected(path, from: local))
        current.connected(path, &context, at: now, into: &out)
        previous?.connected(path, &context, at: now, into: &out)
        settle(at: now, into: &out)
    }

    /// A connection could not be made, or has ended by itself.
    public mutating func disconnected(
        _ path: NetworkPath, reason: String, at now: Instant, into out: inout Output
    ) {
        guard connectionState != .closed else { return }
        guard context.connections.remove(path) else { return }
        begin(at: now, into: &out)
        out.trace.append(.connectionEnded(path, reason: reason))
        earlyChecks.removeAll { $0.path == path }
        current.disconnected(path, reason, context, at: now, into: &out)
        previous?.disconnected(path, reason, context, at: now, into: &out)
        settle(at: now, into: &out)
    }

    /// Takes note of the connection that an authenticated request came on. False when there is no room for it.
    mutating func admitConnection(_ path: NetworkPath, into out: inout Output) -> Bool {
        guard path.transport == .tcp, !context.connections.contains(path) else { return true }
        let accepted = context.connections.accepted
        if accepted.count >= max(1, configuration.limits.acceptedConnections) {
            guard let oldest = accepted.first(where: { !isInUse($0) }) else {
                out.events.append(.connectionUnwanted(path))
                return false
            }
            context.connections.close(oldest, into: &out)
            current.remove(oldest, into: &out)
            previous?.remove(oldest, into: &out)
        }
        context.connections.accept(path)
        out.trace.append(.connected(path, from: nil))
        return true
    }

    private func isInUse(_ path: NetworkPath) -> Bool {
        [current, previous].contains { list in
            list?.pairs.contains { $0.path == path && list?.isProtected($0) == true } ?? false
        }
    }

    /// Closes what no pair has use for.
    mutating func settleConnections(into out: inout Output) {
        guard !context.connections.isEmpty else { return }
        for path in context.connections.paths {
            let isKept =
                current.wantsConnection(path) || (previous?.wantsConnection(path) ?? false)
                || earlyChecks.contains { $0.path == path }
            guard !isKept else { continue }
            context.connections.close(path, into: &out)
            current.withdrawConnection(path, into: &out)
            previous?.withdrawConnection(path, into: &out)
        }
    }
}

extension CheckList {
    /// In place of a check on a path that has no connection yet: has it made, once.
    mutating func connect(
        _ i: Int, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        let path = pairs[i].path
        guard pairs[i].local.transport == .tcpActive else {
            pairs[i].nextSend = nil
            return
        }
        if context.connections.begin(path, until: now + context.configuration.connectLimit) {
            out.trace.append(.connecting(path))
            out.events.append(.connectionWanted(path))
        }
        setState(i, .inProgress, into: &out)
        pairs[i].nextSend = context.connections.connectDeadline(path)
    }

    fileprivate mutating func connected(
        _ path: NetworkPath, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard !isRetired, let i = index(of: path), pairs[i].state == .inProgress else { return }
        pairs[i].sends = 0
        pairs[i].budget = context.configuration.checkLimit
        send(i, pairs[i].id == nomineeID ? .nomination : .ordinary, &context, at: now, into: &out)
    }

    fileprivate mutating func disconnected(
        _ path: NetworkPath, _ reason: String, _ context: CheckContext, at now: Instant,
        into out: inout ICEAgent.Output
    ) {
        guard let i = index(of: path) else { return }
        let wasInUse = pairs[i].id == sendingID && !isRetired
        release(pairs[i].id)
        if wasInUse {
            isInterrupted = true
            patienceEnd = now + context.configuration.patience
        }
        pairs[i].isNominated = false
        connectionFailed(i, reason, context, at: now, into: &out)
        guard wasInUse else { return }
        for k in pairs.indices where pairs[k].state != .waiting {
            pairs[k].nextSend = earliest(pairs[k].nextSend, now)
        }
    }

    /// The pair fails, and waits longer before each further connection.
    mutating func connectionFailed(
        _ i: Int, _ reason: String, _ context: CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        pairs[i].transactions = []
        pairs[i].unansweredSince = nil
        fail(i, .connectionFailed(reason), at: now, context, into: &out)
        guard pairs[i].nextSend != nil else { return }
        let doubled = context.configuration.reconnectInterval * Int64(1 << min(pairs[i].connectionFailures, 10))
        pairs[i].connectionFailures += 1
        pairs[i].nextSend = now + min(doubled, context.configuration.recheckInterval)
    }

    /// Whether a pair is being checked on it, was validated and may yet be used, or is used.
    fileprivate func wantsConnection(_ path: NetworkPath) -> Bool {
        guard let i = index(of: path) else { return false }
        // What the other side made is the other side's to close.
        guard pairs[i].local.transport == .tcpActive else { return true }
        guard !isRetired else { return false }
        if isProtected(pairs[i]) { return true }
        return isOpen(pairs[i]) && (pairs[i].state == .inProgress || pairs[i].state == .succeeded)
    }

    /// Its connection was closed because nothing needed it; it waits for its turn as at first.
    fileprivate mutating func withdrawConnection(_ path: NetworkPath, into out: inout ICEAgent.Output) {
        guard !isRetired, let i = index(of: path) else { return }
        pairs[i].transactions = []
        pairs[i].unansweredSince = nil
        guard pairs[i].state != .failed else { return }
        pairs[i].nextSend = nil
        setState(i, .waiting, into: &out)
    }

    fileprivate mutating func remove(_ path: NetworkPath, into out: inout ICEAgent.Output) {
        guard let i = index(of: path), !isProtected(pairs[i]) else { return }
        removePair(at: i, because: "room for another connection", into: &out)
    }

    private mutating func release(_ id: Int) {
        if id == selectedID { selectedID = nil }
        if id == nomineeID { nomineeID = nil }
        if id == sendingID { sendingID = nil }
        if id == challenge?.incumbentID || id == challenge?.challengerID { challenge = nil }
        isDisconnected = false
    }
}
