import Primitives
import Testing

@testable import PeerIO

/// Runs `body` on the loop's thread and waits for its result.
func onLoop<Result: Sendable>(_ loop: IOLoop, _ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        loop.execute { continuation.resume(with: Swift.Result { try body() }) }
    }
}

/// Waits until `condition` holds; false after `seconds`.
func eventually(_ seconds: Double = 10, _ condition: @Sendable () async -> Bool) async -> Bool {
    let start = ContinuousClock.now
    // Other tests may have all threads for longer than that: what is waited for gets its turns first.
    var turns = 0
    while ContinuousClock.now - start < .seconds(seconds) || turns < 100 {
        if await condition() { return true }
        turns += 1
        try? await Task.sleep(for: .milliseconds(2))
    }
    return await condition()
}

/// The owner of one socket, as the driver's actor will be: on the loop, entered once a batch.
actor SocketHost: UDPSocketOwner {
    nonisolated let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }

    private(set) var received: [Datagram] = []
    private(set) var marks: [ECN] = []
    private(set) var arrivals: [Instant] = []
    private(set) var errors: [SocketError] = []
    private var socket: UDPSocket?
    private var echoes = false

    init(loop: IOLoop) { self.loop = loop }

    /// Opens a socket and gives its address.
    func open(
        _ configuration: UDPSocketConfiguration, echoes: Bool = false, sendCall: UDPSocket.SendCall? = nil
    ) throws -> TransportAddress {
        let socket: UDPSocket
        if let sendCall {
            socket = try UDPSocket(loop: loop, configuration, sendCall: sendCall)
        } else {
            socket = try UDPSocket(loop: loop, configuration)
        }
        try socket.start(owner: self)
        self.socket = socket
        self.echoes = echoes
        return socket.localAddress
    }

    func send(_ payloads: [[UInt8]], to remote: TransportAddress, from local: TransportAddress? = nil) {
        guard let socket else { return }
        let path = NetworkPath(local: local ?? socket.localAddress, remote: remote)
        socket.send(payloads.map { Datagram(bytes: $0, path: path) })
    }

    func send(_ datagrams: [Datagram]) { socket?.send(datagrams) }
    func close() { socket?.close() }
    var counters: UDPSocketCounters { socket?.counters ?? UDPSocketCounters() }
    var queued: Int { socket?.queued ?? 0 }
    var isOpen: Bool { socket?.isOpen ?? false }
    var usesSegmentation: Bool { socket?.usesSegmentation ?? false }
    var receivedCount: Int { received.count }
    var errorCount: Int { errors.count }

    nonisolated func receive(_ batch: inout DatagramBatch) {
        assumeIsolated { host in
            host.arrivals.append(batch.arrival)
            var replies: [Datagram] = []
            batch.drain { datagram, ecn in
                if host.echoes { replies.append(datagram) }
                host.received.append(datagram)
                host.marks.append(ecn)
            }
            if !replies.isEmpty { host.socket?.send(replies) }
        }
    }

    nonisolated func receive(_ errors: [SocketError], at now: Instant) {
        assumeIsolated { $0.errors += errors }
    }
}

/// `count` bytes that tell their number.
func payload(_ number: Int, count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: count)
    bytes.overwrite(UInt32(truncatingIfNeeded: number), at: 0)
    return bytes
}

func number(of bytes: [UInt8]) -> Int {
    var reader = ByteReader(bytes)
    return (try? Int(reader.readUInt32())) ?? -1
}

let hasIPv6Loopback =
    (try? AddressSelection(families: [.ipv6], allowsLoopback: true).selectFromSystem())
    .map { $0.contains { $0.ip == .loopbackV6 } } ?? false
let loopbacks: [IPAddress] = hasIPv6Loopback ? [.loopbackV4, .loopbackV6] : [.loopbackV4]
