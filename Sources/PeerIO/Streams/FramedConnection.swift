import CLinuxIO
import Glibc
import ICE
import Primitives

/// Who uses a connection. On the loop's thread.
public protocol FramedConnectionOwner: AnyObject {
    /// A connection that was being made stands, from this address.
    func opened(_ connection: FramedConnection, from local: TransportAddress)
    func received(_ batch: inout DatagramBatch, on connection: FramedConnection)
    /// It could not be made or has ended; told once, not after `close`, and never within a call of `send`.
    func ended(_ connection: FramedConnection, reason: String)
}

/// A TCP connection whose frames (RFC 4571) are datagrams on one path: that of an ICE-TCP pair (RFC 6544).
///
///     connecting ── writable ──► open ──► ended
///     accepted ────────────────►
///
/// What the kernel does not take waits here, as far as `FrameAdmission` allows; the kernel itself is told to keep little
/// (TCP_NOTSENT_LOWAT), so that what is late is dropped here, in whole frames, and not sent. Reading is bounded a turn.
///
/// Open it anywhere; from `start` on it belongs to the loop's thread.
public final class FramedConnection: @unchecked Sendable {
    private enum State {
        case connecting
        case open
        case ended
    }

    static let readsPerTurn = 4

    public let loop: IOLoop
    public let path: NetworkPath
    private var admission = FrameAdmission()
    private var state: State
    private var stream: TCPStream
    private var registration: LoopRegistration?
    private weak var owner: (any FramedConnectionOwner)?
    private var cutter = FrameCutter()
    private var batch = DatagramBatch()
    /// Called with the first frame that leaves, which says that what came had authenticated; and at the end.
    var whenProved: (() -> Void)?
    var whenEnded: (() -> Void)?

    /// Begins to connect, from the path's local address and any port.
    public init(loop: IOLoop, connecting path: NetworkPath) throws(SocketFailure) {
        let subject = "TCP connection from \(path.local.ip) to \(path.remote)"
        stream = try TCPStream(from: path.local.ip, to: path.remote, subject: subject) { postern_tcp_media($0) }
        self.loop = loop
        self.path = path
        state = .connecting
    }

    /// Takes over an accepted one, with frames of so many bytes at most until something has left on it.
    init(loop: IOLoop, accepted descriptor: Int32, path: NetworkPath, frameLimit: Int) {
        self.loop = loop
        self.path = path
        stream = TCPStream(descriptor: descriptor)
        state = .open
        cutter.limit = frameLimit
        postern_tcp_media(descriptor)
    }

    deinit { stream.close() }

    public func start(owner: any FramedConnectionOwner) throws(SocketFailure) {
        precondition(registration == nil, "a connection is started once")
        self.owner = owner
        registration = try loop.register(
            stream.descriptor, for: state == .connecting ? [.read, .write] : .read, source: self)
    }

    /// Tells another from now on.
    func hand(to owner: any FramedConnectionOwner) { self.owner = owner }

    public var isOpen: Bool { state == .open }
    /// Bytes that wait here for the kernel.
    public var queuedBytes: Int { stream.queued }

    /// Appends a frame; `flush` sends it. False when it was dropped: too much waits, or nothing stands.
    public func send(_ frame: [UInt8]) -> Bool {
        guard state == .open, admission.admits(frame, queued: queuedBytes, at: loop.now) else { return false }
        if let whenProved {
            self.whenProved = nil
            cutter.limit = 65_535
            whenProved()
        }
        return FrameCutter.append(frame, to: &stream.output)
    }

    public func flush() {
        guard state == .open else { return }
        if let code = stream.flush().error { return end("\(errorName(code)), \(errorText(code))") }
        watch()
    }

    /// Ends it and tells nobody.
    public func close() {
        flush()
        finish()
    }

    /// Its time is over: its owner is told, where there is one.
    func expire() { end("nothing authenticated on it in time") }

    private var isWatchingWrites = false

    private func watch() {
        let wanted = stream.queued > 0
        guard let registration, wanted != isWatchingWrites else { return }
        isWatchingWrites = wanted
        loop.change(registration, to: wanted ? [.read, .write] : .read)
    }

    private func end(_ reason: String) {
        guard state != .ended else { return }
        let owner = owner
        finish()
        loop.executeHere { owner?.ended(self, reason: reason) }
    }

    private func finish() {
        guard state != .ended else { return }
        state = .ended
        owner = nil
        if let registration { loop.remove(registration) }
        registration = nil
        stream.close()
        whenProved = nil
        let whenEnded = whenEnded
        self.whenEnded = nil
        whenEnded?()
    }
}

extension FramedConnection: LoopSource {
    public func ready(_ readiness: Readiness, on loop: IOLoop) {
        guard owner != nil else { return finish() }
        if state == .connecting {
            let error = postern_take_error(stream.descriptor)
            guard error == 0 else { return end(errorText(error).lowercasedFirst) }
            guard readiness.contains(.write) else { return }
            guard let local = try? localAddress(of: stream.descriptor, subject: "") else {
                return end("it has no address")
            }
            state = .open
            isWatchingWrites = true
            watch()
            owner?.opened(self, from: local)
        }
        if readiness.contains(.write) { flush() }
        if !readiness.isDisjoint(with: [.read, .hangUp, .error]) { receive() }
    }

    public func loopStopped() {
        registration = nil
        finish()
    }

    private func receive() {
        for _ in 0..<Self.readsPerTurn where state == .open {
            let bytes: [UInt8]
            switch stream.read() {
            case .bytes(let read): bytes = read
            case .nothing: return
            case .ended: return end("the other side closed it")
            case .failed(let code): return end(errorText(code).lowercasedFirst)
            }
            guard cut(bytes) else { return }
            if bytes.count < TCPStream.readSize { return }
        }
    }

    /// False when it was the end.
    private func cut(_ bytes: [UInt8]) -> Bool {
        do throws(FrameCutter.Failure) {
            try cutter.append(bytes)
            var limit = 0
            // What comes after the first frames may be longer, once an answer to those has left.
            while state == .open, limit != cutter.limit {
                limit = cutter.limit
                var failure: FrameCutter.Failure?
                do throws(FrameCutter.Failure) { try collect() } catch { failure = error }
                deliver()
                if let failure, limit == cutter.limit { throw failure }
            }
        } catch {
            end("\(error)")
        }
        return state == .open
    }

    private func collect() throws(FrameCutter.Failure) {
        while let frame = try cutter.next() {
            batch.datagrams.append(Datagram(bytes: frame, path: path))
            batch.trafficClasses.append(UInt8(0))
        }
    }

    private func deliver() {
        guard !batch.isEmpty else { return }
        batch.arrival = loop.now
        var taken = DatagramBatch()
        swap(&taken, &batch)
        owner?.received(&taken, on: self)
        taken.removeAll()
        if batch.isEmpty { swap(&taken, &batch) }
    }
}

extension String {
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
