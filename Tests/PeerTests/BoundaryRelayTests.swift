import ICE
import Peer
import Primitives
import SimulatedNetwork
import SimulatedTURN
import Testing

/// S15 of Docs/boundary.md: a TURN server inside, used by the phone through the proxied 3478, or by the peer inside.
@Suite struct BoundaryRelayTests {
    /// The phone uses the server by the front's address and nothing else, where `policy` is `.relay`.
    private func options(
        kind: BoundaryOptions.Kind = .relay, phoneOffers: Bool = true, policy: ICETransportPolicy = .relay,
        rules: String = "", external: IPAddress? = nil, front: IPAddress = BoundaryBench.front
    ) -> BoundaryOptions {
        var options = BoundaryOptions()
        options.kind = kind
        options.phoneOffers = phoneOffers
        options.rules = rules
        options.turn = BoundaryBench.server(external: external)
        options.configurePhone = {
            $0.relayServers = [BoundaryBench.outside(front)]
            $0.ice.policy = policy
        }
        return options
    }

    private static let rule = BoundaryOptions().rules

    private func types(_ bench: BoundaryBench) -> [CandidateType] {
        bench.calls[0].inside.selectedPairs.last.map { [$0.local.type, $0.remote.type] } ?? []
    }

    /// A row of a call that stands within a second and has media both ways.
    @discardableResult
    private func expectCall(
        _ options: BoundaryOptions, _ what: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> BoundaryBench {
        let bench = try BoundaryBench(options)
        try bench.start()
        _ = try bench.run(until: bench.now + .seconds(6), stop: { $0.areConnected })
        guard let connected = bench.connectedAt() else {
            let states = "\(bench.calls[0].phone.state), \(bench.calls[0].inside.state)"
            BoundaryTable.row(
                "S15", what, "never connected: \(states)", passes: false, sourceLocation: sourceLocation)
            return bench
        }
        try bench.run(for: .seconds(3))
        let flows = try bench.hasMediaBothWays()
        BoundaryTable.row(
            "S15", what, "connected after \((connected - .zero).short), media \(flows ? "both ways" : "missing")",
            passes: connected - .zero < .seconds(1) && flows, sourceLocation: sourceLocation)
        return bench
    }

    private func expectNoCall(
        _ options: BoundaryOptions, _ what: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> BoundaryBench {
        let bench = try BoundaryBench(options)
        try bench.start()
        try bench.run(for: .seconds(30))
        BoundaryTable.row(
            "S15", what, bench.areConnected ? "connected" : "does not connect", passes: !bench.areConnected,
            sourceLocation: sourceLocation)
        return bench
    }

    // MARK: The phone uses the server

    @Test(arguments: [BoundaryOptions.Kind.relay, .nft], [true, false])
    func s15_aPhoneThatIsRelayOnlyReachesTheRawAddress(_ kind: BoundaryOptions.Kind, _ phoneOffers: Bool) throws {
        let who = phoneOffers ? "phone offers" : "inside offers"
        for external in [nil, BoundaryBench.front] {
            let bench = try expectCall(
                options(kind: kind, phoneOffers: phoneOffers, external: external),
                "phone relay-only, inside raw\(external == nil ? "" : ", external-ip is the front"), \(kind.rawValue), \(who)"
            )
            #expect(bench.relay?.server.clients.count == 1)
            // With external-ip the relay's own check arrives from an address that nobody announced.
            #expect(types(bench) == [.host, external == nil ? .relayed : .peerReflexive])
        }
    }

    @Test(arguments: [true, false]) func s15_addRawServesBothPhonesWithTURNAndWithout(_ phoneOffers: Bool) throws {
        let who = phoneOffers ? "phone offers" : "inside offers"
        let rules = Self.rule + " (add-raw)"
        try expectCall(options(phoneOffers: phoneOffers, rules: rules), "phone relay-only, inside add-raw, \(who)")
        let bench = try expectCall(
            options(phoneOffers: phoneOffers, policy: .all, rules: rules), "phone all, inside add-raw, \(who)")
        #expect(!types(bench).contains(.relayed), "the direct path through the pool is preferred")
    }

    /// The negative twin of the rows above: the relay cannot reach the front from inside.
    @Test func s15_aMappedAddressAloneIsOutOfReachForARelayInside() throws {
        let bench = try expectNoCall(options(rules: Self.rule), "phone relay-only, inside mapped only (replace)")
        #expect(bench.relay?.server.clients.count == 1, "the allocation was had")
        #expect(bench.calls[0].inside.localCandidates.allSatisfy { "\($0.host)" == "203.0.113.40" })
    }

    @Test func s15_anIPv6PhoneReachesAnIPv4InsideThroughTheRelay() throws {
        for phoneOffers in [true, false] {
            var options = options(phoneOffers: phoneOffers, front: BoundaryBench.frontV6)
            options.hasIPv6Outside = true
            try expectCall(
                options, "IPv6 outside, IPv4 inside, phone relay-only, \(phoneOffers ? "phone" : "inside") offers")
        }
    }

    // MARK: The proxy forgets

    @Test(arguments: [BoundaryOptions.Kind.relay, .nft], [true, false])
    func s15_aFlushUnderAnAllocationCostsSecondsAndNotTheCall(_ kind: BoundaryOptions.Kind, _ phoneOffers: Bool) throws
    {
        let bench = try BoundaryBench(options(kind: kind, phoneOffers: phoneOffers))
        try bench.start()
        try bench.connect()
        try bench.run(for: .seconds(6))
        bench.resetGaps()
        bench.flush()
        let cut = bench.now
        try bench.run(for: .seconds(20))
        let gap = bench.gap()
        BoundaryTable.row(
            "S15", "flush with a phone on TURN/udp, \(kind.rawValue), \(phoneOffers ? "phone" : "inside") offers",
            "gap \(gap.short)", passes: try gap < .seconds(5) && bench.hasMediaBothWays())
        // The phone's 5-tuple is another: its allocation was lost and replaced.
        #expect(bench.relay?.server.clients.count == 2, "the old one lives until its time is over")
        #expect(bench.calls[0].phone.selectedPairs.last.map { $0.at > cut } == true)
    }

    // MARK: The inside uses the server

    /// The inside's relayed address is announced as one of the front's; what comes for it comes from the back's address,
    /// which no candidate names: without `--peer-seen-as` the relay drops it.
    @Test(arguments: [true, false]) func s15_theInsideAsClientNeedsAPermissionForTheBack(_ phoneOffers: Bool) throws {
        for (isTold, isMapped) in [(true, false), (true, true), (false, false)] {
            var options = BoundaryOptions()
            options.phoneOffers = phoneOffers
            options.turn = BoundaryBench.server(external: isMapped ? nil : BoundaryBench.front)
            options.passesRelayPorts = true
            options.rules = isMapped ? "local 192.0.2.134 = 203.0.113.40" : ""
            options.configureInside = {
                $0.relayServers = [BoundaryBench.insideServer]
                $0.ice.policy = .relay
                if isTold { $0.ice.relayPeers = [BoundaryBench.back] }
            }
            let what =
                "inside relay-only, \(isMapped ? "--map of the relayed address" : "external-ip is the front"), "
                + "\(isTold ? "--peer-seen-as the back" : "no --peer-seen-as"), \(phoneOffers ? "phone" : "inside") offers"
            if isTold {
                let bench = try expectCall(options, what)
                #expect(types(bench).first == .relayed)
            } else {
                let bench = try expectNoCall(options, what)
                #expect(bench.relay?.server.counters.refusedPeers ?? 0 > 0, "dropped for want of a permission")
            }
        }
    }
}
