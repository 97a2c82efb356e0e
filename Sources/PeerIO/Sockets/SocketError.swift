import CLinuxIO
import Glibc
import Primitives

/// Why datagrams do not reach one destination. It concerns that destination only; the socket goes on.
///
/// Such a report is a hint and can be forged by anyone who can guess the ports (RFC 5927), so it must not end anything.
public struct SocketError: Error, Hashable, Sendable {
    public enum Reason: Hashable, Sendable {
        case portUnreachable
        case hostUnreachable
        case networkUnreachable
        case protocolUnreachable
        /// A packet filter on the way said so.
        case administrativelyProhibited
        /// Larger than the path's MTU, in bytes of the IP packet, where that is known.
        case messageTooBig(mtu: Int?)
        case timeExceeded
        /// A packet filter of this host (EPERM, EACCES).
        case notPermitted
        /// Any other error number.
        case other(Int32)
    }

    /// Our socket and the destination. The socket's own address even where a datagram had another source.
    public var path: NetworkPath
    public var reason: Reason
    /// Who reported it by ICMP: the destination or a router on the way. `nil` if this host did.
    public var reporter: IPAddress?
    /// Type and code of the ICMP or ICMPv6 message, by the family of `reporter`.
    public var icmp: ICMPReport?

    public struct ICMPReport: Hashable, Sendable {
        public var type: UInt8
        public var code: UInt8
        public init(type: UInt8, code: UInt8) {
            self.type = type
            self.code = code
        }
    }

    public init(path: NetworkPath, reason: Reason, reporter: IPAddress? = nil, icmp: ICMPReport? = nil) {
        self.path = path
        self.reason = reason
        self.reporter = reporter
        self.icmp = icmp
    }
}

extension SocketError.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .portUnreachable: "port unreachable"
        case .hostUnreachable: "host unreachable"
        case .networkUnreachable: "network unreachable"
        case .protocolUnreachable: "protocol unreachable"
        case .administrativelyProhibited: "administratively prohibited"
        case .messageTooBig(let mtu?): "message too big, MTU \(mtu)"
        case .messageTooBig(nil): "message too big"
        case .timeExceeded: "time exceeded"
        case .notPermitted: "not permitted by this host"
        case .other(let code): "\(errorText(code)) (\(errorName(code)))"
        }
    }
}

extension SocketError: CustomStringConvertible {
    public var description: String {
        var text = "\(path): \(reason)"
        if let reporter { text += ", says \(reporter)" }
        if let icmp { text += " (ICMP type \(icmp.type) code \(icmp.code))" }
        return text
    }
}

extension SocketError.Reason {
    /// From what a send returned.
    init(errno code: Int32) {
        switch code {
        case ECONNREFUSED: self = .portUnreachable
        case EHOSTUNREACH: self = .hostUnreachable
        case ENETUNREACH: self = .networkUnreachable
        case EMSGSIZE: self = .messageTooBig(mtu: nil)
        case EPERM, EACCES: self = .notPermitted
        default: self = .other(code)
        }
    }

    /// ICMP of RFC 792 and RFC 1812 §5.2.7.1, destination unreachable codes included.
    init(icmpV4 type: UInt8, code: UInt8, info: UInt32, errno: Int32) {
        switch (type, code) {
        case (3, 0), (3, 6), (3, 11): self = .networkUnreachable
        case (3, 1), (3, 7), (3, 12): self = .hostUnreachable
        case (3, 2): self = .protocolUnreachable
        case (3, 3): self = .portUnreachable
        case (3, 4): self = .messageTooBig(mtu: info > 0 ? Int(info) : nil)
        case (3, 9), (3, 10), (3, 13): self = .administrativelyProhibited
        case (11, _): self = .timeExceeded
        default: self = .init(errno: errno)
        }
    }

    /// ICMPv6 of RFC 4443 §3.
    init(icmpV6 type: UInt8, code: UInt8, info: UInt32, errno: Int32) {
        switch (type, code) {
        case (1, 0): self = .networkUnreachable
        case (1, 1), (1, 5), (1, 6): self = .administrativelyProhibited
        case (1, 2), (1, 3): self = .hostUnreachable
        case (1, 4): self = .portUnreachable
        case (2, _): self = .messageTooBig(mtu: info > 0 ? Int(info) : nil)
        case (3, _): self = .timeExceeded
        default: self = .init(errno: errno)
        }
    }
}

extension SocketError {
    /// From the error queue; `nil` where it does not name the destination. This host's own reports do not: they lack
    /// the port, and come with an error of the send call that tells the same.
    init?(_ raw: postern_socket_error, local: TransportAddress) {
        guard raw.destination.family != 0 else { return nil }
        path = NetworkPath(local: local, remote: raw.destination.transportAddress)
        let code = Int32(truncatingIfNeeded: raw.code)
        switch Int32(raw.origin) {
        case Int32(SO_EE_ORIGIN_ICMP):
            reason = Reason(icmpV4: raw.type, code: raw.icmp_code, info: raw.info, errno: code)
            icmp = ICMPReport(type: raw.type, code: raw.icmp_code)
        case Int32(SO_EE_ORIGIN_ICMP6):
            reason = Reason(icmpV6: raw.type, code: raw.icmp_code, info: raw.info, errno: code)
            icmp = ICMPReport(type: raw.type, code: raw.icmp_code)
        default: return nil
        }
        reporter = raw.offender.family == 0 ? nil : raw.offender.ip
    }
}
