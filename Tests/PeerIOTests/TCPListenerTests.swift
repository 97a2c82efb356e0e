import Glibc
import ICE
import Locks
import Primitives
import Testing

@testable import PeerIO

/// Listener and connections of ICE-TCP on real sockets of this machine.
@Suite(.serialized) struct TCPListenerTests {
    /// An end of a call: what came, and what ended.
    private final class Owner: TCPListenerOwner, @unchecked Sendable {
        // On the loop's thread but for `state`, which is locked.
        struct State {
            var frames: [[UInt8]] = []
            var opened = 0
            var accepted = 0
            var ends: [String] = []
        }
        let state = Locked(State())
        let answers: Bool
        var connections: [FramedConnection] = []

        init(answers: Bool = false) { self.answers = answers }

        func accepted(_ connection: FramedConnection) {
            connections.append(connection)
            state.withLock { $0.accepted += 1 }
        }
        func opened(_ connection: FramedConnection, from local: TransportAddress) {
            state.withLock { $0.opened += 1 }
        }
        func received(_ batch: inout DatagramBatch, on connection: FramedConnection) {
            batch.drain { datagram, _ in
                let bytes = datagram.bytes
                state.withLock { $0.frames.append(bytes) }
                if answers { _ = connection.send(bytes) }
            }
            connection.flush()
        }
        func ended(_ connection: FramedConnection, reason: String) { state.withLock { $0.ends.append(reason) } }
    }

    private func request(_ ufrag: String) -> [UInt8] {
        var random = RandomSource.seeded(7)
        var message = STUNMessage(.request, transactionID: STUNTransactionID(using: &random))
        message.attributes = [.username("\(ufrag):x")]
        return message.encoded(integrity: MessageIntegrityKey(password: "passwordpasswordpassword"))
    }

    private func eventually(_ condition: () -> Bool) async -> Bool {
        for _ in 0..<2_000 {
            if condition() { return true }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return false
    }

    /// Runs on the loop's thread and waits for it.
    private func on<Result: Sendable>(_ loop: IOLoop, _ body: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in loop.execute { continuation.resume(returning: body()) } }
    }

    private struct Rig: @unchecked Sendable {
        let loop: IOLoop
        let listener: TCPListener
        let share: TCPListenerShare

        func path(_ port: UInt16 = 9) -> NetworkPath {
            NetworkPath(local: TransportAddress(.loopbackV4, port), remote: listener.localAddress, transport: .tcp)
        }
    }

    private func rig(_ owner: Owner, _ change: (inout ConnectionReception.Limits) -> Void = { _ in }) async throws
        -> Rig
    {
        let loop = try IOLoop(name: "test")
        var limits = ConnectionReception.Limits()
        change(&limits)
        let listener = try TCPListener(loop: loop, on: .loopbackV4, limits: limits)
        let rig = Rig(loop: loop, listener: listener, share: listener.share())
        await on(loop) {
            try? rig.share.start(owner: owner)
            rig.share.setUfrags(["call"])
        }
        return rig
    }

    private func connect(_ rig: Rig, _ owner: Owner) async throws -> FramedConnection {
        let connection = try FramedConnection(loop: rig.loop, connecting: rig.path())
        await on(rig.loop) { try? connection.start(owner: owner) }
        return connection
    }

    @Test func framesPassBothWaysOnceTheFirstHasNamedItsCall() async throws {
        let (inside, outside) = (Owner(answers: true), Owner())
        let rig = try await rig(inside)
        let connection = try await connect(rig, outside)
        #expect(await eventually { outside.state.withLock { $0.opened } == 1 })
        let frames = [request("call"), [0x80, 1, 2, 3], Array(repeating: 0x16, count: 20_000)]
        await on(rig.loop) {
            for frame in frames { _ = connection.send(frame) }
            connection.flush()
        }
        #expect(await eventually { outside.state.withLock { $0.frames.count } == 3 })
        #expect(inside.state.withLock { $0.frames } == frames && outside.state.withLock { $0.frames } == frames)
        await on(rig.loop) { connection.close() }
        #expect(await eventually { inside.state.withLock { $0.ends } == ["the other side closed it"] })
        await rig.loop.shutdown()
    }

    @Test func aPortNobodyListensOnRefuses() async throws {
        let outside = Owner()
        let loop = try IOLoop(name: "test")
        let gone = try TCPListener(loop: loop, on: .loopbackV4)
        let path = NetworkPath(
            local: TransportAddress(.loopbackV4, 9), remote: gone.localAddress, transport: .tcp)
        gone.close()
        let connection = try FramedConnection(loop: loop, connecting: path)
        await on(loop) { try? connection.start(owner: outside) }
        #expect(await eventually { outside.state.withLock { $0.ends } == ["connection refused"] })
        await loop.shutdown()
    }

