import DTLSSRTP
import ICE
import Peer
import Primitives

/// A connection to a TURN server, being made or standing.
struct RelayLink {
    var connection: StreamConnection
    var server: RelayServer
    /// Which of our addresses that reach the server it is from.
    var local: Int
    /// Connections that were not to be had, or lost soon, in a row.
    var failures: Int
    var openedAt: Instant?
}

/// TURN servers over TCP and TLS: connected from the addresses that are gathered on, one after another until one does; and
/// again after a loss, 1 s and doubling to 60 s apart, until the connection is closed or the server or a proxy refuses us.
extension PeerConnection: StreamConnectionOwner {
    static let connectLimit = Duration.seconds(10)
    /// A connection that stood for so long is a good one: after it the waits begin anew.
    static let goodAfter: TimeDelta = .seconds(30)

    func connect(to server: RelayServer, local: Int = 0, failures: Int = 0) {
        guard !isClosing, !streams.values.contains(where: { $0.server == server }) else { return }
        let locals = addresses(reaching: server)
        guard local < locals.count else {
            let family = server.address.ip.family.rawValue
            return disconnected(
                server, from: nil, reason: "there is no \(family) address here to connect from", next: nil)
        }
        do throws(SocketFailure) {
            let connection = try StreamConnection(
                loop: loop, from: locals[local], to: server.address, through: server.tunnel,
                tls: server.tls(engine.configuration.relayTrust))
            try connection.start(owner: self)
            streams[ObjectIdentifier(connection)] = RelayLink(
                connection: connection, server: server, local: local, failures: failures)
            Task { [weak self, weak connection] in
                try? await Task.sleep(for: Self.connectLimit)
                if let connection { await self?.giveUp(connection) }
            }
        } catch {
            failed(server, local: local, failures: failures, reason: "\(error)", isRefused: false)
        }
    }

    func closeStreams() {
        for link in streams.values { link.connection.close() }
        streams = [:]
    }

    private func addresses(reaching server: RelayServer) -> [IPAddress] {
        hostAddresses.filter { $0.reaches(server.address.ip) }
    }

    private func stands(_ connection: StreamConnection) {
        guard var link = streams[ObjectIdentifier(connection)] else { return connection.close() }
        let address = connection.localAddress
        guard sockets[address] == nil else {
            // Its port is that of a UDP socket of ours, and paths do not tell the two apart.
            lost(connection, "its port is in use here by UDP")
            return
        }
        link.openedAt = loop.now
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
        guard let openedAt = link.openedAt else {
            return failed(
                link.server, local: link.local, failures: link.failures, reason: reason,
                isRefused: connection.isRefused)
        }
        sockets[connection.localAddress] = nil
        let failures = loop.now - openedAt >= Self.goodAfter ? 0 : link.failures
        disconnected(link.server, from: connection.localAddress, reason: reason, next: (link.local, failures))
    }

    /// It never stood: another of our addresses may do, and is tried at once.
    private func failed(_ server: RelayServer, local: Int, failures: Int, reason: String, isRefused: Bool) {
        if !isRefused, local + 1 < addresses(reaching: server).count {
            return connect(to: server, local: local + 1, failures: failures)
        }
        disconnected(server, from: nil, reason: reason, next: isRefused ? nil : (0, failures))
    }

    /// - Parameter next: what to try next, and the failures before; `nil`: nothing.
    private func disconnected(
        _ server: RelayServer, from address: TransportAddress?, reason: String, next: (local: Int, failures: Int)?
    ) {
        var isWanted = false
        turn { isWanted = $0.relayDisconnected(server, from: address, reason: reason, at: $1, into: &$2) }
        guard let next, isWanted, !isClosing else { return }
        let wait = Duration.seconds(min(60, 1 << min(next.failures, 6)))
        Task { [weak self] in
            try? await Task.sleep(for: wait)
            await self?.connect(to: server, local: next.local, failures: next.failures + 1)
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
