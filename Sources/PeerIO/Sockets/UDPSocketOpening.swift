import CLinuxIO
import Glibc
import Primitives

/// The steps from a configuration to a bound descriptor.
enum UDPSocketOpening {
    /// A non-blocking socket, bound, with its options set, and the address it has.
    static func open(
        _ configuration: UDPSocketConfiguration
    ) throws(SocketFailure) -> (Int32, TransportAddress) {
        let family = configuration.address.family.number
        let subject = "\(configuration.port) on \(configuration.address)"
        let descriptor = postern_udp_open(family)
        guard descriptor >= 0 else {
            throw SocketFailure(
                code: -descriptor, call: "socket", subject: "UDP socket for \(subject)",
                advice: -descriptor == EMFILE ? "cannot be had: raise the limit of open files (ulimit -n)" : "")
        }
        do throws(SocketFailure) {
            if family == 6 {
                let result = postern_v6_only(descriptor)
                guard result == 0 else { throw SocketFailure(code: -result, call: "setsockopt", subject: subject) }
            }
            try bind(descriptor, configuration)
            setOptions(descriptor, family, configuration)
            return (descriptor, try localAddress(of: descriptor, subject: subject))
        } catch {
            _ = close(descriptor)
            throw error
        }
    }

    private static func bind(_ descriptor: Int32, _ configuration: UDPSocketConfiguration) throws(SocketFailure) {
        func bind(to port: UInt16) -> Int32 {
            -postern_bind(
                descriptor,
                postern_address(configuration.address, port: port, scope: configuration.interfaceIndex))
        }
        var code: Int32
        switch configuration.port {
        case .any: code = bind(to: 0)
        case .exactly(let port): code = bind(to: port)
        case .range(let range, let start):
            code = EADDRINUSE
            let first = start.flatMap { range.contains($0) ? $0 : nil } ?? range.lowerBound
            for step in 0..<range.count where code == EADDRINUSE {
                let offset = (Int(first - range.lowerBound) + step) % range.count
                code = bind(to: range.lowerBound + UInt16(offset))
            }
        }
        guard code != 0 else { return }
        throw SocketFailure(
            code: code, call: "bind", subject: "\(configuration.port) on \(configuration.address)",
            advice: advice(code, configuration))
    }

    private static func advice(_ code: Int32, _ configuration: UDPSocketConfiguration) -> String {
        switch (code, configuration.port) {
        case (EADDRINUSE, .any): "is taken: no ephemeral port is free"
        case (EADDRINUSE, .exactly): "is taken: stop the program that has it (ss -lunp shows it) or choose another"
        case (EADDRINUSE, .range(let range, _)):
            "is taken: all \(range.count) ports are in use (ss -lunp shows by whom); free one or widen the range"
        case (EADDRNOTAVAIL, _): "cannot be bound: this host does not have the address (ip address shows which it has)"
        case (EACCES, _): "is not allowed: ports below 1024 need a privilege; choose higher ones"
        case (EINVAL, _) where configuration.address.isLinkLocal && configuration.address.family == .ipv6:
            "cannot be bound: a link-local address needs its interface"
        default: ""
        }
    }

    /// None of these is worth failing for; what is missing shows as a feature less.
    private static func setOptions(_ descriptor: Int32, _ family: Int32, _ configuration: UDPSocketConfiguration) {
        _ = postern_receive_buffer(descriptor, Int32(clamping: configuration.receiveBufferSize))
        _ = postern_send_buffer(descriptor, Int32(clamping: configuration.sendBufferSize))
        if configuration.address.isUnspecified { _ = postern_report_packet_info(descriptor, family) }
        _ = postern_report_errors(descriptor, family)
        _ = postern_report_traffic_class(descriptor, family)
        _ = postern_report_receive_drops(descriptor)
        _ = postern_never_fragment(descriptor, family)
        if configuration.usesCoalescing { _ = postern_coalesce_received(descriptor, 1) }
        if configuration.trafficClass != 0 {
            _ = postern_set_traffic_class(descriptor, family, Int32(configuration.trafficClass))
        }
    }
}
