import ICE
import Primitives
import SimulatedNetwork
import Testing

/// The behaviour of NATs as RFC 4787 names it, found out through simulated boxes of every sort.
@Suite struct NATProbeTests {
    /// A STUN server of RFC 5780 in one value: two addresses, two ports.
    private struct Server {
        static let addresses = [address("198.51.100.20:0").ip, address("198.51.100.21:0").ip]
        static let ports: [UInt16] = [3_478, 3_479]
        var hasOther = true
        var obeys = true

        func answer(_ datagram: Datagram) -> Datagram? {
            guard let request = try? STUNMessage(parsing: datagram.bytes), request.messageClass == .request,
                let a = Self.addresses.firstIndex(of: datagram.path.local.ip),
                let p = Self.ports.firstIndex(of: datagram.path.local.port)
            else { return nil }
            var (from, port) = (a, p)
            for case .unknown(0x0003, let value) in request.attributes where obeys {
                if value[3] & 4 != 0 { from = 1 - from }
                if value[3] & 2 != 0 { port = 1 - port }
            }
            var response = STUNMessage(.success, transactionID: request.transactionID)
            response.attributes = [.xorMappedAddress(datagram.path.remote)]
            if hasOther {
                let other = TransportAddress(Self.addresses[1 - a], Self.ports[1 - p])
                response.attributes.append(
                    .unknown(
                        type: 0x802C,
                        value: [0, 1, UInt8(other.port >> 8), UInt8(truncatingIfNeeded: other.port)] + other.ip.bytes))
            }
            let local = TransportAddress(Self.addresses[from], Self.ports[port])
            return Datagram(
                bytes: response.encoded(), path: NetworkPath(local: local, remote: datagram.path.remote))
        }
    }

    private func probe(
        _ nat: NATConfiguration?, loss: Double = 0, server: Server = Server(), second: TransportAddress? = nil,
        seed: UInt64 = 1
    ) throws -> NATFindings {
        var simulation = Simulation(seed: seed)
        let link = Link.symmetric(
            LinkConfiguration(delay: .milliseconds(20), loss: loss == 0 ? .none : .independent(loss)))
        let client: HostID
        let inside = address("10.0.0.10:0").ip
        if let nat {
            let box = simulation.addNAT("nat", nat, external: [address("192.0.2.1:0").ip])
            client = simulation.addHost("client", addresses: [inside], behind: box, link: link)
        } else {
            client = simulation.addHost("client", addresses: [address("192.0.2.10:0").ip], link: link)
        }
        let host = simulation.addHost("server", addresses: Server.addresses)
        let ip = simulation.addresses(of: client)[0]
        let sockets = (0..<3).map { TransportAddress(ip, 5_000 + UInt16($0)) }
        for socket in sockets { simulation.open(socket, on: client) }
        for address in Server.addresses {
            for port in Server.ports { simulation.open(TransportAddress(address, port), on: host) }
        }
        var probe = NATProbe(
            configuration: .init(server: address("198.51.100.20:3478"), second: second), sockets: sockets,
            random: .seeded(seed &+ 9))
        var out: [Datagram] = []
        probe.start(at: simulation.now, into: &out)
        for datagram in out { simulation.send(datagram, from: client, at: simulation.now) }
        try simulation.run(on: [client, host], until: .zero + .seconds(60)) { node, step, now, out in
            switch (node, step) {
            case (0, .datagram(let datagram)): probe.receive(datagram, at: now, into: &out)
            case (0, .advance): probe.advance(to: now, into: &out)
            case (1, .datagram(let datagram)): if let answer = server.answer(datagram) { out.append(answer) }
            default: break
            }
            return node == 0 ? probe.deadline : nil
        }
        return try #require(probe.result)
    }

    private func dependence(_ behavior: NATBehavior) -> NATDependence {
        switch behavior {
        case .endpointIndependent: .endpointIndependent
        case .addressDependent: .addressDependent
        case .addressAndPortDependent: .addressAndPortDependent
        }
    }

    @Test func everyClassOfMappingFilteringAndHairpinningIsNamedRight() throws {
        for mapping in NATBehavior.allCases {
            for filtering in NATBehavior.allCases {
                for hairpinning in [false, true] {
                    let nat = NATConfiguration(mapping: mapping, filtering: filtering, hairpinning: hairpinning)
                    let found = try probe(nat)
                    let what = "\(mapping) \(filtering) \(hairpinning): \(found)"
                    #expect(found.mapping == dependence(mapping), "\(what)")
                    #expect(found.filtering == dependence(filtering), "\(what)")
                    #expect(found.isTranslated == true && found.mapped?.ip == address("192.0.2.1:0").ip)
                    // A hairpin that its filter then drops is none for us.
                    if filtering == .endpointIndependent { #expect(found.hairpins == hairpinning, "\(what)") }
                    if !hairpinning { #expect(found.hairpins == false, "\(what)") }
                }
            }
        }
    }

    @Test func portsKeptAndChangedAreToldApart() throws {
        #expect(try probe(.fullCone).preservesPort == true)
        #expect(try probe(.symmetric).preservesPort == false)
    }

    @Test func withoutANATThereIsNone() throws {
        let found = try probe(nil)
        #expect(found.isTranslated == false && found.mapping == .endpointIndependent)
        #expect(found.filtering == .endpointIndependent)
    }

    @Test func aServerWithOneAddressTellsLessAndASecondServerTellsTheMapping() throws {
        let alone = try probe(.symmetric, server: Server(hasOther: false))
        #expect(alone.mapped != nil && alone.mapping == nil && alone.filtering == nil)
        #expect(alone.hasTwoAddresses == false)
        let other = address("198.51.100.21:3478")
        #expect(
            try probe(.symmetric, server: Server(hasOther: false), second: other).mapping == .addressDependent)
        #expect(
            try probe(.fullCone, server: Server(hasOther: false), second: other).mapping == .endpointIndependent)
    }

    @Test func aServerThatDoesNotDoAsAskedIsNotTakenForAnOpenFilter() throws {
        let found = try probe(.portRestricted, server: Server(obeys: false))
        #expect(found.filtering == nil && found.mapping == .endpointIndependent)
    }

    @Test func aServerThatIsNotThereEndsIt() throws {
        let found = try probe(.fullCone, loss: 1)
        #expect(found.mapped == nil && found.mapping == nil && found.isTranslated == nil)
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>) func aTenthLostChangesNoMapping(seed: UInt64) throws {
        let found = try probe(.portRestricted, loss: 0.1, seed: seed)
        #expect(found.mapping == .endpointIndependent && found.filtering == .addressAndPortDependent)
    }
}
