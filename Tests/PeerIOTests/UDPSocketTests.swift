import Glibc
import Primitives
import Testing

@testable import PeerIO

@Suite(.serialized) struct UDPSocketTests {
    @Test(arguments: loopbacks) func aDatagramIsEchoed(_ address: IPAddress) async throws {
        let loop = try IOLoop(name: "echo")
        let (near, far) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let nearAddress = try await near.open(UDPSocketConfiguration(address: address))
        let farAddress = try await far.open(UDPSocketConfiguration(address: address), echoes: true)
        #expect(nearAddress.ip == address && nearAddress.port != 0)

        let before = loop.now
        await near.send([[1, 2, 3], [], [4]], to: farAddress)
        #expect(await eventually { await near.receivedCount == 3 })
        #expect(await near.received.map(\.bytes) == [[1, 2, 3], [], [4]])
        #expect(await near.received.allSatisfy { $0.path == NetworkPath(local: nearAddress, remote: farAddress) })
        #expect(await far.received.allSatisfy { $0.path == NetworkPath(local: farAddress, remote: nearAddress) })
        #expect(await near.arrivals.allSatisfy { before < $0 && $0 < loop.now })
        await loop.shutdown()
    }

    @Test(arguments: loopbacks, [true, false])
    func aLargeBurstArrivesIntactAndInOrder(_ address: IPAddress, segmenting: Bool) async throws {
        let loop = try IOLoop(name: "burst")
        let (sender, receiver) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let configuration = UDPSocketConfiguration(
            address: address, usesSegmentation: segmenting, usesCoalescing: segmenting)
        _ = try await sender.open(configuration)
        let target = try await receiver.open(configuration)

        // Runs of one size with a shorter last, runs of growing size, tiny ones: every way a group can end.
        let sizes = (0..<10_000).map { index in
            switch index / 100 % 4 {
            case 0: index % 20 == 19 ? 333 : 1200
            case 1: 100 + index % 100
            case 2: 1200
            default: 4 + index % 3
            }
        }
        for start in stride(from: 0, to: 10_000, by: 500) {
            await sender.send((start..<start + 500).map { payload($0, count: sizes[$0]) }, to: target)
            #expect(await eventually { await receiver.receivedCount == start + 500 })
        }
        let received = await receiver.received
        #expect(received.map { number(of: $0.bytes) } == Array(0..<10_000))
        #expect(received.map(\.bytes.count) == sizes)
        #expect(received.enumerated().allSatisfy { $1.bytes == payload($0, count: sizes[$0]) })

        let (sent, read) = (await sender.counters, await receiver.counters)
        #expect(sent.datagramsSent == 10_000 && read.datagramsReceived == 10_000)
        #expect(sent.bytesSent == sizes.reduce(0, +) && read.bytesReceived == sent.bytesSent)
        if segmenting {
            #expect(sent.segmentedDatagrams > 6_500 && sent.segmentedMessages < 1_600)
            #expect(read.coalescedDatagrams > 6_500)
            #expect(sent.sendCalls < 100)
        } else {
            #expect(sent.segmentedMessages == 0 && read.coalescedMessages == 0)
            #expect(sent.sendCalls >= 10_000 / 64)
        }
        await loop.shutdown()
    }

    @Test func destinationsThatAlternateAreKeptApart() async throws {
        let loop = try IOLoop(name: "alternate")
        let (sender, a, b) = (SocketHost(loop: loop), SocketHost(loop: loop), SocketHost(loop: loop))
        let configuration = UDPSocketConfiguration(address: .loopbackV4)
        let local = try await sender.open(configuration)
        let targets = [try await a.open(configuration), try await b.open(configuration)]
        await sender.send(
            (0..<100).map { index in
                Datagram(
                    bytes: payload(index, count: 200),
                    path: NetworkPath(local: local, remote: targets[index / 10 % 2]))
            })
        #expect(await eventually { await (a.receivedCount, b.receivedCount) == (50, 50) })
        #expect(await a.received.allSatisfy { number(of: $0.bytes) / 10 % 2 == 0 })
        #expect(await b.received.allSatisfy { number(of: $0.bytes) / 10 % 2 == 1 })
        #expect(await sender.counters.segmentedMessages == 10)
        await loop.shutdown()
    }

