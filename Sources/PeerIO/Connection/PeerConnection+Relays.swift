import DTLSSRTP
import ICE
import Peer
import Primitives

/// A connection to a TURN server, being made or standing.
struct RelayLink {
    var connection: StreamConnection
    var server: RelayServer
    /// Attempts since it last stood.
    var attempt: Int
}

/// TURN servers over TCP and TLS: connected from the addresses that are gathered on, one after another until one does; and
/// again after a loss, 1 s and doubling to 60 s apart, until the connection is closed or the server or a proxy refuses us.
extension PeerConnection: StreamConnectionOwner {
    static let connectLimit = Duration.seconds(10)

    func connect(to server: RelayServer, attempt: Int = 0) {
        guard !isClosing, !streams.values.contains(where: { $0.server == server }) else { return }
        let remote = server.address
        let locals = hostAddresses.filter { $0.reaches(remote.ip) }
        guard !locals.isEmpty else {
            return disconnected(
                server, from: nil, reason: "there is no \(remote.ip.family.rawValue) address here to connect from",
                attempt: nil)
        }
        do throws(SocketFailure) {
            let connection = try StreamConnection(
                loop: loop, from: locals[attempt % locals.count], to: remote, through: server.tunnel,
                tls: server.tls(engine.configuration.relayTrust))
            streams[ObjectIdentifier(connection)] = RelayLink(
                connection: connection, server: server, attempt: attempt)
            try connection.start(owner: self)
            Task { [weak self, weak connection] in
                try? await Task.sleep(for: Self.connectLimit)
                if let connection { await self?.giveUp(connection) }
            }
        } catch {
            disconnected(server, from: nil, reason: "\(error)", attempt: attempt)
        }
    }

    func closeStreams() {
        for link in streams.values { link.connection.close() }
        streams = [:]
    }

    private func stands(_ connection: StreamConnection) {
        guard var link = streams[ObjectIdentifier(connection)] else { return connection.close() }
        let address = connection.localAddress
        guard sockets[address] == nil else {
            // Its port is that of a UDP socket of ours, and paths do not tell the two apart.
            lost(connection, "its port is in use here by UDP")
            return
        }
        link.attempt = 0
        streams[ObjectIdentifier(connection)] = link
        sockets[address] = connection
        turn { $0.relayConnected(link.server, on: LocalBase(address: address), at: $1, into: &$2) }
    }

    private func giveUp(_ connection: StreamConnection) {
        if !connection.isOpen { lost(connection, "no connection within \(Self.connectLimit)") }
    }

    private func lost(_ connection: StreamConnection, _ reason: String) {
        guard let link = streams.removeValue(forKey: ObjectIdentifier(connection)) else { return }
        connection.close()
        let wasOpen = sockets[connection.localAddress] === connection
        if wasOpen { sockets[connection.localAddress] = nil }
        disconnected(
            link.server, from: wasOpen ? connection.localAddress : nil, reason: reason,
            attempt: connection.isRefused ? nil : link.attempt)
    }

    private func disconnected(
        _ server: RelayServer, from address: TransportAddress?, reason: String, attempt: Int?
    ) {
        if let attempt, address == nil, attempt + 1 < hostAddresses.count(where: { $0.reaches(server.address.ip) }) {
            return connect(to: server, attempt: attempt + 1)
        }
        var isWanted = false
        turn { isWanted = $0.relayDisconnected(server, from: address, reason: reason, at: $1, into: &$2) }
        guard let attempt, isWanted, !isClosing else { return }
        let wait = Duration.seconds(min(60, 1 << min(attempt, 6)))
        Task { [weak self] in
            try? await Task.sleep(for: wait)
            await self?.connect(to: server, attempt: attempt + 1)
        }
    }

    public nonisolated func opened(_ connection: StreamConnection) { assumeIsolated { $0.stands(connection) } }

    public nonisolated func ended(_ connection: StreamConnection, reason: String) {
        assumeIsolated { $0.lost(connection, reason) }
    }
}

extension IPAddress {
    /// Whether it is worth connecting from it to a server.
    public func reaches(_ server: IPAddress) -> Bool {
        family == server.family && (!isLoopback || server.isLoopback) && !isLinkLocal
    }
}

extension RelayServer {
    /// What TLS is asked for on the way to it; `nil` where there is none.
    public func tls(_ trust: TLSTrust) -> TLSStream.Configuration? {
        guard case .tls(let host) = stream else { return nil }
        return TLSStream.Configuration(
            host: host, isAddress: IPAddress(host) != nil, authorities: trust.authorities,
            isInsecure: trust.isInsecure)
    }
}
