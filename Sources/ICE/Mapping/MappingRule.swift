import Primitives

/// One rule of an `AddressMapping`: addresses and ports that stand for others.
///
/// As text: `SCOPE FROM = TO (OPTION, …)`.
///
///     local 192.0.2.33:30008-30208 = 198.51.100.40:30008-30208
///     local any = 198.51.100.40:40008 (port+10000)
///     local 192.0.2.0/24:30008 = 2001:db8:1::40 (add-raw, on eth0)
///     remote 192.0.2.33:* = 198.51.100.40:*
///     server turn.example.org:3478 = 192.0.2.133
///
/// FROM is `any`, an address, a network in CIDR form or a name; TO is an address, a network of the same size as FROM's, or
/// a name. Ports are one, `FIRST-LAST` or `*`; where only one side has them, the other has the same, moved by the offset.
/// Options: `port+N` and `port-N` (TO's port less FROM's), `replace` (the default) or `add-raw`, `on INTERFACE`, `in CIDR`,
/// `ipv4` or `ipv6` (the last three look at FROM's address).
public struct MappingRule: Hashable, Sendable {
    /// Which addresses the rule is about.
    public enum Scope: String, Hashable, Sendable, CaseIterable {
        /// Ours, in what we announce: FROM is the socket's, TO what the other side is told.
        case local
        /// The other side's, in what we are told: FROM is what it announced, TO where we send.
        case remote
        /// STUN, TURN and signalling servers: FROM is what is configured or told, TO where we send.
        case server
    }

    /// What becomes of the address that is mapped.
    public enum Mode: String, Hashable, Sendable, CaseIterable {
        case replace
        /// It stays, after the mapped one.
        case addRaw = "add-raw"
    }

    public enum Host: Hashable, Sendable {
        case any
        /// A network, or one address with all its bits.
        case network(IPAddress, prefix: Int)
        /// A DNS name, in lower case. Resolved outside: see `AddressMapping.setAddresses(_:of:)`.
        case name(String)

        static func address(_ ip: IPAddress) -> Host { .network(ip, prefix: ip.width) }
    }

    public var scope: Scope
    public var from: Host
    public var to: Host
    /// Of FROM.
    public var ports: ClosedRange<UInt16>
    /// TO's port less FROM's.
    public var offset: Int
    public var mode: Mode = .replace
    public var interface: String?
    public var network: (ip: IPAddress, prefix: Int)? {
        get { condition.map { ($0.ip, $0.prefix) } }
        set { condition = newValue.map { Network(ip: $0.ip, prefix: $0.prefix) } }
    }
    public var family: IPAddress.Family?
    /// As it was written.
    public var text: String
    private var condition: Network?

    private struct Network: Hashable, Sendable {
        var ip: IPAddress
        var prefix: Int
    }

    init(scope: Scope, from: Host, to: Host, ports: ClosedRange<UInt16>, offset: Int, text: String) {
        self.scope = scope
        self.from = from
        self.to = to
        self.ports = ports
        self.offset = offset
        self.text = text
    }

    /// TO's ports.
    public var mappedPorts: ClosedRange<UInt16> {
        moved(ports.lowerBound)...moved(ports.upperBound)
    }

    func moved(_ port: UInt16) -> UInt16 { UInt16(clamping: Int(port) + offset) }
}

extension MappingRule: CustomStringConvertible {
    public var description: String { text }
}

extension IPAddress {
    /// Bits of an address of the family.
    var width: Int { family == .ipv4 ? 32 : 128 }

    /// The first `prefix` bits of `network` and the rest of our own.
    func moved(into network: IPAddress, prefix: Int) -> IPAddress {
        let own = bytes
        var result = network.bytes
        guard own.count == result.count else { return network }
        for index in result.indices {
            let bits = Swift.max(0, Swift.min(8, prefix - index * 8))
            let mask = UInt8(truncatingIfNeeded: 0xFF00 >> bits)
            result[index] = result[index] & mask | own[index] & ~mask
        }
        return IPAddress(bytes: result) ?? network
    }
}
