import DTLSSRTP
import ICE
import PeerIO
import Primitives

/// Asks a STUN server over TCP or TLS how it sees us (RFC 8489 §6.2.2): one connection, one request, one answer.
///
/// What it tells is the address of that connection, which is no candidate for UDP; that it answers is what is of interest.
actor StreamBinding: StreamConnectionOwner {
    struct Answer: Sendable {
        var mapped: TransportAddress?
        var milliseconds = 0.0
        /// Why there is none.
        var reason = ""
    }

    private let loop: IOLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe loop.asUnownedSerialExecutor() }
    private let connection: StreamConnection
    private let request: STUNMessage
    private let began: Instant
    private var answer: Answer?

    init(loop: IOLoop, from local: IPAddress, to server: RelayServer, trust: TLSTrust) throws(SocketFailure) {
        self.loop = loop
        began = loop.now
        var random = RandomSource.system
        request = STUNMessage(.request, transactionID: STUNTransactionID(using: &random))
        connection = try StreamConnection(
            loop: loop, from: local, to: server.address, through: server.tunnel, tls: server.tls(trust))
    }

    func run(within limit: TimeDelta, until isOver: @Sendable () -> Bool) async -> Answer {
        do {
            try connection.start(owner: self)
        } catch {
            return Answer(reason: "\(error)")
        }
        while answer == nil, loop.now < began + limit, !isOver() { try? await Task.sleep(for: .milliseconds(5)) }
        let wasOpen = connection.isOpen
        connection.close()
        return answer ?? Answer(reason: wasOpen ? "no answer within \(limit)" : "no connection within \(limit)")
    }

    private func opened() {
        let path = NetworkPath(local: connection.localAddress, remote: connection.remoteAddress)
        connection.send([Datagram(bytes: request.encoded(), path: path)])
    }

    private func received(_ bytes: [UInt8]) {
        guard answer == nil, let message = try? STUNMessage(parsing: bytes),
            message.transactionID == request.transactionID, message.method == .binding
        else { return }
        var result = Answer(mapped: message.mappedAddress, milliseconds: (loop.now - began).seconds * 1_000)
        if let error = message.errorCode {
            result.reason = "\(error)"
        } else if result.mapped == nil {
            result.reason = "no mapped address in its answer"
        }
        answer = result
    }

    private func failed(_ reason: String) { answer = answer ?? Answer(reason: reason) }

    nonisolated func opened(_ connection: StreamConnection) { assumeIsolated { $0.opened() } }

    nonisolated func ended(_ connection: StreamConnection, reason: String) { assumeIsolated { $0.failed(reason) } }

    nonisolated func receive(_ batch: inout DatagramBatch) {
        assumeIsolated { binding in batch.drain { datagram, _ in binding.received(datagram.bytes) } }
    }

    nonisolated func receive(_ errors: [SocketError], at now: Instant) {}
}
