import Primitives

extension TURNAllocation {
    /// Times, counts and caps of an allocation. The defaults are meant to be used.
    public struct Configuration: Sendable {
        public var credential: TURNCredential?
        public var families: RequestedFamilies = .ipv4
        /// Over TCP or TLS: nothing is repeated, ChannelData is padded (RFC 8656 §12.5).
        public var isReliable = false
        /// What to ask for; servers give ten minutes when not asked.
        public var lifetime: TimeDelta?
        /// SOFTWARE of our requests.
        public var software: String?

        /// The first wait while no round trip was measured; it doubles (RFC 8489 §6.2.1, which says 500 ms).
        public var initialTimeout: TimeDelta = .milliseconds(250)
        public var minimumTimeout: TimeDelta = .milliseconds(100)
        /// Rc and Rm of RFC 8489 §6.2.1.
        public var requestLimit = 7
        public var finalWait: Int64 = 16
        /// Ti: the wait for an answer over TCP and TLS.
        public var reliableTimeout: TimeDelta = .milliseconds(39_500)
        /// How often the request that frees the allocation is sent at most: nobody waits for it.
        public var releaseLimit = 4

        /// Permissions last 300 s at the server (RFC 8656 §9) and are renewed at this age.
        public var permissionRenewal: TimeDelta = .seconds(240)
        /// Channels last 600 s (RFC 8656 §12) and are renewed at this age.
        public var channelRenewal: TimeDelta = .seconds(540)
        /// An allocation is renewed so long before its end, or at half its life where that is later.
        public var refreshMargin: TimeDelta = .seconds(60)
        /// After a request that was not answered or failed for a reason that passes.
        public var retryInterval: TimeDelta = .seconds(5)
        /// When nothing went to the server for so long, a Binding indication keeps NATs open; `nil` for never.
        public var keepalive: TimeDelta? = .seconds(15)
        /// Attempts at a new allocation after one was lost, 5 s and doubling to 60 s apart.
        public var reallocationLimit = 20

        public var limits = Limits()

        public init(credential: TURNCredential? = nil) { self.credential = credential }
    }

    /// Relayed addresses to ask for (RFC 8656 §7.1). A server that knows only one family gives one.
    public enum RequestedFamilies: Hashable, Sendable {
        case ipv4
        case ipv6
        case both
    }

    /// Caps of everything that candidates and servers can make grow (invariant 5).
    public struct Limits: Hashable, Sendable {
        public var permissions = 64
        public var channels = 32
        /// Requests under way; more wait their turn.
        public var transactions = 16
        /// Nonces that one request is tried with.
        public var challenges = 5
        public init() {}
    }
}
