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
/// `disconnected` after 3 s of unanswered requests. `failed` after 39.5 s without a pair, counted from the remote
/// description, or 30 s after the last answer; failure is a report, not an end. ICMP errors and failed sends are
/// traced and slow checks down; they never fail or close anything.
///
/// **Roles.** Conflicts are settled by the tie-breaker (RFC 8445 §7.3.1.1); a full agent controls a lite one.
/// As lite, the agent is controlled, answers and believes the nomination.
public struct ICEAgent: Sendable {
    public typealias Output = Outbox<ICEEvent, ICETrace>

    public var configuration: Configuration { context.configuration }
    public private(set) var connectionState: ICEConnectionState = .new
    public private(set) var gatheringState: ICEGatheringState = .new
    /// Where to send now. `nil` before any pair is validated and after consent ran out.
    public private(set) var sendingPath: NetworkPath?
    /// When `advance(to:)` is next due.
    public private(set) var deadline: Instant?

    private var context: CheckContext
    private var current: CheckList
    private var previous: CheckList?
    private var gatherer = Gatherer()
    private var bases: [LocalBase] = []
    private var foundations: [String] = []
    private var earlyChecks: [InboundCheck] = []
    private var earlyCandidates: [Candidate] = []
    private var selected: (id: Int, remote: CandidateType)?
    private var rankedRole: ICERole

    public init(configuration: Configuration, random: RandomSource) {
        context = CheckContext(configuration: configuration, random: random)
        rankedRole = context.role
        current = CheckList(
            credentials: ICECredentials(using: &context.random), checkInterval: configuration.checkInterval)
    }
}

// MARK: What stands

extension ICEAgent {
    public var localCredentials: ICECredentials { current.localCredentials }
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

    private var sendingList: CheckList {
        if current.sendingID == nil, let previous, previous.sendingID != nil { return previous }
        return current
    }
}

extension CheckList {
    fileprivate func isValidated(_ path: NetworkPath) -> Bool {
        index(of: path).map { pairs[$0].state == .succeeded } ?? false
    }
}

// MARK: Local side

extension ICEAgent {
    /// Changes the role known from the descriptions (RFC 8445 §6.1.1). A lite agent stays controlled.
    public mutating func setRole(_ role: ICERole, at now: Instant, into out: inout Output) {
        guard connectionState != .closed, !configuration.isLite else { return }
        begin(at: now, into: &out)
        context.switchRole(to: role, because: "set", into: &out)
        settle(at: now, into: &out)
    }

    /// Announces host candidates of the bases at once and asks the STUN servers. Bases known already are kept.
    public mutating func gather(bases: [LocalBase], at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        var added: [LocalBase] = []
        for base in bases where !self.bases.contains(where: { $0.address == base.address }) {
            let ip = base.address.ip
            guard self.bases.count < configuration.limits.bases, configuration.families.contains(ip.family),
                !ip.isUnspecified, !ip.isMulticast, !ip.isV4MappedOrCompatible, !ip.isSiteLocalV6
            else {
                let host = hostCandidate(base)
                out.trace.append(
                    .candidateIgnored(
                        host, configuration.families.contains(ip.family) ? .unusableAddress : .family))
                continue
            }
            self.bases.append(base)
            added.append(base)
        }
        gather(on: added, at: now, into: &out)
        settle(at: now, into: &out)
    }

    private mutating func gather(on bases: [LocalBase], at now: Instant, into out: inout Output) {
        setGatheringState(.gathering, into: &out)
        for base in bases { announce(hostCandidate(base), into: &out) }
        gatherer.start(bases, configuration, random: &context.random, at: now)
        gatherer.advance(to: now, configuration, random: &context.random, into: &out)
        admitEarlyChecks(at: now, into: &out)
    }

    private mutating func hostCandidate(_ base: LocalBase) -> Candidate {
        Candidate(
            foundation: foundation(.host, base.address.ip, ""),
            priority: CandidatePriority.candidate(type: .host, localPreference: base.preference),
            address: base.address, type: .host, ufrag: localCredentials.ufrag)
    }

    /// RFC 8445 §5.1.1.3: equal for candidates of one type, base address and server.
    private mutating func foundation(_ type: CandidateType, _ base: IPAddress, _ server: String) -> String {
        let key = "\(type.sdpName) \(base) \(server)"
        if let known = foundations.firstIndex(of: key) { return "\(known + 1)" }
        foundations.append(key)
        return "\(foundations.count)"
    }

    /// The one place where a local candidate becomes known to signalling and to the check list.
    private mutating func announce(_ candidate: Candidate, into out: inout Output) {
        guard context.localCandidates.count < configuration.limits.localCandidates else {
            out.trace.append(.candidateIgnored(candidate, .tooMany))
            return
        }
        // A check may have revealed it already.
        context.localCandidates.removeAll { $0.type == .peerReflexive && $0.address == candidate.address }
        context.localCandidates.append(candidate)
        out.events.append(.localCandidate(candidate))
        current.pairLocal(candidate, &context, into: &out)
    }