    @Test func aWildcardSocketTellsAndChoosesItsLocalAddress() async throws {
        let loop = try IOLoop(name: "wildcard")
        let (wild, peer) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let bound = try await wild.open(UDPSocketConfiguration(address: .anyV4))
        let peerAddress = try await peer.open(UDPSocketConfiguration(address: .loopbackV4))
        let second = TransportAddress(IPAddress(v4: 0x7F00_0005), bound.port)
        await peer.send([[1]], to: second)
        #expect(await eventually { await wild.receivedCount == 1 })
        #expect(await wild.received.first?.path == NetworkPath(local: second, remote: peerAddress))
        await wild.send([payload(1, count: 10), payload(2, count: 10)], to: peerAddress, from: second)
        #expect(await eventually { await peer.receivedCount == 2 })
        #expect(await peer.received.allSatisfy { $0.path.remote == second })
        await loop.shutdown()
    }

    @Test(arguments: loopbacks) func congestionMarksAreRead(_ address: IPAddress) async throws {
        let loop = try IOLoop(name: "ecn")
        let (sender, receiver) = (SocketHost(loop: loop), SocketHost(loop: loop))
        _ = try await sender.open(UDPSocketConfiguration(address: address, trafficClass: 0x22 << 2 | 2))
        let target = try await receiver.open(UDPSocketConfiguration(address: address))
        await sender.send([[1]], to: target)
        #expect(await eventually { await receiver.receivedCount == 1 })
        #expect(await receiver.marks == [.ect0])
        await loop.shutdown()
    }

    // MARK: opening

