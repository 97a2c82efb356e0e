import Primitives

/// A full ICE agent (RFC 8445) with trickle (RFC 8838), restarts (RFC 8839 §4.4), consent (RFC 7675) and patience
/// (RFC 8863), for one component: BUNDLE and RTCP multiplexing make one of everything.
///
/// It is told the time and what arrived, and says what to send; see `CheckList` for checks, nomination and moving.
///
///     bases ──► gather ──► localCandidate … ──────► signalling
///     signalling ──► setRemoteDescription, addRemoteCandidate ──► pairs ──► checks ──► sendingPath
///     STUN datagrams ──► receive ──► answers, checks in reply ──► sendingPath, moved when the other side moves
///
/// **Generations.** Credentials make a generation; each has a `CheckList`. `restart` begins a new one on the same
/// sockets and announces its candidates at once. The one before it keeps sending until the new one has a validated
/// pair, and then only answers. New credentials from the other side are its restart; if ours were not renewed since
/// its last ones, they are now, and `restartedByRemote` says that an answer must carry them. At most two generations
/// are alive.
///
/// **Answering.** Whoever has our password is answered, from any source, at any time before `close`: without a remote
/// description, without candidates, after failure, after loss of consent. What cannot be checked in return yet is
/// remembered and checked when the description comes. Whoever has not gets nothing, not even an error: a refusal would
/// only serve scanners. An authenticated request with attributes we must understand and do not gets a 420.
///
/// **States.** `new` until the remote description, then `checking`; `connected` as soon as any pair is validated, for
/// that is when DTLS may start; `completed` when the pair is nominated and neither side has more candidates to come.
/// `disconnected` after 3 s of unanswered requests. `failed` after 60 s without a pair, counted from the later of the
/// descriptions, or 30 s after the last answer; failure is a report, not an end. ICMP errors and failed sends are
/// traced and slow checks down; they never fail or close anything.
///
/// **Silence.** 15 s after the last sign of the other side in a call that stood, `restartWanted` asks whoever carries
/// descriptions to offer a restart, on the same sockets: browsers are mute by then. What comes meanwhile still counts.
///
/// **Addresses.** A mapping says what is announced for a socket and where is sent for a candidate. It is applied in
/// `announce…` and `admit` and nowhere else; checks and pairs know real addresses only.
///
/// **Roles.** Conflicts are settled by the tie-breaker (RFC 8445 §7.3.1.1); a full agent controls a lite one.
/// As lite, the agent is controlled, answers and believes the nomination.
public struct ICEAgent: Sendable {
    public typealias Output = Outbox<ICEEvent, ICETrace>

    public var configuration: Configuration { context.configuration }
    public internal(set) var connectionState: ICEConnectionState = .new
    public internal(set) var gatheringState: ICEGatheringState = .new
    /// Where to send now. `nil` before any pair is validated and after consent ran out.
    public internal(set) var sendingPath: NetworkPath?
    /// When `advance(to:)` is next due.
    public internal(set) var deadline: Instant?

    var context: CheckContext
    var current: CheckList
    var previous: CheckList?
    /// Set between a restart of ours and the other side's credentials for it.
    var restartPoint: RestartPoint?
    var gatherer = Gatherer()
    /// Allocations on TURN servers; they go on through restarts.
    var relays = RelayTable()
    var bases: [LocalBase] = []
    var foundations: [String] = []
    var earlyChecks: [InboundCheck] = []
    var earlyCandidates: [Candidate] = []
    var selected: (id: Int, remote: CandidateType)?
    var rankedRole: ICERole
    /// What is announced for which socket, and where is sent for which candidate.
    public internal(set) var mapping: AddressMapping
    /// When a restart is next wanted, unless something is heard; and whether any pair was ever in use.
    var restartAskedAt: Instant?
    var hasStood = false

    public init(configuration: Configuration, random: RandomSource) {
        context = CheckContext(configuration: configuration, random: random)
        rankedRole = context.role
        mapping = configuration.mapping
        current = CheckList(
            credentials: ICECredentials(using: &context.random), checkInterval: configuration.checkInterval)
    }
}

extension ICEAgent {
    public var localCredentials: ICECredentials { current.localCredentials }
    /// The ufrags that are answered: the current generation's and that of the one before.
    public var answeredUfrags: [String] {
        [current.localCredentials.ufrag] + (previous.map { [$0.localCredentials.ufrag] } ?? [])
    }
    public var remoteCredentials: ICECredentials? { current.remote?.credentials }
    public var role: ICERole { context.role }
    public var counters: ICECounters { context.counters }
    /// Of the current generation; peer-reflexive ones are for statistics and never signaled.
    public var localCandidates: [Candidate] { context.localCandidates }
    public var remoteCandidates: [Candidate] { current.remoteCandidates }
    /// The current generation's pairs, then those of the one before it while that is still in use.
    public var pairs: [CandidatePair] {
        guard let previous, !previous.isRetired else { return current.pairs }
        return current.pairs + previous.pairs
    }
    /// The pair of `sendingPath`, nominated or not yet.
    public var selectedPair: CandidatePair? { sendingList.sendingPair }
    public var currentRoundTripTime: TimeDelta? { selectedPair?.currentRoundTripTime }
    /// Why the state is `failed`.
    public var failure: ICEFailure? { current.failure ?? (current.remote == nil ? previous?.failure : nil) }
    public var failureDescription: String { failure?.description ?? "" }

