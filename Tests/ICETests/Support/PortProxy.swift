import ICE
import Primitives

/// A pair of port-level proxies: what comes to `front` goes to `inside` with a source port of the back proxy's own, one
/// per outside client. Nothing else passes between the two sides.
final class PortProxy: Middlebox {
    let front: TransportAddress
    let back: IPAddress
    let inside: TransportAddress
    private var mappings: [TransportAddress: UInt16] = [:]
    private var nextPort: UInt16 = 39_000
    var isDown = false

    init(front: String, back: String, inside: String) {
        self.front = address(front)
        self.back = address(back + ":0").ip
        self.inside = address(inside)
    }

    /// Forgets every mapping; the next packet from outside gets a new port.
    func flush() { mappings = [:] }

    func forward(_ packet: Packet, at now: Instant) -> Packet? {
        guard !isDown else { return nil }
        var packet = packet
        if packet.destination == front {
            let port: UInt16
            if let known = mappings[packet.source] {
                port = known
            } else {
                nextPort += 1
                port = nextPort
                mappings[packet.source] = port
            }
            packet.source = TransportAddress(back, port)
            packet.destination = inside
            return packet
        }
        if packet.destination.ip == back {
            guard let client = mappings.first(where: { $0.value == packet.destination.port })?.key else { return nil }
            packet.source = front
            packet.destination = client
            return packet
        }
        return nil
    }
}

/// Passes everything for which a rule does not say otherwise.
final class Filter: Middlebox {
    var rule: (Packet, Instant) -> Packet?
    init(_ rule: @escaping (Packet, Instant) -> Packet?) { self.rule = rule }
    func forward(_ packet: Packet, at now: Instant) -> Packet? { rule(packet, now) }
}
