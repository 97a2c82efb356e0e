import Primitives

/// An authenticated Binding request, as far as a check list cares.
struct InboundCheck: Sendable {
    var path: NetworkPath
    var localUfrag: String
    var remoteUfrag: String
    /// PRIORITY, or what a peer-reflexive candidate would have without it.
    var priority: UInt32
    var useCandidate: Bool
}

/// Checks of the other side.
extension CheckList {
    /// Answers longer ago than this do not prove that a path works now.
    private static let recent: TimeDelta = .milliseconds(6_000)

    /// Takes note of a check that has been answered. False when it has to wait for the remote description or a base.
    mutating func note(
        _ check: InboundCheck, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) -> Bool {
        guard !isRetired else { return true }
        guard let remote, remote.credentials.ufrag == check.remoteUfrag else { return false }
        guard let local = context.bestLocal(on: check.path.local, check.path.transport) else { return false }
        guard let peer = peerReflexive(on: check.path, priority: check.priority, context, into: &out),
            let i = pair(local, peer, isAsked: true, &context, into: &out)
        else { return true }
        pairs[i].requestsReceived += 1
        pairs[i].responsesSent += 1
        pairs[i].lastRequestReceived = now
        if remoteNominatesEveryCheck == nil { remoteNominatesEveryCheck = check.useCandidate }
        let nominates = check.useCandidate && context.role == .controlled
        if context.configuration.isLite {
            noteAsLite(i, nominates: nominates, &context, at: now, into: &out)
        } else {
            note(i, nominates: nominates, &context, at: now, into: &out)
        }
        return true
    }

    private mutating func note(
        _ i: Int, nominates: Bool, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        // The pair in use has consent checks of its own; anything else is checked before it is believed.
        if pairs[i].id == sendingID || isRecent(i, at: now) {
            if nominates {
                nominatedByPeer(i, &context, at: now, into: &out)
            } else if pairs[i].id != sendingID, isSilent(at: now) {
                challengeIncumbent(by: i, &context, at: now, into: &out)
            }
        } else {
            if nominates { pairs[i].nominateOnSuccess = true }
            trigger(i, &context, at: now, into: &out)
            challengeIncumbent(by: i, &context, at: now, into: &out)
        }
    }

    /// Whether the pair in use has not been heard lately enough to go without asking.
    private func isSilent(at now: Instant) -> Bool {
        guard let last = sendingPair?.lastResponseReceived else { return false }
        return now - last > .milliseconds(1_500)
    }

    /// A lite agent believes the first nomination (RFC 8445 §7.3.2). To move from one path to another it does check the
    /// new one, though lite agents never check: a recorded request must not carry the media away.
    private mutating func noteAsLite(
        _ i: Int, nominates: Bool, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        if pairs[i].id == sendingID { isDisconnected = false }
        guard nominates, pairs[i].id != selectedID else { return }
        if sendingID == nil || isRecent(i, at: now) {
            setState(i, .succeeded, into: &out)
            select(i, context, at: now, into: &out)
        } else {
            pairs[i].nominateOnSuccess = true
            trigger(i, &context, at: now, into: &out)
        }
    }

    func isRecent(_ i: Int, at now: Instant) -> Bool {
        guard pairs[i].state == .succeeded, let last = pairs[i].lastResponseReceived else { return false }
        return now - last <= Self.recent
    }

    /// Media that only the other side can have sent came on an unknown path: worth a check, no more.
    mutating func noteTraffic(
        on path: NetworkPath, _ context: inout CheckContext, at now: Instant, into out: inout ICEAgent.Output
    ) {
        guard !isRetired, remote != nil, let local = context.bestLocal(on: path.local, path.transport) else { return }
        if let known = index(of: path), pairs[known].id == sendingID || isRecent(known, at: now) { return }
        let priority = sendingPair.map {
            CandidatePriority.peerReflexive(of: $0.remote.priority, over: $0.remote.transport)
        }
        guard
            let peer = peerReflexive(
                on: path,
                priority: priority ?? CandidatePriority.peerReflexive(of: local.priority, over: local.transport),
                context, into: &out),
            let i = pair(local, peer, isAsked: true, &context, into: &out),
            // Packets come by the hundred; a check in flight is enough.
            pairs[i].nextSend == nil
        else { return }
        trigger(i, &context, at: now, into: &out)
        challengeIncumbent(by: i, &context, at: now, into: &out)
    }
}
