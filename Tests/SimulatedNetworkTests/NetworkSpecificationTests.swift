import FixtureSupport
import Primitives
import SimulatedNetwork
import Testing

@Test func theExampleOfTheManualParses() throws {
    let specification = try NetworkSpecification(
        parsing: "rtt=100ms,loss=2%,jitter=20ms,rate=2mbps,queue=300ms,nat=symmetric/cone")
    #expect(specification.up.delay == .milliseconds(50))
    #expect(specification.down == specification.up)
    #expect(specification.up.loss == 0.02)
    #expect(specification.up.jitter == .milliseconds(20))
    #expect(specification.up.rate == 2_000_000)
    #expect(specification.up.queue == .time(.milliseconds(300)))
    #expect(specification.leftNAT == .symmetric)
    #expect(specification.rightNAT == .fullCone)
    #expect(specification.hasSTUNServer)
    let link = specification.up.linkConfiguration()
    #expect(link.loss == .independent(0.02))
    #expect(link.queue == .time(.milliseconds(300)))
}

@Test func aDirectedKeyOverrulesThePlainOneInAnyOrder() throws {
    let specification = try NetworkSpecification(
        parsing: "up.rate=500kbps, rate=2mbps ,down.delay=30ms,rtt=20ms,burst=3,up.loss=0.5%")
    #expect(specification.up.rate == 500_000)
    #expect(specification.down.rate == 2_000_000)
    #expect(specification.up.delay == .milliseconds(10))
    #expect(specification.down.delay == .milliseconds(30))
    #expect(specification.roundTrip == .milliseconds(40))
    #expect(specification.up.linkConfiguration().loss == .bursts(rate: 0.005, meanLength: 3))
    #expect(specification.down.linkConfiguration().loss == .none)
}

@Test func outagesAreRangesOfTheRun() throws {
    let specification = try NetworkSpecification(parsing: "down.outage=10s-15s+1min-61s")
    #expect(specification.up.outages.isEmpty)
    let start = ms(500)
    #expect(
        specification.down.linkConfiguration(start: start).outages == [
            ms(10_500)..<ms(15_500), ms(60_500)..<ms(61_500),
        ])
}

@Test(arguments: [
    ("", ""),
    ("rtt=0ms", ""),
    ("delay=50ms", "rtt=100ms"),
    ("delay=39s", "up.delay=39s,down.delay=39s"),
    ("rtt=3ns", "up.delay=2ns,down.delay=1ns"),
    ("RTT=100MS,Loss=2%", "rtt=100ms,loss=2%"),
    ("loss=0.07,burst=2.5", "loss=7%,burst=2.5"),
    ("loss=0.1%,duplicate=1e-9", "loss=0.1%,duplicate=1e-09"),
    ("rate=1.5mbit,queue=64kb", "rate=1500kbps,queue=64kb"),
    ("rate=2500bps,queue=1kib,mtu=1280", "rate=2500bps,queue=1024b,mtu=1280"),
    ("up.jitter=1500us,nat=symmetric", "up.jitter=1500us,nat=symmetric"),
    ("nat=none/port-restricted,stun=off,ipv6=only", "nat=none/port-restricted,stun=off,ipv6=only"),
    ("nat=none,outage=1s-2s", "outage=1s-2s"),
    ("reorder=3%,up.mtu=576", "reorder=3%,up.mtu=576"),
])
func aDescriptionParsesBackToTheSameValue(text: String, canonical: String) throws {
    let specification = try NetworkSpecification(parsing: text)
    #expect(specification.description == canonical)
    #expect(try NetworkSpecification(parsing: specification.description) == specification)
}

@Test(arguments: [
    ("rrt=5ms", NetworkSpecificationError.Problem.unknownKey, "rrt"),
    ("=5", .unknownKey, ""),
    ("rtt", .missingValue, "rtt"),
    ("rtt=", .missingValue, "rtt"),
    ("rtt=5", .badValue, "rtt"),
    ("rtt=-5ms", .badValue, "rtt"),
    ("rtt=61s", .badValue, "rtt"),
    ("rtt=5ms,rtt=6ms", .repeatedKey, "rtt"),
    ("up.loss=101%", .badValue, "up.loss"),
    ("loss=nan", .badValue, "loss"),
    ("loss=2%%", .badValue, "loss"),
    ("burst=0.5", .badValue, "burst"),
    ("rate=1", .badValue, "rate"),
    ("rate=0kbps", .badValue, "rate"),
    ("rate=99999gbps", .badValue, "rate"),
    ("queue=5", .badValue, "queue"),
    ("mtu=20", .badValue, "mtu"),
    ("mtu=1280.5", .badValue, "mtu"),
    ("outage=5s-4s", .badValue, "outage"),
    ("outage=5s", .badValue, "outage"),
    ("nat=conic", .badValue, "nat"),
    ("nat=cone/cone/cone", .badValue, "nat"),
    ("up.nat=cone", .notDirectional, "up.nat"),
    ("up.rtt=5ms", .notDirectional, "up.rtt"),
    ("stun=maybe", .badValue, "stun"),
    ("ipv6=yes", .badValue, "ipv6"),
])
func aMistakeNamesItsKeyAndWhatIsAllowed(text: String, problem: NetworkSpecificationError.Problem, key: String) {
    do throws(NetworkSpecificationError) {
        _ = try NetworkSpecification(parsing: text)
        Issue.record("\(text) parsed")
    } catch {
        #expect(error.problem == problem)
        #expect(error.key == key)
        #expect(!error.allowed.isEmpty)
        #expect(error.description.contains("'\(key)'"))
    }
}

@Test func anErrorReadsLikeAnAnswer() {
    do throws(NetworkSpecificationError) {
        _ = try NetworkSpecification(parsing: "loss=two")
    } catch {
        #expect(
            error.description
                == "'two' is no value for 'loss' in the network specification; allowed: a share from 0 to 1, such as 2% or 0.02"
        )
    }
}

@Test func aSpecificationCutShortAnywhereEndsInAValueOrATypedError() {
    let text = "rtt=100ms,up.loss=2%,outage=1s-2s+3s-4s,queue=64kb,nat=symmetric/cone"
    for length in 0...text.count {
        do throws(NetworkSpecificationError) {
            _ = try NetworkSpecification(parsing: text.prefix(length))
        } catch {
            #expect(text.hasPrefix(error.key) || text.contains("," + error.key))
        }
    }
}

@Test func mutatedSpecificationsEndInAValueOrATypedError() {
    let seeds = [
        "rtt=100ms,loss=2%,jitter=20ms,rate=2mbps,queue=300ms,nat=symmetric/cone",
        "up.delay=3ns,down.outage=1s-2s+3s-4s,mtu=1280,burst=2.5,ipv6=only,stun=off",
        "duplicate=1e-9,reorder=0.5,queue=64kb",
    ]
    var mutations = Mutations(of: seeds.map { Array($0.utf8) }, seed: 99)
    var parsed = 0
    for _ in 0..<100_000 {
        let text = String(decoding: mutations.next(), as: UTF8.self)
        guard let specification = try? NetworkSpecification(parsing: text) else { continue }
        parsed += 1
        if (try? NetworkSpecification(parsing: specification.description)) != specification {
            Issue.record("\(text) does not come back")
        }
    }
    #expect(parsed > 100)
}
