import CLinuxIO
import DTLSSRTP
import Glibc
import ICE
import Primitives
import Testing

@testable import PeerIO

/// Connections to STUN and TURN servers, against a server that the test plays byte by byte.
@Suite(.timeLimit(.minutes(2))) struct StreamConnectionTests {
    private func message(_ number: UInt64) -> [UInt8] {
        var random = RandomSource.seeded(number)
        return STUNMessage(.request, transactionID: STUNTransactionID(using: &random)).encoded()
    }

    @Test func messagesAreCutOutOfTheStreamHoweverItComes() async throws {
        let listener = try Listener()
        let host = try await StreamHost.connected(to: listener.address)
        let server = try await listener.accept()
        let messages = (1...20).map { message($0) }
        let stream = messages.flatMap { $0 }
        for start in stride(from: 0, to: stream.count, by: 33) {
            server.write(Array(stream[start..<min(start + 33, stream.count)]))
            try await Task.sleep(for: .milliseconds(1))
        }
        #expect(await eventually { await host.received == messages })
        await host.send(messages)
        #expect(await server.read(stream.count) == stream)
        #expect(await host.opened == 1)
        await host.close()
        #expect(await eventually { server.isClosed })
    }

    @Test func whatIsNoSTUNEndsItAndIsSaidOnce() async throws {
        let listener = try Listener()
        let host = try await StreamHost.connected(to: listener.address)
        let server = try await listener.accept()
        server.write(Array("SSH-2.0-OpenSSH\r\n".utf8))
        #expect(await eventually { await !host.reasons.isEmpty })
        server.close()
        try await Task.sleep(for: .milliseconds(50))
        let reasons = await host.reasons
        #expect(reasons.count == 1 && reasons[0].contains("no STUN"), "\(reasons)")
    }

    @Test func theEndOfTheStreamIsTold() async throws {
        let listener = try Listener()
        let host = try await StreamHost.connected(to: listener.address)
        let server = try await listener.accept()
        server.write(message(1) + message(2).dropLast())
        server.close()
        #expect(await eventually { await host.reasons == ["the server closed the connection"] })
        #expect(await host.received == [message(1)])
    }

    @Test func aPortThatIsClosedIsTold() async throws {
        let address = try Listener().address
        let host = try await StreamHost.connecting(to: address)
        #expect(await eventually { await host.reasons.contains { $0.hasPrefix("ECONNREFUSED") } })
        #expect(await host.opened == 0)
    }

    /// The cap of what waits: a server that does not read costs messages, not memory, and what is sent is sent whole.
    @Test func toAServerThatDoesNotReadWholeMessagesAreDropped() async throws {
        let listener = try Listener()
        let host = try await StreamHost.connected(to: listener.address)
        let server = try await listener.accept()
        let total = 20_000
        for start in stride(from: 0, to: total, by: 100) {
            await host.send((start..<start + 100).map { payload($0, count: 1_200) })
        }
        let counters = await host.counters
        #expect(counters.sendQueueDropped > 0 && counters.datagramsSent + counters.sendQueueDropped == total)
        let bytes = await server.read(counters.datagramsSent * 1_200)
        #expect(bytes.count == counters.datagramsSent * 1_200)
        var last = -1
        for start in stride(from: 0, to: bytes.count, by: 1_200) {
            let number = number(of: Array(bytes[start..<start + 4]))
            #expect(number > last)
            last = number
        }
        // And then there is room again.
        await host.send([payload(total, count: 1_200)])
        #expect(await server.read(1_200).count == 1_200)
    }

    @Test func aProxyIsAskedFirstAndWhatItSaysIsNotTheServers() async throws {
        let listener = try Listener()
        let tunnel = HTTPTunnel(host: "turn.example.org", port: 443)
        let host = try await StreamHost.connecting(to: listener.address, through: tunnel)
        let server = try await listener.accept()
        #expect(await server.read(tunnel.request.count) == tunnel.request)
        #expect(await host.opened == 0)
        server.write(Array("HTTP/1.1 200 OK\r\nX: y\r\n\r\n".utf8) + message(7))
        #expect(await eventually { await host.received == [message(7)] })
        #expect(await host.opened == 1)
    }

    @Test(arguments: [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "does not let us to turn.example.org:443", true),
        ("HTTP/1.1 503 Busy\r\n\r\n", "does not reach", false), ("", "the proxy closed the connection", false),
        ("SSH-2.0-OpenSSH\r\n", "no HTTP proxy", false),
    ])
    func aProxyThatRefusesIsNamed(_ answer: String, _ words: String, _ isRefused: Bool) async throws {
        let listener = try Listener()
        let tunnel = HTTPTunnel(host: "turn.example.org", port: 443)
        let host = try await StreamHost.connecting(to: listener.address, through: tunnel)
        let server = try await listener.accept()
        _ = await server.read(tunnel.request.count)
        server.write(Array(answer.utf8))
        server.close()
        #expect(await eventually { await host.reasons.contains { $0.contains(words) } })
        #expect(await host.isRefused == isRefused)
    }

    @Test func aServerThatDoesNotSpeakTLSIsTold() async throws {
        let listener = try Listener()
        let tls = TLSStream.Configuration(host: "turn.example.org", isAddress: false, isInsecure: true)
        let host = try await StreamHost.connecting(to: listener.address, tls: tls)
        let server = try await listener.accept()
        // The ClientHello names the server.
        let hello = await server.read(200)
        #expect(hello.first == 0x16 && String(decoding: hello, as: UTF8.self).contains("turn.example.org"))
        server.write(message(1))
        #expect(await eventually { await host.reasons.contains { $0.contains("TLS handshake failed") } })
    }
}

