import ICE
import Primitives

extension TURNServer {
    public struct Configuration: Sendable {
        public var listening: [TransportAddress]
        /// At most one of each family.
        public var relayAddresses: [IPAddress]
        /// The address that is announced in place of one we relay from (coturn's external-ip).
        public var externalAddresses: [IPAddress: IPAddress] = [:]
        public var realm = "example.org"
        public var users: [String: String] = ["alice": "a password"]
        /// For user names of the form `expires:name` (coturn's use-auth-secret).
        public var sharedSecret: String?
        /// Seconds since 1970 at instant zero.
        public var wallClock: Int64 = 1_700_000_000
        /// How long a nonce is good (coturn's stale-nonce); `nil` for ever.
        public var nonceLifetime: TimeDelta?
        /// Offered in PASSWORD-ALGORITHMS; none offers nothing, as servers of RFC 5389's time.
        public var passwordAlgorithms: [STUNPasswordAlgorithm] = []
        /// Asks for USERHASH.
        public var hidesUsers = false
        public var defaultLifetime: TimeDelta = .seconds(600)
        public var maximumLifetime: TimeDelta = .seconds(3_600)
        public var permissionLifetime: TimeDelta = .seconds(300)
        public var channelLifetime: TimeDelta = .seconds(600)
        /// Allocations of one user.
        public var quota: Int?
        /// Allocations of all.
        public var capacity: Int?
        public var deniedPeers: Set<IPAddress> = []
        /// Sends everyone there who asks elsewhere.
        public var alternate: TransportAddress?
        /// Whether refusals carry an integrity code.
        public var signsErrors = true

        public init(listening: [TransportAddress], relayAddresses: [IPAddress]) {
            self.listening = listening
            self.relayAddresses = relayAddresses
        }
    }
}
