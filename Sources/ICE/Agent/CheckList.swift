import Primitives

/// The pairs of one generation (one pair of ufrags) and their checks (RFC 8445 §6.1.2, §7, §8).
///
/// **A pair is a path**: one of our bases and one remote address. What the other side says it sees us as
/// (XOR-MAPPED-ADDRESS) makes no valid pair of its own, as RFC 8445 §7.2.5.3 would have it; it is kept on the pair and,
/// for statistics, as a peer-reflexive candidate. Behind a port-level proxy that address is never one of ours, and
/// agents that hang state on it fail there. Nomination and validity live on the path.
///
/// **States.** `waiting` → `inProgress` → `succeeded` or `failed`; there is one component and one stream, so nothing is
/// ever frozen (RFC 8445 §6.1.2.6) and a pair starts at `waiting`. A pair fails after `checkLimit` unanswered checks;
/// failed pairs are tried again at `recheckInterval` while there is patience, and a late answer to any remembered check
/// makes them succeed. A response from another address than asked fails the pair by that name.
///
/// **Checks.** Each check is a transaction of its own: a repetition is a fresh request, so a round trip is never
/// ambiguous and an answer to any of the last ten counts. First checks are paced by Ta after an initial burst; checks
/// in reply to a check leave at once; repetitions wait 100 ms doubling to 500 ms, where RFC 8445 §14.3 says 500 ms.
/// Once a pair is selected, the others are no longer checked unless the other side asks, or the selected one is
/// relayed or over TCP and they are neither.
///
/// **Nomination.** Controlling: a second check with USE-CANDIDATE on the first pair that succeeded, at once. Nothing is
/// waited for, so a better pair that is validated a moment later does not win, except a direct one over a relayed one, and UDP over TCP.
/// Controlled: the latest USE-CANDIDATE wins, also at equal priority. The exception is a peer that puts it into every
/// check (its very first one had it): there a pair of lower priority wins only if the selected one no longer answers.
///
/// **Moving.** An authenticated request on a path that is not the selected one, from a path not validated lately, may
/// mean that the other side's mapping changed. The newcomer is checked at once and the incumbent is asked at the same
/// time. When the newcomer has answered and the incumbent has not within about one round trip, sending moves there;
/// if the incumbent answers, nothing moves. ICMP errors only hasten that decision.
///
/// **What an attacker can do.** Without the password nothing is answered and nothing changes. A recorded request that
/// is sent again is answered (its source is checked, at most once per Ta) but the check towards it is not, so nothing
/// moves; replayed from the address of a pair validated in the last seconds with USE-CANDIDATE it can select that
/// pair, which works. Who can relay our checks to the peer and its answers back is on the path, and encryption is
/// what there is against that.
///
/// **Consent** (RFC 7675): a request every 5 s ± 20 % on the pair in use. An unanswered one is followed by others after
/// 0.5 ... 1 s (deviating from §5.1, whose interval is never below 4 s) so that a lost mapping shows within 3 s and not
/// 10. 30 s after the last answer the pair fails and nothing at all is sent, until a request of the other side comes in
/// and our check in reply is answered.
struct CheckList: Sendable {
    let localCredentials: ICECredentials
    let localKey: MessageIntegrityKey
    var remote: RemoteParameters?
    var remoteCandidates: [Candidate] = []
    var hasRemoteEnd = false
    var pairs: [CandidatePair] = []

    /// Nominated by either side, or moved to.
    var selectedID: Int?
    /// Being nominated by us.
    var nomineeID: Int?
    /// The pair to send on: the selected one or else the best validated one, with fresh consent. Set by `settle`.
    var sendingID: Int?
    var challenge: Challenge?
    /// The very first check of the other side had USE-CANDIDATE.
    var remoteNominatesEveryCheck: Bool?

    var patienceEnd: Instant?
    /// Ta, ours or the slower one of the other side (RFC 8839 §5.7).
    var checkInterval: TimeDelta
    /// When the pacing of first checks has caught up with what was sent.
    var paceTime: Instant?
    var isDisconnected = false
    /// The connection in use ended, and nothing has taken its place yet.
    var isInterrupted = false
    /// Replaced by a newer generation that works: answers, sends no checks.
    var isRetired = false
    var failure: ICEFailure?

    struct RemoteParameters: Sendable {
        var credentials: ICECredentials
        var key: MessageIntegrityKey
        var isLite: Bool
    }