    private mutating func announceReflexive(_ answer: Gatherer.Answer, into out: inout Output) {
        let base = answer.base.address
        // Equal to the base, or to a candidate of the same base: redundant (RFC 8445 §5.1.3).
        guard
            !context.localCandidates.contains(where: {
                $0.address == answer.mapped && $0.base == base && $0.type != .peerReflexive
            })
        else { return }
        announce(
            Candidate(
                foundation: foundation(.serverReflexive, base.ip, answer.url),
                priority: CandidatePriority.candidate(
                    type: .serverReflexive, localPreference: answer.base.preference),
                address: answer.mapped, type: .serverReflexive, relatedAddress: base, base: base,
                ufrag: localCredentials.ufrag, url: answer.url),
            into: &out)
    }

    private mutating func setGatheringState(_ state: ICEGatheringState, into out: inout Output) {
        guard state != gatheringState else { return }
        gatheringState = state
        out.events.append(.gatheringStateChanged(state))
    }

    /// New credentials on the same sockets (RFC 8839 §4.4.1.1.1), `credentials` if they were promised before.
    /// What sends goes on sending.
    public mutating func restart(credentials: ICECredentials? = nil, at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        beginGeneration(credentials, at: now, into: &out)
        settle(at: now, into: &out)
    }

    private mutating func beginGeneration(
        _ credentials: ICECredentials?, at now: Instant, into out: inout Output
    ) {
        // Of the two only one can be in use; it is the one worth keeping.
        if previous?.sendingID == nil || current.sendingID != nil { previous = current }
        previous?.patienceEnd = nil
        current = CheckList(
            credentials: credentials ?? ICECredentials(using: &context.random),
            checkInterval: configuration.checkInterval)
        context.localCandidates = []
        earlyChecks = []
        earlyCandidates = []
        out.trace.append(.restarted(local: current.localCredentials))
        guard gatheringState != .new else { return }
        gatherer = Gatherer()
        gather(on: bases, at: now, into: &out)
    }

    public mutating func close() {
        connectionState = .closed
        sendingPath = nil
        deadline = nil
        previous = nil
        gatherer = Gatherer()
        current.retire()
        earlyChecks = []
        earlyCandidates = []
    }
}

// MARK: Remote side

extension ICEAgent {
    /// The longest Ta we let the other side impose.
    private static let slowestPacing: TimeDelta = .milliseconds(500)

    /// The other side's credentials. The same ones again change nothing; others than before are its restart.
    public mutating func setRemoteDescription(
        credentials: ICECredentials, isLite: Bool, pacing: TimeDelta? = nil, at now: Instant, into out: inout Output
    ) {
        guard connectionState != .closed else { return }
        guard (1...256).contains(credentials.ufrag.utf8.count), (1...256).contains(credentials.password.utf8.count)
        else {
            out.trace.append(.credentialsRefused)
            return
        }
        begin(at: now, into: &out)
        if current.remote?.credentials == credentials || previous?.remote?.credentials == credentials {
            settle(at: now, into: &out)
            return
        }
        let isRestart = current.remote != nil
        if isRestart { beginGeneration(nil, at: now, into: &out) }
        current.remote = CheckList.RemoteParameters(
            credentials: credentials, key: MessageIntegrityKey(password: credentials.password), isLite: isLite)
        current.checkInterval = max(configuration.checkInterval, min(pacing ?? .zero, Self.slowestPacing))
        current.patienceEnd = now + configuration.patience
        if isLite, !configuration.isLite {
            context.switchRole(to: .controlling, because: "the other side is lite", into: &out)
        }
        if isRestart { out.events.append(.restartedByRemote) }
        let waiting = earlyCandidates
        earlyCandidates = []
        for candidate in waiting { admit(candidate, into: &out) }
        admitEarlyChecks(at: now, into: &out)
        settle(at: now, into: &out)
    }

    /// A candidate of the other side, trickled or from its description.
    public mutating func addRemoteCandidate(_ candidate: Candidate, at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        admit(candidate, into: &out)
        settle(at: now, into: &out)
    }

    /// The one place where a signaled remote candidate becomes known to a check list.
    private mutating func admit(_ candidate: Candidate, into out: inout Output) {
        if let refusal = refusal(of: candidate) {
            out.trace.append(.candidateIgnored(candidate, refusal))
            return
        }
        var candidate = candidate
        candidate.base = candidate.address
        candidate.priority = min(candidate.priority, CandidatePriority.maximum)
        let old = previous.flatMap { $0.isRetired ? nil : $0.remote?.credentials.ufrag }
        if let remote = current.remote {
            guard candidate.ufrag == nil || candidate.ufrag == remote.credentials.ufrag else {
                out.trace.append(.candidateIgnored(candidate, .otherGeneration))
                return
            }
            current.admit(candidate, &context, into: &out)
        } else if let old, candidate.ufrag == nil || candidate.ufrag == old {
            previous?.admit(candidate, &context, into: &out)
        } else if earlyCandidates.count < configuration.limits.earlyCandidates {
            earlyCandidates.append(candidate)
        } else {
            out.trace.append(.candidateIgnored(candidate, .tooMany))
        }
    }

