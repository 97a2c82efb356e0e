import ICE
import Peer
import Primitives
import SDP
import SimulatedNetwork
import Testing

/// Whole calls by ICE-TCP (RFC 6544) in virtual time, through the boundary and without it.
@Suite struct ICETCPCallTests {
    /// A proxy that forwards TCP only; the inside listens, the phone connects.
    private static func tcpOnly(_ options: inout BoundaryOptions) {
        options.carries = [.tcp]
        options.phoneTCP = [.tcpActive]
        options.insideTCP = [.tcpActive, .tcpPassive]
    }

    private func bench(_ change: (inout BoundaryOptions) -> Void, seed: UInt64 = 1) throws -> BoundaryBench {
        var options = BoundaryOptions()
        change(&options)
        return try BoundaryBench(options, seed: seed)
    }

    private func connected(
        _ change: (inout BoundaryOptions) -> Void = tcpOnly, seed: UInt64 = 1
    ) throws -> BoundaryBench {
        let bench = try bench(change, seed: seed)
        try bench.startAll()
        try bench.connect(within: .seconds(10))
        try bench.run(for: .seconds(4))
        return bench
    }

    private func transport(_ bench: BoundaryBench, _ call: Int = 0, _ side: Side = .right) -> PathTransport? {
        bench[call, side].engine.statistics(at: bench.now).objects(of: .candidatePair)
            .first { $0["nominated"] == .bool(true) }
            .flatMap { pair in
                if case .string(let text)? = pair["path"] { text.hasPrefix("tcp ") ? .tcp : .udp } else { nil }
            }
    }

    // MARK: S14

    @Test(arguments: [true, false], [BoundaryOptions.Kind.relay, .nft])
    func s14_aProxyThatForwardsTCPOnlyCarriesTheCall(phoneOffers: Bool, kind: BoundaryOptions.Kind) throws {
        var slowest = TimeDelta.zero
        for seed in BoundaryTable.seeds(2, inTable: 5) {
            let bench = try bench(
                {
                    Self.tcpOnly(&$0)
                    $0.phoneOffers = phoneOffers
                    $0.kind = kind
                }, seed: seed)
            try bench.startAll()
            try bench.connect(within: .seconds(10))
            slowest = max(slowest, (bench.connectedAt() ?? bench.now) - .zero)
            #expect(try bench.hasMediaBothWays())
            #expect(transport(bench) == .tcp)
        }
        BoundaryTable.row(
            "S14", "ICE-TCP only, \(phoneOffers ? "phone" : "inside") offers, \(kind)", "connected \(slowest.short)",
            passes: slowest < .seconds(2))
    }

    @Test func withoutAListenerTheSameProxyCarriesNothing() throws {
        let bench = try bench {
            Self.tcpOnly(&$0)
            $0.insideTCP = [.tcpActive]
        }
        try bench.startAll()
        #expect(try !bench.run(until: .zero + .seconds(20)) { $0.areConnected })
        #expect(bench.phoneStreams[0].connects == 0)
    }

    @Test(arguments: [NATKind.fullCone, .symmetric])
    func aPhoneBehindANATConnectsByTCP(nat: NATKind) throws {
        let bench = try connected {
            Self.tcpOnly(&$0)
            $0.nat = nat
        }
        #expect(transport(bench) == .tcp)
        #expect(try bench.hasMediaBothWays())
    }

    @Test func aPhoneWithoutUsableCandidatesConnectsByTCP() throws {
        let bench = try bench(Self.tcpOnly)
        bench.filter = { _, to, text in
            guard to == .right else { return text }
            if text.hasPrefix("candidate:") { return nil }
            return text.split(separator: "\r\n", omittingEmptySubsequences: false)
                .filter { !$0.hasPrefix("a=candidate:") }.joined(separator: "\r\n")
        }
        try bench.startAll()
        try bench.connect(within: .seconds(2))
        #expect(transport(bench) == .tcp)
    }

    @Test func aLiteInsideAnswersOnItsListener() throws {
        let bench = try connected {
            Self.tcpOnly(&$0)
            $0.insideTCP = [.tcpPassive]
            $0.configureInside = { $0.ice.isLite = true }
        }
        #expect(transport(bench) == .tcp)
        #expect(try bench.hasMediaBothWays())
    }

    @Test func theInsideConnectsToAPhoneThatListens() throws {
        let bench = try connected {
            $0.kind = .none
            $0.hasUDP = false
            $0.phoneTCP = [.tcpPassive]
            $0.insideTCP = [.tcpActive]
        }
        #expect(transport(bench) == .tcp)
        #expect(bench.insideStreams.connects == 1)
        #expect(try bench.hasMediaBothWays())
    }

    // MARK: UDP and TCP

    @Test(arguments: [true, false]) func whereUDPWorksItIsUsedAndNoConnectionIsLeft(phoneOffers: Bool) throws {
        let bench = try connected {
            Self.tcpOnly(&$0)
            $0.carries = [.udp, .tcp]
            $0.phoneOffers = phoneOffers
            $0.isChromium = false
        }
        #expect(transport(bench) == .udp)
        #expect(bench.phoneStreams[0].connectionCount == 0)
        try bench.run(for: .seconds(5))
        #expect(bench.insideStreams.connectionCount == 0)
    }

