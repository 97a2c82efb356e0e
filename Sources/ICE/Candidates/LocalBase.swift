import Primitives

/// A bound socket that candidates can be gathered on, a TCP listener, or an address to make TCP connections from.
public struct LocalBase: Hashable, Sendable {
    public var address: TransportAddress
    public var interfaceName: String
    /// The local preference of RFC 8445 §5.1.2.1, 65535 best; distinct per address on a host with several.
    public var preference: UInt16
    public var transport: CandidateTransport
    /// Only TURN servers are reached from here; it is no candidate itself. For a socket beside one that calls share.
    public var isForRelays: Bool

    public init(
        address: TransportAddress, interfaceName: String = "", preference: UInt16 = 65_535,
        transport: CandidateTransport = .udp, isForRelays: Bool = false
    ) {
        self.address = address
        self.interfaceName = interfaceName
        self.preference = preference
        self.transport = transport
        self.isForRelays = isForRelays
    }

    /// An address that TCP connections are made from, each from a port of its own (RFC 6544 §4.1: announced with port 9).
    public static func tcpActive(
        _ ip: IPAddress, interfaceName: String = "", preference: UInt16 = 65_535
    ) -> LocalBase {
        LocalBase(
            address: TransportAddress(ip, 9), interfaceName: interfaceName, preference: preference,
            transport: .tcpActive)
    }
}
