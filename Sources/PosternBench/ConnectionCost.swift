import CMeasure
import DTLSSRTP
import ICE
import Locks
import Peer
import PeerIO
import Primitives
import SDP

/// What a packet costs the loops of two peer connections over UDP on loopback, from the frame that is handed in to the
/// frame that comes out, system calls and all: processor time and allocations of each loop's thread.
struct ConnectionCost: Sendable {
    var sendNanoseconds: Double
    var receiveNanoseconds: Double
    var sendAllocations: Double
    var receiveAllocations: Double
    var packets: Int
    var framesLost: Int

    /// Sends `frames` frames of 16 packets, one each 4 ms: 38 Mbit/s.
    static func measure(frames: Int = 500, warmUp: Int = 250) async throws -> ConnectionCost {
        let (left, right) = (try Side(.controlling), try Side(.controlled))
        try await left.connection.addTransceiver(.video, direction: .sendOnly)
        try await right.connection.addTransceiver(.video, direction: .receiveOnly)
        let offer = try await left.connection.offer()
        try await right.connection.setRemoteDescription(offer, type: .offer)
        try await left.connection.setRemoteDescription(try await right.connection.answer(), type: .answer)
        try await left.gather()
        try await right.gather()
        for _ in 0..<5_000 where !left.observer.isConnected || !right.observer.isConnected {
            for candidate in left.observer.takeCandidates() { await right.connection.addRemoteCandidate(candidate) }
            for candidate in right.observer.takeCandidates() { await left.connection.addRemoteCandidate(candidate) }
            try await Task.sleep(for: .milliseconds(1))
        }
        guard left.observer.isConnected, right.observer.isConnected else { throw EnginePairError() }

        var before = (sent: Reading(), received: Reading())
        let clock = ContinuousClock()
        let start = clock.now
        for number in 0..<warmUp + frames {
            if number == warmUp { before = (await left.read(), await right.read()) }
            var payload = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 16 * 1_150)
            payload[0] = number % 250 == 0 ? 0x10 : 0x11
            let frame = EncodedFrame(
                codec: .vp8, payload: payload, timestamp: Int64(number) * 360, isKeyframe: number % 250 == 0)
            _ = left.connection.submit(frame, mid: "0")
            try await clock.sleep(until: start + .milliseconds(4) * (number + 1))
        }
        try await Task.sleep(for: .milliseconds(200))
        let after = (sent: await left.read(), received: await right.read())
        let came = right.observer.frames
        await left.close()
        await right.close()
        let packets = after.received.datagrams - before.received.datagrams
        func each(_ value: Int64) -> Double { Double(value) / Double(max(1, packets)) }
        return ConnectionCost(
            sendNanoseconds: each(after.sent.nanoseconds - before.sent.nanoseconds),
            receiveNanoseconds: each(after.received.nanoseconds - before.received.nanoseconds),
            sendAllocations: each(after.sent.allocations - before.sent.allocations),
            receiveAllocations: each(after.received.allocations - before.received.allocations), packets: packets,
            framesLost: warmUp + frames - came)
    }
}

private struct Reading: Sendable {
    var nanoseconds: Int64 = 0
    var allocations: Int64 = 0
    var datagrams = 0
}

/// One peer on a loop of its own.
private struct Side {
    let loop: IOLoop
    let connection: PeerConnection
    let observer = Observer()

    init(_ role: ICERole) throws {
        loop = try IOLoop(name: "bench-\(role)")
        var configuration = PeerConfiguration(role: role, certificate: try Certificate.generate())
        configuration.bitrates.start = 100_000_000
        configuration.bitrates.maximum = 200_000_000
        connection = PeerConnection(loop: loop, configuration: configuration, observer: observer)
    }

    func gather() async throws {
        let socket = try UDPSocket(loop: loop, UDPSocketConfiguration(address: .loopbackV4))
        try await connection.gather(on: [SocketBinding(socket: socket, interfaceName: "lo", preference: 65_535)])
    }

    func read() async -> Reading {
        let loop = loop
        var reading: Reading = await withCheckedContinuation { continuation in
            loop.execute {
                continuation.resume(
                    returning: Reading(nanoseconds: measure_thread_nanoseconds(), allocations: measure_allocations()))
            }
        }
        reading.datagrams = await connection.socketCounters().values.reduce(0) { $0 + $1.datagramsReceived }
        return reading
    }

    func close() async {
        await connection.close()
        await loop.shutdown()
    }
}

private final class Observer: PeerConnectionObserver {
    private struct State {
        var candidates: [CandidateAttribute] = []
        var isConnected = false
        var frames = 0
    }
    private let state = Locked(State())

    func observe(events: [PeerEvent], trace: [TraceEvent], at now: Instant) {
        guard !events.isEmpty else { return }
        state.withLock { state in
            for event in events {
                switch event {
                case .localCandidate(let candidate, _, _): state.candidates.append(candidate)
                case .connected: state.isConnected = true
                case .frame: state.frames += 1
                default: break
                }
            }
        }
    }

    var isConnected: Bool { state.withLock { $0.isConnected } }
    var frames: Int { state.withLock { $0.frames } }

    func takeCandidates() -> [CandidateAttribute] {
        state.withLock { state in
            defer { state.candidates = [] }
            return state.candidates
        }
    }
}
