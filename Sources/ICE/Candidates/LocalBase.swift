import Primitives

/// A bound socket that candidates can be gathered on.
public struct LocalBase: Hashable, Sendable {
    public var address: TransportAddress
    public var interfaceName: String
    /// The local preference of RFC 8445 §5.1.2.1, 65535 best; distinct per address on a host with several.
    public var preference: UInt16
    /// Only TURN servers are reached from here; it is no candidate itself. For a socket beside one that calls share.
    public var isForRelays: Bool

    public init(
        address: TransportAddress, interfaceName: String = "", preference: UInt16 = 65_535, isForRelays: Bool = false
    ) {
        self.address = address
        self.interfaceName = interfaceName
        self.preference = preference
        self.isForRelays = isForRelays
    }
}