    @Test func anExhaustedPortRangeIsNamed() async throws {
        let loop = try IOLoop(name: "ports")
        let first = try UDPSocket(loop: loop, UDPSocketConfiguration(address: .loopbackV4))
        let low = first.localAddress.port
        let range = low...low
        #expect {
            _ = try UDPSocket(loop: loop, UDPSocketConfiguration(address: .loopbackV4, port: .range(range)))
        } throws: { error in
            guard let failure = error as? SocketFailure else { return false }
            return failure.name == "EADDRINUSE" && failure.call == "bind"
                && failure.description.contains("port range \(low)-\(low) on 127.0.0.1 is taken")
        }
        #expect {
            _ = try UDPSocket(loop: loop, UDPSocketConfiguration(address: .loopbackV4, port: .exactly(low)))
        } throws: { "\($0)".contains("port \(low) on 127.0.0.1 is taken") }
        loop.stop()
        withExtendedLifetime(first) {}
    }

    @Test func aPortRangeGivesItsFreePortsInOrderFromTheStart() async throws {
        let loop = try IOLoop(name: "ports")
        // A free block is found by taking whatever lies above an ephemeral port.
        var sockets: [UDPSocket] = []
        for base in stride(from: UInt16(20_000), to: 30_000, by: 10) {
            sockets = (0..<3).compactMap {
                try? UDPSocket(
                    loop: loop, UDPSocketConfiguration(address: .loopbackV4, port: .exactly(base + $0)))
            }
            if sockets.count == 3 { break }
        }
        try #require(sockets.count == 3)
        let base = sockets[0].localAddress.port
        sockets.removeAll()
        func open(startingAt start: UInt16? = nil) throws -> UInt16 {
            let socket = try UDPSocket(
                loop: loop,
                UDPSocketConfiguration(address: .loopbackV4, port: .range(base...base + 2, startingAt: start)))
            sockets.append(socket)
            return socket.localAddress.port
        }
        #expect(try open(startingAt: base + 2) == base + 2)
        #expect(try open(startingAt: base + 2) == base)
        #expect(try open() == base + 1)
        #expect(throws: SocketFailure.self) { try open() }
        loop.stop()
    }

    @Test func anAddressOfAnotherHostCannotBeBound() throws {
        let loop = try IOLoop(name: "foreign")
        #expect {
            _ = try UDPSocket(loop: loop, UDPSocketConfiguration(address: IPAddress(v4: 0xC633_64FE)))
        } throws: { "\($0)".contains("does not have the address") && ($0 as? SocketFailure)?.name == "EADDRNOTAVAIL" }
        loop.stop()
    }

    // MARK: errors

    @Test(arguments: loopbacks) func aClosedPortIsReportedAndTheSocketGoesOn(_ address: IPAddress) async throws {
        let loop = try IOLoop(name: "icmp")
        let (sender, receiver, gone) = (SocketHost(loop: loop), SocketHost(loop: loop), SocketHost(loop: loop))
        let configuration = UDPSocketConfiguration(address: address)
        let local = try await sender.open(configuration)
        let target = try await receiver.open(configuration)
        let closed = try await gone.open(configuration)
        await gone.close()

        await sender.send([[1]], to: closed)
        #expect(await eventually { await sender.errorCount == 1 })
        let error = try #require(await sender.errors.first)
        #expect(error.path == NetworkPath(local: local, remote: closed))
        #expect(error.reason == .portUnreachable)
        #expect(error.reporter == address)
        #expect(error.icmp == (address.family == .ipv4 ? .init(type: 3, code: 3) : .init(type: 1, code: 4)))
        #expect(error.description.contains("port unreachable, says \(address)"))

        // The error pending from a closed port must not cost the next datagram to an open one.
        for _ in 0..<20 { await sender.send([[1]], to: closed) }
        await sender.send((0..<20).map { payload($0, count: 10) }, to: target)
        #expect(await eventually { await receiver.receivedCount == 20 })
        #expect(await sender.isOpen)
        #expect(await sender.errors.allSatisfy { $0.path.remote == closed })
        #expect(await sender.counters.sendRefused == 0)
        await loop.shutdown()
    }

    @Test func datagramsMixedWithClosedPortsAllArrive() async throws {
        let loop = try IOLoop(name: "icmp-mix")
        let (sender, receiver, gone) = (SocketHost(loop: loop), SocketHost(loop: loop), SocketHost(loop: loop))
        let configuration = UDPSocketConfiguration(address: .loopbackV4)
        let local = try await sender.open(configuration)
        let target = try await receiver.open(configuration)
        let closed = try await gone.open(configuration)
        await gone.close()
        await sender.send(
            (0..<200).map {
                Datagram(
                    bytes: payload($0, count: 50),
                    path: NetworkPath(local: local, remote: $0 % 2 == 0 ? closed : target))
            })
        #expect(await eventually { await receiver.receivedCount == 100 })
        #expect(await receiver.received.map { number(of: $0.bytes) } == Array(stride(from: 1, to: 200, by: 2)))
        await loop.shutdown()
    }

    @Test func whatNoKernelCanSendIsRefusedByDestination() async throws {
        let loop = try IOLoop(name: "refused")
        let (sender, receiver) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let configuration = UDPSocketConfiguration(address: .loopbackV4)
        let local = try await sender.open(configuration)
        let target = try await receiver.open(configuration)
        let six = TransportAddress(.loopbackV6, 9)
        await sender.send([
            Datagram(bytes: [1], path: NetworkPath(local: local, remote: target)),
            Datagram(bytes: [2], path: NetworkPath(local: local, remote: six)),
            Datagram(bytes: [UInt8](repeating: 0, count: 65_508), path: NetworkPath(local: local, remote: target)),
            Datagram(bytes: [3], path: NetworkPath(local: local, remote: target)),
            Datagram(bytes: [4], path: NetworkPath(local: local, remote: TransportAddress(.loopbackV4, 0))),
            Datagram(bytes: [5], path: NetworkPath(local: local, remote: TransportAddress(.loopbackV4, 0))),
            Datagram(bytes: [6], path: NetworkPath(local: local, remote: target)),
        ])
        #expect(await eventually { await (receiver.receivedCount, sender.errorCount) == (3, 3) })
        #expect(await receiver.received.map(\.bytes) == [[1], [3], [6]])
        #expect(await sender.errors.map(\.reason) == [.other(EAFNOSUPPORT), .messageTooBig(mtu: nil), .other(EINVAL)])
        #expect(await sender.counters.sendRefused == 4)
        #expect(await sender.usesSegmentation, "a bad destination is not the device's fault")
        await loop.shutdown()
    }

    // MARK: the send call, replaced

    @Test func aBlockedSocketKeepsTheNewestAndSendsThemInOrder() async throws {
        let loop = try IOLoop(name: "blocked")
        let (sender, receiver) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let gate = Gate()
        let configuration = UDPSocketConfiguration(
            address: .loopbackV4, sendBufferSize: 1, sendQueueLimit: 10, usesSegmentation: false)
        _ = try await sender.open(configuration, sendCall: gate.call)
        let target = try await receiver.open(UDPSocketConfiguration(address: .loopbackV4))

        // The kernel takes two and is full.
        gate.allowance = 2
        await sender.send((0..<5).map { payload($0, count: 20) }, to: target)
        await sender.send((5..<30).map { payload($0, count: 20) }, to: target)
        #expect(await sender.queued == 10)
        #expect(await sender.counters.sendQueueDropped == 18)
        #expect(await sender.counters.sendBlocked > 0)

        gate.allowance = nil
        #expect(await eventually { await receiver.receivedCount == 12 })
        #expect(await receiver.received.map { number(of: $0.bytes) } == [0, 1] + Array(20..<30))
        #expect(await sender.queued == 0)
        await sender.send([payload(30, count: 20)], to: target)
        #expect(await eventually { await receiver.receivedCount == 13 })
        await loop.shutdown()
    }

    @Test(arguments: [EIO, EINVAL]) func aDeviceWithoutSegmentationIsRemembered(_ code: Int32) async throws {
        let loop = try IOLoop(name: "plain")
        let (sender, receiver) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let gate = Gate()
        gate.segmentationError = code
        let configuration = UDPSocketConfiguration(address: .loopbackV4)
        _ = try await sender.open(configuration, sendCall: gate.call)
        let target = try await receiver.open(configuration)
        await sender.send((0..<100).map { payload($0, count: 100) }, to: target)
        #expect(await eventually { await receiver.receivedCount == 100 })
        #expect(await receiver.received.map { number(of: $0.bytes) } == Array(0..<100))
        #expect(await !sender.usesSegmentation)
        #expect(await sender.counters.segmentedMessages == 0)
        #expect(await sender.errorCount == 0)
        await loop.shutdown()
    }

    @Test(arguments: [
        (ENETUNREACH, SocketError.Reason.networkUnreachable), (EHOSTUNREACH, .hostUnreachable),
        (EPERM, .notPermitted), (EMSGSIZE, .messageTooBig(mtu: nil)), (ECONNREFUSED, .portUnreachable),
    ])
    func aRefusedDestinationIsReportedAndOthersAreServed(_ code: Int32, _ reason: SocketError.Reason) async throws {
        let loop = try IOLoop(name: "unreachable")
        let (sender, receiver) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let gate = Gate()
        let configuration = UDPSocketConfiguration(address: .loopbackV4)
        let local = try await sender.open(configuration, sendCall: gate.call)
        let target = try await receiver.open(configuration)
        let bad = TransportAddress(IPAddress(v4: 0x7F00_0009), 4)
        gate.refused = (bad, code)
        await sender.send(
            (0..<30).map {
                Datagram(
                    bytes: payload($0, count: 40),
                    path: NetworkPath(local: local, remote: $0 / 5 % 2 == 0 ? target : bad))
            })
        #expect(await eventually { await (receiver.receivedCount, sender.errorCount) == (15, 1) })
        #expect(await sender.errors == [SocketError(path: NetworkPath(local: local, remote: bad), reason: reason)])
        #expect(await sender.counters.sendRefused == 15)
        #expect(await sender.isOpen)
        await loop.shutdown()
    }

    @Test func aFullDeviceQueueIsCountedNotRetried() async throws {
        let loop = try IOLoop(name: "nobufs")
        let (sender, receiver) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let gate = Gate()
        let configuration = UDPSocketConfiguration(address: .loopbackV4)
        let local = try await sender.open(configuration, sendCall: gate.call)
        let target = try await receiver.open(configuration)
        let bad = TransportAddress(IPAddress(v4: 0x7F00_0009), 4)
        gate.refused = (bad, ENOBUFS)
        await sender.send([bad, bad, target].map { Datagram(bytes: [1], path: NetworkPath(local: local, remote: $0)) })
        #expect(await eventually { await receiver.receivedCount == 1 })
        #expect(await sender.counters.sendDeviceDropped == 2)
        #expect(await sender.errorCount == 0)
        #expect(await sender.queued == 0)
        await loop.shutdown()
    }

    @Test func closingStopsDelivery() async throws {
        let loop = try IOLoop(name: "close")
        let (sender, receiver) = (SocketHost(loop: loop), SocketHost(loop: loop))
        let configuration = UDPSocketConfiguration(address: .loopbackV4)
        _ = try await sender.open(configuration)
        let target = try await receiver.open(configuration)
        await receiver.close()
        await receiver.close()
        await sender.send([[1]], to: target)
        #expect(await eventually { await sender.errorCount == 1 })
        #expect(await receiver.receivedCount == 0)
        await receiver.send([[1]], to: target)
        await loop.shutdown()
        #expect(await !sender.isOpen)
    }

    @Test func aSocketWhoseOwnerIsGoneFreesItsPort() async throws {
        let loop = try IOLoop(name: "orphan")
        let address: TransportAddress
        do {
            let orphan = SocketHost(loop: loop)
            address = try await orphan.open(UDPSocketConfiguration(address: .loopbackV4))
        }
        let again = UDPSocketConfiguration(address: address.ip, port: .exactly(address.port))
        #expect(await eventually { (try? UDPSocket(loop: loop, again)) != nil })
        await loop.shutdown()
    }

    @Test func aSocketThatOutlivesItsLoopIsClosedAndQuiet() async throws {
        let loop = try IOLoop(name: "late")
        let host = SocketHost(loop: loop)
        let address = try await host.open(UDPSocketConfiguration(address: .loopbackV4))
        await loop.shutdown()
        #expect(await !host.isOpen)
        await host.send([[1]], to: address)
        await host.close()
        let again = UDPSocketConfiguration(address: address.ip, port: .exactly(address.port))
        #expect(throws: Never.self) { try UDPSocket(loop: loop, again) }
    }
}
