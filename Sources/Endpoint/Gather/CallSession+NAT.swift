import ICE
import PeerIO
import Primitives

extension CallSession {
    /// Asks the first STUN or TURN server of each family how the NAT before us behaves. The second server of a family stands
    /// in where the first has one address only.
    ///
    /// - Parameter idle: the longest silence after which the binding's life is asked for; zero leaves it out.
    public func runNAT(idle: TimeDelta) async throws -> [NATReport] {
        let servers = try await resolveServers()
        let asked = servers.askedByUDP
        let loop = try makeLoop()
        let addresses = try hostAddresses()
        var reports: [NATReport] = []
        for family in [IPAddress.Family.ipv4, .ipv6] {
            let own = asked.filter { $0.address.ip.family == family }
            guard let first = own.first,
                let host = addresses.first(where: { $0.ip.reaches(first.address.ip) })
            else { continue }
            let second = own.first { $0.address.ip != first.address.ip }?.address
            do {
                let probing = Probing(loop: loop, ip: host.ip)
                let probe = NATProbe.Configuration(server: first.address, second: second)
                var findings = try await probing.behavior(probe) { self.isInterrupted }
                if findings.mayForget, idle > .zero {
                    reporter.log(
                        .info,
                        "measuring how long an idle mapping is kept, \(Int(idle.seconds)) s at most (--idle 0s: not)")
                    let lifetime = NATLifetimeProbe.Configuration(server: first.address, limit: idle)
                    findings.lifetime = try await probing.lifetime(lifetime) { self.isInterrupted }
                }
                reports.append(NATReport(url: first.url, findings: findings))
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

extension NATFindings {
    /// Whether there is anything on the way that has mappings or filters to forget.
    fileprivate var mayForget: Bool {
        mapped != nil && (isTranslated == true || (filtering != nil && filtering != .endpointIndependent))
    }
}

/// Probes with sockets of their own, on one address.
private actor Probing: UDPSocketOwner {
    private let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let ip: IPAddress
    private var sockets: [UDPSocket] = []
    private var probe: (any NATProbing)?

    init(loop: IOLoop, ip: IPAddress) {
        self.loop = loop
        self.ip = ip
    }

    func behavior(
        _ configuration: NATProbe.Configuration, until isOver: @Sendable () -> Bool
    ) async throws -> NATFindings {
        let ended = try await run(sockets: 3, until: isOver) { addresses in
            NATProbe(configuration: configuration, sockets: addresses, random: .system)
        }
        return ended.result ?? NATFindings(local: ended.sockets[0])
    }

    func lifetime(
        _ configuration: NATLifetimeProbe.Configuration, until isOver: @Sendable () -> Bool
    ) async throws -> NATLifetime? {
        try await run(sockets: configuration.spans.count + 1, until: isOver) { addresses in
            NATLifetimeProbe(configuration: configuration, sockets: addresses, random: .system)
        }.result
    }

    private func run<Probe: NATProbing>(
        sockets count: Int, until isOver: @Sendable () -> Bool, _ make: ([TransportAddress]) -> Probe
    ) async throws -> Probe {
        for _ in 0..<count { sockets.append(try UDPSocket(loop: loop, UDPSocketConfiguration(address: ip))) }
        defer {
            for socket in sockets { socket.close() }
            sockets = []
        }
        for socket in sockets { try socket.start(owner: self) }
        var begun = make(sockets.map(\.localAddress))
        var datagrams: [Datagram] = []
        begun.start(at: loop.now, into: &datagrams)
        probe = begun
        send(datagrams)
        while let probe, !probe.hasEnded, !isOver() {
            try? await Task.sleep(for: .milliseconds(5))
            act { $0.advance(to: $1, into: &$2) }
        }
        return probe as? Probe ?? begun
    }

    private func act(_ body: (inout any NATProbing, Instant, inout [Datagram]) -> Void) {
        guard var acting = probe else { return }
        var datagrams: [Datagram] = []
        body(&acting, loop.now, &datagrams)
        probe = acting
        send(datagrams)
    }

    private func send(_ datagrams: [Datagram]) {
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
