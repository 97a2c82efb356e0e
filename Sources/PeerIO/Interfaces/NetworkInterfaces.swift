import CLinuxIO
import Glibc
import Primitives

/// Asks the system for its interfaces and routes.
public enum NetworkInterfaces {
    /// All interfaces with their addresses, in the system's order. Interfaces without an address are included.
    public static func list() throws(SocketFailure) -> [NetworkInterface] {
        var head: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&head) == 0 else {
            throw SocketFailure(code: postern_errno(), call: "getifaddrs", subject: "list of network interfaces")
        }
        defer { unsafe freeifaddrs(head) }
        let states = AddressStates(readFile("/proc/net/if_inet6"))
        var interfaces: [NetworkInterface] = []
        var cursor = unsafe head
        while let entry = unsafe cursor {
            unsafe cursor = entry.pointee.ifa_next
            // An address with a label shows as an interface "eth0:label".
            let label = unsafe String(cString: entry.pointee.ifa_name)
            let name = String(label.prefix { $0 != ":" })
            let flags = unsafe entry.pointee.ifa_flags
            let position: Int
            if let known = interfaces.firstIndex(where: { $0.name == name }) {
                position = known
            } else {
                position = interfaces.count
                interfaces.append(
                    NetworkInterface(
                        name: name, index: unsafe if_nametoindex(name),
                        isUp: flags & postern_flag_up() != 0 && flags & postern_flag_running() != 0,
                        isLoopback: flags & postern_flag_loopback() != 0,
                        isPointToPoint: flags & postern_flag_point_to_point() != 0))
            }
            guard let ip = unsafe address(entry.pointee.ifa_addr) else { continue }
            let mask = unsafe address(entry.pointee.ifa_netmask)
            var peer: IPAddress?
            if interfaces[position].isPointToPoint { peer = unsafe address(postern_peer(entry)) }
            let state = states.state(of: ip)
            interfaces[position].addresses.append(
                NetworkInterface.Address(
                    ip: ip, prefixLength: mask.map(prefixLength) ?? (ip.family == .ipv4 ? 32 : 128),
                    peer: peer == ip ? nil : peer,
                    isTemporary: state & AddressStates.temporary != 0,
                    isDeprecated: state & AddressStates.deprecated != 0,
                    isTentative: state & (AddressStates.tentative | AddressStates.duplicate) != 0))
        }
        return interfaces
    }

    /// The system's number of an interface; `nil` where there is none of that name.
    static func index(of name: String) -> UInt32? {
        let index = unsafe if_nametoindex(name)
        return index == 0 ? nil : index
    }

    /// The source address the system would choose toward `destination`, or `nil` without a route. Nothing is sent:
    /// a UDP socket is connected, which only looks the route up.
    public static func sourceAddress(toward destination: IPAddress) -> IPAddress? {
        let descriptor = postern_udp_open(destination.family.number)
        guard descriptor >= 0 else { return nil }
        defer { _ = close(descriptor) }
        guard postern_connect(descriptor, postern_address(destination, port: 9)) == 0 else { return nil }
        var local = postern_address.none
        guard unsafe postern_local_address(descriptor, &local) == 0, local.family != 0 else { return nil }
        return local.ip.isUnspecified ? nil : local.ip
    }

    /// The source addresses of the default routes, one a family at most.
    public static func defaultRouteAddresses() -> [IPAddress] {
        // Well-known global addresses; only the routing table is asked.
        [IPAddress("8.8.8.8"), IPAddress("2001:4860:4860::8888")].compactMap { $0.flatMap(sourceAddress(toward:)) }
    }

    private static func address(_ raw: UnsafeMutablePointer<sockaddr>?) -> IPAddress? {
        var result = postern_address.none
        unsafe postern_from_sockaddr(raw, &result)
        return result.family == 0 ? nil : result.ip
    }

    private static func prefixLength(_ mask: IPAddress) -> Int {
        mask.words.upper.nonzeroBitCount + mask.words.lower.nonzeroBitCount
    }

    private static func readFile(_ path: String) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { _ = close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count < 1 << 20 {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The states of IPv6 addresses, from the text of /proc/net/if_inet6: address, interface number, prefix length, scope,
/// flags (all in hexadecimal), name.
struct AddressStates {
    static let temporary: UInt8 = 0x01
    static let duplicate: UInt8 = 0x08
    static let deprecated: UInt8 = 0x20
    static let tentative: UInt8 = 0x40

    private var states: [IPAddress: UInt8] = [:]

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count >= 6, let bytes = [UInt8](hexadecimal: fields[0]), let ip = IPAddress(bytes: bytes),
                let flags = UInt8(fields[4].suffix(2), radix: 16)
            else { continue }
            states[ip] = flags
        }
    }

    func state(of ip: IPAddress) -> UInt8 { states[ip] ?? 0 }
}
