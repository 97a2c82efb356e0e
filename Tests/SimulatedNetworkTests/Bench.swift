import Primitives
import SimulatedNetwork
import Testing

/// Two hosts on the internet, and short ways to send and to look at what came.
struct Bench {
    var simulation: Simulation
    let left: HostID
    let right: HostID
    static let leftIP = ip("192.0.2.10")
    static let rightIP = ip("198.51.100.10")

    init(seed: UInt64 = 1, left leftLink: Link = .ideal, right rightLink: Link = .ideal) {
        simulation = Simulation(seed: seed)
        left = simulation.addHost("left", addresses: [Self.leftIP], link: leftLink)
        right = simulation.addHost("right", addresses: [Self.rightIP], link: rightLink)
    }

    /// Sends `size` bytes from left to right, marked with `number` in their first four.
    mutating func send(_ number: UInt32 = 0, size: Int = 100, at instant: Instant) {
        var bytes: [UInt8] = []
        bytes.append(number)
        bytes.append(contentsOf: Array(repeating: 0, count: Swift.max(0, size - 4)))
        let path = NetworkPath(
            local: TransportAddress(Self.leftIP, 1_000), remote: TransportAddress(Self.rightIP, 2_000))
        simulation.send(Datagram(bytes: bytes, path: path), from: left, at: instant)
    }
}

func ip(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { preconditionFailure("\(text) is no address") }
    return address
}

func socket(_ text: String) -> TransportAddress {
    guard let address = TransportAddress(text) else { preconditionFailure("\(text) is no socket address") }
    return address
}

func ms(_ value: Int64) -> Instant { .zero + .milliseconds(value) }

extension Arrival {
    var datagram: Datagram? {
        if case .datagram(let datagram) = delivery { return datagram }
        return nil
    }
    var number: UInt32? {
        guard let bytes = datagram?.bytes, bytes.count >= 4 else { return nil }
        return bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
    var unreachable: UnreachableReason? {
        if case .unreachable(_, let reason) = delivery { return reason }
        return nil
    }
}

extension Simulation {
    /// Sends one byte and tells what arrived anywhere within a second.
    mutating func probe(_ host: HostID, from local: String, to remote: String) -> [Arrival] {
        probe(host, from: socket(local), to: socket(remote))
    }

    mutating func probe(_ host: HostID, from local: TransportAddress, to remote: TransportAddress) -> [Arrival] {
        send(Datagram(bytes: [1], path: NetworkPath(local: local, remote: remote)), from: host, at: now)
        return advance(to: now + .milliseconds(1_000))
    }
}
