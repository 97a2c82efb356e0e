import ICE
import Peer
import Primitives
import SDP
import SimulatedNetwork
import Testing

/// Scenarios of Docs/boundary.md in which something happens to a call that stands.
@Suite struct BoundaryCallTests {
    private static func who(_ phoneControls: Bool) -> String { phoneControls ? "phone controls" : "inside controls" }

    private func connected(
        _ change: (inout BoundaryOptions) -> Void = { _ in }, seed: UInt64 = 1
    ) throws -> BoundaryBench {
        var options = BoundaryOptions()
        change(&options)
        let bench = try BoundaryBench(options, seed: seed)
        try bench.startAll()
        try bench.connect()
        try bench.run(for: .seconds(6))
        return bench
    }

    /// What is done to the proxy heals within the limit: media both ways, by the keys that were agreed.
    private func expectHealed(
        _ bench: BoundaryBench, _ scenario: String, _ what: String, after length: TimeDelta = .seconds(8),
        gapLimit: TimeDelta = .seconds(3), dtls: [Int], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try bench.run(for: length)
        var worst = TimeDelta.zero
        var flows = true
        for call in bench.calls.indices {
            worst = Swift.max(worst, bench.gap(call))
            flows = try flows && bench.hasMediaBothWays(call)
        }
        let isKept = bench.calls.map(\.dtlsDepartures) == dtls
        BoundaryTable.row(
            scenario, what,
            "longest gap \(worst.short)\(flows ? "" : ", one-way or dead")\(isKept ? "" : ", DTLS anew")",
            passes: worst <= gapLimit && flows && isKept, sourceLocation: sourceLocation)
    }

    // MARK: S7

