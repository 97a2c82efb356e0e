import Primitives
import SimulatedNetwork
import Testing

/// A phone outside, a proxy pair, and a peer in a network that has no other way out.
private struct ProxyBench {
    var simulation = Simulation(seed: 31)
    let inner: NetworkID
    let proxy: ProxyID
    let phone: HostID
    let peer: HostID
    static let peerSocket = "192.0.2.133:30008"

    init(_ change: (inout ProxyConfiguration) -> Void = { _ in }) {
        var configuration = ProxyConfiguration(
            rules: [ProxyRule(outside: 30_008...30_208, target: ip("192.0.2.133"))])
        change(&configuration)
        inner = simulation.addNetwork("inner", noRoute: .report(.administrativelyProhibited))
        proxy = simulation.addProxy(
            "proxy", configuration, front: [ip("203.0.113.40"), ip("2001:db8:1::40")], back: [ip("192.0.2.131")],
            inside: inner)
        phone = simulation.addHost("phone", addresses: [ip("203.0.113.10"), ip("2001:db8:1::10")])
        peer = simulation.addHost("peer", addresses: [ip("192.0.2.133")], in: inner)
    }

    /// Where the peer sees a datagram of the phone come from.
    mutating func upstream(from local: String = "203.0.113.10:4000", to port: Int = 30_008) -> TransportAddress? {
        simulation.probe(phone, from: local, to: "203.0.113.40:\(port)").first { $0.host == peer }?.datagram?.path
            .remote
    }
}

@Test func aClientIsSeenAtTheBacksAddressAndAnswersComeFromTheFront() {
    var bench = ProxyBench()
    guard let upstream = bench.upstream() else {
        Issue.record("nothing got in")
        return
    }
    #expect(upstream.ip == ip("192.0.2.131"))
    #expect((32_768...60_999).contains(upstream.port))
    #expect(bench.upstream() == upstream)
    let back = bench.simulation.probe(bench.peer, from: socket(ProxyBench.peerSocket), to: upstream)
    #expect(back.map(\.host) == [bench.phone])
    #expect(
        back.first?.datagram?.path
            == NetworkPath(local: socket("203.0.113.10:4000"), remote: socket("203.0.113.40:30008")))
}

@Test func eachClientEndpointAndEachPortHasAFlowOfItsOwn() {
    var bench = ProxyBench()
    let flows = [
        bench.upstream(), bench.upstream(from: "203.0.113.10:4001"), bench.upstream(to: 30_009),
    ]
    #expect(Set(flows.compactMap(\.self)).count == 3)
    #expect(bench.simulation.flows(of: bench.proxy).count == 3)
    #expect(bench.simulation.statistics(of: bench.proxy).flowsCreated == 3)
}

@Test func theInsideCannotGetOutButThroughAFlow() {
    var bench = ProxyBench()
    #expect(
        bench.simulation.probe(bench.peer, from: ProxyBench.peerSocket, to: "203.0.113.10:4000").first?.unreachable
            == .administrativelyProhibited)
    #expect(
        bench.simulation.probe(bench.peer, from: ProxyBench.peerSocket, to: "192.0.2.131:40000").first?.unreachable
            == .portUnreachable)
    guard let upstream = bench.upstream() else { return }
    // Another socket than the flow's target is not heard.
    #expect(bench.simulation.probe(bench.peer, from: socket("192.0.2.133:30009"), to: upstream).isEmpty)
    #expect(bench.simulation.statistics(of: bench.proxy).unmatched == 2)
}

@Test func portsOutsideTheRulesAreClosed() {
    var bench = ProxyBench()
    #expect(
        bench.simulation.probe(bench.phone, from: "203.0.113.10:4000", to: "203.0.113.40:30209").first?.unreachable
            == .portUnreachable)
    bench = ProxyBench { $0.closedPort = .silent }
    #expect(bench.simulation.probe(bench.phone, from: "203.0.113.10:4000", to: "203.0.113.40:30209").isEmpty)
}

@Test func aPortOffsetIsAppliedInwardAndTakenBackOutward() {
    var bench = ProxyBench {
        $0.rules = [ProxyRule(outside: 40_008...40_208, offset: -10_000, target: ip("192.0.2.133"))]
    }
    let inward = bench.simulation.probe(bench.phone, from: "203.0.113.10:4000", to: "203.0.113.40:40008")
    #expect(inward.first?.datagram?.path.local == socket("192.0.2.133:30008"))
    guard let upstream = inward.first?.datagram?.path.remote else { return }
    let back = bench.simulation.probe(bench.peer, from: socket("192.0.2.133:30008"), to: upstream)
    #expect(back.first?.datagram?.path.remote == socket("203.0.113.40:40008"))
}

