import Primitives

/// A network interface of this host with its addresses.
public struct NetworkInterface: Hashable, Sendable {
    public struct Address: Hashable, Sendable {
        public var ip: IPAddress
        /// Bits of the network part.
        public var prefixLength: Int
        /// The far end of a point-to-point link, where there is one.
        public var peer: IPAddress?
        /// A privacy address that changes (RFC 8981).
        public var isTemporary: Bool
        /// Its preferred lifetime is over (RFC 4862 §5.5.4): fit for what exists, not for what is new.
        public var isDeprecated: Bool
        /// Duplicate address detection has not ended, or failed: it cannot be bound.
        public var isTentative: Bool

        public init(
            ip: IPAddress, prefixLength: Int, peer: IPAddress? = nil, isTemporary: Bool = false,
            isDeprecated: Bool = false, isTentative: Bool = false
        ) {
            self.ip = ip
            self.prefixLength = prefixLength
            self.peer = peer
            self.isTemporary = isTemporary
            self.isDeprecated = isDeprecated
            self.isTentative = isTentative
        }
    }

    public var name: String
    /// The system's number of it, which is also the zone of its link-local IPv6 addresses.
    public var index: UInt32
    /// Switched on and with a carrier.
    public var isUp: Bool
    public var isLoopback: Bool
    public var isPointToPoint: Bool
    public var addresses: [Address]

    public init(
        name: String, index: UInt32, isUp: Bool = true, isLoopback: Bool = false, isPointToPoint: Bool = false,
        addresses: [Address] = []
    ) {
        self.name = name
        self.index = index
        self.isUp = isUp
        self.isLoopback = isLoopback
        self.isPointToPoint = isPointToPoint
        self.addresses = addresses
    }
}
