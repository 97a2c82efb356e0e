import CLinuxIO
import Glibc
import Primitives

/// Whoever owns a UDP socket. Called on the loop's thread; an actor on the loop implements it `nonisolated` and enters
/// itself once with `assumeIsolated`.
public protocol UDPSocketOwner: AnyObject, Sendable {
    /// Datagrams came. What is not drained is dropped.
    func receive(_ batch: inout DatagramBatch)
    /// Destinations that cannot be reached. Never called within a call of `UDPSocket.send`.
    func receive(_ errors: [SocketError], at now: Instant)
}

/// A UDP socket for media on an `IOLoop`: batches in, batches out, and the error queue.
///
/// Reading takes up to 32 messages with one recvmmsg, each of which may be a burst that the kernel coalesced (GRO); it
/// is cut into datagrams, one allocation each, and the batch goes to the owner under one time of arrival.
///
/// Writing groups neighbours with one path and one size (the last may be shorter) into a message that the kernel cuts
/// (GSO), at most 64 datagrams and 65,000 bytes, and sends up to 64 messages with one sendmmsg. Order is kept.
/// The bytes are copied into one buffer on the way, which costs less than a gather list.
///
/// A socket without room (EAGAIN) makes a bounded queue grow, which drops its oldest when full; a message that the
/// device cannot cut (EIO, EINVAL) is sent again in single datagrams and the socket remembers.
///
/// A send that fails may fail for an earlier datagram: the kernel hands a pending ICMP error to whichever call comes
/// next. So on failure the error queue is read, which names the true destination, and the send tried once more. Only
/// a second failure is the datagram's own. No error closes the socket.
///
/// Open it anywhere; from `start` on it belongs to the loop's thread. With the last reference to it it is closed.
public final class UDPSocket {
    /// Messages `first..<first + count` of a batch: the number sent, or the negated error number of the first.
    typealias SendCall = (Int32, PacketScratch, Int32, Int32) -> Int32

    static let largestPayload = 65_507
    static let largestSegmentedMessage = 65_000
    static let mostSegments = 64
    static let errorsPerRead = 256

    public let loop: IOLoop
    public let configuration: UDPSocketConfiguration
    /// The address bound, with the port that was found.
    public let localAddress: TransportAddress
    /// Bytes of kernel buffer granted, the kernel's own bookkeeping included (twice what was asked for).
    public let receiveBufferSize: Int
    public let sendBufferSize: Int

    let sendCall: SendCall
    private(set) var descriptor: Int32
    /// Told once, when the descriptor is closed: its port may be given to another.
    var whenClosed: (@Sendable () -> Void)?
    private var registration: LoopRegistration?
    weak var owner: (any UDPSocketOwner)?
    var counted = UDPSocketCounters()
    var spare = DatagramBatch()
    var queue: SendQueue
    var pendingErrors: [SocketError] = []
    /// The destination and MTU of the last datagram that this host found too big.
    var localMTU: (IPAddress, Int)?
    var isDeliveryDue = false
    private var awaitsRoom = false
    /// Whether bursts are handed to the kernel as one message. Ends for good when a device turns out not to have it.
    public internal(set) var usesSegmentation: Bool

    /// Opens and binds it.
    public convenience init(loop: IOLoop, _ configuration: UDPSocketConfiguration) throws(SocketFailure) {
        try self.init(loop: loop, configuration) { unsafe postern_send($0, $1.send, $2, $3) }
    }

    init(
        loop: IOLoop, _ configuration: UDPSocketConfiguration, sendCall: @escaping SendCall
    ) throws(SocketFailure) {
        self.loop = loop
        self.configuration = configuration
        self.sendCall = sendCall
        (descriptor, localAddress) = try UDPSocketOpening.open(configuration)
        receiveBufferSize = Int(postern_receive_buffer_size(descriptor))
        sendBufferSize = Int(postern_send_buffer_size(descriptor))
        usesSegmentation = configuration.usesSegmentation && postern_knows_segmentation(descriptor) != 0
        queue = SendQueue(limit: Swift.max(1, configuration.sendQueueLimit))
    }

    deinit {
        guard descriptor >= 0 else { return }
        defer { whenClosed?() }
        let (loop, descriptor, registration) = (loop, descriptor, registration)
        guard let registration else {
            _ = Glibc.close(descriptor)
            return
        }
        let isLeftToLoop = loop.executeUnlessStopped {
            loop.remove(registration)
            _ = Glibc.close(descriptor)
        }
        if !isLeftToLoop { _ = Glibc.close(descriptor) }
    }

    public var isOpen: Bool { descriptor >= 0 }
    /// Datagrams waiting for room.
    public var queued: Int { queue.count }

    public var counters: UDPSocketCounters {
        var result = counted
        result.sendQueueDropped = queue.dropped
        return result
    }

    /// Begins to receive, for `owner`, held weakly. On the loop's thread.
    public func start(owner: any UDPSocketOwner) throws(SocketFailure) {
        precondition(registration == nil && isOpen, "a socket is started once")
        registration = try loop.register(descriptor, for: .read, source: UDPSocketSource(socket: self))
        self.owner = owner
    }

    /// Closes it. What is queued is dropped. On the loop's thread once started; idempotent.
    public func close() {
        if let registration { loop.remove(registration) }
        loopStopped()
    }

    /// Asks to be told of room, or no more.
    func awaitRoom(_ isWanted: Bool) {
        guard isWanted != awaitsRoom, let registration else { return }
        awaitsRoom = isWanted
        loop.change(registration, to: isWanted ? [.read, .write] : .read)
    }
}

extension UDPSocket {
    func ready(_ readiness: Readiness) {
        guard owner != nil else { return close() }
        if readiness.contains(.error) {
            readErrorQueue()
            deliverErrors()
        }
        if readiness.contains(.write), isOpen { flushQueue() }
        if readiness.contains(.read), isOpen { receiveAvailable() }
    }

    func loopStopped() {
        registration = nil
        owner = nil
        queue.removeAll()
        guard descriptor >= 0 else { return }
        _ = Glibc.close(descriptor)
        descriptor = -1
        whenClosed?()
        whenClosed = nil
    }
}

/// What the loop keeps of a socket, so that the socket's life is its owner's affair.
private final class UDPSocketSource: LoopSource {
    private weak var socket: UDPSocket?

    init(socket: UDPSocket) { self.socket = socket }

    func ready(_ readiness: Readiness, on loop: IOLoop) { socket?.ready(readiness) }
    func loopStopped() { socket?.loopStopped() }
}
