import ICE
import Primitives
import SimulatedNetwork

/// A TURN server over UDP in virtual time (RFC 8656), as strict as a server may be: what is not renewed by the last
/// nanosecond of its life is gone.
///
/// It lives on a host of a `Simulation`, listens on its `listening` addresses and relays from ports of its
/// `relayAddresses`. It keeps a nonce for each client address and port and an allocation of at most one address a family.
/// It stands beside `SimulatedNetwork` because it uses the STUN codec and the credentials of `ICE`, which published
/// vectors hold to the standard; everything else a client relies on is written here from the server's side.
public struct TURNServer: SimulatedNode {
    struct Nonce {
        var bytes: [UInt8]
        var issued: Instant
    }

    public var configuration: Configuration
    public internal(set) var counters = TURNServerCounters()
    /// Answers every request of a method with an error, after its credentials were found good.
    public var forcedErrors: [STUNMessage.Method: STUNErrorCode] = [:]
    /// Answers nothing while true.
    public var isSilent = false
    var random: RandomSource
    var nonces: [NetworkPath: Nonce] = [:]
    var allocations: [NetworkPath: TURNServerAllocation] = [:]
    /// Whose a relayed address is.
    var owners: [TransportAddress: NetworkPath] = [:]
    var nextPort: UInt16 = 49_152

    public init(_ configuration: Configuration, seed: UInt64) {
        self.configuration = configuration
        random = .seeded(seed)
    }

    /// Clients by the path from us to them.
    public var clients: [TURNServerAllocation] { allocations.values.sorted { $0.client.remote < $1.client.remote } }

    /// Forgets everything, as a process that is killed and started again.
    public mutating func restart() {
        nonces = [:]
        allocations = [:]
        owners = [:]
    }

    // MARK: Node

    public var deadline: Instant? { allocations.values.map(\.expires).min() }

    public mutating func advance(to now: Instant, into out: inout [Datagram]) {
        for (path, allocation) in allocations where allocation.expires <= now {
            counters.expired += 1
            free(path)
        }
    }

    public mutating func receive(_ datagram: Datagram, at now: Instant, into out: inout [Datagram]) {
        guard !isSilent else { return }
        advance(to: now, into: &out)
        if configuration.listening.contains(datagram.path.local) {
            receiveFromClient(datagram, at: now, into: &out)
        } else {
            relayToClient(datagram, at: now, into: &out)
        }
    }

    public mutating func noteUnreachable(
        _ path: NetworkPath, _ reason: UnreachableReason, at now: Instant, into out: inout [Datagram]
    ) {
        guard !isSilent, let client = owners[path.local], let allocation = allocations[client],
            allocation.permits(path.remote.ip, at: now)
        else { return }
        let error = STUNICMPError(
            type: path.remote.ip.family == .ipv4 ? 3 : 1, code: reason == .portUnreachable ? 3 : 1)
        let indication = STUNMessage(
            .indication, method: .data, transactionID: STUNTransactionID(using: &random),
            attributes: [.xorPeerAddress(path.remote), .icmp(error)])
        out.append(Datagram(bytes: indication.encoded(fingerprint: false), path: client))
    }

    mutating func free(_ client: NetworkPath) {
        guard let allocation = allocations.removeValue(forKey: client) else { return }
        for address in allocation.relayed { owners[address] = nil }
    }

    // MARK: Data

    private mutating func relayToClient(_ datagram: Datagram, at now: Instant, into out: inout [Datagram]) {
        guard let client = owners[datagram.path.local], let allocation = allocations[client] else { return }
        let peer = datagram.path.remote
        guard allocation.permits(peer.ip, at: now) else {
            counters.refusedPeers += 1
            return
        }
        counters.relayedToClients += 1
        if let number = allocation.channel(to: peer, at: now) {
            var bytes: [UInt8] = []
            bytes.append(number)
            bytes.append(UInt16(truncatingIfNeeded: datagram.bytes.count))
            out.append(Datagram(bytes: bytes + datagram.bytes, path: client))
        } else {
            let indication = STUNMessage(
                .indication, method: .data, transactionID: STUNTransactionID(using: &random),
                attributes: [.xorPeerAddress(peer), .data(datagram.bytes)])
            out.append(Datagram(bytes: indication.encoded(fingerprint: false), path: client))
        }
    }

    func relay(_ data: [UInt8], of client: NetworkPath, to peer: TransportAddress, into out: inout [Datagram]) {
        guard let local = allocations[client]?.relayed.first(where: { $0.ip.family == peer.ip.family }) else { return }
        out.append(Datagram(bytes: data, path: NetworkPath(local: local, remote: peer)))
    }

    private mutating func receiveFromClient(_ datagram: Datagram, at now: Instant, into out: inout [Datagram]) {
        let client = datagram.path
        let bytes = datagram.bytes
        if let first = bytes.first, (0x40...0x4F).contains(first) {
            guard bytes.count >= 4, let allocation = allocations[client] else { return }
            let number = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
            let length = Int(bytes[2]) << 8 | Int(bytes[3])
            guard length <= bytes.count - 4, let channel = allocation.channels[number], channel.expires > now,
                allocation.permits(channel.peer.ip, at: now)
            else {
                counters.droppedFromClients += 1
                return
            }
            counters.channelData += 1
            return relay(Array(bytes[4..<4 + length]), of: client, to: channel.peer, into: &out)
        }
        guard let message = try? STUNMessage(parsing: bytes), message.fingerprint != .differs else { return }
        switch message.messageClass {
        case .request: answer(message, from: client, at: now, into: &out)
        case .indication where message.method == .send:
            guard let allocation = allocations[client], let peer = message.peerAddress, let data = message.data,
                allocation.permits(peer.ip, at: now)
            else {
                counters.droppedFromClients += 1
                return
            }
            counters.sendIndications += 1
            relay(data, of: client, to: peer, into: &out)
        default: break
        }
    }
}

/// One client's, as the server keeps it.
public struct TURNServerAllocation: Sendable {
    public struct Channel: Sendable {
        public var peer: TransportAddress
        public var expires: Instant
    }

    public var client: NetworkPath
    public var username: String
    public var relayed: [TransportAddress]
    public var expires: Instant
    public var permissions: [IPAddress: Instant] = [:]
    public var channels: [UInt16: Channel] = [:]
    /// The request that made it, which is answered alike when it comes again.
    var transactionID: STUNTransactionID

    func permits(_ ip: IPAddress, at now: Instant) -> Bool { permissions[ip].map { $0 > now } ?? false }
    func channel(to peer: TransportAddress, at now: Instant) -> UInt16? {
        channels.first { $0.value.peer == peer && $0.value.expires > now }?.key
    }
}

public struct TURNServerCounters: Hashable, Sendable {
    public var requests: [UInt16: Int] = [:]
    public var errors: [Int: Int] = [:]
    public var sendIndications = 0
    public var channelData = 0
    public var relayedToClients = 0
    /// Sent to a relayed address by someone without permission.
    public var refusedPeers = 0
    /// From clients, for peers without permission or on dead channels.
    public var droppedFromClients = 0
    /// Allocations that ran out, and those that were freed by their owners.
    public var expired = 0
    public var released = 0
}
