import Primitives
import SimulatedNetwork
import Testing

/// One host behind a NAT and three sockets on the internet: A:1, A:2 (one address, two ports) and B:1.
private final class NATBench {
    var simulation = Simulation(seed: 21)
    let nat: NATID
    let inside: HostID
    let a: HostID
    let b: HostID
    static let external = "203.0.113.1"

    init(_ configuration: NATConfiguration) {
        nat = simulation.addNAT("nat", configuration, external: [ip(Self.external)])
        inside = simulation.addHost("inside", addresses: [ip("10.0.0.2")], behind: nat)
        a = simulation.addHost("a", addresses: [ip("192.0.2.1")])
        b = simulation.addHost("b", addresses: [ip("198.51.100.1")])
    }

    /// The external endpoint that `remote` sees when the inside host sends to it.
    func mapped(to remote: String, from local: String = "10.0.0.2:5000") -> TransportAddress? {
        simulation.probe(inside, from: local, to: remote).first?.datagram?.path.remote
    }

    /// Whether a datagram from outside reaches the inside socket.
    func reaches(_ host: HostID, from local: String, to external: TransportAddress) -> Bool {
        simulation.probe(host, from: socket(local), to: external).contains {
            $0.host == inside && $0.datagram?.path.local == socket("10.0.0.2:5000")
                && $0.datagram?.path.remote == socket(local)
        }
    }
}

/// RFC 4787 §4.1: which remote endpoints see the same external endpoint.
@Test(arguments: NATBehavior.allCases)
func aMappingIsSharedAsFarAsItsBehaviourSays(mapping: NATBehavior) {
    let bench = NATBench(NATConfiguration(mapping: mapping, filtering: .endpointIndependent))
    let a1 = bench.mapped(to: "192.0.2.1:1")
    let a2 = bench.mapped(to: "192.0.2.1:2")
    let b1 = bench.mapped(to: "198.51.100.1:1")
    #expect(a1 != nil && a2 != nil && b1 != nil)
    #expect((a1 == a2) == (mapping != .addressAndPortDependent))
    #expect((a1 == b1) == (mapping == .endpointIndependent))
    #expect(bench.mapped(to: "192.0.2.1:1") == a1)
    #expect(bench.simulation.mappings(of: bench.nat).count == Set([a1, a2, b1]).count)
}

/// RFC 4787 §5: who may answer after the inside host sent to A:1 only.
@Test(arguments: NATBehavior.allCases, NATBehavior.allCases)
func filteringLetsInWhomItsBehaviourSays(mapping: NATBehavior, filtering: NATBehavior) {
    let bench = NATBench(NATConfiguration(mapping: mapping, filtering: filtering))
    guard let external = bench.mapped(to: "192.0.2.1:1") else {
        Issue.record("no mapping")
        return
    }
    #expect(bench.reaches(bench.a, from: "192.0.2.1:1", to: external))
    #expect(bench.reaches(bench.a, from: "192.0.2.1:2", to: external) == (filtering != .addressAndPortDependent))
    #expect(bench.reaches(bench.b, from: "198.51.100.1:1", to: external) == (filtering == .endpointIndependent))
    let filtered = bench.simulation.statistics(of: bench.nat).filtered
    #expect(
        filtered == [NATBehavior.endpointIndependent: 0, .addressDependent: 1, .addressAndPortDependent: 2][filtering])
}

@Test func namedKindsAreTheKnownCombinations() {
    #expect(NATKind.none.configuration == nil)
    #expect(NATKind.fullCone.configuration == .fullCone)
    #expect(NATConfiguration.fullCone.filtering == .endpointIndependent)
    #expect(NATConfiguration.addressRestricted.filtering == .addressDependent)
    #expect(NATConfiguration.portRestricted.filtering == .addressAndPortDependent)
    #expect(NATConfiguration.portRestricted.mapping == .endpointIndependent)
    #expect(NATConfiguration.symmetric.mapping == .addressAndPortDependent)
}