/// A listening socket of the loopback interface.
private final class Listener {
    let address: TransportAddress
    private let descriptor: Int32

    init() throws {
        descriptor = postern_tcp_open(4)
        try #require(postern_bind(descriptor, postern_address(IPAddress.loopbackV4)) == 0)
        try #require(listen(descriptor, 4) == 0)
        var bound = postern_address.none
        try #require(unsafe postern_local_address(descriptor, &bound) == 0)
        address = bound.transportAddress
    }

    deinit { _ = Glibc.close(descriptor) }

    func accept() async throws -> Peer {
        for _ in 0..<2_000 {
            let accepted = Glibc.accept(descriptor, nil, nil)
            if accepted >= 0, fcntl(accepted, F_SETFL, O_NONBLOCK) == 0 { return Peer(accepted) }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw SocketFailure(code: ETIMEDOUT, call: "accept", subject: "the test's server")
    }
}

/// The server's end of a connection.
private final class Peer: @unchecked Sendable {
    private var descriptor: Int32
    private(set) var hasEnded = false

    init(_ descriptor: Int32) { self.descriptor = descriptor }
    deinit { close() }

    func write(_ bytes: [UInt8]) {
        let written = unsafe bytes.withUnsafeBufferPointer { buffer in
            unsafe postern_stream_write(descriptor, buffer.baseAddress, buffer.count)
        }
        #expect(written == bytes.count || bytes.isEmpty)
    }

    /// So many bytes, or as many as come within ten seconds.
    func read(_ count: Int) async -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<2_000 where bytes.count < count {
            let more = take(count - bytes.count)
            if more.isEmpty { try? await Task.sleep(for: .milliseconds(5)) }
            bytes += more
        }
        return bytes
    }

    private func take(_ limit: Int) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, used in
            let count = unsafe postern_stream_read(descriptor, buffer.baseAddress, buffer.count)
            if count == 0 { hasEnded = true }
            used = max(0, count)
        }
    }

    func close() {
        guard descriptor >= 0 else { return }
        _ = Glibc.close(descriptor)
        descriptor = -1
    }
}

extension Peer {
    /// Whether the other side has closed; reads what is left.
    var isClosed: Bool {
        _ = take(1)
        return hasEnded
    }
}

/// The owner of one connection, as the driver's actor is.
private actor StreamHost: StreamConnectionOwner {
    private let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let connection: StreamConnection
    private(set) var received: [[UInt8]] = []
    private(set) var opened = 0
    private(set) var reasons: [String] = []
    var counters: UDPSocketCounters { connection.counters }
    var isRefused: Bool { connection.isRefused }

    private init(_ connection: StreamConnection) {
        loop = connection.loop
        self.connection = connection
    }

    deinit { loop.stop() }

    static func connecting(
        to address: TransportAddress, through tunnel: HTTPTunnel? = nil, tls: TLSStream.Configuration? = nil
    ) async throws -> StreamHost {
        let host = StreamHost(
            try StreamConnection(
                loop: IOLoop(name: "stream"), from: .loopbackV4, to: address, through: tunnel, tls: tls))
        try await host.start()
        return host
    }

    static func connected(to address: TransportAddress) async throws -> StreamHost {
        let host = try await connecting(to: address)
        try #require(await eventually { await host.opened == 1 })
        return host
    }

    private func start() throws { try connection.start(owner: self) }

    func send(_ messages: [[UInt8]]) {
        let path = NetworkPath(local: connection.localAddress, remote: connection.remoteAddress)
        connection.send(messages.map { Datagram(bytes: $0, path: path) })
    }

    func close() { connection.close() }

    nonisolated func opened(_ connection: StreamConnection) { assumeIsolated { $0.opened += 1 } }
    nonisolated func ended(_ connection: StreamConnection, reason: String) {
        assumeIsolated { $0.reasons.append(reason) }
    }
    nonisolated func receive(_ batch: inout DatagramBatch) {
        assumeIsolated { host in batch.drain { datagram, _ in host.received.append(datagram.bytes) } }
    }
    nonisolated func receive(_ errors: [SocketError], at now: Instant) {}
}