    /// Whether the pair in use is to be replaced is being found out.
    struct Challenge: Sendable {
        var incumbentID: Int
        var challengerID: Int
        /// When the incumbent was asked; an answer to that or a later check keeps it.
        var startedAt: Instant
        /// When silence of the incumbent decides; `nil` once it has, and only the challenger's answer is missing.
        var decideAt: Instant?
        var endsAt: Instant
    }

    init(credentials: ICECredentials, checkInterval: TimeDelta) {
        localCredentials = credentials
        localKey = MessageIntegrityKey(password: credentials.password)
        self.checkInterval = checkInterval
    }

    func index(_ id: Int?) -> Int? {
        guard let id else { return nil }
        return pairs.firstIndex { $0.id == id }
    }

    func index(of path: NetworkPath) -> Int? { pairs.firstIndex { $0.path == path } }

    var sendingPair: CandidatePair? { index(sendingID).map { pairs[$0] } }

    mutating func setState(_ i: Int, _ state: CandidatePair.State, into out: inout ICEAgent.Output) {
        guard pairs[i].state != state else { return }
        out.trace.append(.pairStateChanged(pairs[i].path, from: pairs[i].state, to: state))
        pairs[i].state = state
    }
}

// MARK: Candidates and pairs

extension CheckList {
    /// Takes a signaled candidate. One that a check had revealed before becomes what it is said to be.
    mutating func admit(_ candidate: Candidate, _ context: inout CheckContext, into out: inout ICEAgent.Output) {
        if let known = remoteCandidates.firstIndex(where: {
            $0.address == candidate.address && $0.transport == candidate.transport
        }) {
            guard remoteCandidates[known].type == .peerReflexive, candidate.type != .peerReflexive else {
                out.trace.append(.candidateIgnored(candidate, .duplicate))
                return
            }
            remoteCandidates[known] = candidate
            for i in pairs.indices
            where pairs[i].remote.address == candidate.address && pairs[i].remote.transport == candidate.transport {
                pairs[i].remote = candidate
                pairs[i].priority = context.pairPriority(pairs[i].local, candidate)
            }
            out.trace.append(.remoteCandidate(candidate))
        } else {
            let signaled = remoteCandidates.lazy.filter { $0.type != .peerReflexive }.count
            guard signaled < context.configuration.limits.remoteCandidates else {
                out.trace.append(.candidateIgnored(candidate, .tooMany))
                return
            }
            remoteCandidates.append(candidate)
            out.trace.append(.remoteCandidate(candidate))
        }
        for local in context.localCandidates { formPair(local, candidate, &context, into: &out) }
    }

    mutating func pairLocal(_ local: Candidate, _ context: inout CheckContext, into out: inout ICEAgent.Output) {
        for remote in remoteCandidates { formPair(local, remote, &context, into: &out) }
    }

    /// RFC 8445 §6.1.2.2, over TCP RFC 6544 §6.2 (only from here to a listener; the other way a check reveals the pair), and
    /// for what a kernel would not route anyway: loopback only with loopback.
    private static func goTogether(_ local: Candidate, _ remote: Candidate) -> Bool {
        let (a, b) = (local.base.ip, remote.address.ip)
        guard local.type != .peerReflexive,
            (local.transport == .udp && remote.transport == .udp)
                || (local.transport == .tcpActive && remote.transport == .tcpPassive),
            a.family == b.family, local.component == remote.component
        else { return false }
        if a.family == .ipv6, a.isLinkLocal != b.isLinkLocal { return false }
        // What the host of a relay can reach is not ours to know.
        return local.type == .relayed || a.isLoopback == b.isLoopback
    }

    private mutating func formPair(
        _ local: Candidate, _ remote: Candidate, _ context: inout CheckContext, into out: inout ICEAgent.Output
    ) {
        guard Self.goTogether(local, remote) else { return }
        _ = pair(local, remote, isAsked: false, &context, into: &out)
    }