    /// Whether DTLS and SRTP from this path may be accepted: it was validated, in use or not.
    public func isValidated(_ path: NetworkPath) -> Bool {
        if path == sendingPath { return true }
        return current.isValidated(path) || (previous?.isValidated(path) ?? false)
    }

    var sendingList: CheckList {
        if current.sendingID == nil, let previous, previous.sendingID != nil { return previous }
        return current
    }
}

extension CheckList {
    fileprivate func isValidated(_ path: NetworkPath) -> Bool {
        if let i = index(of: path), pairs[i].state == .succeeded { return true }
        return pairs.contains {
            $0.state == .succeeded && $0.path.local == path.local && $0.answeredFrom.contains(path.remote)
        }
    }
}

// MARK: Time

extension ICEAgent {
    /// Does what is due by `now`. Afterwards the deadline is `nil` or later.
    public mutating func advance(to now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return advanceReleasing(to: now, into: &out) }
        begin(at: now, into: &out)
        advanceRelays(to: now, into: &out)
        if let due = gatherer.deadline, due <= now {
            out.trace.append(.timer(.gathering))
            gatherer.advance(to: now, configuration, random: &context.random, into: &out)
        }
        current.advance(to: now, &context, into: &out)
        previous?.advance(to: now, &context, into: &out)
        wantRestart(at: now, into: &out)
        settle(at: now, into: &out)
    }

    /// Comes before anything else at a time: nothing may be sent on consent that has run out by then.
    mutating func begin(at now: Instant, into out: inout Output) {
        current.lapse(context, at: now, into: &out)
        previous?.lapse(context, at: now, into: &out)
    }

    mutating func rank() {
        guard rankedRole != context.role else { return }
        rankedRole = context.role
        current.recomputePriorities(context)
        previous?.recomputePriorities(context)
    }

    /// Comes after everything else: derives what is in use from what is known, and says what changed.
    mutating func settle(at now: Instant, into out: inout Output) {
        rank()
        current.updateSending(&context, at: now)
        current.pursueNomination(&context, at: now, into: &out)
        current.sendWaiting(&context, at: now, into: &out)
        current.judgePatience(context, at: now, into: &out)
        if current.sendingID != nil, previous?.isRetired == false { previous?.retire() }
        previous?.updateSending(&context, at: now)
        previous?.pursueNomination(&context, at: now, into: &out)
        previous?.sendWaiting(&context, at: now, into: &out)
        if gatheringState == .gathering, gatherer.isComplete, relays.isComplete {
            setGatheringState(.complete, into: &out)
        }

        let pair = sendingList.sendingPair
        if pair != nil { hasStood = true }
        gatherer.keepAlive(pair == nil, configuration, at: now)
        if pair?.path != sendingPath {
            sendingPath = pair?.path
            out.events.append(.sendingPathChanged(sendingPath))
        }
        if let pair, selected?.id != pair.id || selected?.remote != pair.remote.type {
            selected = (pair.id, pair.remote.type)
            out.events.append(.selectedPairChanged(local: pair.local, remote: pair.remote, path: pair.path))
        }
        settleRelays(pair, at: now, into: &out)
        let state = derivedState(pair)
        if state != connectionState {
            connectionState = state
            out.events.append(.connectionStateChanged(state))
        }
        deadline = earliest(gatherer.deadline, current.deadline(context, at: now))
        deadline = earliest(deadline, previous?.deadline(context, at: now))
        deadline = earliest(deadline, relays.deadline)
        deadline = earliest(deadline, restartDue.map { max($0, now + .nanoseconds(1)) })
    }

    private func derivedState(_ pair: CandidatePair?) -> ICEConnectionState {
        guard let pair else {
            if failure != nil { return .failed }
            return current.remote == nil ? .new : .checking
        }
        let list = sendingList
        if list.isDisconnected { return .disconnected }
        let isFinal = pair.isNominated && list.nomineeID == nil && list.hasRemoteEnd && gatheringState == .complete
        return isFinal ? .completed : .connected
    }
}

// MARK: Silence

extension ICEAgent {
    /// When the silence of the other side will have been long enough to want a restart.
    var restartDue: Instant? {
        guard hasStood, let heard = context.lastHeard else { return nil }
        let wait =
            configuration.silenceBeforeRestart + (context.role == .controlled ? .milliseconds(3_000) : TimeDelta.zero)
        let due = heard + wait
        guard let restartAskedAt, restartAskedAt > heard else { return due }
        return max(due, restartAskedAt + configuration.restartRepetition)
    }

    mutating func wantRestart(at now: Instant, into out: inout Output) {
        guard let due = restartDue, due <= now, let heard = context.lastHeard else { return }
        restartAskedAt = now
        out.trace.append(.timer(.restart))
        out.trace.append(.restartWanted(silence: now - heard))
        out.events.append(.restartWanted(silence: now - heard))
    }
}
