import ICE
import Peer
import Primitives

/// What a connection gathers on for ICE-TCP (RFC 6544): a share of a listener, or an address to connect from.
public struct ConnectionBinding: @unchecked Sendable {
    // A share is started, and from then on used, on its loop's thread only.
    public enum Kind {
        case passive(TCPListenerShare)
        case active(IPAddress)
    }

    public var kind: Kind
    public var interfaceName: String
    public var preference: UInt16

    public init(_ kind: Kind, interfaceName: String = "", preference: UInt16 = 65_535) {
        self.kind = kind
        self.interfaceName = interfaceName
        self.preference = preference
    }

    var base: LocalBase {
        switch kind {
        case .passive(let share):
            LocalBase(
                address: share.localAddress, interfaceName: interfaceName, preference: preference,
                transport: .tcpPassive)
        case .active(let ip): .tcpActive(ip, interfaceName: interfaceName, preference: preference)
        }
    }
}

/// TCP connections of ICE: made when the engine wants one, taken from listeners, both known by their paths.
extension PeerConnection: TCPListenerOwner {
    func start(_ bindings: [ConnectionBinding]) throws(SocketFailure) {
        for binding in bindings {
            let ip = binding.base.address.ip
            if !hostAddresses.contains(ip) { hostAddresses.append(ip) }
            guard case .passive(let share) = binding.kind else { continue }
            precondition(share.loop === loop, "a connection's listeners are on its loop")
            try share.start(owner: self)
            listeners.append(share)
            ufrags = []
        }
    }

    /// Makes and closes connections, those to TURN servers among them.
    func carryOut(_ wishes: [PeerEvent]) {
        for wish in wishes {
            switch wish {
            case .connectionWanted(let path): connect(path)
            case .relayConnectionWanted(let server): connect(to: server)
            case .connectionUnwanted(let path): connections.removeValue(forKey: path)?.close()
            default: break
            }
        }
    }

    private func connect(_ path: NetworkPath) {
        guard connections[path] == nil else { return }
        do throws(SocketFailure) {
            let connection = try FramedConnection(loop: loop, connecting: path)
            connections[path] = connection
            try connection.start(owner: self)
        } catch {
            connections[path] = nil
            turn { $0.disconnected(path, reason: error.reason, at: $1, into: &$2) }
        }
    }

    /// Frames of one turn; what has no room is dropped and counted.
    func sendFrames(_ datagrams: ArraySlice<Datagram>) {
        var touched: [FramedConnection] = []
        for datagram in datagrams {
            guard let connection = connections[datagram.path] else { continue }
            // What meets the end of a connection is lost with it, not for want of room.
            if !connection.send(datagram.bytes), connection.isOpen {
                engine.noteDiscarded(datagram.path, packets: 1, bytes: datagram.bytes.count)
            }
            if touched.last !== connection { touched.append(connection) }
        }
        for connection in touched { connection.flush() }
    }

    func closeConnections() {
        for connection in connections.values { connection.close() }
        connections = [:]
        for listener in listeners { listener.close() }
        listeners = []
    }

    // MARK: On the loop's thread

    public nonisolated func accepted(_ connection: FramedConnection) {
        assumeIsolated { peer in
            peer.connections.removeValue(forKey: connection.path)?.close()
            peer.connections[connection.path] = connection
        }
    }

    public nonisolated func opened(_ connection: FramedConnection, from local: TransportAddress) {
        assumeIsolated { peer in
            peer.turn { $0.connected(connection.path, from: local, at: $1, into: &$2) }
        }
    }

    public nonisolated func received(_ batch: inout DatagramBatch, on connection: FramedConnection) {
        assumeIsolated { $0.received(&batch) }
    }

    public nonisolated func ended(_ connection: FramedConnection, reason: String) {
        assumeIsolated { peer in
            guard peer.connections[connection.path] === connection else { return }
            peer.connections[connection.path] = nil
            peer.turn { $0.disconnected(connection.path, reason: reason, at: $1, into: &$2) }
        }
    }
}

extension SocketFailure {
    fileprivate var reason: String { "\(call): \(errorText(code))" }
}
