import Foundation
import ICE
import Primitives
import Synchronization
import Testing

@testable import PeerIO

/// The TURN client against coturn, started here, over real sockets of the loopback interface. A turnserver that is missing
/// is an issue of each test: Scripts/setup installs it.
@Suite(.serialized, .timeLimit(.minutes(2))) struct TURNServerTests {
    @Test func allocatesRelaysRenewsAndFrees() async throws {
        guard let server = try await Coturn.start("--lt-cred-mech", "--user=alice:a-secret", "--stale-nonce=2") else {
            return
        }
        defer { server.stop() }
        let client = try await RelayedClient.start(server, TURNCredential(username: "alice", password: "a-secret"))
        let lease = try #require(await client.lease(), "\(client.log)\n\(server.log)")
        #expect(lease.relayed.first?.ip == .loopbackV4 && lease.mapped != nil)
        let echo = SocketHost(loop: client.loop)
        let peer = try await echo.open(.init(address: .loopbackV4), echoes: true)
        await client.send("by indication", to: peer)
        #expect(await eventually { await client.texts == ["by indication"] }, "\(client.log)\n\(server.log)")
        await client.bind(peer)
        #expect(await eventually { await client.events.contains(.channelBound(peer, number: 0x4000)) })
        await client.send("by channel", to: peer)
        #expect(await eventually { await client.texts == ["by indication", "by channel"] })
        // By then the nonce is stale.
        try await Task.sleep(for: .seconds(4))
        await client.verify()
        #expect(
            await eventually { client.log.contains { $0.hasPrefix("Refresh answered") } },
            "\(client.log)\n\(server.log)")
        #expect(client.log.contains { $0.contains("nonce stale") })
        await client.release()
        #expect(await eventually { await client.events.last == .released })
        #expect(await client.events.allSatisfy { if case .lost = $0 { false } else { true } })
        #expect(
            await eventually { server.log.contains("delete: realm=<example.org>, username=<alice>") }, "\(server.log)")
        #expect(!server.log.contains("a-secret"))
    }

    @Test func aWrongPasswordIsNamed() async throws {
        guard let server = try await Coturn.start("--lt-cred-mech", "--user=alice:a-secret") else { return }
        defer { server.stop() }
        let client = try await RelayedClient.start(server, TURNCredential(username: "alice", password: "wrong"))
        #expect(
            await eventually { await client.failure == .credentialsRejected(realm: "example.org") },
            "\(client.log)")
    }

    @Test func aSharedSecretMakesCredentialsThatExpire() async throws {
        guard let server = try await Coturn.start("--use-auth-secret", "--static-auth-secret=north") else { return }
        defer { server.stop() }
        let now = Int64(Date().timeIntervalSince1970)
        let good = try await RelayedClient.start(server, .timeLimited(secret: "north", name: "bob", expires: now + 600))
        #expect(await good.lease() != nil, "\(good.log)")
        await good.release()
        let late = try await RelayedClient.start(server, .timeLimited(secret: "north", name: "bob", expires: now - 600))
        #expect(
            await eventually { await late.failure == .credentialsRejected(realm: "example.org") }, "\(late.log)")
    }

    @Test func aQuotaAndAForbiddenPeerAreNamed() async throws {
        let arguments = [
            "--lt-cred-mech", "--user=alice:x", "--user-quota=1", "--denied-peer-ip=203.0.113.0-203.0.113.255",
        ]
        guard let server = try await Coturn.start(arguments) else { return }
        defer { server.stop() }
        let credential = TURNCredential(username: "alice", password: "x")
        let first = try await RelayedClient.start(server, credential)
        try #require(await first.lease() != nil)
        let second = try await RelayedClient.start(server, credential)
        #expect(await eventually { await second.failure == .quotaReached }, "\(second.log)")
        let denied = TransportAddress(IPAddress(v4: 0xCB00_7105), 9)
        await first.send("?", to: denied)
        #expect(
            await eventually {
                await first.events.contains {
                    if case .permissionRefused(denied.ip, let error) = $0 { error.code == 403 } else { false }
                }
            }, "\(first.log)")
    }

    @Test func aRestartedServerIsNoticedAndGivesAnother() async throws {
        guard let server = try await Coturn.start("--lt-cred-mech", "--user=alice:x") else { return }
        let client = try await RelayedClient.start(server, TURNCredential(username: "alice", password: "x"))
        try #require(await client.lease() != nil, "\(client.log)\n\(server.log)")
        server.stop()
        guard let again = try await Coturn.start(["--lt-cred-mech", "--user=alice:x"], port: server.port) else {
            return
        }
        defer { again.stop() }
        await client.verify()
        #expect(
            await eventually { await client.events.count { if case .allocated = $0 { true } else { false } } == 2 },
            "\(client.log)\n\(again.log)")
        #expect(await client.events.contains(.lost(.unknownToServer)))
    }
}