    @Test func whoSaysSomethingElseIsClosed() async throws {
        let (inside, outside) = (Owner(), Owner())
        let rig = try await rig(inside)
        for first in [request("other"), [0x16, 1, 2], Array("GET / HTTP/1.1".utf8)] {
            let connection = try await connect(rig, outside)
            #expect(await eventually { outside.state.withLock { $0.opened } == 1 })
            await on(rig.loop) {
                _ = connection.send(first)
                connection.flush()
            }
            #expect(await eventually { outside.state.withLock { $0.ends.count } == 1 })
            outside.state.withLock { $0 = Owner.State() }
        }
        #expect(inside.state.withLock { $0.accepted } == 0)
        await rig.loop.shutdown()
    }

    @Test func whoNamesACallAndDoesNotProveItIsClosedInTime() async throws {
        let (inside, outside) = (Owner(), Owner())
        let rig = try await rig(inside) { $0.patience = .milliseconds(300) }
        let named = try await connect(rig, outside)
        let silent = try await connect(rig, outside)
        #expect(await eventually { outside.state.withLock { $0.opened } == 2 })
        await on(rig.loop) {
            _ = named.send(request("call"))
            named.flush()
        }
        #expect(await eventually { outside.state.withLock { $0.ends.count } == 2 })
        #expect(inside.state.withLock { $0.ends } == ["nothing authenticated on it in time"])
        _ = silent
        await rig.loop.shutdown()
    }

    @Test func strangersMakeRoomForEachOther() async throws {
        let (inside, outside) = (Owner(answers: true), Owner())
        let rig = try await rig(inside) { $0.strangers = 8 }
        let call = try await connect(rig, outside)
        #expect(await eventually { outside.state.withLock { $0.opened } == 1 })
        await on(rig.loop) {
            _ = call.send(request("call"))
            call.flush()
        }
        #expect(await eventually { outside.state.withLock { $0.frames.count } == 1 })
        let strangers = Owner()
        var held: [FramedConnection] = []
        for _ in 0..<40 { held.append(try await connect(rig, strangers)) }
        #expect(await eventually { strangers.state.withLock { $0.ends.count } == 32 })
        #expect(await on(rig.loop) { rig.listener.strangerCount } == 8)
        await on(rig.loop) {
            _ = call.send([0x80, 1, 2, 3])
            call.flush()
        }
        #expect(await eventually { outside.state.withLock { $0.frames.count } == 2 })
        _ = held
        await rig.loop.shutdown()
    }

    @Test func aSlowReaderCostsMediaAndNoMemory() async throws {
        let (inside, outside) = (Owner(), Owner())
        let rig = try await rig(inside)
        // A client that never reads, and is spoken to once it has named its call.
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = rig.listener.localAddress.port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(result == 0)
        var first: [UInt8] = []
        _ = FrameCutter.append(request("call"), to: &first)
        #expect(unsafe write(client, first, first.count) == first.count)
        #expect(await eventually { inside.state.withLock { $0.accepted } == 1 })
        let media = [0x80, 96] + [UInt8](repeating: 1, count: 1_200)
        let counts = await on(rig.loop) { () -> (Int, Int) in
            guard let connection = inside.connections.first else { return (0, 0) }
            var dropped = 0
            for _ in 0..<20_000 {
                if !connection.send(media) { dropped += 1 }
                connection.flush()
            }
            return (dropped, connection.queuedBytes)
        }
        #expect(counts.0 > 10_000, "\(counts.0) were dropped")
        #expect(counts.1 <= 33_300)
        _ = outside
        await rig.loop.shutdown()
    }

    @Test func callsShareAPortAndAPoolGivesPortsInTurn() async throws {
        let loop = try IOLoop(name: "test")
        let supply = SocketSupply()
        let free = try TCPListener(loop: loop, on: .loopbackV4)
        let port = free.localAddress.port
        free.close()
        let shares = try [
            supply.listener(loop: loop, on: .loopbackV4, .exactly(port)),
            supply.listener(loop: loop, on: .loopbackV4, .exactly(port)),
        ]
        #expect(shares.map(\.localAddress.port) == [port, port])
        let range = (port > 60_000 ? port - 100 : port + 1)...(port > 60_000 ? port - 99 : port + 2)
        let first = try supply.listener(loop: loop, on: .loopbackV4, .range(range))
        let second = try supply.listener(loop: loop, on: .loopbackV4, .range(range))
        #expect(first.localAddress.port != second.localAddress.port)
        #expect(throws: SocketFailure.self) { try supply.listener(loop: loop, on: .loopbackV4, .range(range)) }
        await loop.shutdown()
    }
}