    @Test(arguments: [true, false], [false, true])
    func s07_aFlushedMappingIsFollowed(phoneControls: Bool, isShared: Bool) throws {
        for kind in [BoundaryOptions.Kind.relay, .nft] {
            for isLite in [false, true] where phoneControls || !isLite {
                var gaps: [TimeDelta] = []
                for seed in BoundaryTable.seeds(2, inTable: 5) {
                    let bench = try connected(
                        {
                            $0.kind = kind
                            $0.phoneOffers = phoneControls
                            $0.isShared = isShared
                            $0.phones = isShared ? 3 : 1
                            $0.configureInside = { $0.ice.isLite = isLite }
                        }, seed: seed)
                    let dtls = bench.calls.map(\.dtlsDepartures)
                    bench.resetGaps()
                    bench.flush()
                    try bench.run(for: .seconds(8))
                    for call in bench.calls.indices {
                        gaps.append(bench.gap(call))
                        #expect(try bench.hasMediaBothWays(call))
                        #expect(
                            bench.calls[call].inside.received["1"]?.lastAt.map { bench.now - $0 < .seconds(1) } ?? false
                        )
                    }
                    #expect(bench.calls.map(\.dtlsDepartures) == dtls, "the keys are kept")
                }
                gaps.sort()
                BoundaryTable.row(
                    "S7",
                    "flush, \(kind.rawValue), \(Self.who(phoneControls))\(isLite ? ", ice-lite" : "")"
                        + (isShared ? ", three calls on one port" : ""),
                    "gap median \(gaps[gaps.count / 2].short), worst \((gaps.last ?? .max).short) of \(gaps.count)",
                    passes: (gaps.last ?? .max) <= .seconds(3))
            }
        }
    }

    @Test(arguments: [true, false]) func s07_rebindFlushesInARowAndOnHold(phoneControls: Bool) throws {
        let rebound = try connected { $0.phoneOffers = phoneControls }
        var dtls = rebound.calls.map(\.dtlsDepartures)
        rebound.resetGaps()
        if let proxy = rebound.proxy { rebound.simulation.rebind(proxy) }
        try expectHealed(rebound, "S7", "rebind, \(Self.who(phoneControls))", dtls: dtls)

        let often = try connected {
            $0.phoneOffers = phoneControls
            $0.hasVideo = false
        }
        dtls = often.calls.map(\.dtlsDepartures)
        often.resetGaps()
        for round in 0..<20 { often.at(often.now + .seconds(3) * Int64(round)) { $0.flush() } }
        try expectHealed(
            often, "S7", "flush every 3 s, twenty times, \(Self.who(phoneControls))", after: .seconds(65), dtls: dtls)

        // On hold nothing but consent goes, and the next frames find the way.
        let held = try connected {
            $0.phoneOffers = phoneControls
            $0.hasVideo = false
        }
        for side in Side.allCases {
            for index in held[0, side].tracks.indices { held[0, side].tracks[index].isPaused = true }
        }
        try held.run(for: .seconds(60))
        dtls = held.calls.map(\.dtlsDepartures)
        held.flush()
        try held.run(for: .seconds(6))
        for side in Side.allCases {
            for index in held[0, side].tracks.indices { held[0, side].tracks[index].isPaused = false }
        }
        let resumed = held.now
        var first: [TimeDelta] = []
        for side in Side.allCases {
            let before = held[0, side].received["0"]?.count ?? 0
            _ = try held.run(until: resumed + .seconds(4)) { ($0[0, side].received["0"]?.count ?? 0) > before }
            first.append(held.now - resumed)
        }
        let worst = first.max() ?? .max
        BoundaryTable.row(
            "S7", "flush on hold, \(Self.who(phoneControls))", "media \(worst.short) after resuming",
            passes: worst < .seconds(1) && held.calls.map(\.dtlsDepartures) == dtls)
    }

    @Test(arguments: [true, false]) func s07_aFlushDuringTheHandshakeStillConnects(phoneControls: Bool) throws {
        for milliseconds in stride(from: 60, through: 300, by: 20) {
            var options = BoundaryOptions()
            options.phoneOffers = phoneControls
            let bench = try BoundaryBench(options)
            bench.at(.zero + .milliseconds(Int64(milliseconds))) { $0.flush() }
            try bench.start()
            _ = try bench.run(until: .zero + .seconds(6)) { $0.areConnected }
            let took = bench.connectedAt().map { $0 - Instant.zero }
            BoundaryTable.row(
                "S7", "flush \(milliseconds) ms into the set-up, \(Self.who(phoneControls))",
                "connected after \(took?.short ?? "never")", passes: took.map { $0 < .seconds(3) } ?? false)
        }
    }

    // MARK: S8

    @Test(arguments: [5.0, 10, 14], [true, false])
    func s08_anOutageThatLosesTheMappingsHeals(seconds: Double, phoneControls: Bool) throws {
        let bench = try connected { $0.phoneOffers = phoneControls }
        let dtls = bench.calls.map(\.dtlsDepartures)
        bench.proxyOutage(.seconds(seconds))
        bench.at(bench.now + .seconds(seconds)) { $0.flush() }
        try bench.run(for: .seconds(seconds))
        let back = bench.now
        _ = try bench.run(until: back + .seconds(10)) { bench in
            Side.allCases.allSatisfy { (bench[0, $0].received["0"]?.lastAt ?? .zero) > back + .milliseconds(60) }
        }
        let took = bench.now - back
        let flows = try bench.hasMediaBothWays()
        BoundaryTable.row(
            "S8", "proxy out \(Int(seconds)) s, mappings lost, \(Self.who(phoneControls))",
            "media \(took.short) after its return, \(bench.calls[0].restartsWanted) restarts",
            passes: took <= .seconds(3) && flows && bench.calls.map(\.dtlsDepartures) == dtls)
    }

    @Test(arguments: [true, false]) func s08_aLongOutageEndsWithARestartOnTheSamePort(phoneControls: Bool) throws {
        for isShared in [false, true] {
            let bench = try connected {
                $0.phoneOffers = phoneControls
                $0.isShared = isShared
                $0.hasVideo = false
            }
            let dtls = bench.calls.map(\.dtlsDepartures)
            bench.proxyOutage(.seconds(40))
            bench.at(bench.now + .seconds(40)) { $0.flush() }
            try bench.run(for: .seconds(40))
            let muted = bench.calls[0].restartsWanted > 0
            let back = bench.now
            _ = try bench.run(until: back + .seconds(40)) { bench in
                Side.allCases.allSatisfy { (bench[0, $0].received["0"]?.lastAt ?? .zero) > back }
            }
            let took = bench.now - back
            let flows = try bench.hasMediaBothWays()
            let ports = Set(bench.calls[0].inside.localCandidates.map(\.port))
            BoundaryTable.row(
                "S8", "proxy out 40 s, \(Self.who(phoneControls))\(isShared ? ", shared port" : "")",
                "media \(took.short) after its return, \(bench.calls[0].restartsWanted) restarts offered, port \(ports.count == 1 ? "kept" : "changed")",
                passes: took <= .seconds(31) && muted && flows && ports == [30_008]
                    && bench.calls.map(\.dtlsDepartures) == dtls)
        }
    }

    // MARK: S9

    @Test(arguments: [20.0, 45, 120], [true, false])
    func s09_aPhoneThatSleepsIsBackAfterItWakes(seconds: Double, phoneControls: Bool) throws {
        let bench = try connected {
            $0.phoneOffers = phoneControls
            $0.idle = .seconds(10)
            $0.refresh = .outbound
            $0.hasVideo = false
        }
        let dtls = bench.calls.map(\.dtlsDepartures)
        let slept = bench.now
        bench.setAsleep(true)
        try bench.run(for: .seconds(seconds))
        let lastOut = bench.calls[0].lastMediaOut ?? .zero
        bench.setAsleep(false)
        let woke = bench.now
        _ = try bench.run(until: woke + .seconds(40)) { bench in
            Side.allCases.allSatisfy { (bench[0, $0].received["0"]?.lastAt ?? .zero) > woke + .milliseconds(60) }
        }
        let took = bench.now - woke
        let flows = try bench.hasMediaBothWays()
        let stops = lastOut - slept
        BoundaryTable.row(
            "S9", "phone asleep \(Int(seconds)) s, mapping idle 10 s, \(Self.who(phoneControls))",
            "media stopped after \(stops.short), back \(took.short) after waking, "
                + "\(bench.calls[0].restartsWanted) restarts offered",
            passes: stops <= .seconds(30.1) && took <= .seconds(3) && flows
                && bench.calls.map(\.dtlsDepartures) == dtls)
    }

    @Test(arguments: [true, false]) func s09_aMappingThatOnlyTheClientRefreshesIsKeptOpen(phoneControls: Bool) throws {
        let bench = try connected {
            $0.phoneOffers = phoneControls
            $0.idle = .seconds(8)
            $0.refresh = .outbound
            $0.hasVideo = false
        }
        // The phone sends no media: its answers to consent requests are all that keeps the mapping.
        for index in bench[0, .left].tracks.indices { bench[0, .left].tracks[index].isPaused = true }
        let flows = bench.proxy.map { bench.simulation.statistics(of: $0).flowsCreated }
        try bench.run(for: .seconds(120))
        let after = bench.proxy.map { bench.simulation.statistics(of: $0).flowsCreated }
        BoundaryTable.row(
            "S9", "mapping idle 8 s in the client's direction, phone sends no media, \(Self.who(phoneControls))",
            "\((after ?? 0) - (flows ?? 0)) new flows in 120 s", passes: flows == after && bench.areConnected)
    }

    // MARK: S10, S11

    @Test(arguments: [true, false]) func s10_manyPhonesOnOnePortDoNotMix(phoneOffers: Bool) throws {
        for phones in [2, 5, 20] {
            let bench = try connected {
                $0.phones = phones
                $0.isShared = true
                $0.phoneOffers = phoneOffers
                $0.hasVideo = false
            }
            let dtls = bench.calls.map(\.dtlsDepartures)
            bench.resetGaps()
            bench.flush()
            try bench.run(for: .seconds(6))
            let gaps = bench.calls.indices.map { bench.gap($0) }
            var damaged = 0
            for call in bench.calls.indices {
                for side in Side.allCases { damaged += bench[call, side].received["0"]?.damaged ?? 1 }
            }
            let drops = bench.calls.reduce(0) { $0 + $1.inside.drops.values.reduce(0, +) }
            BoundaryTable.row(
                "S10", "\(phones) phones on one port, \(phoneOffers ? "phones offer" : "inside offers"), then a flush",
                "longest gap \((gaps.max() ?? .max).short), \(drops) packets of others dropped",
                passes: (gaps.max() ?? .max) <= .seconds(3) && damaged == 0 && bench.areConnected
                    && bench.calls.map(\.dtlsDepartures) == dtls)
        }
    }

    /// After a flush the phones' ports are handed out anew from a range so small that they change places.
    @Test func s19_reusedSourcePortsDoNotMixCalls() throws {
        for seed in BoundaryTable.seeds(4, inTable: 6) {
            let bench = try connected(
                {
                    $0.phones = 4
                    $0.isShared = true
                    $0.hasVideo = false
                }, seed: seed)
            guard let proxy = bench.proxy else { return }
            var configuration = bench.simulation.configuration(of: proxy)
            configuration.upstreamPorts = 40_000...40_003
            bench.simulation.configure(proxy, configuration)
            let dtls = bench.calls.map(\.dtlsDepartures)
            bench.flush()
            try bench.run(for: .seconds(6))
            bench.resetGaps()
            for round in 0..<5 { bench.at(bench.now + .seconds(4) * Int64(round)) { $0.flush() } }
            try bench.run(for: .seconds(24))
            let gaps = bench.calls.indices.map { bench.gap($0) }
            let damaged = bench.calls.indices.reduce(0) { sum, call in
                sum + Side.allCases.reduce(0) { $0 + (bench[call, $1].received["0"]?.damaged ?? 1) }
            }
            BoundaryTable.row(
                "S19", "four phones change source ports five times, seed \(seed)",
                "longest gap \((gaps.max() ?? .max).short), \(bench.table.counters.reassociations) ports changed hands",
                passes: (gaps.max() ?? .max) <= .seconds(3) && damaged == 0 && bench.table.counters.reassociations > 0
                    && bench.calls.map(\.dtlsDepartures) == dtls)
        }
    }

    @Test func s11_aProxyWithoutRoomHarmsNoCallThatStands() throws {
        var options = BoundaryOptions()
        options.phones = 2
        options.maximumFlows = 1
        let bench = try BoundaryBench(options)
        try bench.start(0)
        _ = try bench.run(until: .zero + .seconds(3)) { $0.isConnected(0) }
        bench.resetGaps()
        try bench.start(1)
        try bench.run(for: .seconds(20))
        let gap = bench.gap(0)
        BoundaryTable.row(
            "S11", "one flow at most, the second phone refused",
            "the first call's longest gap \(gap.short); the second gives up",
            passes: bench.isConnected(0) && !bench.isConnected(1) && gap < .milliseconds(100))

        options.whenFull = .evictOldest
        let thrashing = try BoundaryBench(options)
        try thrashing.start(0)
        _ = try thrashing.run(until: .zero + .seconds(3)) { $0.isConnected(0) }
        try thrashing.start(1)
        try thrashing.run(for: .seconds(20))
        let created = thrashing.proxy.map { thrashing.simulation.statistics(of: $0).flowsCreated } ?? 0
        BoundaryTable.row(
            "S11", "one flow at most, the oldest evicted",
            "\(created) flows made in 20 s: both calls suffer, none crashes",
            passes: created > 10)
    }

    // MARK: S19, S20

    @Test(arguments: [true, false]) func s19_aHostileClientMovesNothing(isShared: Bool) throws {
        let bench = try connected { $0.isShared = isShared }
        let path = try #require(bench.calls[0].inside.selectedPairs.last?.remote.address)
        let local = bench.base(of: 0, .right)
        let stranger = TransportAddress(BoundaryBench.back, 33_333)
        let sent = bench.calls[0].inside.engine.statistics(at: bench.now).objects(of: .transport).first?["packetsSent"]?
            .asDouble
        // Requests and media packets that really came, from another source.
        var requests: [[UInt8]] = []
        var recorded: [[UInt8]] = []
        bench.onInsideArrival = { datagram in
            if datagram.bytes.prefix(2) == [0, 1] {
                requests.append(datagram.bytes)
            } else if recorded.count < 200 {
                recorded.append(datagram.bytes)
            }
            return datagram
        }
        try bench.run(for: .seconds(4))
        bench.onInsideArrival = nil
        #expect(sent != nil && !requests.isEmpty && !recorded.isEmpty)
        bench.resetGaps()
        var random = RandomSource.seeded(4)
        let ufrag = bench.calls[0].inside.engine.localUfrags[0]
        for round in 0..<400 {
            let bytes: [UInt8]
            switch round % 5 {
            case 0: bytes = requests[round % requests.count]
            case 4: bytes = recorded[round % recorded.count]
            case 1:
                bytes = STUNMessage(
                    .request, transactionID: STUNTransactionID(using: &random),
                    attributes: [.username("\(ufrag):XXXX"), .priority(1), .iceControlling(9), .useCandidate]
                ).encoded(integrity: MessageIntegrityKey(password: "wrongwrongwrongwrongwrong"))
            case 2: bytes = random.bytes(60)
            default: bytes = [0x80, 96] + random.bytes(100)
            }
            try bench.give(Datagram(bytes: bytes, path: NetworkPath(local: local, remote: stranger)))
            if round % 40 == 0 { try bench.run(for: .milliseconds(100)) }
        }
        try bench.run(for: .seconds(3))
        let gap = bench.gap()
        let now = try #require(bench.calls[0].inside.selectedPairs.last?.remote.address)
        BoundaryTable.row(
            "S19", "replayed, forged and random packets from a stranger\(isShared ? ", shared port" : "")",
            "the pair stays, longest gap \(gap.short)", passes: now == path && gap < .milliseconds(200))
    }

    @Test func s20_callsGoOnWithoutSignalling() throws {
        let bench = try connected {
            $0.phones = 5
            $0.isShared = true
            $0.hasVideo = false
        }
        bench.filter = { _, _, _ in nil }
        bench.resetGaps()
        let dtls = bench.calls.map(\.dtlsDepartures)
        bench.at(bench.now + .seconds(40)) { $0.flush() }
        try expectHealed(
            bench, "S20", "signalling gone for two minutes, five calls, a flush meanwhile", after: .seconds(120),
            dtls: dtls)
    }
}