@Test func portsArePreservedWhereFreeAndOtherwiseTheNextOneIsTaken() {
    let bench = NATBench(.fullCone)
    let other = bench.simulation.addHost("other", addresses: [ip("10.0.0.3")], behind: bench.nat)
    #expect(bench.mapped(to: "192.0.2.1:1") == socket("203.0.113.1:5000"))
    let second = bench.simulation.probe(other, from: "10.0.0.3:5000", to: "192.0.2.1:1")
    #expect(second.first?.datagram?.path.remote == socket("203.0.113.1:5001"))
    // Both are reached, each at its own port.
    #expect(bench.reaches(bench.b, from: "198.51.100.1:1", to: socket("203.0.113.1:5000")))
    #expect(
        bench.simulation.probe(bench.b, from: "198.51.100.1:1", to: "203.0.113.1:5001").first?.host == other)
}

@Test func randomPortsAreNotTheInsideOnes() {
    let bench = NATBench(.symmetric)
    let ports = (1...20).compactMap { bench.mapped(to: "192.0.2.1:\($0)")?.port }
    #expect(Set(ports).count == 20)
    #expect(!ports.contains(5_000))
    #expect(ports != ports.sorted())
}

@Test func aMappingEndsWhenItsLifetimeIsOverAndOutboundTrafficRefreshesIt() {
    var configuration = NATConfiguration.fullCone
    configuration.lifetime = .milliseconds(30_000)
    let bench = NATBench(configuration)
    guard let external = bench.mapped(to: "192.0.2.1:1") else { return }
    let born = bench.simulation.now - .milliseconds(1_000)
    _ = bench.simulation.advance(to: born + .milliseconds(20_000))
    #expect(bench.mapped(to: "192.0.2.1:1") == external)
    _ = bench.simulation.advance(to: born + .milliseconds(50_000))
    #expect(bench.reaches(bench.a, from: "192.0.2.1:1", to: external))
    // Inbound traffic did not refresh it: 30 s after the second outbound one it is gone.
    #expect(!bench.reaches(bench.a, from: "192.0.2.1:1", to: external))
    #expect(bench.simulation.mappings(of: bench.nat).isEmpty)
    #expect(bench.simulation.statistics(of: bench.nat).mappingsExpired == 1)
}

@Test func inboundTrafficRefreshesWhereTheNATSaysSo() {
    var configuration = NATConfiguration.portRestricted
    configuration.lifetime = .milliseconds(5_000)
    configuration.refresh = .both
    let bench = NATBench(configuration)
    guard let external = bench.mapped(to: "192.0.2.1:1") else { return }
    for _ in 0..<10 {
        _ = bench.simulation.advance(to: bench.simulation.now + .milliseconds(3_500))
        #expect(bench.reaches(bench.a, from: "192.0.2.1:1", to: external))
    }
}

@Test func aPermissionEndsBeforeItsMappingWhenOnlyOthersAreSentTo() {
    var configuration = NATConfiguration.portRestricted
    configuration.lifetime = .milliseconds(5_000)
    let bench = NATBench(configuration)
    guard let external = bench.mapped(to: "192.0.2.1:1") else { return }
    for _ in 0..<4 {
        _ = bench.simulation.advance(to: bench.simulation.now + .milliseconds(1_000))
        #expect(bench.mapped(to: "198.51.100.1:1") == external)
    }
    #expect(!bench.reaches(bench.a, from: "192.0.2.1:1", to: external))
    #expect(bench.reaches(bench.b, from: "198.51.100.1:1", to: external))
}