    /// The pair of a base and a remote address, made if need be. Pairs that differ in the local candidate only are one
    /// (pruning, RFC 8445 §6.1.2.4). `nil` when there is no room; one the other side `isAsked` for always finds some.
    mutating func pair(
        _ local: Candidate, _ remote: Candidate, isAsked: Bool, _ context: inout CheckContext,
        into out: inout ICEAgent.Output
    ) -> Int? {
        let path = NetworkPath(local: local.base, remote: remote.address, transport: local.transport.path)
        let priority = context.pairPriority(local, remote)
        if let known = index(of: path) {
            if local.priority > pairs[known].local.priority {
                pairs[known].local = local
                pairs[known].priority = context.pairPriority(local, pairs[known].remote)
            }
            return known
        }
        if pairs.count >= context.configuration.limits.pairs {
            let spare = pairs.indices.filter { !isProtected(pairs[$0]) && (isAsked || pairs[$0].state != .succeeded) }
                .min { pairs[$0].priority < pairs[$1].priority }
            guard let spare, isAsked || pairs[spare].priority < priority else { return nil }
            removePair(at: spare, because: "room for \(path)", into: &out)
        }
        pairs.append(CandidatePair(id: context.nextPairID(), local: local, remote: remote, priority: priority))
        out.trace.append(.pairAdded(path, local: local.type, remote: remote.type))
        return pairs.count - 1
    }

    func isProtected(_ pair: CandidatePair) -> Bool {
        pair.id == selectedID || pair.id == nomineeID || pair.id == sendingID || pair.id == challenge?.challengerID
    }

    /// A base is gone, with all its pairs. Where the one in use was among them, others are worth a try at once.
    mutating func drop(
        base: TransportAddress, because reason: String, _ context: CheckContext, at now: Instant,
        into out: inout ICEAgent.Output
    ) {
        guard pairs.contains(where: { $0.path.local == base }) else { return }
        let wasInUse = sendingPair?.path.local == base
        while let i = pairs.firstIndex(where: { $0.path.local == base }) {
            let id = pairs[i].id
            if id == selectedID { selectedID = nil }
            if id == nomineeID { nomineeID = nil }
            if id == sendingID { sendingID = nil }
            if id == challenge?.incumbentID || id == challenge?.challengerID { challenge = nil }
            removePair(at: i, because: reason, into: &out)
        }
        guard wasInUse, !isRetired else { return }
        isDisconnected = false
        patienceEnd = now + context.configuration.patience
        for i in pairs.indices where pairs[i].state != .waiting {
            pairs[i].nextSend = earliest(pairs[i].nextSend, now)
        }
    }

    mutating func removePair(at i: Int, because reason: String, into out: inout ICEAgent.Output) {
        out.trace.append(.pairRemoved(pairs[i].path, because: reason))
        pairs.remove(at: i)
    }

    /// A remote candidate that a check revealed (RFC 8445 §7.3.1.3). When there are too many, the one quiet for longest
    /// goes; `nil` when all are in use.
    mutating func peerReflexive(
        on path: NetworkPath, priority: UInt32, _ context: CheckContext, into out: inout ICEAgent.Output
    ) -> Candidate? {
        let address = path.remote
        if let known = remoteCandidates.first(where: {
            $0.address == address && $0.transport.path == path.transport
        }) {
            return known
        }
        let revealed = remoteCandidates.filter { $0.type == .peerReflexive }
        if revealed.count >= context.configuration.limits.peerReflexiveCandidates {
            let idle = revealed.filter { candidate in
                !pairs.contains { Self.isSame($0.remote, candidate) && isProtected($0) }
            }
            guard let oldest = idle.min(by: { lastActivity($0) < lastActivity($1) }) else { return nil }
            remoteCandidates.removeAll { $0 == oldest }
            while let i = pairs.firstIndex(where: { Self.isSame($0.remote, oldest) }) {
                removePair(at: i, because: "room for \(address)", into: &out)
            }
        }
        let candidate = Candidate(
            foundation: "prflx\(address)", transport: path.transport == .udp ? .udp : .tcpActive,
            priority: min(priority, CandidatePriority.maximum), address: address, type: .peerReflexive,
            ufrag: remote?.credentials.ufrag)
        remoteCandidates.append(candidate)
        out.trace.append(.remoteCandidate(candidate))
        return candidate
    }

    private static func isSame(_ a: Candidate, _ b: Candidate) -> Bool {
        a.address == b.address && a.transport == b.transport
    }

    private func lastActivity(_ candidate: Candidate) -> Instant {
        pairs.lazy.filter { Self.isSame($0.remote, candidate) }
            .map { max($0.lastRequestReceived ?? .distantPast, $0.lastResponseReceived ?? .distantPast) }
            .max() ?? .distantPast
    }

    /// After a change of role (RFC 8445 §7.3.1.1).
    mutating func recomputePriorities(_ context: CheckContext) {
        for i in pairs.indices { pairs[i].priority = context.pairPriority(pairs[i].local, pairs[i].remote) }
        if context.role == .controlled { nomineeID = nil }
    }
}

extension Instant {
    fileprivate static let distantPast = Instant(nanoseconds: .min)
}
