import FixtureSupport
import Primitives
import SimulatedNetwork
import Testing

@Test func aHostAcceptsEveryPortUntilOneIsOpenedByName() {
    var bench = Bench()
    #expect(bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: "198.51.100.10:7").first?.host == bench.right)
    bench.simulation.open(socket("198.51.100.10:8"), on: bench.right)
    #expect(
        bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: "198.51.100.10:7").first?.unreachable
            == .portUnreachable)
    #expect(bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: "198.51.100.10:8").first?.host == bench.right)
    bench.simulation.close(socket("198.51.100.10:8"), on: bench.right)
    #expect(
        bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: "198.51.100.10:8").first?.unreachable
            == .portUnreachable)
}

@Test func anAddressNobodyHasIsUnreachableInTheWayItsNetworkSays() {
    var bench = Bench()
    let far = "203.0.113.99:5"
    #expect(bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: far).first?.unreachable == .hostUnreachable)
    bench.simulation.setNoRoute(.report(.administrativelyProhibited), in: .internet)
    #expect(
        bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: far).first?.unreachable
            == .administrativelyProhibited)
    bench.simulation.setNoRoute(.silent, in: .internet)
    #expect(bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: far).isEmpty)
    #expect(bench.simulation.statistics.noRoute == 3)
}

@Test func aFamilyTheHostDoesNotHaveIsUnreachableAtOnce() {
    var bench = Bench()
    let path = NetworkPath(local: socket("0.0.0.0:1"), remote: socket("[2001:db8::1]:5"))
    bench.simulation.send(Datagram(bytes: [1], path: path), from: bench.left, at: .zero)
    #expect(
        bench.simulation.advance(to: .zero).map(\.delivery) == [.unreachable(path, .networkUnreachable)])
    #expect(bench.simulation.probe(bench.left, from: "192.0.2.77:1", to: "198.51.100.10:7").first?.unreachable != nil)
    #expect(bench.simulation.statistics.badSource == 2)
}

@Test func anUnspecifiedSourceBecomesTheHostsAddressOfThatFamily() {
    var simulation = Simulation(seed: 1)
    let left = simulation.addHost("left", addresses: [ip("192.0.2.1"), ip("2001:db8::1")])
    let right = simulation.addHost("right", addresses: [ip("192.0.2.2"), ip("2001:db8::2")])
    let v6 = simulation.probe(left, from: "[::]:9", to: "[2001:db8::2]:5")
    #expect(v6.first?.host == right)
    #expect(v6.first?.datagram?.path.remote == socket("[2001:db8::1]:9"))
    #expect(
        simulation.probe(left, from: "0.0.0.0:9", to: "192.0.2.2:5").first?.datagram?.path.remote
            == socket("192.0.2.1:9"))
}

@Test func loopbackStaysOnTheHost() {
    var bench = Bench(left: .symmetric(LinkConfiguration(loss: .independent(1))))
    let arrivals = bench.simulation.probe(bench.left, from: "127.0.0.1:1", to: "127.0.0.1:2")
    #expect(arrivals.first?.host == bench.left)
    #expect(
        arrivals.first?.datagram?.path == NetworkPath(local: socket("127.0.0.1:2"), remote: socket("127.0.0.1:1")))
}

@Test func aHostWithTwoInterfacesUsesTheLinkOfItsSourceAddress() {
    var bench = Bench(left: Link(up: LinkConfiguration(delay: .milliseconds(10))))
    let mobile = bench.simulation.addInterface(
        to: bench.left, addresses: [ip("203.0.113.5")], in: .internet,
        link: Link(up: LinkConfiguration(delay: .milliseconds(80))))
    #expect(bench.simulation.links(of: bench.left).count == 2)
    let start = bench.simulation.now
    let arrivals = bench.simulation.probe(bench.left, from: "203.0.113.5:1", to: "198.51.100.10:2")
    #expect(arrivals.map(\.instant) == [start + .milliseconds(80)])
    #expect(bench.simulation.statistics(of: mobile).up.delivered == 1)
    #expect(bench.simulation.statistics(of: bench.simulation.link(of: bench.left)).up.entered == 0)
}

@Test func aHostThatRoamsIsReachedAtTheNewAddressOnly() {
    var bench = Bench()
    let link = bench.simulation.link(of: bench.right)
    bench.simulation.addAddress(ip("198.51.100.11"), to: link)
    bench.simulation.removeAddress(Bench.rightIP, from: link)
    #expect(
        bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: "198.51.100.10:7").first?.unreachable
            == .hostUnreachable)
    #expect(bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: "198.51.100.11:7").first?.host == bench.right)
    #expect(
        bench.simulation.probe(bench.right, from: "198.51.100.10:7", to: "192.0.2.10:1").first?.unreachable
            == .networkUnreachable)
}

