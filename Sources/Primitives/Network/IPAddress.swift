/// An IPv4 or IPv6 address, without a zone.
public struct IPAddress: Hashable, Sendable {
    public enum Family: String, Hashable, Sendable, CaseIterable {
        case ipv4
        case ipv6
    }

    public let family: Family
    /// The address as a number; IPv4 sits in the lower 32 bits of `lower`.
    @usableFromInline let upper: UInt64
    @usableFromInline let lower: UInt64

    @inlinable public init(v4 value: UInt32) {
        family = .ipv4
        upper = 0
        lower = UInt64(value)
    }

    @inlinable public init(v6 upper: UInt64, _ lower: UInt64) {
        family = .ipv6
        self.upper = upper
        self.lower = lower
    }

    /// Four bytes (IPv4) or sixteen (IPv6) in network order.
    public init?(bytes: some Collection<UInt8>) {
        switch bytes.count {
        case 4: self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            self.init(
                v6: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
                bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) })
        default: return nil
        }
    }

    /// Network order: four bytes or sixteen.
    public var bytes: [UInt8] {
        var result: [UInt8] = []
        switch family {
        case .ipv4: result.append(UInt32(truncatingIfNeeded: lower))
        case .ipv6:
            result.append(upper)
            result.append(lower)
        }
        return result
    }

    /// The address as a number in two words; IPv4 sits in the lower 32 bits of `lower`.
    @inlinable public var words: (upper: UInt64, lower: UInt64) { (upper, lower) }

    public static let anyV4 = IPAddress(v4: 0)
    public static let anyV6 = IPAddress(v6: 0, 0)
    public static let loopbackV4 = IPAddress(v4: 0x7F00_0001)
    public static let loopbackV6 = IPAddress(v6: 0, 1)

    public var isUnspecified: Bool { upper == 0 && lower == 0 }
    public var isLoopback: Bool {
        family == .ipv4 ? lower >> 24 == 127 : (upper == 0 && lower == 1)
    }
    /// 169.254/16 (RFC 3927) or fe80::/10 (RFC 4291 §2.5.6).
    public var isLinkLocal: Bool {
        family == .ipv4 ? lower >> 16 == 0xA9FE : upper >> 54 == 0x3FA
    }
    public var isMulticast: Bool { family == .ipv4 ? lower >> 28 == 0xE : upper >> 56 == 0xFF }
    /// Private IPv4 space (RFC 1918) or a unique local IPv6 address (RFC 4193).
    public var isPrivate: Bool {
        switch family {
        case .ipv4: lower >> 24 == 10 || lower >> 20 == 0xAC1 || lower >> 16 == 0xC0A8
        case .ipv6: upper >> 57 == 0x7E
        }
    }
    /// ::ffff:0:0/96 and the deprecated ::/96 forms that must not become candidates (RFC 8445 §5.1.1.1).
    public var isV4MappedOrCompatible: Bool {
        family == .ipv6 && upper == 0 && (lower >> 32 == 0xFFFF || (lower >> 32 == 0 && lower > 1))
    }
    /// fec0::/10, deprecated (RFC 3879).
    public var isSiteLocalV6: Bool { family == .ipv6 && upper >> 54 == 0x3FB }

    /// Whether the first `prefix` bits equal those of `network`.
    public func isInside(_ network: IPAddress, prefix: Int) -> Bool {
        guard family == network.family else { return false }
        let width = family == .ipv4 ? 32 : 128
        let bits = Swift.max(0, Swift.min(prefix, width)) + (128 - width)
        let high = bits >= 64 ? ~0 : (bits == 0 ? 0 : ~UInt64(0) << UInt64(64 - bits))
        let low = bits <= 64 ? 0 : ~UInt64(0) << UInt64(128 - bits)
        return upper & high == network.upper & high && lower & low == network.lower & low
    }
}

extension IPAddress: Comparable {
    public static func < (a: IPAddress, b: IPAddress) -> Bool {
        if a.family != b.family { return a.family == .ipv4 }
        return a.upper == b.upper ? a.lower < b.lower : a.upper < b.upper
    }
}
