import Primitives

/// What the check lists of an agent share: they come and go with restarts, this stays.
struct CheckContext: Sendable {
    let configuration: ICEAgent.Configuration
    var random: RandomSource
    var role: ICERole
    var tieBreaker: UInt64
    var counters = ICECounters()
    /// Of the current generation. Peer-reflexive ones are here for statistics and are not paired.
    var localCandidates: [Candidate] = []
    /// TCP connections; they go on through restarts.
    var connections = ConnectionTable()
    /// Smoothed over all pairs, for the first wait on new ones.
    var roundTrip: TimeDelta?
    private var lastPairID = 0
    /// When anything of the other side that authenticates last came.
    var lastHeard: Instant?

    init(configuration: ICEAgent.Configuration, random: RandomSource) {
        self.configuration = configuration
        self.random = random
        role = configuration.isLite ? .controlled : configuration.role
        tieBreaker = self.random.next()
    }

    mutating func nextPairID() -> Int {
        lastPairID += 1
        return lastPairID
    }

    mutating func switchRole(to role: ICERole, because reason: String, into out: inout ICEAgent.Output) {
        guard role != self.role else { return }
        self.role = role
        out.trace.append(.roleSwitched(to: role, because: reason))
    }

    mutating func noteRoundTrip(_ sample: TimeDelta) {
        roundTrip = roundTrip.map { $0 + (sample - $0) / 8 } ?? sample
    }

    /// The candidate a pair on `base` is made with: the best that is no peer-reflexive one.
    func bestLocal(on base: TransportAddress, _ transport: PathTransport = .udp) -> Candidate? {
        localCandidates.filter { $0.base == base && $0.transport.path == transport && $0.type != .peerReflexive }
            .max { $0.priority < $1.priority }
    }

    func pairPriority(_ local: Candidate, _ remote: Candidate) -> UInt64 {
        role == .controlling
            ? CandidatePriority.pair(controlling: local.priority, controlled: remote.priority)
            : CandidatePriority.pair(controlling: remote.priority, controlled: local.priority)
    }

    mutating func consentInterval() -> TimeDelta {
        configuration.consentInterval * Double.random(in: 0.8...1.2, using: &random)
    }
}
