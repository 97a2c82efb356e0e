import Primitives

/// What a restart of ours put aside, until the other side has agreed to it.
struct RestartPoint: Sendable {
    /// The generation in force before, where it is not `ICEAgent.previous`: it had no pair in use yet.
    var evicted: CheckList?
    var localCandidates: [Candidate]
}

extension ICEAgent {
    /// Takes back a restart of ours that the other side has not agreed to: the former credentials, candidates and checks
    /// are in force again (RFC 9429 §4.1.10.2). What was sending never stopped. Nothing happens when there is none.
    public mutating func rollBackRestart(at now: Instant, into out: inout Output) {
        guard connectionState != .closed, let point = restartPoint, current.remote == nil else { return }
        begin(at: now, into: &out)
        restartPoint = nil
        let abandoned = context.localCandidates
        if let evicted = point.evicted {
            current = evicted
        } else if let former = previous {
            current = former
            previous = nil
        }
        context.localCandidates = point.localCandidates
        // What was gathered since is on the same sockets, and good under the former name too.
        for candidate in abandoned where candidate.type != .peerReflexive {
            let isKnown = context.localCandidates.contains {
                $0.address == candidate.address && $0.base == candidate.base && $0.type != .peerReflexive
            }
            if isKnown { continue }
            var candidate = candidate
            candidate.ufrag = localCredentials.ufrag
            announce(candidate, into: &out)
        }
        earlyChecks = []
        if current.sendingID == nil, current.remote != nil { current.patienceEnd = now + configuration.patience }
        out.trace.append(.restartRolledBack(local: current.localCredentials))
        settle(at: now, into: &out)
    }

    /// Before a new generation begins: what to come back to.
    mutating func rememberRestartPoint() {
        guard restartPoint == nil else { return }
        let isEvicted = previous?.sendingID != nil && current.sendingID == nil
        restartPoint = RestartPoint(evicted: isEvicted ? current : nil, localCandidates: context.localCandidates)
    }
}