    @Test func udpThatComesALittleLaterTakesOver() throws {
        let bench = try bench {
            Self.tcpOnly(&$0)
            $0.isChromium = false
            $0.phoneOffers = true
        }
        try bench.startAll()
        try bench.connect(within: .seconds(2))
        let proxy = try #require(bench.proxy)
        var configuration = bench.simulation.configuration(of: proxy)
        configuration.carries = [.udp, .tcp]
        bench.simulation.configure(proxy, configuration)
        try bench.run(for: .seconds(4))
        #expect(transport(bench) == .udp)
        #expect(try bench.hasMediaBothWays())
    }

    @Test func whenUDPIsBlockedInTheCallTCPTakesOver() throws {
        let bench = try connected {
            Self.tcpOnly(&$0)
            $0.carries = [.udp, .tcp]
            $0.isChromium = false
        }
        #expect(transport(bench) == .udp)
        let proxy = try #require(bench.proxy)
        var configuration = bench.simulation.configuration(of: proxy)
        configuration.carries = [.tcp]
        bench.simulation.configure(proxy, configuration)
        bench.simulation.flush(proxy)
        bench.resetGaps()
        let dtls = bench.calls[0].dtlsDepartures
        try bench.run(for: .seconds(15))
        #expect(transport(bench) == .tcp)
        #expect(try bench.hasMediaBothWays())
        #expect(bench.gap() < .seconds(12), "\(bench.gap())")
        #expect(bench.calls[0].dtlsDepartures == dtls)
    }

    // MARK: Loss of the connection

    @Test(arguments: [true, false], [true, false])
    func aCutConnectionIsMadeAgain(phoneOffers: Bool, byFlush: Bool) throws {
        let bench = try connected {
            Self.tcpOnly(&$0)
            $0.phoneOffers = phoneOffers
        }
        let dtls = bench.calls[0].dtlsDepartures
        bench.resetGaps()
        if byFlush {
            bench.flush()
        } else {
            for connection in bench.insideStreams.tcp.connections { bench.insideStreams.tcp.abort(connection) }
            _ = bench.insideStreams.take(bench.now, &bench.simulation)
        }
        try bench.run(for: .seconds(8))
        #expect(try bench.hasMediaBothWays())
        #expect(bench.gap() < .seconds(3), "\(bench.gap())")
        #expect(bench.calls[0].dtlsDepartures == dtls)
        #expect(transport(bench) == .tcp)
    }

    @Test func theCallOutlivesAnOutageOfTheProxy() throws {
        let bench = try connected()
        bench.proxyOutage(.seconds(10))
        bench.flush()
        bench.resetGaps()
        try bench.run(for: .seconds(24))
        #expect(try bench.hasMediaBothWays())
        #expect(bench.gap() < .seconds(16), "\(bench.gap())")
    }

    @Test func aRefusedConnectionIsTriedAgainAndNamed() throws {
        let bench = try bench(Self.tcpOnly)
        try bench.startAll()
        bench.insideStreams.tcp.stopListening(on: BoundaryBench.listener)
        try bench.run(for: .seconds(3))
        #expect(!bench.areConnected)
        let pairs = bench[0, .left].engine.statistics(at: bench.now).objects(of: .candidatePair)
        #expect(
            pairs.contains {
                if case .string(let text)? = $0["lastEvent"] {
                    text.contains("refused") || text.contains("reset")
                } else {
                    false
                }
            })
        bench.insideStreams.tcp.listen(on: BoundaryBench.listener)
        try bench.connect(within: .seconds(6))
        #expect(try bench.hasMediaBothWays())
    }

    @Test func anICERestartGoesThroughTheSameListener() throws {
        let bench = try connected()
        bench.resetGaps()
        try bench.offer(0, from: .right, iceRestart: true)
        try bench.run(for: .seconds(6))
        #expect(try bench.hasMediaBothWays())
        #expect(bench.gap() < .seconds(1), "\(bench.gap())")
    }

    // MARK: One port

    @Test func callsOnOneListenerAreToldApart() throws {
        let bench = try connected {
            Self.tcpOnly(&$0)
            $0.phones = 4
            $0.hasVideo = false
        }
        for call in bench.calls.indices {
            #expect(try bench.hasMediaBothWays(call))
            #expect(bench.insideStreams.paths(of: call).count == 1)
        }
        let dtls = bench.calls.map(\.dtlsDepartures)
        bench.flush()
        bench.resetGaps()
        try bench.run(for: .seconds(8))
        for call in bench.calls.indices { #expect(bench.gap(call) < .seconds(3)) }
        #expect(bench.calls.map(\.dtlsDepartures) == dtls)
    }

    // MARK: Media on a slow connection

    @Test func aConnectionThatIsTooSlowDropsMediaAndStaysInTime() throws {
        let bench = try bench {
            Self.tcpOnly(&$0)
            $0.link.rate = 150_000
            $0.videoBitrate = 600_000
        }
        try bench.startAll()
        try bench.connect(within: .seconds(10))
        try bench.run(for: .seconds(30))
        #expect(bench.insideStreams.discarded + bench.phoneStreams[0].discarded > 20)
        let counted = bench[0, .left].engine.statistics(at: bench.now).objects(of: .candidatePair).compactMap {
            if case .integer(let count)? = $0["packetsDiscardedOnSend"] { count } else { nil }
        }
        #expect(counted.reduce(0, +) == Int64(bench.phoneStreams[0].discarded))
        #expect(bench.areConnected)
    }
}