@Test func aSTUNServerAnswersWithTheAddressItSawMasked() {
    // The transaction identifier and mapped address of RFC 5769 §2.2: 192.0.2.1:32853.
    let identifier: [UInt8] = [0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE]
    let request = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + identifier
    let response = STUNResponder.response(to: request, from: socket("192.0.2.1:32853"))
    #expect(response?.prefix(8) == [0x01, 0x01, 0, 20, 0x21, 0x12, 0xA4, 0x42])
    #expect(response?[8..<20] == identifier[...])
    #expect(response?[20..<32] == [0, 0x20, 0, 8, 0, 1, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43])
    #expect(response?[32..<36] == [0x80, 0x28, 0, 4])
    // §2.3: 2001:db8:1234:5678:11:2233:4455:6677, port 32853.
    let v6 = STUNResponder.response(to: request, from: socket("[2001:db8:1234:5678:11:2233:4455:6677]:32853"))
    let expected: [UInt8] = [
        0, 0x20, 0, 0x14, 0, 2, 0xA1, 0x47, 0x01, 0x13, 0xA9, 0xFA, 0xA5, 0xD3, 0xF1, 0x79, 0xBC, 0x25, 0xF4, 0xB5,
        0xBE,
        0xD2, 0xB9, 0xD9,
    ]
    #expect(v6?[20..<44] == expected[...])
}

@Test func theFingerprintIsTheCRCOfAllBeforeIt() {
    let request: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    guard let response = STUNResponder.response(to: request, from: socket("192.0.2.1:1")) else {
        Issue.record("no response")
        return
    }
    // CRC-32 with the table form, to check the bitwise one.
    let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? 0xEDB8_8320 ^ (crc >> 1) : crc >> 1 }
    }
    func crc(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ ($0 >> 8) }
    }
    #expect(crc(Array("123456789".utf8)) == 0xCBF4_3926)
    let value = response.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    #expect(value == crc(response.dropLast(8)) ^ 0x5354_554E)
}

@Test func aSTUNServerIsSilentToAllButBindingRequests() {
    let request: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + Array(repeating: 9, count: 12)
    let source = socket("192.0.2.1:1")
    #expect(STUNResponder.response(to: request, from: source) != nil)
    for length in 0..<request.count {
        #expect(STUNResponder.response(to: Array(request.prefix(length)), from: source) == nil)
    }
    for (index, value) in [(1, 0x11), (1, 0x03), (3, 4), (4, 0)] as [(Int, UInt8)] {
        var other = request
        other[index] = value
        #expect(STUNResponder.response(to: other, from: source) == nil)
    }
}

@Test func mutatedRequestsAreAnsweredOnlyWhereTheyAreStillRequests() {
    let request: [UInt8] = [0, 1, 0, 8, 0x21, 0x12, 0xA4, 0x42] + Array(repeating: 9, count: 20)
    var mutations = Mutations(of: [request, Array(request.prefix(20))], seed: 5)
    var answered = 0
    for _ in 0..<100_000 {
        let bytes = mutations.next()
        guard let response = STUNResponder.response(to: bytes, from: socket("192.0.2.1:1")) else { continue }
        answered += 1
        if response.count != 40 || bytes.prefix(2) != [0, 1] { Issue.record("answered \(bytes.hexadecimal)") }
    }
    #expect(answered > 1_000)
}

@Test func aSTUNServerInTheNetworkAnswersAndCounts() {
    var bench = Bench(left: .symmetric(LinkConfiguration(delay: .milliseconds(10))))
    let server = bench.simulation.addSTUNServer(at: [socket("203.0.113.1:3478")])
    let request: [UInt8] = [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42] + Array(repeating: 9, count: 12)
    let path = NetworkPath(local: socket("192.0.2.10:1"), remote: socket("203.0.113.1:3478"))
    bench.simulation.send(Datagram(bytes: request, path: path), from: bench.left, at: .zero)
    let arrivals = bench.simulation.advance(to: ms(100))
    #expect(arrivals.map(\.instant) == [ms(20)])
    #expect(arrivals.first?.datagram?.path == path)
    #expect(arrivals.first?.datagram?.bytes == STUNResponder.response(to: request, from: socket("192.0.2.10:1")))
    #expect(bench.simulation.requestsAnswered(by: server) == 1)
    #expect(
        bench.simulation.probe(bench.left, from: "192.0.2.10:1", to: "203.0.113.1:3479").first?.unreachable
            == .portUnreachable)
}
