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
        /// RESPONSE-PORT (RFC 5780 §7.5): done, passed over, or refused with 420.
        var knowsResponsePort = true
        var refuses = false

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
            var remote = datagram.path.remote
            for case .unknown(0x0027, let value) in request.attributes {
                if refuses {
                    let error = STUNMessage(
                        .error, transactionID: request.transactionID, attributes: [.errorCode(STUNErrorCode(420))])
                    return Datagram(bytes: error.encoded(), path: datagram.path)
                }
                if knowsResponsePort { remote = TransportAddress(remote.ip, UInt16(value[0]) << 8 | UInt16(value[1])) }
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
                bytes: response.encoded(), path: NetworkPath(local: local, remote: remote))
        }
    }

    private func run<Probe: NATProbing>(
        _ nat: NATConfiguration?, sockets count: Int, loss: Double, server: Server, seed: UInt64, limit: TimeDelta,
        _ make: ([TransportAddress]) -> Probe
    ) throws -> (Probe, Instant) {
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
        let sockets = (0..<count).map { TransportAddress(ip, 5_000 + UInt16($0)) }
        for socket in sockets { simulation.open(socket, on: client) }
        for address in Server.addresses {
            for port in Server.ports { simulation.open(TransportAddress(address, port), on: host) }
        }
        var probe = make(sockets)
        var ended: Instant?
        var out: [Datagram] = []
        probe.start(at: simulation.now, into: &out)
        for datagram in out { simulation.send(datagram, from: client, at: simulation.now) }
        try simulation.run(on: [client, host], until: .zero + limit) { node, step, now, out in
            switch (node, step) {
            case (0, .datagram(let datagram)): probe.receive(datagram, at: now, into: &out)
            case (0, .advance): probe.advance(to: now, into: &out)
            case (1, .datagram(let datagram)): if let answer = server.answer(datagram) { out.append(answer) }
            default: break
            }
            if probe.hasEnded, ended == nil { ended = now }
            return node == 0 ? probe.deadline : nil
        }
        return (probe, try #require(ended))
    }

    private func probe(
        _ nat: NATConfiguration?, loss: Double = 0, server: Server = Server(), second: TransportAddress? = nil,
        seed: UInt64 = 1
    ) throws -> NATFindings {
        let (ended, _) = try run(nat, sockets: 3, loss: loss, server: server, seed: seed, limit: .seconds(60)) {
            sockets in
            NATProbe(
                configuration: .init(server: address("198.51.100.20:3478"), second: second), sockets: sockets,
                random: .seeded(seed &+ 9))
        }
        return try #require(ended.result)
    }

    private func lifetime(
        _ nat: NATConfiguration?, limit: TimeDelta, loss: Double = 0, server: Server = Server(), seed: UInt64 = 1
    ) throws -> (NATLifetime, Instant) {
        let configuration = NATLifetimeProbe.Configuration(server: address("198.51.100.20:3478"), limit: limit)
        let (ended, end) = try run(
            nat, sockets: configuration.spans.count + 1, loss: loss, server: server, seed: seed, limit: .seconds(700)
        ) { sockets in
            NATLifetimeProbe(configuration: configuration, sockets: sockets, random: .seeded(seed &+ 9))
        }
        return (try #require(ended.result), end)
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

    // MARK: How long a mapping is kept

    @Test(arguments: [1, 7, 30, 61, 120] as [Double], [NATConfiguration.fullCone, .portRestricted, .symmetric])
    func theLifeOfABindingIsFoundBetweenTwoSpans(seconds: Double, nat: NATConfiguration) throws {
        var nat = nat
        // A packet's time on the way counts as idle, too.
        nat.lifetime = .seconds(seconds) + .milliseconds(500)
        let (found, end) = try lifetime(nat, limit: .seconds(300))
        #expect(found.isKnown)
        let kept = try #require(found.keptFor)
        let gone = try #require(found.goneAfter)
        #expect(kept <= nat.lifetime && gone > nat.lifetime, "\(nat.lifetime): \(kept) to \(gone)")
        // All spans at once: no longer than the first that was too long, and the wait for its answer.
        #expect(end <= .zero + gone + .seconds(5), "\(end)")
    }

    @Test func aBindingThatOutlivesAllSpansIsKeptAtLeastAsLong() throws {
        let (found, end) = try lifetime(.portRestricted, limit: .seconds(60))
        #expect(found.keptFor == .seconds(60) && found.goneAfter == nil)
        #expect(end < .zero + .seconds(62))
    }

    @Test(arguments: 1...10 as ClosedRange<UInt64>) func aTenthLostMakesNoBindingShorterThanItIs(seed: UInt64) throws {
        var nat = NATConfiguration.portRestricted
        nat.lifetime = .seconds(33)
        let (found, _) = try lifetime(nat, limit: .seconds(60), loss: 0.1, seed: seed)
        #expect(found.isKnown && found.goneAfter == .seconds(45), "\(found)")
    }

    @Test func aServerThatDoesNotAnswerElsewhereIsNotTakenForAShortLife() throws {
        for server in [Server(knowsResponsePort: false), Server(refuses: true)] {
            let (found, end) = try lifetime(.portRestricted, limit: .seconds(60), server: server)
            #expect(!found.isKnown && found.keptFor == nil && end < .zero + .seconds(5))
        }
        let (silent, _) = try lifetime(.portRestricted, limit: .seconds(60), loss: 1)
        #expect(!silent.isKnown)
    }
}
