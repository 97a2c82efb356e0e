import Primitives

/// Whether the other side has moved: a challenge of the pair in use.
extension CheckList {
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
        } else if let last, now - last < checkInterval {
            return  // it has answered within the last few milliseconds
        } else {
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
