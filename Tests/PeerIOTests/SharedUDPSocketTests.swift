import ICE
import Primitives
import Testing

@testable import PeerIO

/// An owner of a share, as a connection is: answers requests, and keeps what came.
private final class ShareOwner: UDPSocketOwner, @unchecked Sendable {
    // Used on the loop's thread only.
    let share: SharedSocketShare
    let credentials: ICECredentials
    var received: [Datagram] = []

    init(_ share: SharedSocketShare, name: String) {
        self.share = share
        credentials = ICECredentials(ufrag: name, password: "passwordpasswordpassword")
    }

    func receive(_ batch: inout DatagramBatch) {
        var answers: [Datagram] = []
        batch.drain { datagram, _ in
            if let message = try? STUNMessage(parsing: datagram.bytes), message.messageClass == .request {
                let key = MessageIntegrityKey(password: credentials.password)
                if message.isIntact(under: key) {
                    answers.append(
                        Datagram(
                            bytes: STUNMessage(.success, transactionID: message.transactionID).encoded(integrity: key),
                            path: datagram.path))
                }
            }
            received.append(datagram)
        }
        if !answers.isEmpty { share.send(answers) }
    }

    func receive(_ errors: [SocketError], at now: Instant) {}
}

@Suite struct SharedUDPSocketTests {
    private static func request(of name: String, random: inout RandomSource) -> [UInt8] {
        STUNMessage(
            .request, transactionID: STUNTransactionID(using: &random), attributes: [.username("\(name):PEER")]
        ).encoded(integrity: MessageIntegrityKey(password: "passwordpasswordpassword"))
    }

    @Test func clientsOfOnePortReachTheirOwnConnection() async throws {
        let loop = try IOLoop(name: "test")
        let shared = try SharedUDPSocket(loop: loop, UDPSocketConfiguration(address: .loopbackV4))
        let owners = ["AAAA", "BBBB", "CCCC"].map { ShareOwner(shared.share(), name: $0) }
        try await onLoop(loop) {
            for owner in owners {
                try owner.share.start(owner: owner)
                owner.share.setUfrags([owner.credentials.ufrag])
            }
        }
        var clients: [SocketHost] = []
        var random = RandomSource.seeded(1)
        for index in 0..<3 {
            let client = SocketHost(loop: loop)
            _ = try await client.open(UDPSocketConfiguration(address: .loopbackV4))
            clients.append(client)
            await client.send(
                [Self.request(of: owners[index].credentials.ufrag, random: &random)], to: shared.localAddress)
        }
        let answered = await eventually { [clients] in
            for client in clients where await client.receivedCount == 0 { return false }
            return true
        }
        #expect(answered, "each has its answer, from the one port")
        for (index, client) in clients.enumerated() {
            let from = await client.received.first?.path.remote
            #expect(from == shared.localAddress)
            for number in 0..<50 { await client.send([[22, UInt8(index), UInt8(number)]], to: shared.localAddress) }
        }
        let arrived = await eventually {
            (try? await onLoop(loop) { owners.allSatisfy { $0.received.count == 51 } }) ?? false
        }
        #expect(arrived)
        for (index, owner) in owners.enumerated() {
            let records = try await onLoop(loop) { owner.received.dropFirst().map(\.bytes) }
            #expect(records.allSatisfy { $0[1] == UInt8(index) }, "nothing of the others")
            #expect(records.map { Int($0[2]) } == Array(0..<50), "in order")
        }
        // A connection that ends leaves the others and the port alone.
        try await onLoop(loop) { owners[0].share.close() }
        await clients[0].send([[22, 0, 99]], to: shared.localAddress)
        await clients[1].send([[22, 1, 99]], to: shared.localAddress)
        let last = await eventually { (try? await onLoop(loop) { owners[1].received.count == 52 }) ?? false }
        #expect(last)
        let (gone, count) = try await onLoop(loop) { (owners[0].received.count, shared.shareCount) }
        #expect(gone == 51 && count == 2)
        try await onLoop(loop) { shared.close() }
        await loop.shutdown()
    }

    // MARK: Ports

    @Test func portsAreGivenInTurnAndRestAfterUse() throws {
        var ledger = PortLedger(range: 100...104, quarantine: .seconds(60))
        let ip = IPAddress.loopbackV4
        #expect(ledger.free(on: ip, at: .zero) == [100, 101, 102, 103, 104])
        for port in [UInt16(100), 101, 102] { ledger.take(TransportAddress(ip, port)) }
        #expect(ledger.free(on: ip, at: .zero) == [103, 104])
        ledger.release(TransportAddress(ip, 101), at: .zero)
        #expect(ledger.free(on: ip, at: .zero + .seconds(59)) == [103, 104])
        #expect(ledger.free(on: ip, at: .zero + .seconds(60)) == [103, 104, 101])
        ledger.release(TransportAddress(ip, 104), at: .zero)
        #expect(ledger.usage(on: ip, at: .zero + .seconds(61)).inUse == [100, 102])
        // The same ports of another address are others.
        #expect(ledger.free(on: .loopbackV6, at: .zero).count == 5)
        ledger.take(TransportAddress(ip, 99))
        #expect(ledger.usage(on: ip, at: .zero).inUse == [100, 102])
    }

    @Test func anExhaustedPoolSaysByWhom() async throws {
        let loop = try IOLoop(name: "test")
        // Three neighbouring free ports, found by asking.
        let probe = try UDPSocket(loop: loop, UDPSocketConfiguration(address: .loopbackV4))
        let first = Swift.min(probe.localAddress.port, 65_000)
        let range = first + 1...first + 3
        let pool = PortPool(range, quarantine: .milliseconds(200))
        var sockets: [UDPSocket] = []
        while sockets.count < 3,
            let socket = try? pool.open(loop: loop, UDPSocketConfiguration(address: .loopbackV4))
        { sockets.append(socket) }
        #expect(sockets.count > 0 && Set(sockets.map(\.localAddress.port)).count == sockets.count)
        do throws(SocketFailure) {
            _ = try pool.open(loop: loop, UDPSocketConfiguration(address: .loopbackV4))
            Issue.record("a fourth port of three")
        } catch {
            #expect("\(error)".contains("is exhausted: \(sockets.count) ports are used by calls of this process"))
            #expect("\(error)".contains("--udp-port"))
        }
        sockets[0].close()
        do throws(SocketFailure) {
            _ = try pool.open(loop: loop, UDPSocketConfiguration(address: .loopbackV4))
            Issue.record("a port that rests")
        } catch {
            #expect("\(error)".contains("1 rest after a call; the next is free in 1 s"))
        }
        let isFree = await eventually {
            (try? pool.open(loop: loop, UDPSocketConfiguration(address: .loopbackV4))) != nil
        }
        #expect(isFree)
        for socket in sockets { socket.close() }
        probe.close()
        await loop.shutdown()
    }
}
