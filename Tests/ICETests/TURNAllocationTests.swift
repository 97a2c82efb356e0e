import ICE
import Primitives
import SimulatedTURN
import Testing

/// The client against the simulated server: getting an allocation, using it, keeping it.
@Suite struct TURNAllocationTests {
    private static let peer = TURNBench.peer

    @Test func anAllocationTakesTwoRoundTripsAndGivesAnAddress() throws {
        let bench = TURNBench(oneWay: .milliseconds(20))
        bench.start()
        try bench.run(until: .zero + .seconds(1))
        let lease = try #require(bench.leases.first)
        #expect(lease.relayed == [address("198.51.100.20:49152")])
        #expect(lease.mapped == address("192.0.2.10:5000"))
        #expect(lease.lifetime == .seconds(600))
        #expect(lease.software == "simulated")
        #expect(bench.events.first?.time == .zero + .milliseconds(80))
        #expect(bench.server.counters.errors == [401: 1])
        #expect(bench.server.clients.map(\.username) == ["alice"])
        #expect(bench.client.roundTripTime == .milliseconds(40))
    }

    @Test func dataGoesToThePeerAndBack() throws {
        let bench = try TURNBench().allocated()
        bench.send("hello")
        try bench.run(for: .seconds(1))
        #expect(bench.peerReceived.map(\.datagram.bytes) == [Array("hello".utf8)])
        #expect(bench.peerReceived.first?.datagram.path.remote == bench.client.lease?.relayed.first)
        #expect(bench.echoes == ["echo hello"])
        #expect(bench.arrivals.first?.arrival.peer == Self.peer)
        // The permission left just before the data and cost no round trip.
        #expect(bench.client.isPermitted(Self.peer.ip))
        #expect(bench.server.counters.sendIndications == 1 && bench.server.counters.channelData == 0)
        bench.act { $0.bindChannel(to: Self.peer, at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        #expect(bench.client.channel(to: Self.peer) == 0x4000)
        bench.send("short")
        try bench.run(for: .seconds(1))
        #expect(bench.echoes == ["echo hello", "echo short"])
        #expect(bench.server.counters.sendIndications == 1 && bench.server.counters.channelData == 1)
    }

    @Test func whoHasNoPermissionIsNotHeard() throws {
        let bench = try TURNBench().allocated()
        bench.act { $0.permit(address("203.0.113.99:0").ip, at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        let relayed = try #require(bench.client.lease?.relayed.first)
        bench.simulation.send(
            Datagram(bytes: [1, 2], path: NetworkPath(local: Self.peer, remote: relayed)), from: bench.hosts[2],
            at: bench.now)
        try bench.run(for: .seconds(1))
        #expect(bench.arrivals.isEmpty)
        #expect(bench.server.counters.refusedPeers == 1)
    }

    @Test func permissionsChannelsAndTheAllocationAreRenewedInTime() throws {
        let bench = try TURNBench().allocated()
        bench.act { $0.bindChannel(to: Self.peer, at: $1, into: &$2) }
        try bench.run(until: .zero + .seconds(2_400))
        #expect(
            bench.times(of: .createPermission(Self.peer.ip)) == [
                1, 241, 481, 721, 961, 1_201, 1_441, 1_681, 1_921, 2_161,
            ])
        #expect(bench.times(of: .channelBind(Self.peer, number: 0x4000)) == [1, 541, 1_081, 1_621, 2_161])
        #expect(bench.times(of: .refresh) == [540, 1_080, 1_620, 2_160])
        #expect(bench.server.counters.expired == 0)
        #expect(bench.leases.count == 1)
        // Where nothing else was sent for 15 s, an indication keeps NATs open.
        #expect(bench.messagesSent > 2_400 / 15)
        let before = bench.server.counters.channelData
        bench.send("still there")
        try bench.run(for: .seconds(1))
        #expect(bench.echoes == ["echo still there"] && bench.server.counters.channelData == before + 1)
    }

    @Test(arguments: [(30, 15), (120, 60), (121, 61), (600, 540), (3_600, 3_540)] as [(Int64, Int64)])
    func anAllocationIsRenewedAMinuteBeforeItsEndOrAtHalfItsLife(_ lifetime: Int64, _ renewed: Int64) throws {
        let bench = TURNBench(
            oneWay: .zero, client: { $0.lifetime = .seconds(Double(lifetime)) },
            server: { $0.defaultLifetime = .seconds(1) })
        bench.start()
        try bench.run(until: .zero + .seconds(Double(renewed) + 1))
        #expect(bench.times(of: .refresh) == [renewed])
    }

    @Test func withoutRenewalTheServerForgets() throws {
        // The negative twin: what the table above is for.
        let bench = try TURNBench(client: { $0.permissionRenewal = .seconds(301) }).allocated()
        bench.send("one")
        try bench.run(until: .zero + .seconds(301.5))
        bench.send("two")
        try bench.run(for: .seconds(0.1))
        #expect(bench.echoes == ["echo one"])
        #expect(bench.server.counters.droppedFromClients == 1)
    }

    @Test func aStaleNonceCostsARoundTripAndNothingElse() throws {
        let bench = try TURNBench(server: { $0.nonceLifetime = .seconds(60) }).allocated()
        try bench.run(until: .zero + .seconds(100))
        // Ten requests under way when the nonce is found stale.
        bench.act { client, now, out in
            for host in 1...10 as ClosedRange<UInt32> {
                client.permit(IPAddress(v4: 0xCB00_7100 + host), at: now, into: &out)
            }
        }
        try bench.run(for: .seconds(1))
        #expect(bench.server.counters.errors[438] == 10)
        #expect(bench.server.clients.first?.permissions.count == 10)
        #expect(bench.events.count { if case .permissionInstalled = $0.event { true } else { false } } == 10)
        #expect(bench.leases.count == 1)
    }

    @Test func twelveHoursWithANonceThatLastsAMinute() throws {
        let bench = try TURNBench(server: { $0.nonceLifetime = .seconds(60) }).allocated()
        bench.act { $0.bindChannel(to: Self.peer, at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        var sent = 0
        while bench.now < .zero + .seconds(12 * 3_600) {
            bench.send("\(sent)")
            sent += 1
            try bench.run(for: .seconds(10))
        }
        #expect(bench.arrivals.count == sent)
        #expect(bench.server.counters.droppedFromClients == 0 && bench.server.counters.expired == 0)
        #expect(bench.leases.count == 1)
        #expect(bench.server.counters.channelData == sent)
        #expect((bench.server.counters.errors[438] ?? 0) > 200)
    }

    @Test func everythingIsRenewedWith20PercentLoss() throws {
        for seed in 1...5 as ClosedRange<UInt64> {
            let bench = TURNBench(
                oneWay: .milliseconds(75), loss: 0.2, seed: seed, server: { $0.nonceLifetime = .seconds(300) })
            bench.start()
            try bench.run(until: .zero + .seconds(10))
            try #require(bench.client.lease != nil, "seed \(seed): \(bench.trace)")
            bench.act { $0.bindChannel(to: Self.peer, at: $1, into: &$2) }
            try bench.run(until: .zero + .seconds(7_200))
            #expect(bench.leases.count == 1, "seed \(seed)")
            #expect(bench.client.channel(to: Self.peer) != nil && bench.client.isPermitted(Self.peer.ip))
            #expect(bench.server.clients.first?.permissions[Self.peer.ip].map { $0 > bench.now } == true)
        }
    }

    @Test func anAnswerThatIsLostIsAskedForByMeasuredRoundTrips() throws {
        let bench = try TURNBench(oneWay: .milliseconds(20)).allocated()
        bench.server.isSilent = true
        bench.act { $0.verify(at: $1, into: &$2) }
        try bench.run(for: .seconds(20))
        let start = Instant.zero + .seconds(1)
        let times = bench.trace.compactMap { time, entry -> Int64? in
            if case .requestSent(.refresh, _) = entry, time < start + .seconds(8) {
                (time - start).milliseconds
            } else {
                nil
            }
        }
        // 100 ms is the shortest wait; seven times, doubling, then sixteen of the first (RFC 8489 §6.2.1).
        #expect(times == [0, 100, 300, 700, 1_500, 3_100, 6_300])
        let gaveUp = bench.trace.first { if case .unanswered(.refresh, _) = $0.entry { true } else { false } }
        #expect(gaveUp?.time == start + .milliseconds(7_900))
        // The allocation lives on as long as it may, and so does hope.
        #expect(bench.client.lease != nil)
        bench.server.isSilent = false
        try bench.run(for: .seconds(10))
        #expect(bench.leases.count == 1)
        #expect(bench.events.allSatisfy { if case .lost = $0.event { false } else { true } })
    }

    @Test func aRestartedServerGivesANewAllocationAndEverythingIsAskedForAgain() throws {
        let bench = try TURNBench().allocated()
        bench.act { $0.bindChannel(to: Self.peer, at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        let old = try #require(bench.client.lease?.relayed.first)
        bench.server.restart()
        bench.act { $0.verify(at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        #expect(bench.events.contains { $0.event == .lost(.unknownToServer) })
        #expect(bench.leases.count == 2)
        #expect(bench.client.lease?.relayed.first != old)
        #expect(bench.client.channel(to: Self.peer) == 0x4000)
        bench.send("again")
        try bench.run(for: .seconds(1))
        #expect(bench.echoes == ["echo again"])
    }

    @Test func aServerThatIsGoneForAnHourIsFoundAgain() throws {
        let bench = try TURNBench().allocated()
        bench.act { $0.permit(Self.peer.ip, at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        bench.server.isSilent = true
        bench.server.restart()
        try bench.run(until: .zero + .seconds(800))
        #expect(bench.events.contains { $0.event == .lost(.expired) })
        try bench.run(until: .zero + .seconds(1_200))
        bench.server.isSilent = false
        try bench.run(for: .seconds(120))
        #expect(bench.leases.count == 2)
        #expect(bench.client.isPermitted(Self.peer.ip))
    }

    @Test func aChangedAddressOnTheWayIsALossAndANewAllocation() throws {
        let bench = try TURNBench().allocated()
        bench.clientPath.local = address("192.0.2.10:6000")  // as a NAT that forgot its mapping
        bench.act { $0.verify(at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        #expect(bench.events.contains { $0.event == .lost(.unknownToServer) })
        #expect(bench.leases.count == 2)
        #expect(bench.leases.last?.mapped == address("192.0.2.10:6000"))
    }

    @Test func aSuspendedClientAsksTheServerFirst() throws {
        for (slept, isLost) in [(590.0, false), (4_000.0, true)] {
            let bench = try TURNBench().allocated()
            bench.act { $0.permit(Self.peer.ip, at: $1, into: &$2) }
            try bench.run(for: .seconds(1))
            var idle = bench.simulation
            _ = idle.advance(to: .zero + .seconds(slept))
            bench.simulation = idle
            var sink: [Datagram] = []
            bench.server.advance(to: bench.now, into: &sink)
            try bench.run(for: .seconds(2))
            #expect(bench.events.contains { $0.event == .lost(.unknownToServer) } == isLost, "\(slept) s")
            #expect(bench.client.lease != nil && bench.client.isPermitted(Self.peer.ip))
        }
    }

    @Test func anAllocationIsFreedAtTheEnd() throws {
        let bench = try TURNBench(server: { $0.nonceLifetime = .seconds(60) }).allocated()
        try bench.run(until: .zero + .seconds(100))
        bench.act { $0.release(at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        #expect(bench.server.clients.isEmpty && bench.server.counters.released == 1)
        #expect(bench.events.last?.event == .released)
        #expect(bench.client.hasEnded && bench.client.deadline == nil)
        #expect(bench.client.failure == nil)
        let messages = bench.messagesSent
        bench.send("into the void")
        #expect(bench.messagesSent == messages)
    }

    @Test func alsoOneThatWasAskedForAndNotAnsweredYet() throws {
        let bench = TURNBench()
        bench.start()
        try bench.run(until: .zero + .milliseconds(65))  // allocated at the server, not known here yet
        #expect(bench.server.clients.count == 1 && bench.client.lease == nil)
        bench.act { $0.release(at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        #expect(bench.server.clients.isEmpty)
        #expect(bench.client.hasEnded)
    }

    @Test func aServerThatDoesNotAnswerTheEndIsNotWaitedForLong() throws {
        let bench = try TURNBench().allocated()
        bench.server.isSilent = true
        bench.act { $0.release(at: $1, into: &$2) }
        try bench.run(for: .seconds(5))
        #expect(bench.client.hasEnded)
    }

    @Test func bothFamiliesFromOneAllocation() throws {
        let six = address("[2001:db8::30]:7000")
        let bench = try TURNBench(
            client: { $0.families = .both },
            server: { $0.relayAddresses.append(address("[2001:db8::20]:0").ip) }
        ).allocated()
        #expect(bench.client.lease?.relayed.map(\.ip.family) == [.ipv4, .ipv6])
        bench.send("four")
        bench.send("six", to: six)
        try bench.run(for: .seconds(1))
        #expect(bench.echoes.sorted() == ["echo four", "echo six"])
        #expect(bench.arrivals.first { $0.arrival.peer == six }?.arrival.relayed.ip == address("[2001:db8::20]:0").ip)
    }

    @Test func aFamilyThatIsNotThereIsSaid() throws {
        let bench = try TURNBench(client: { $0.families = .both }).allocated()
        #expect(bench.client.lease?.relayed.map(\.ip.family) == [.ipv4])
        #expect(bench.client.lease?.missing?.code == 440)
        bench.act { client, now, out in
            let outcome = client.send([1], to: address("[2001:db8::30]:7000"), at: now, into: &out)
            #expect(outcome == .noAddressOfFamily)
            client.permit(address("[2001:db8::30]:0").ip, at: now, into: &out)
        }
        #expect(
            bench.events.last?.event
                == .permissionRefused(address("[2001:db8::30]:0").ip, .peerAddressFamilyMismatch))
    }

    @Test func anICMPErrorOfThePeerIsPassedOn() throws {
        let bench = try TURNBench().allocated()
        bench.simulation.close(Self.peer, on: bench.hosts[2])
        bench.send("anyone?")
        try bench.run(for: .seconds(1))
        #expect(bench.events.last?.event == .peerUnreachable(Self.peer, STUNICMPError(type: 3, code: 3)))
    }
}
