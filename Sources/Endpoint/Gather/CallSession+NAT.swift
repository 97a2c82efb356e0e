import ICE
import PeerIO
import Primitives

extension CallSession {
    /// Asks the first STUN or TURN server of each family how the NAT before us behaves. The second server of a family stands
    /// in where the first has one address only.
    public func runNAT() async throws -> [NATReport] {
        let servers = try await resolveServers()
        let asked =
            servers.stun.map { ($0.url, $0.address) }
            + servers.relays.filter { $0.stream == nil }.map { ($0.url, $0.address) }
        let loop = try makeLoop()
        let addresses = try hostAddresses()
        var reports: [NATReport] = []
        for family in [IPAddress.Family.ipv4, .ipv6] {
            let own = asked.filter { $0.1.ip.family == family }
            guard let first = own.first,
                let host = addresses.first(where: {
                    $0.ip.family == family && (!$0.ip.isLoopback || first.1.ip.isLoopback) && !$0.ip.isLinkLocal
                })
            else { continue }
            let second = own.first { $0.1.ip != first.1.ip }?.1
            do {
                let probing = try Probing(loop: loop, ip: host.ip, server: first.1, second: second)
                reports.append(NATReport(url: first.0, findings: try await probing.run { self.isInterrupted }))
            } catch {
                await loop.shutdown()
                throw CallSetupError("\(error)", status: .network)
            }
        }
        await loop.shutdown()
        guard !reports.isEmpty else {
            throw CallSetupError(
                "no server could be asked: none is of a family that we have an address of", status: .network)
        }
        return reports
    }
}

/// A probe with its sockets.
private actor Probing: UDPSocketOwner {
    private let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let sockets: [UDPSocket]
    private var probe: NATProbe

    init(loop: IOLoop, ip: IPAddress, server: TransportAddress, second: TransportAddress?) throws(SocketFailure) {
        self.loop = loop
        var sockets: [UDPSocket] = []
        for _ in 0..<3 { sockets.append(try UDPSocket(loop: loop, UDPSocketConfiguration(address: ip))) }
        self.sockets = sockets
        probe = NATProbe(
            configuration: .init(server: server, second: second), sockets: sockets.map(\.localAddress),
            random: .system)
    }

    func run(until isOver: @Sendable () -> Bool) async throws -> NATFindings {
        for socket in sockets { try socket.start(owner: self) }
        act { $0.start(at: $1, into: &$2) }
        while probe.result == nil, !isOver() {
            try? await Task.sleep(for: .milliseconds(5))
            act { $0.advance(to: $1, into: &$2) }
        }
        for socket in sockets { socket.close() }
        return probe.result ?? NATFindings(local: sockets[0].localAddress)
    }

    private func act(_ body: (inout NATProbe, Instant, inout [Datagram]) -> Void) {
        var datagrams: [Datagram] = []
        body(&probe, loop.now, &datagrams)
        for datagram in datagrams {
            sockets.first { $0.localAddress == datagram.path.local }?.send([datagram])
        }
    }

    nonisolated func receive(_ batch: inout DatagramBatch) {
        assumeIsolated { probing in
            var datagrams: [Datagram] = []
            batch.drain { datagram, _ in datagrams.append(datagram) }
            for datagram in datagrams { probing.act { $0.receive(datagram, at: $1, into: &$2) } }
        }
    }

    nonisolated func receive(_ errors: [SocketError], at now: Instant) {}
}
