import ICE
import Peer
import Primitives
import SimulatedNetwork
import SimulatedTURN

/// A TURN server inside: coturn beside the peer, as phones and the inside reach it.
extension BoundaryBench {
    static let turn = IPAddress(v4: 0xC000_0286)
    static let credential = TURNCredential(username: "alice", password: "a password")

    /// The server as a phone has it configured: by the front's address.
    static func outside(_ front: IPAddress = front) -> RelayServer {
        RelayServer(url: "turn:front", address: TransportAddress(front, 3_478), credential: credential)
    }
    /// The same server as the inside has it.
    static let insideServer = RelayServer(
        url: "turn:inside", address: TransportAddress(turn, 3_478), credential: credential)

    /// - Parameter external: what is announced for the relayed address (coturn's external-ip).
    static func server(external: IPAddress? = nil) -> TURNServer.Configuration {
        var configuration = TURNServer.Configuration(
            listening: [TransportAddress(turn, 3_478)], relayAddresses: [turn])
        if let external { configuration.externalAddresses = [turn: external] }
        return configuration
    }

    func turnRelay(_ body: (inout TURNServer, Instant, inout [Datagram]) -> Void) {
        guard let host = relay?.host else { return }
        var out: [Datagram] = []
        body(&relay!.server, now, &out)
        for datagram in out { simulation.send(datagram, from: host, at: now) }
    }

    func deliverToRelay(_ delivery: Delivery) {
        switch delivery {
        case .datagram(let datagram): turnRelay { $0.receive(datagram, at: $1, into: &$2) }
        case .unreachable(let path, let reason): turnRelay { $0.noteUnreachable(path, reason, at: $1, into: &$2) }
        }
    }

    /// A STUN success, or one that a TURN server passed on by channel.
    func isAnswer(_ datagram: Datagram) -> Bool {
        datagram.bytes.prefix(2) == [1, 1]
            || (PacketClass(datagram.bytes) == .turnChannel && datagram.bytes.dropFirst(4).prefix(2) == [1, 1])
    }
}
