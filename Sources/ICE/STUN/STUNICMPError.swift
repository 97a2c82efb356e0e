/// The ICMP error that a relay got for something it sent on our behalf (RFC 8656 §18.13).
public struct STUNICMPError: Hashable, Sendable {
    /// Seven bits; 3 is ICMP's Destination Unreachable, 1 is that of ICMPv6.
    public var type: UInt8
    /// Nine bits.
    public var code: UInt16
    /// The MTU where the packet was too big.
    public var data: UInt32

    public init(type: UInt8, code: UInt16, data: UInt32 = 0) {
        self.type = type
        self.code = code
        self.data = data
    }
}