@Test func anIPv6ClientReachesAnIPv4Inside() {
    var bench = ProxyBench()
    let inward = bench.simulation.probe(bench.phone, from: "[2001:db8:1::10]:4000", to: "[2001:db8:1::40]:30008")
    #expect(inward.first?.datagram?.path.remote.ip == ip("192.0.2.131"))
    guard let upstream = inward.first?.datagram?.path.remote else { return }
    let back = bench.simulation.probe(bench.peer, from: socket(ProxyBench.peerSocket), to: upstream)
    #expect(back.first?.datagram?.path.remote == socket("[2001:db8:1::40]:30008"))
}

@Test func anIdleFlowEndsAndItsSuccessorHasAnotherPort() {
    var bench = ProxyBench { $0.idleTimeout = .milliseconds(10_000) }
    guard let before = bench.upstream() else { return }
    _ = bench.simulation.advance(to: bench.simulation.now + .milliseconds(10_000))
    #expect(
        bench.simulation.probe(bench.peer, from: socket(ProxyBench.peerSocket), to: before).first?.unreachable
            == .portUnreachable)
    let after = bench.upstream()
    #expect(after != nil && after != before)
    #expect(bench.simulation.statistics(of: bench.proxy).flowsExpired == 1)
}

@Test func onlyTheConfiguredDirectionKeepsAFlowAlive() {
    for (refresh, survives) in [(Directions.outbound, false), (.both, true), (.inbound, true)] {
        var bench = ProxyBench {
            $0.idleTimeout = .milliseconds(5_000)
            $0.refresh = refresh
        }
        guard let upstream = bench.upstream() else { return }
        var heard = true
        for _ in 0..<4 {
            _ = bench.simulation.advance(to: bench.simulation.now + .milliseconds(2_000))
            let back = bench.simulation.probe(bench.peer, from: socket(ProxyBench.peerSocket), to: upstream)
            heard = back.first?.host == bench.phone
        }
        #expect(heard == survives)
    }
}

@Test func aFlushedProxyForgetsItsFlows() {
    var bench = ProxyBench()
    guard let before = bench.upstream() else { return }
    bench.simulation.flush(bench.proxy)
    #expect(
        bench.simulation.probe(bench.peer, from: socket(ProxyBench.peerSocket), to: before).first?.unreachable
            == .portUnreachable)
    #expect(bench.upstream() != before)
    #expect(bench.simulation.statistics(of: bench.proxy).flowsFlushed == 1)
}

@Test func flowsAreBoundedByRefusalOrEviction() {
    var bench = ProxyBench { $0.maximumFlows = 2 }
    let refused = (0..<3).map { bench.upstream(from: "203.0.113.10:400\($0)") }
    #expect(refused.map { $0 != nil } == [true, true, false])
    #expect(bench.simulation.statistics(of: bench.proxy).refused == 1)

    bench = ProxyBench {
        $0.maximumFlows = 2
        $0.whenFull = .evictOldest
    }
    let evicting = (0..<3).map { bench.upstream(from: "203.0.113.10:400\($0)") }
    #expect(evicting.allSatisfy { $0 != nil })
    #expect(bench.simulation.statistics(of: bench.proxy).flowsEvicted == 1)
    #expect(bench.simulation.flows(of: bench.proxy).map(\.client.port).sorted() == [4_001, 4_002])
}

@Test func errorsFromInsideReachTheClientOnlyThroughAPacketFilter() {
    for passes in [false, true] {
        var bench = ProxyBench { $0.passesErrors = passes }
        bench.simulation.close(socket(ProxyBench.peerSocket), on: bench.peer)
        let heard = bench.simulation.probe(bench.phone, from: "203.0.113.10:4000", to: "203.0.113.40:30008")
        #expect(heard.map(\.unreachable) == (passes ? [.portUnreachable] : []))
    }
}

@Test func aPhoneBehindASymmetricNATComesThroughTheProxy() {
    var bench = ProxyBench()
    let nat = bench.simulation.addNAT("phone NAT", .symmetric, external: [ip("203.0.113.20")])
    let phone = bench.simulation.addHost("phone 2", addresses: [ip("10.0.0.2")], behind: nat)
    let inward = bench.simulation.probe(phone, from: "10.0.0.2:4000", to: "203.0.113.40:30008")
    guard let upstream = inward.first?.datagram?.path.remote else {
        Issue.record("nothing got in")
        return
    }
    #expect(
        bench.simulation.probe(bench.peer, from: socket(ProxyBench.peerSocket), to: upstream).map(\.host) == [phone])
}

@Test func aReboundFlowComesFromAnotherPortAndTheFormerOneIsClosed() throws {
    var bench = ProxyBench()
    let first = bench.upstream()
    let before = try #require(first)
    bench.simulation.rebind(bench.proxy)
    #expect(
        bench.simulation.probe(bench.peer, from: ProxyBench.peerSocket, to: "\(before)").first?.unreachable
            == .portUnreachable)
    let second = bench.upstream()
    let after = try #require(second)
    #expect(after != before && after.ip == before.ip)
    #expect(bench.simulation.flows(of: bench.proxy).count == 1)
    #expect(bench.simulation.statistics(of: bench.proxy).flowsCreated == 1)
    #expect(bench.simulation.statistics(of: bench.proxy).flowsRebound == 1)
}
