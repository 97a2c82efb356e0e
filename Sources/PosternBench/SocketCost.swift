import CMeasure
import PeerIO
import Primitives

/// Nanoseconds of processor a datagram of 1,200 bytes takes through two of our sockets over loopback, on the sender's
/// thread and on the receiver's. Over loopback the sender's system call does the kernel's work of delivery too.
struct SocketCost: Sendable {
    var send: Double
    var receive: Double
    /// Datagrams a system call took, on the average.
    var perSend: Double
    var perReceive: Double

    static func measure(segmenting: Bool, burst: Int = 16, datagrams: Int = 60_000) async throws -> SocketCost {
        let sendLoop = try IOLoop(name: "bench-send")
        let receiveLoop = try IOLoop(name: "bench-receive")
        let receiver = Receiver(loop: receiveLoop)
        let sender = Sender(loop: sendLoop)
        let address = try await receiver.open(segmenting: segmenting)
        try await sender.open(segmenting: segmenting, to: address)
        // Windows that fit the receive buffer: nothing is lost, and neither side waits for the other within one.
        let window = 256
        var sendTime: Int64 = 0
        var receiveTime: Int64 = 0
        var total = 0
        for round in 0..<datagrams / window {
            let before = await receiver.threadTime()
            let spent = await sender.send(window / burst, bursts: burst)
            total += window
            while await receiver.received < total { try await Task.sleep(for: .microseconds(100)) }
            let after = await receiver.threadTime()
            // The first windows warm up.
            if round >= 8 {
                sendTime += spent
                receiveTime += after - before
            }
        }
        let counted = Double((datagrams / window - 8) * window)
        let sent = await sender.counters
        let received = await receiver.counters
        await sender.close()
        await receiver.close()
        await sendLoop.shutdown()
        await receiveLoop.shutdown()
        return SocketCost(
            send: Double(sendTime) / counted, receive: Double(receiveTime) / counted,
            perSend: Double(sent.datagramsSent) / Double(max(1, sent.sendCalls)),
            perReceive: Double(received.datagramsReceived) / Double(max(1, received.receiveCalls)))
    }
}

private actor Sender: UDPSocketOwner {
    nonisolated let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private var socket: UDPSocket?
    private var batch: [Datagram] = []

    init(loop: IOLoop) { self.loop = loop }

    func open(segmenting: Bool, to remote: TransportAddress) throws {
        let socket = try UDPSocket(
            loop: loop, UDPSocketConfiguration(address: .loopbackV4, usesSegmentation: segmenting))
        try socket.start(owner: self)
        self.socket = socket
        let path = NetworkPath(local: socket.localAddress, remote: remote)
        batch = (0..<64).map { Datagram(bytes: makePacket($0, length: 1_200), path: path) }
    }

    /// Nanoseconds of this thread for so many calls.
    func send(_ calls: Int, bursts: Int) -> Int64 {
        let part = Array(batch.prefix(bursts))
        let start = measure_thread_nanoseconds()
        for _ in 0..<calls { socket?.send(part) }
        return measure_thread_nanoseconds() - start
    }

    var counters: UDPSocketCounters { socket?.counters ?? UDPSocketCounters() }
    func close() { socket?.close() }
    nonisolated func receive(_ batch: inout DatagramBatch) {}
    nonisolated func receive(_ errors: [SocketError], at now: Instant) {}
}

private actor Receiver: UDPSocketOwner {
    nonisolated let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private var socket: UDPSocket?
    private(set) var received = 0
    private var bytes = 0

    init(loop: IOLoop) { self.loop = loop }

    func open(segmenting: Bool) throws -> TransportAddress {
        let socket = try UDPSocket(
            loop: loop, UDPSocketConfiguration(address: .loopbackV4, usesCoalescing: segmenting))
        try socket.start(owner: self)
        self.socket = socket
        return socket.localAddress
    }

    func threadTime() -> Int64 { measure_thread_nanoseconds() }
    var counters: UDPSocketCounters { socket?.counters ?? UDPSocketCounters() }
    func close() { socket?.close() }

    nonisolated func receive(_ batch: inout DatagramBatch) {
        let count = batch.count
        var sum = 0
        batch.drain { datagram, _ in sum += datagram.bytes.count }
        assumeIsolated { [sum] receiver in
            receiver.received += count
            receiver.bytes += sum
        }
    }
    nonisolated func receive(_ errors: [SocketError], at now: Instant) {}
}
