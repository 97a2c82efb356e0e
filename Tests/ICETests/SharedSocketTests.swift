import ICE
import Primitives
import Testing

/// Several agents on one socket, in virtual time: who gets what.
@Suite struct SharedSocketTests {
    private static let inside = "192.0.2.133:30008"
    private static let back = "192.0.2.131"

    /// Agents on one socket behind the table, each with a scripted phone.
    private final class Bench {
        struct Call {
            var agent: ICEAgent
            var member: SharedSocketTable.Member
            let phone: ICECredentials
            var out = ICEAgent.Output()
            /// Datagrams the table gave to this agent.
            var received = 0
        }

        var table = SharedSocketTable()
        var calls: [Call] = []
        var now = Instant.zero
        var random = RandomSource.seeded(11)
        /// Packets that reached nobody, and checks that reached another call than was meant.
        var lost = 0

        init(_ count: Int, configure: (inout ICEAgent.Configuration) -> Void = { _ in }) throws {
            for index in 0..<count {
                var configuration = ICEAgent.Configuration(role: .controlled)
                configure(&configuration)
                let agent = ICEAgent(configuration: configuration, random: .seeded(UInt64(100 + index)))
                let joined = table.join()
                let member = try #require(joined)
                calls.append(
                    Call(
                        agent: agent, member: member,
                        phone: ICECredentials(
                            ufrag: "PHON\(index)", password: "phonepasswordphonepass\(index)")))
                turn(index) { agent, now, out in
                    agent.gather(bases: [LocalBase(address: address(inside))], at: now, into: &out)
                }
                let phone = calls[index].phone
                turn(index) { agent, now, out in
                    agent.setRemoteDescription(credentials: phone, isLite: false, at: now, into: &out)
                }
            }
        }

        func turn(_ index: Int, _ body: (inout ICEAgent, Instant, inout ICEAgent.Output) -> Void) {
            var call = calls[index]
            body(&call.agent, now, &call.out)
            calls[index] = call
            _ = table.setUfrags(calls[index].agent.answeredUfrags, of: calls[index].member)
            for datagram in calls[index].out.datagrams { table.noteSent(datagram, by: calls[index].member, at: now) }
        }

        /// Gives bytes from an address to whom the table says; tells which call that was, and what it sent.
        @discardableResult
        func deliver(_ bytes: [UInt8], from: String) -> (call: Int, sent: [Datagram])? {
            let datagram = Datagram(
                bytes: bytes, path: NetworkPath(local: address(inside), remote: address(from)))
            guard let member = table.member(for: datagram, at: now),
                let index = calls.firstIndex(where: { $0.member == member })
            else {
                lost += 1
                return nil
            }
            calls[index].received += 1
            calls[index].out.removeAll()
            if bytes.first.map({ $0 <= 3 }) ?? false {
                turn(index) { $0.receive(datagram, at: $1, into: &$2) }
            }
            return (index, calls[index].out.datagrams)
        }

        func request(of index: Int, password: String? = nil, using random: inout RandomSource) -> [UInt8] {
            let local = calls[index].agent.localCredentials
            return STUNMessage(
                .request, transactionID: STUNTransactionID(using: &random),
                attributes: [
                    .username("\(local.ufrag):\(calls[index].phone.ufrag)"), .priority(1), .iceControlling(1),
                    .useCandidate,
                ]
            ).encoded(integrity: MessageIntegrityKey(password: password ?? local.password))
        }

        /// A phone checks from an address and answers the check that comes back. True when its call sends there.
        func check(_ index: Int, from: String) throws -> Bool {
            let bytes = request(of: index, using: &random)
            guard let (call, sent) = deliver(bytes, from: from) else { return false }
            #expect(call == index)
            for check in requests(sent) where "\(check.path.remote)" == from {
                try answer(check, of: index, from: from)
            }
            return calls[index].agent.sendingPath?.remote == address(from)
        }

        func answer(_ check: Datagram, of index: Int, from: String) throws {
            let id = try STUNMessage(parsing: check.bytes).transactionID
            let bytes = STUNMessage(.success, transactionID: id)
                .encoded(integrity: MessageIntegrityKey(password: calls[index].phone.password))
            #expect(deliver(bytes, from: from)?.call == index)
        }

