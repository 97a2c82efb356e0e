import ICE
import Primitives
import Testing

/// Who connects to a listener of all calls.
@Suite struct ConnectionReceptionTests {
    private func request(_ username: String?) -> [UInt8] {
        var random = RandomSource.seeded(7)
        var message = STUNMessage(.request, transactionID: STUNTransactionID(using: &random))
        if let username { message.attributes = [.username(username)] }
        return message.encoded(integrity: MessageIntegrityKey(password: "passwordpasswordpassword"))
    }

    private func reception(_ change: (inout ConnectionReception.Limits) -> Void = { _ in }) throws -> (
        ConnectionReception, ConnectionReception.Member, ConnectionReception.Member
    ) {
        var limits = ConnectionReception.Limits()
        change(&limits)
        var reception = ConnectionReception(limits: limits)
        let members = [reception.join(), reception.join()]
        let a = try #require(members[0])
        let b = try #require(members[1])
        reception.setUfrags(["aaaa", "aaa2"], of: a)
        reception.setUfrags(["bbbb"], of: b)
        return (reception, a, b)
    }

    private func guest(
        of reception: inout ConnectionReception, at now: Instant
    ) throws -> ConnectionReception.Connection {
        let connection = reception.accept(at: now).connection
        return try #require(connection)
    }

    @Test func theFirstRequestTellsWhoseAConnectionIs() throws {
        var (reception, a, b) = try reception()
        for (ufrag, member) in [("aaaa", a), ("aaa2", a), ("bbbb", b)] {
            let connection = try guest(of: &reception, at: .zero)
            let result1 = reception.receive(request("\(ufrag):x"), on: connection)
            #expect(result1 == .member(member))
            // From then on everything on it.
            let result2 = reception.receive([22, 254, 253], on: connection)
            #expect(result2 == .member(member))
        }
    }

    @Test func anythingElseAsTheFirstFrameIsRefused() throws {
        var (reception, _, _) = try reception()
        let frames: [[UInt8]] = [
            [], [22, 254, 253], [0x80, 96, 0, 0], Array("GET / HTTP/1.1\r\n".utf8), request(nil), request("aaaa"),
            request("cccc:x"), Array(request("aaaa:x").dropLast()), Array(repeating: 0, count: 4_000),
        ]
        for frame in frames {
            let connection = try guest(of: &reception, at: .zero)
            let result3 = reception.receive(frame, on: connection)
            #expect(result3 == .refused)
            let result4 = reception.receive(request("aaaa:x"), on: connection)
            #expect(result4 == .refused)
        }
        #expect(reception.count == 0)
    }

    @Test func strangersHaveTenSecondsWhateverTheySend() throws {
        var (reception, a, _) = try reception()
        let silent = try guest(of: &reception, at: .zero)
        let named = try guest(of: &reception, at: .zero + .seconds(1))
        let proved = try guest(of: &reception, at: .zero + .seconds(1))
        for connection in [named, proved] {
            let result5 = reception.receive(request("aaaa:x"), on: connection)
            #expect(result5 == .member(a))
        }
        reception.noteSent(on: proved)
        #expect(reception.deadline == .zero + .seconds(10))
        let result6 = reception.advance(to: .zero + .milliseconds(9_999))
        #expect(result6 == [])
        let result7 = reception.advance(to: .zero + .seconds(10))
        #expect(result7 == [silent])
        // It named a call and did not know the password.
        let result8 = reception.advance(to: .zero + .seconds(11))
        #expect(result8 == [named])
        #expect(reception.deadline == nil && reception.count == 1)
        #expect(reception.counters.late == 2)
    }

    @Test func theOldestStrangerMakesRoomAndNoCallDoes() throws {
        var (reception, a, _) = try reception {
            $0.strangers = 4
            $0.connections = 6
        }
        let proved = try guest(of: &reception, at: .zero)
        let result9 = reception.receive(request("aaaa:x"), on: proved)
        #expect(result9 == .member(a))
        reception.noteSent(on: proved)
        var evicted = 0
        for _ in 0..<1_000 { evicted += reception.accept(at: .zero).evicted == nil ? 0 : 1 }
        #expect(evicted == 996 && reception.strangerCount == 4 && reception.count == 5)
        let result10 = reception.receive([22], on: proved)
        #expect(result10 == .member(a))
    }

    @Test func aCallHasALimitOfConnections() throws {
        var (reception, a, b) = try reception { $0.connectionsPerMember = 3 }
        for index in 0..<5 {
            let connection = try guest(of: &reception, at: .zero)
            let result11 = reception.receive(request("aaaa:x"), on: connection)
            #expect(result11 == (index < 3 ? .member(a) : .refused))
            reception.noteSent(on: connection)
        }
        let other = try guest(of: &reception, at: .zero)
        let result12 = reception.receive(request("bbbb:x"), on: other)
        #expect(result12 == .member(b))
    }

    @Test func aCallThatEndsTakesItsConnectionsAndNameAlong() throws {
        var (reception, a, _) = try reception()
        let connection = try guest(of: &reception, at: .zero)
        _ = reception.receive(request("aaaa:x"), on: connection)
        let result13 = reception.leave(a)
        #expect(result13 == [connection])
        let late = try guest(of: &reception, at: .zero)
        let result14 = reception.receive(request("aaaa:x"), on: late)
        #expect(result14 == .refused)
        #expect(reception.counters.unknownUfrag == 1)
    }

    @Test func membersAreBounded() {
        var limits = ConnectionReception.Limits()
        limits.members = 2
        var reception = ConnectionReception(limits: limits)
        let members = [reception.join(), reception.join(), reception.join()]
        #expect(members.map { $0 == nil } == [false, false, true])
    }
}