@Test func hairpinningShowsTheExternalSourceAndIsOffUnlessAskedFor() {
    for hairpinning in [false, true] {
        var configuration = NATConfiguration.fullCone
        configuration.hairpinning = hairpinning
        let bench = NATBench(configuration)
        let other = bench.simulation.addHost("other", addresses: [ip("10.0.0.3")], behind: bench.nat)
        guard let external = bench.mapped(to: "192.0.2.1:1") else { return }
        let arrivals = bench.simulation.probe(other, from: socket("10.0.0.3:6000"), to: external)
        #expect(arrivals.map(\.host) == (hairpinning ? [bench.inside] : []))
        if hairpinning { #expect(arrivals.first?.datagram?.path.remote == socket("203.0.113.1:6000")) }
        // Straight inside the network it always works.
        #expect(bench.simulation.probe(other, from: "10.0.0.3:6000", to: "10.0.0.2:5000").first?.host == bench.inside)
    }
}

@Test func aHairpinIsFilteredLikeAnyOtherSource() {
    var configuration = NATConfiguration.portRestricted
    configuration.hairpinning = true
    let bench = NATBench(configuration)
    let other = bench.simulation.addHost("other", addresses: [ip("10.0.0.3")], behind: bench.nat)
    guard let external = bench.mapped(to: "192.0.2.1:1") else { return }
    #expect(bench.simulation.probe(other, from: socket("10.0.0.3:6000"), to: external).isEmpty)
    _ = bench.simulation.probe(bench.inside, from: "10.0.0.2:5000", to: "203.0.113.1:6000")
    #expect(bench.simulation.probe(other, from: socket("10.0.0.3:6000"), to: external).map(\.host) == [bench.inside])
}

@Test func aFlushEndsEveryMapping() {
    let bench = NATBench(.symmetric)
    guard let before = bench.mapped(to: "192.0.2.1:1") else { return }
    bench.simulation.flush(bench.nat)
    #expect(!bench.reaches(bench.a, from: "192.0.2.1:1", to: before))
    let after = bench.mapped(to: "192.0.2.1:1")
    #expect(after != nil && after != before)
}

@Test func aRebootCanChangeTheExternalAddress() {
    let bench = NATBench(.fullCone)
    guard let before = bench.mapped(to: "192.0.2.1:1") else { return }
    bench.simulation.reboot(bench.nat, external: [ip("203.0.113.2")])
    #expect(bench.mapped(to: "192.0.2.1:1") == socket("203.0.113.2:5000"))
    #expect(
        bench.simulation.probe(bench.a, from: socket("192.0.2.1:1"), to: before).first?.unreachable == .hostUnreachable)
}

@Test func mappingsAreBoundedAndRefusalsCounted() {
    var configuration = NATConfiguration.symmetric
    configuration.maximumMappings = 5
    configuration.lifetime = .milliseconds(60_000)
    let bench = NATBench(configuration)
    let seen = (1...8).map { bench.mapped(to: "192.0.2.1:\($0)") }
    #expect(seen.compactMap(\.self).count == 5)
    #expect(bench.simulation.statistics(of: bench.nat).refused == 3)
    _ = bench.simulation.advance(to: bench.simulation.now + .milliseconds(61_000))
    #expect(bench.mapped(to: "192.0.2.1:100") != nil)
}

@Test func portsRunOut() {
    var configuration = NATConfiguration.symmetric
    configuration.ports = 4_000...4_002
    let bench = NATBench(configuration)
    let seen = (1...5).compactMap { bench.mapped(to: "192.0.2.1:\($0)")?.port }
    #expect(seen.sorted() == [4_000, 4_001, 4_002])
}

@Test func permissionsAreBoundedAndTheOldestMakesRoom() {
    var configuration = NATConfiguration.portRestricted
    configuration.maximumPermissions = 2
    let bench = NATBench(configuration)
    let external = (1...3).compactMap { bench.mapped(to: "192.0.2.1:\($0)") }
    #expect(!bench.reaches(bench.a, from: "192.0.2.1:1", to: external[0]))
    #expect(bench.reaches(bench.a, from: "192.0.2.1:2", to: external[0]))
    #expect(bench.reaches(bench.a, from: "192.0.2.1:3", to: external[0]))
}

@Test func unsolicitedTrafficIsDroppedOrReportedAsConfigured() {
    let bench = NATBench(.fullCone)
    #expect(bench.simulation.probe(bench.a, from: "192.0.2.1:1", to: "203.0.113.1:9999").isEmpty)
    var configuration = NATConfiguration.fullCone
    configuration.unsolicited = .report(.portUnreachable)
    bench.simulation.configure(bench.nat, configuration)
    #expect(
        bench.simulation.probe(bench.a, from: "192.0.2.1:1", to: "203.0.113.1:9999").first?.unreachable
            == .portUnreachable)
    #expect(bench.simulation.statistics(of: bench.nat).unmapped == 2)
}

