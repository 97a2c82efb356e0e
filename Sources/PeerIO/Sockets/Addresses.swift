import CLinuxIO
import Primitives

extension postern_address {
    @inline(__always)
    init(_ address: TransportAddress, scope: UInt32 = 0) {
        self.init(address.ip, port: address.port, scope: scope)
    }

    @inline(__always)
    init(_ ip: IPAddress, port: UInt16 = 0, scope: UInt32 = 0) {
        let words = ip.words
        self.init(
            upper: words.upper, lower: words.lower, scope: scope, port: port, family: ip.family == .ipv4 ? 4 : 6)
    }

    static var none: postern_address { postern_address(upper: 0, lower: 0, scope: 0, port: 0, family: 0) }

    @inline(__always)
    var ip: IPAddress {
        family == 4 ? IPAddress(v4: UInt32(truncatingIfNeeded: lower)) : IPAddress(v6: upper, lower)
    }

    @inline(__always)
    var transportAddress: TransportAddress { TransportAddress(ip, port) }
}

extension IPAddress.Family {
    /// What the shims call it.
    var number: Int32 { self == .ipv4 ? 4 : 6 }
}