        /// Media of a phone from an address; the call that gets it.
        func media(_ ssrc: UInt32, from: String) -> Int? {
            let bytes: [UInt8] =
                [0x80, 96, 0, 1, 0, 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: ssrc >> (24 - 8 * $0)) } + [1]
            return deliver(bytes, from: from)?.call
        }
        func dtls(from: String) -> Int? { deliver([22, 254, 253, 0], from: from)?.call }
    }

    @Test func twentyPhonesBehindOneAddressAreTwentyCalls() throws {
        let bench = try Bench(20)
        for index in 0..<20 { #expect(try bench.check(index, from: "\(Self.back):\(40_000 + index)")) }
        for index in 0..<20 {
            #expect(bench.dtls(from: "\(Self.back):\(40_000 + index)") == index)
            #expect(bench.media(UInt32(index + 1), from: "\(Self.back):\(40_000 + index)") == index)
        }
        #expect(bench.lost == 0)
        #expect(bench.dtls(from: "\(Self.back):39999") == nil, "of an address nobody checked from")
        #expect(bench.table.counters.unknownAddress == 1)
    }

    /// After a restart of the proxy one phone comes from the port that another had.
    @Test func aPortThatAnotherPhoneHadGoesToWhoeverProvesItself() throws {
        let bench = try Bench(2)
        let (a, b) = ("\(Self.back):40000", "\(Self.back):41000")
        #expect(try bench.check(0, from: a))
        #expect(try bench.check(1, from: b))
        // The ports are exchanged; phone 1 is first.
        bench.now += .seconds(5)
        #expect(try bench.check(1, from: a))
        #expect(bench.dtls(from: a) == 1)
        #expect(bench.dtls(from: b) == 1, "nobody else has claimed it")
        #expect(try bench.check(0, from: b))
        #expect(bench.dtls(from: b) == 0)
        #expect(bench.dtls(from: a) == 1)
        #expect(bench.table.counters.reassociations == 2)
    }

    @Test func mediaFromAnUnknownAddressGoesByItsSourceAndBindsNothing() throws {
        let bench = try Bench(3)
        for index in 0..<3 {
            #expect(try bench.check(index, from: "\(Self.back):\(40_000 + index)"))
            #expect(bench.media(UInt32(0x1000 + index), from: "\(Self.back):\(40_000 + index)") == index)
        }
        #expect(bench.media(0x1001, from: "\(Self.back):50000") == 1)
        #expect(bench.media(0x9999, from: "\(Self.back):50000") == nil)
        #expect(bench.dtls(from: "\(Self.back):50000") == nil)
        #expect(bench.table.addresses(of: bench.calls[1].member) == [address("\(Self.back):40001")])
    }

    /// A phone has got another's port and sends media before it checks: its call hears of it and can check at once. Two
    /// phones with one SSRC are not confounded for long.
    @Test func mediaFromAnotherCallsPortGoesByItsSourceForAWhile() throws {
        let bench = try Bench(2)
        let (a, b) = ("\(Self.back):40000", "\(Self.back):41000")
        #expect(try bench.check(0, from: a))
        #expect(try bench.check(1, from: b))
        #expect(bench.media(0xA, from: a) == 0)
        #expect(bench.media(0xB, from: b) == 1)
        for _ in 0..<bench.table.limits.strays { #expect(bench.media(0xA, from: b) == 0) }
        #expect(bench.media(0xA, from: b) == 1, "nobody has proved anything: the address counts again")
        #expect(bench.media(0xB, from: b) == 1)
        #expect(bench.dtls(from: b) == 1)
        bench.now += .seconds(5)
        #expect(try bench.check(0, from: b))
        #expect(bench.media(0xA, from: b) == 0)
    }

    /// Whoever has not the password gets no answer, so no address becomes its own, or anyone's.
    @Test func aForgedRequestTakesNoAddressAway() throws {
        let bench = try Bench(2)
        let a = "\(Self.back):40000"
        #expect(try bench.check(0, from: a))
        var random = RandomSource.seeded(5)
        let forged = bench.request(of: 1, password: "wrongwrongwrongwrongwrong", using: &random)
        let delivered = try #require(bench.deliver(forged, from: a))
        #expect(delivered.call == 1 && delivered.sent.isEmpty)
        #expect(bench.dtls(from: a) == 0)
        // A response to nothing anyone asked, and requests for nobody.
        #expect(
            bench.deliver(STUNMessage(.success, transactionID: STUNTransactionID(using: &random)).encoded(), from: a)
                == nil)
        var message = STUNMessage(.request, transactionID: STUNTransactionID(using: &random))
        #expect(bench.deliver(message.encoded(), from: a) == nil)
        message.attributes = [.username("NOBODY:X")]
        #expect(bench.deliver(message.encoded(), from: a) == nil)
        #expect(bench.table.counters.unknownTransaction == 1)
        #expect(bench.table.counters.malformed == 1 && bench.table.counters.unknownUfrag == 1)
    }

    @Test func bothGenerationsOfARestartAreHeard() throws {
        let bench = try Bench(2)
        var random = RandomSource.seeded(6)
        let old = bench.request(of: 0, using: &random)
        bench.turn(0) { $0.restart(at: $1, into: &$2) }
        #expect(bench.deliver(old, from: "\(Self.back):40000")?.call == 0)
        let new = bench.request(of: 0, using: &random)
        #expect(bench.deliver(new, from: "\(Self.back):40000")?.call == 0)
    }

    @Test func oneCallAloneGetsEverythingAndAGoneOneNothing() throws {
        let bench = try Bench(2)
        #expect(bench.dtls(from: "\(Self.back):1") == nil)
        bench.table.leave(bench.calls[1].member)
        #expect(bench.dtls(from: "\(Self.back):1") == 0)
        var random = RandomSource.seeded(6)
        #expect(bench.deliver(bench.request(of: 1, using: &random), from: "\(Self.back):2") == nil)
        bench.table.leave(bench.calls[0].member)
        #expect(bench.dtls(from: "\(Self.back):1") == nil)
    }

    @Test func unreachableReportsFindWhoeverSent() throws {
        let bench = try Bench(2)
        #expect(try bench.check(0, from: "\(Self.back):40000"))
        bench.turn(1) { agent, now, out in
            out.removeAll()
            agent.addRemoteCandidate(
                Candidate(remoteFoundation: "1", priority: 9, address: address("203.0.113.10:9"), type: .host),
                at: now, into: &out)
        }
        #expect(bench.table.members(unreachable: address("203.0.113.10:9")) == [bench.calls[1].member])
        #expect(bench.table.members(unreachable: address("\(Self.back):40000")) == [bench.calls[0].member])
        #expect(bench.table.members(unreachable: address("203.0.113.99:9")).isEmpty)
    }

    @Test func everythingIsCapped() {
        var limits = SharedSocketTable.Limits()
        limits.members = 3
        limits.addressesPerMember = 4
        limits.sourcesPerMember = 4
        limits.transactions = 8
        limits.ufragsPerMember = 2
        var table = SharedSocketTable(limits: limits)
        let members = (0..<3).compactMap { _ in table.join() }
        #expect(members.count == 3)
        let fourth = table.join()
        #expect(fourth == nil)
        let results = [
            table.setUfrags(["AAAA", "BBBB"], of: members[0]),
            table.setUfrags(["CCCC", "DDDD", "EEEE"], of: members[1]),
            table.setUfrags(["AAAA"], of: members[2]),
        ]
        #expect(results == [true, false, false], "too many, and another's")
        var random = RandomSource.seeded(1)
        let local = address(Self.inside)
        for port in 1...200 {
            let remote = TransportAddress(address("\(Self.back):0").ip, UInt16(port))
            let path = NetworkPath(local: local, remote: remote)
            for kind in [STUNMessage.Class.success, .request] {
                let bytes = STUNMessage(kind, transactionID: STUNTransactionID(using: &random)).encoded()
                table.noteSent(Datagram(bytes: bytes, path: path), by: members[0], at: .zero + .seconds(Double(port)))
            }
            let media: [UInt8] = [0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, UInt8(port / 256), UInt8(port % 256), 0]
            let member = table.member(for: Datagram(bytes: media, path: path), at: .zero)
            #expect(member == members[0])
        }
        #expect(table.addresses(of: members[0]).count == 4)
        #expect(table.addresses(of: members[0]).last?.port == 200)
        #expect(table.members(unreachable: TransportAddress(address("\(Self.back):0").ip, 100)).isEmpty)
        for member in members { table.leave(member) }
        #expect(table.members.isEmpty)
    }

    @Test func noiseIsForNobodyAndHarmsNothing() throws {
        let bench = try Bench(2)
        #expect(try bench.check(0, from: "\(Self.back):40000"))
        var random = RandomSource.seeded(9)
        for round in 0..<20_000 {
            var bytes = random.bytes(Int.random(in: 0...60, using: &random))
            if bytes.count > 8, round % 2 == 0 {
                bytes[0] &= 3
                bytes.replaceSubrange(4..<8, with: [0x21, 0x12, 0xA4, 0x42])
            }
            bench.deliver(bytes, from: "203.0.113.66:\(1 + round % 60_000)")
        }
        #expect(bench.dtls(from: "\(Self.back):40000") == 0)
        #expect(bench.table.addresses(of: bench.calls[0].member).count == 1)
    }
}