@Test func errorsComeBackThroughANATUnlessItSwallowsThem() {
    let bench = NATBench(.fullCone)
    let path = NetworkPath(local: socket("10.0.0.2:5000"), remote: socket("203.0.113.77:1"))
    #expect(
        bench.simulation.probe(bench.inside, from: path.local, to: path.remote).map(\.delivery)
            == [.unreachable(path, .hostUnreachable)])
    var configuration = NATConfiguration.fullCone
    configuration.passesErrors = false
    bench.simulation.configure(bench.nat, configuration)
    #expect(bench.simulation.probe(bench.inside, from: path.local, to: path.remote).isEmpty)
}

@Test func aNATBehindANATTranslatesTwiceAndLetsAnswersBack() {
    var simulation = Simulation(seed: 4)
    let carrier = simulation.addNAT("carrier", .symmetric, external: [ip("203.0.113.1")])
    let home = simulation.addNAT(
        "home", .portRestricted, external: [ip("100.64.0.2")], in: carrier.inside,
        link: .symmetric(LinkConfiguration(delay: .milliseconds(5))))
    let inside = simulation.addHost("inside", addresses: [ip("192.168.1.2")], behind: home)
    let far = simulation.addHost("far", addresses: [ip("192.0.2.1")])
    let sent = simulation.now
    let outward = simulation.probe(inside, from: "192.168.1.2:5000", to: "192.0.2.1:1")
    #expect(outward.first?.instant == sent + .milliseconds(5))
    guard let seen = outward.first?.datagram?.path.remote else {
        Issue.record("nothing got out")
        return
    }
    #expect(seen.ip == ip("203.0.113.1"))
    #expect(simulation.mappings(of: home).map(\.outside) == [socket("100.64.0.2:5000")])
    #expect(simulation.mappings(of: carrier).map(\.inside) == [socket("100.64.0.2:5000")])
    let back = simulation.probe(far, from: socket("192.0.2.1:1"), to: seen)
    #expect(back.map(\.host) == [inside])
    #expect(simulation.probe(far, from: socket("192.0.2.1:2"), to: seen).isEmpty)
}

@Test func twoHostsBehindCarrierNATsMeetByHairpin() {
    var simulation = Simulation(seed: 4)
    var carrierConfiguration = NATConfiguration.fullCone
    carrierConfiguration.hairpinning = true
    let carrier = simulation.addNAT("carrier", carrierConfiguration, external: [ip("203.0.113.1")])
    let homes = (2...3).map {
        simulation.addNAT("home \($0)", .fullCone, external: [ip("100.64.0.\($0)")], in: carrier.inside)
    }
    let hosts = homes.map { simulation.addHost("host", addresses: [ip("192.168.1.2")], behind: $0) }
    let far = simulation.addHost("far", addresses: [ip("192.0.2.1")])
    let seen = hosts.compactMap {
        simulation.probe($0, from: "192.168.1.2:5000", to: "192.0.2.1:1").first { $0.host == far }?.datagram?.path
            .remote
    }
    #expect(seen.count == 2)
    let met = simulation.probe(hosts[0], from: socket("192.168.1.2:5000"), to: seen[1])
    #expect(met.map(\.host) == [hosts[1]])
    #expect(met.first?.datagram?.path.remote == seen[0])
}

@Test func aFamilyTheNATDoesNotTranslateIsRoutedThrough() {
    var simulation = Simulation(seed: 4)
    let nat = simulation.addNAT("nat", .symmetric, external: [ip("203.0.113.1")])
    let inside = simulation.addHost("inside", addresses: [ip("10.0.0.2"), ip("2001:db8:1::2")], behind: nat)
    let far = simulation.addHost("far", addresses: [ip("2001:db8:2::2")])
    let outward = simulation.probe(inside, from: "[2001:db8:1::2]:5000", to: "[2001:db8:2::2]:1")
    #expect(outward.first?.datagram?.path.remote == socket("[2001:db8:1::2]:5000"))
    #expect(simulation.probe(far, from: "[2001:db8:2::2]:1", to: "[2001:db8:1::2]:5000").map(\.host) == [inside])
    #expect(
        simulation.probe(inside, from: "[2001:db8:1::2]:5000", to: "[2001:db8:9::9]:1").first?.unreachable
            == .hostUnreachable)
}
