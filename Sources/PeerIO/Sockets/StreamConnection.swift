import CLinuxIO
import DTLSSRTP
import Glibc
import ICE
import Primitives

/// Who waits for a connection to a STUN or TURN server. On the loop's thread.
public protocol StreamConnectionOwner: UDPSocketOwner {
    /// The connection stands: messages may pass.
    func opened(_ connection: StreamConnection)
    /// It failed or ended; told once, never within a call of `send`.
    func ended(_ connection: StreamConnection, reason: String)
}

/// A TCP or TLS connection to a STUN or TURN server that looks like a socket: a message a datagram (RFC 8489 §6.2.2,
/// RFC 8656 §12.5). It may lead through an HTTP proxy, which is asked for the server first (`HTTPTunnel`).
///
///     connecting ── writable ──► tunnelling ── 2xx ──► securing ── handshake ──► open ──► ended
///                                (a proxy)             (TLS)
///
/// Steps that are not wanted are passed over. The end of the stream, an error or `close` ends it from anywhere.
///
/// What does not fit into the kernel's buffer waits here, up to `sendLimit`; what is over that is dropped, whole messages
/// at a time, for late media is worth less than none, and what is asked for (permissions, refreshes) is small and repeated
/// by no one but us: it leaves before the limit is near. Reading is bounded a turn.
///
/// Open it anywhere; from `start` on it belongs to the loop's thread.
public final class StreamConnection: MediaSocket, @unchecked Sendable {
    private enum State {
        case connecting
        case tunnelling
        case securing
        case open
        case ended
    }

    /// Bytes that wait for room before messages are dropped: a second and a half of 2 Mbit/s.
    static let sendLimit = 400_000
    static let readsPerTurn = 8

    public let loop: IOLoop
    public let localAddress: TransportAddress
    public let remoteAddress: TransportAddress
    /// What a proxy is asked for; `remoteAddress` is the proxy's then.
    private let tunnel: HTTPTunnel?
    private var answer: HTTPTunnelAnswer?
    private let tls: TLSStream?
    private var state = State.connecting
    private var stream: TCPStream
    private var registration: LoopRegistration?
    private weak var owner: (any StreamConnectionOwner)?
    private var framing = TURNStreamFraming()
    private var counted = UDPSocketCounters()
    private var batch = DatagramBatch()

    public var counters: UDPSocketCounters { counted }
    public var isOpen: Bool { state == .open }
    /// It ended for a reason that asking again does not mend, and may make worse.
    public private(set) var isRefused = false

    /// Begins to connect, from an address of ours.
    public init(
        loop: IOLoop, from local: IPAddress, to remote: TransportAddress, through tunnel: HTTPTunnel? = nil,
        tls: TLSStream.Configuration?
    ) throws(SocketFailure) {
        let subject = "\(tls == nil ? "TCP" : "TLS") connection to \(tunnel == nil ? "" : "the proxy at ")\(remote)"
        var stream = try TCPStream(from: local, to: remote, subject: subject)
        do throws(SocketFailure) {
            localAddress = try PeerIO.localAddress(of: stream.descriptor, subject: subject)
            do throws(TLSStream.Failure) {
                self.tls = try tls.map { settings throws(TLSStream.Failure) in try TLSStream(settings) }
            } catch {
                throw SocketFailure(code: EINVAL, call: "TLS", subject: subject, advice: error.description)
            }
        } catch {
            stream.close()
            throw error
        }
        self.loop = loop
        self.stream = stream
        remoteAddress = remote
        self.tunnel = tunnel
        answer = tunnel.map(HTTPTunnelAnswer.init)
    }

    deinit { stream.close() }

    public func setUfrags(_ ufrags: [String]) {}

    public func start(owner: any UDPSocketOwner) throws(SocketFailure) {
        precondition(registration == nil, "a connection is started once")
        self.owner = owner as? any StreamConnectionOwner
        registration = try loop.register(stream.descriptor, for: [.read, .write], source: self)
    }

    public func send(_ datagrams: [Datagram]) {
        guard state == .open else { return }
        for datagram in datagrams {
            guard stream.queued < Self.sendLimit else {
                counted.sendQueueDropped += 1
                continue
            }
            counted.datagramsSent += 1
            counted.bytesSent += datagram.bytes.count
            guard let tls else {
                stream.output += datagram.bytes
                continue
            }
            do throws(TLSStream.Failure) {
                try tls.write(datagram.bytes)
            } catch {
                return end(error.description)
            }
            stream.output += tls.takeOutput()
        }
        flush()
    }

    public func close() {
        guard state != .ended else { return }
        if let tls {
            tls.end()
            stream.output += tls.takeOutput()
        }
        flush()
        finish()
    }
}