/// One coturn process with nothing of this host's configuration.
private final class Coturn: Sendable {
    let port: UInt16
    private let process: Process
    private let folder: String

    static func start(_ arguments: String...) async throws -> Coturn? { try await start(arguments) }

    static func start(_ arguments: [String], port: UInt16? = nil) async throws -> Coturn? {
        guard
            let program = ["/usr/bin/turnserver", "/usr/local/bin/turnserver"].first(
                where: FileManager.default.isExecutableFile)
        else {
            Issue.record("there is no turnserver here, so TURN is not tested: apt-get install coturn")
            return nil
        }
        let server = try Coturn(program, arguments, port: port ?? UInt16.random(in: 20_000...29_999))
        let isUp = await eventually { server.log.contains("SQLite DB connection success") || !server.process.isRunning }
        try #require(isUp && server.process.isRunning, "\(server.log)")
        return server
    }

    private init(_ program: String, _ arguments: [String], port: UInt16) throws {
        self.port = port
        folder = NSTemporaryDirectory() + "coturn-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        _ = FileManager.default.createFile(atPath: folder + "/log", contents: nil)
        process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments =
            [
                "-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "-p", "\(port)", "--realm=example.org",
                "--allow-loopback-peers", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout", "--simple-log",
                "-v",
                "--pidfile=\(folder)/pid", "--userdb=\(folder)/db", "--min-port=30000", "--max-port=39999",
            ] + arguments
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: folder + "/log"))
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
    }

    var log: String { (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? "" }

    func stop() {
        guard process.isRunning else { return }
        process.terminate()
        // Bounded: a server that takes its time is not asked twice.
        for _ in 0..<200 where process.isRunning { usleep(10_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        for _ in 0..<200 where process.isRunning { usleep(10_000) }
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        try? FileManager.default.removeItem(atPath: folder)
    }
}

/// An allocation on a UDP socket, as an agent will have it.
private actor RelayedClient: UDPSocketOwner {
    nonisolated let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private var allocation: TURNAllocation
    private var output = TURNOutput()
    private var socket: UDPSocket?
    private let server: TransportAddress
    private(set) var events: [TURNEvent] = []
    private nonisolated let written = Mutex<[String]>([])
    nonisolated var log: [String] { written.withLock { $0 } }
    private(set) var texts: [String] = []

    static func start(_ server: Coturn, _ credential: TURNCredential) async throws -> RelayedClient {
        let client = try RelayedClient(TransportAddress(.loopbackV4, server.port), credential)
        try await client.open()
        return client
    }

    private init(_ server: TransportAddress, _ credential: TURNCredential) throws {
        loop = try IOLoop()
        self.server = server
        allocation = TURNAllocation(configuration: .init(credential: credential), random: .system)
    }

    private func open() throws {
        let socket = try UDPSocket(loop: loop, .init(address: .loopbackV4))
        try socket.start(owner: self)
        self.socket = socket
        act { $0.start(at: $1, into: &$2) }
        // The deadline, looked at often: the real driver has a timer for it.
        Task.detached { [weak self] in
            while let self, await self.tick() { try? await Task.sleep(for: .milliseconds(5)) }
        }
    }

    private func tick() -> Bool {
        act { $0.advance(to: $1, into: &$2) }
        return !allocation.hasEnded
    }

    private func act(_ body: (inout TURNAllocation, Instant, inout TURNOutput) -> Void) {
        body(&allocation, loop.now, &output)
        events += output.events
        let lines = output.trace.map { "\($0)" }
        written.withLock { $0 += lines }
        texts += output.arrivals.map { String(decoding: $0.bytes, as: UTF8.self) }
        guard let socket else { return }
        let path = NetworkPath(local: socket.localAddress, remote: server)
        socket.send(output.messages.map { Datagram(bytes: $0, path: path) })
        output.removeAll()
    }

    func lease() async -> TURNLease? {
        _ = await eventually { await self.hasSettled }
        return allocation.lease
    }
    private var hasSettled: Bool { allocation.lease != nil || allocation.hasEnded }
    var failure: TURNFailure? { allocation.failure }
    func send(_ text: String, to peer: TransportAddress) {
        act { $0.send(Array(text.utf8), to: peer, at: $1, into: &$2) }
    }
    func bind(_ peer: TransportAddress) { act { $0.bindChannel(to: peer, at: $1, into: &$2) } }
    func verify() { act { $0.verify(at: $1, into: &$2) } }
    func release() { act { $0.release(at: $1, into: &$2) } }

    nonisolated func receive(_ batch: inout DatagramBatch) {
        assumeIsolated { client in
            var messages: [[UInt8]] = []
            batch.drain { datagram, _ in if datagram.path.remote == client.server { messages.append(datagram.bytes) } }
            for message in messages { client.act { $0.receive(message, at: $1, into: &$2) } }
        }
    }

    nonisolated func receive(_ errors: [SocketError], at now: Instant) {}
}
