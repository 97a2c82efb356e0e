import ICE
import Peer
import Primitives
import SimulatedTURN

/// A TURN server between the engines of an `EnginePair`, both of which use it alone: what the relay costs an engine is the
/// difference to the direct path.
final class RelayedBench {
    /// How data travels between an engine and the server.
    enum Form: CaseIterable {
        /// Four bytes before the packet (RFC 8656 §12).
        case channelData
        /// Send and Data indications, a STUN message around each packet (RFC 8656 §11).
        case indications
    }

    let form: Form
    private(set) var server: TURNServer

    static let address = TransportAddress(IPAddress(v4: 0xC000_0203), 3_478)

    init(_ form: Form) {
        self.form = form
        server = TURNServer(
            TURNServer.Configuration(listening: [Self.address], relayAddresses: [Self.address.ip]), seed: 3)
    }

    func configure(_ configuration: inout PeerConfiguration) {
        configuration.relayServers = [
            RelayServer(
                url: "turn:192.0.2.3", address: Self.address,
                credential: TURNCredential(username: "alice", password: "a password"))
        ]
        configuration.ice.policy = .relay
        if form == .indications { configuration.ice.allocation.limits.channels = 0 }
    }

    /// What leaves the server for a datagram; from one relayed address to another it goes through it twice.
    func take(_ datagram: Datagram, at now: Instant) -> [Datagram]? {
        guard datagram.path.local.ip == Self.address.ip else { return nil }
        var leaving: [Datagram] = []
        var arriving = [datagram]
        while let next = arriving.popLast() {
            var out: [Datagram] = []
            server.receive(next, at: now, into: &out)
            for datagram in out {
                if datagram.path.remote.ip == Self.address.ip {
                    arriving.append(EnginePair.arriving(datagram))
                } else {
                    leaving.append(datagram)
                }
            }
        }
        return leaving
    }
}