    private func refusal(of candidate: Candidate) -> ICECandidateRefusal? {
        let ip = candidate.address.ip
        if candidate.component != 1 { return .component }
        if candidate.transport != .udp { return .transport }
        if candidate.address.port == 0 || ip.isUnspecified || ip.isMulticast || ip.isV4MappedOrCompatible {
            return .unusableAddress
        }
        return nil
    }

    /// No further candidates will be signaled for this generation (RFC 8838 §8.2). Checks may still reveal some.
    public mutating func endOfRemoteCandidates(at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        current.hasRemoteEnd = true
        settle(at: now, into: &out)
    }
}

// MARK: Network

extension ICEAgent {
    /// A STUN datagram: first byte 0 ... 3 (RFC 7983).
    public mutating func receive(_ datagram: Datagram, at now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        let path = datagram.path
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
        settle(at: now, into: &out)
    }

    private mutating func receive(
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
    private mutating func receiveRequest(
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

    private mutating func note(_ check: InboundCheck, at now: Instant, into out: inout Output) {
        let isTaken =
            check.localUfrag == current.localCredentials.ufrag
            ? current.note(check, &context, at: now, into: &out)
            : previous?.note(check, &context, at: now, into: &out) ?? true
        if !isTaken { keep(check, into: &out) }
    }

    private mutating func keep(_ check: InboundCheck, into out: inout Output) {
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
    private mutating func admitEarlyChecks(at now: Instant, into out: inout Output) {
        guard current.remote != nil, !earlyChecks.isEmpty else { return }
        let waiting = earlyChecks
        earlyChecks = []
        for check in waiting where check.localUfrag == current.localCredentials.ufrag {
            if !current.note(check, &context, at: now, into: &out) { earlyChecks.append(check) }
        }
    }

    /// RFC 8445 §7.3.1.1. False when the other side has to yield.
    private mutating func settleRoleConflict(
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

    private mutating func refuse(
        _ request: STUNMessage, _ error: STUNErrorCode, _ more: [STUNAttribute], _ key: MessageIntegrityKey,
        _ path: NetworkPath, into out: inout Output
    ) {
        respond(.error, to: request, [.errorCode(error)] + more, key, path, into: &out)
        out.trace.append(.requestRefused(path, error))
    }

    private mutating func respond(
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
    public mutating func noteTraffic(on path: NetworkPath, at now: Instant, into out: inout Output) {
        guard connectionState != .closed, path != sendingPath else { return }
        begin(at: now, into: &out)
        if current.sendingID != nil || previous == nil {
            current.noteTraffic(on: path, &context, at: now, into: &out)
        } else {
            previous?.noteTraffic(on: path, &context, at: now, into: &out)
        }
        settle(at: now, into: &out)
    }
}

// MARK: Time

extension ICEAgent {
    /// Does what is due by `now`. Afterwards the deadline is `nil` or later.
    public mutating func advance(to now: Instant, into out: inout Output) {
        guard connectionState != .closed else { return }
        begin(at: now, into: &out)
        if let due = gatherer.deadline, due <= now {
            out.trace.append(.timer(.gathering))
            gatherer.advance(to: now, configuration, random: &context.random, into: &out)
        }
        current.advance(to: now, &context, into: &out)
        previous?.advance(to: now, &context, into: &out)
        settle(at: now, into: &out)
    }

    /// Comes before anything else at a time: nothing may be sent on consent that has run out by then.
    private mutating func begin(at now: Instant, into out: inout Output) {
        current.lapse(context, at: now, into: &out)
        previous?.lapse(context, at: now, into: &out)
    }

    private mutating func rank() {
        guard rankedRole != context.role else { return }
        rankedRole = context.role
        current.recomputePriorities(context)
        previous?.recomputePriorities(context)
    }

    /// Comes after everything else: derives what is in use from what is known, and says what changed.
    private mutating func settle(at now: Instant, into out: inout Output) {
        rank()
        current.updateSending(&context, at: now)
        current.pursueNomination(&context, at: now, into: &out)
        current.sendWaiting(&context, at: now, into: &out)
        current.judgePatience(context, at: now, into: &out)
        if current.sendingID != nil, previous?.isRetired == false { previous?.retire() }
        previous?.updateSending(&context, at: now)
        previous?.pursueNomination(&context, at: now, into: &out)
        if gatheringState == .gathering, gatherer.isComplete { setGatheringState(.complete, into: &out) }

        let pair = sendingList.sendingPair
        gatherer.keepAlive(pair == nil, configuration, at: now)
        if pair?.path != sendingPath {
            sendingPath = pair?.path
            out.events.append(.sendingPathChanged(sendingPath))
        }
        if let pair, selected?.id != pair.id || selected?.remote != pair.remote.type {
            selected = (pair.id, pair.remote.type)
            out.events.append(.selectedPairChanged(local: pair.local, remote: pair.remote, path: pair.path))
        }
        let state = derivedState(pair)
        if state != connectionState {
            connectionState = state
            out.events.append(.connectionStateChanged(state))
        }
        deadline = earliest(gatherer.deadline, current.deadline(context, at: now))
        deadline = earliest(deadline, previous?.deadline(context, at: now))
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
