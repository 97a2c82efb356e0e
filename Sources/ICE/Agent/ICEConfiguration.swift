import Primitives

extension ICEAgent {
    /// Times, counts and caps of an agent. The defaults are meant to be used.
    public struct Configuration: Sendable {
        public var role: ICERole
        /// Answer checks and never send any (RFC 8445 §2.5). Such an agent is controlled.
        public var isLite = false
        public var stunServers: [STUNServer] = []
        /// An allocation is made on each, for each base of its family.
        public var relayServers: [RelayServer] = []
        /// How allocations are asked for and kept; each server's credential is its own.
        public var allocation = TURNAllocation.Configuration()
        /// Addresses that peers are seen as at a relay, besides those they announce: the proxy's own, where one stands
        /// before the peer. They get permissions (RFC 8656 §9).
        public var relayPeers: [IPAddress] = []
        /// Which candidates may be used.
        public var policy: ICETransportPolicy = .all
        /// What is announced and where is sent, where something on the way translates addresses.
        public var mapping: AddressMapping = .identity
        /// Whether a response may come from another address than was asked, for proxies that answer from elsewhere. Its
        /// MESSAGE-INTEGRITY and transaction count all the same (deviates from RFC 8445 §7.2.5.2.1).
        public var allowsAsymmetricResponses = false
        /// Only bases of these families are gathered on.
        public var families: Set<IPAddress.Family> = [.ipv4, .ipv6]
        /// Whether private addresses of ours are used and not announced (RFC 8828 §5.2, mode 3). What the mapping or a
        /// server makes of them is.
        public var hidesPrivateAddresses = false
        public var nominationPolicy: NominationPolicy = .firstValidated
        /// SOFTWARE of our messages (RFC 8489 §14.14); none says nothing about us.
        public var software: String?

        /// Ta, the time between first checks of pairs (RFC 8445 §14.2).
        public var checkInterval: TimeDelta = .milliseconds(5)
        /// First checks that may leave together before Ta spaces them.
        public var checkBurst = 10
        /// The wait after the first check of a pair; it doubles up to `maximumCheckTimeout` (deviates from RFC 8445
        /// §14.3, whose 500 ms are too slow with loss).
        public var initialCheckTimeout: TimeDelta = .milliseconds(100)
        public var maximumCheckTimeout: TimeDelta = .milliseconds(500)
        /// Checks of a pair before it counts as failed.
        public var checkLimit = 7
        /// How often failed pairs are tried again while there is patience.
        public var recheckInterval: TimeDelta = .milliseconds(2_500)
        /// No failure before this, counted from the later of the two descriptions (RFC 8863 §3 asks for 39.5 s at least;
        /// whoever takes the call up may need more).
        public var patience: TimeDelta = .milliseconds(60_000)
        /// A call that stood and whose other side is silent for this long wants an ICE restart: browsers stop checking 15
        /// to 16 s after the last answer and begin again only then. The controlled side waits 3 s more, lest both offer.
        public var silenceBeforeRestart: TimeDelta = .milliseconds(15_000)
        /// How often it goes on wanting it.
        public var restartRepetition: TimeDelta = .milliseconds(30_000)

        /// Between consent requests, times 0.8 ... 1.2 (RFC 7675 §5.1).
        public var consentInterval: TimeDelta = .milliseconds(5_000)
        public var consentExpiry: TimeDelta = .milliseconds(30_000)
        /// How long a request stays unanswered before the state is `disconnected`.
        public var disconnectAfter: TimeDelta = .milliseconds(3_000)

        /// The first wait for a STUN server; it doubles (RFC 8489 §6.2.1, which says 500 ms).
        public var serverTimeout: TimeDelta = .milliseconds(250)
        /// Rc and Rm of RFC 8489 §6.2.1.
        public var serverRequestLimit = 7
        public var serverFinalWait: Int64 = 16
        /// Gathering is complete after this, whatever servers do.
        public var gatheringLimit: TimeDelta = .milliseconds(5_000)
        /// A server-reflexive candidate's mapping is kept open at this pace until a pair is selected.
        public var keepalive: TimeDelta = .milliseconds(15_000)

        public var limits = Limits()

        public init(role: ICERole) { self.role = role }
    }

    /// Caps of everything the network or signalling can make grow (invariant 5).
    public struct Limits: Hashable, Sendable {
        public var bases = 16
        /// Allocations, bases times servers.
        public var relays = 8
        public var localCandidates = 64
        public var remoteCandidates = 64
        /// Remote candidates learnt from checks, within `remoteCandidates`' cap of signaled ones' neighbours.
        public var peerReflexiveCandidates = 16
        /// RFC 8445 §6.1.2.5.
        public var pairs = 100
        /// Checks from before the remote description.
        public var earlyChecks = 32
        /// Candidates from before the remote description.
        public var earlyCandidates = 64
        /// Requests to STUN servers, bases times servers.
        public var serverRequests = 32
        /// Unanswered requests remembered for a pair.
        public var transactionsPerPair = 10
        /// Addresses besides its own that a pair's answers may come from, where that is allowed.
        public var answeringAddresses = 4
        public init() {}
    }

    public enum NominationPolicy: Hashable, Sendable {
        /// A second check with USE-CANDIDATE on the first pair that was validated, at once (RFC 8445 §8.1.1).
        case firstValidated
        /// USE-CANDIDATE in every check, as RFC 5245 §8.1.1.2 allowed and browsers do.
        case everyCheck
        /// Never; media flows on validated pairs.
        case never
    }
}