extension StreamConnection: LoopSource {
    public func ready(_ readiness: Readiness, on loop: IOLoop) {
        guard owner != nil else { return finish() }
        if state == .connecting {
            let error = postern_take_error(stream.descriptor)
            guard error == 0 else {
                let proxy = tunnel == nil ? "" : "the proxy at \(remoteAddress): "
                return end("\(proxy)\(errorName(error)), \(errorText(error))")
            }
            guard readiness.contains(.write) else { return }
            if let tunnel {
                state = .tunnelling
                stream.output += tunnel.request
                flush()
            } else {
                begin()
            }
        }
        if readiness.contains(.write) { flush() }
        if !readiness.isDisjoint(with: [.read, .hangUp, .error]), state != .ended { receive() }
    }

    public func loopStopped() {
        registration = nil
        finish()
    }

    /// The way to the server is open.
    private func begin() {
        state = tls == nil ? .open : .securing
        guard state == .open else { return secure() }
        watch()
        owner?.opened(self)
    }

    private func secure() {
        guard let tls, state == .securing else { return }
        do throws(TLSStream.Failure) {
            try tls.advance()
        } catch {
            // The alert that says why is worth sending.
            stream.output += tls.takeOutput()
            flush()
            return end(error.description)
        }
        stream.output += tls.takeOutput()
        flush()
        guard tls.isOpen, state == .securing else { return }
        state = .open
        watch()
        owner?.opened(self)
    }

    private func receive() {
        for _ in 0..<Self.readsPerTurn {
            guard state != .connecting, state != .ended else { return }
            let bytes: [UInt8]
            switch stream.read() {
            case .bytes(let read): bytes = read
            case .nothing: return
            case .ended: return end(closed)
            case .failed(let code): return end("\(errorName(code)), \(errorText(code))")
            }
            counted.bytesReceived += bytes.count
            take(bytes)
            if bytes.count < TCPStream.readSize { return }
        }
    }

    private var closed: String {
        switch state {
        case .connecting, .tunnelling: "the proxy closed the connection"
        case .securing: "the server ended the TLS handshake"
        case .open, .ended: "the server closed the connection"
        }
    }

    private func take(_ bytes: [UInt8]) {
        guard state != .tunnelling else { return pass(bytes) }
        guard let tls else { return cut(bytes) }
        do throws(TLSStream.Failure) {
            try tls.receive(bytes)
            if state == .securing { secure() }
            while state == .open {
                let plain = try tls.read()
                guard !plain.isEmpty else { break }
                cut(plain)
            }
        } catch {
            return end(error.description)
        }
        // Keys may have been changed, which is answered.
        stream.output += tls.takeOutput()
        if tls.hasEnded { end(closed) } else if stream.queued > 0 { flush() }
    }

    /// What the proxy says, and what came with it.
    private func pass(_ bytes: [UInt8]) {
        do throws(HTTPTunnelFailure) {
            guard let rest = try answer?.receive(bytes) else { return }
            answer = nil
            begin()
            if !rest.isEmpty, state == .securing || state == .open { take(rest) }
        } catch {
            isRefused = error.isFinal
            end(error.description)
        }
    }

    private func cut(_ bytes: [UInt8]) {
        do throws(TURNStreamFraming.Failure) {
            try framing.append(bytes)
            let path = NetworkPath(local: localAddress, remote: remoteAddress)
            while let message = try framing.next() {
                batch.datagrams.append(Datagram(bytes: message, path: path))
                batch.trafficClasses.append(0 as UInt8)
                counted.datagramsReceived += 1
            }
        } catch {
            return end("what the server sends is no STUN (\(error))")
        }
        guard !batch.isEmpty else { return }
        batch.arrival = loop.now
        owner?.receive(&batch)
        batch.removeAll()
    }

    private func flush() {
        let flushed = stream.flush()
        counted.sendCalls += flushed.calls
        if flushed.isBlocked { counted.sendBlocked += 1 }
        if let code = flushed.error { return end("\(errorName(code)), \(errorText(code))") }
        watch()
    }

    /// Asks for what is waited for.
    private func watch() {
        guard let registration, state != .connecting else { return }
        loop.change(registration, to: stream.queued > 0 ? [.read, .write] : .read)
    }

    private func end(_ reason: String) {
        guard state != .ended else { return }
        let owner = owner
        finish()
        // Never within a call of `send`: its owner is busy then.
        loop.execute { owner?.ended(self, reason: reason) }
    }

    private func finish() {
        state = .ended
        owner = nil
        if let registration { loop.remove(registration) }
        registration = nil
        stream.close()
    }
}
