import ICE
import Peer
import Primitives
import SDP
import Synchronization

/// What a connection tells, on its loop's thread, after each turn: whatever takes long belongs elsewhere.
public protocol PeerConnectionObserver: AnyObject, Sendable {
    /// Events and trace in order. The arrays are reused afterwards.
    func observe(events: [PeerEvent], trace: [TraceEvent], at now: Instant)
}

/// One peer connection over UDP sockets: an engine, its sockets and its timer, on an `IOLoop`.
///
/// The actor's executor is the loop, so that a packet that has been read is in the engine without a hop: the socket's
/// callback enters with `assumeIsolated` once for a whole batch. Frames come from encoders' threads by `submit`, which
/// never blocks and refuses when too many wait.
public actor PeerConnection {
    let loop: IOLoop
    var engine: PeerEngine
    var sockets: [TransportAddress: any MediaSocket] = [:]
    private let observer: any PeerConnectionObserver
    /// Connections to TURN servers, also those that do not stand yet.
    var streams: [ObjectIdentifier: RelayLink] = [:]
    private var timer: LoopTimer?
    private var out = PeerEngine.Output()
    private var sendBatch: [Datagram] = []
    private var ufrags: [String] = []
    /// Names of the interfaces there are sockets on: `.local` names are asked for on these.
    private var interfaceNames: [String] = []
    private var multicastResolver: MulticastResolver?
    /// The addresses that are gathered on, best first.
    private(set) var hostAddresses: [IPAddress] = []
    /// Set by `close`: no connection is made any more.
    private(set) var isClosing = false
    private let waiting = Atomic<Int>(0)

    /// How long TURN servers are waited for when the connection is closed.
    public static let releaseLimit: TimeDelta = .milliseconds(1_000)

    /// Frames that may wait for the loop before `submit` refuses: more than a second of audio and video.
    public static let maximumWaitingFrames = 128

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe loop.asUnownedSerialExecutor()
    }

    public init(
        loop: IOLoop, configuration: PeerConfiguration, random: RandomSource = .system,
        observer: any PeerConnectionObserver
    ) {
        self.loop = loop
        self.observer = observer
        engine = PeerEngine(configuration: configuration, random: random, wallClock: loop.wallClock)
    }

    // MARK: Sockets

    /// Takes over opened sockets, reads them from now on and gathers candidates on them.
    public func gather(on bindings: [SocketBinding]) throws(SocketFailure) {
        timer = timer ?? loop.timer(for: self)
        var bases: [LocalBase] = []
        for binding in bindings {
            precondition(binding.socket.loop === loop, "a connection's sockets are on its loop")
            try binding.socket.start(owner: self)
            sockets[binding.socket.localAddress] = binding.socket
            hostAddresses.append(binding.socket.localAddress.ip)
            ufrags = []
            if !interfaceNames.contains(binding.interfaceName) { interfaceNames.append(binding.interfaceName) }
            bases.append(
                LocalBase(
                    address: binding.socket.localAddress, interfaceName: binding.interfaceName,
                    preference: binding.preference, isForRelays: binding.isForRelays))
        }
        turn { $0.gather(bases: bases, at: $1, into: &$2) }
    }

    /// Another address mapping from now on: names in its rules were looked up anew.
    public func setAddressMapping(_ mapping: AddressMapping) {
        turn { $0.setAddressMapping(mapping, at: $1, into: &$2) }
    }

    /// Looks up the `.local` name of a candidate by multicast DNS, on the interfaces this connection uses.
    private func resolve(_ name: String) {
        let resolver =
            multicastResolver ?? MulticastResolver(interfaces: interfaceNames.compactMap(NetworkInterfaces.index))
        multicastResolver = resolver
        Task {
            do {
                resolved(name, try await resolver.resolve(name), reason: "")
            } catch {
                resolved(name, [], reason: "\(error)")
            }
        }
    }

    private func resolved(_ name: String, _ addresses: [IPAddress], reason: String) {
        turn { $0.resolveRemoteName(name, addresses: addresses, reason: reason, at: $1, into: &$2) }
    }

    // MARK: Media

    /// Hands a frame over to be sent, from any thread. `false` when too many wait: the frame is dropped.
    public nonisolated func submit(_ frame: EncodedFrame, mid: String) -> Bool {
        guard waiting.add(1, ordering: .relaxed).newValue <= Self.maximumWaitingFrames else {
            waiting.subtract(1, ordering: .relaxed)
            return false
        }
        loop.execute { self.assumeIsolated { $0.send(frame, mid: mid) } }
        return true
    }

    private func send(_ frame: EncodedFrame, mid: String) {
        waiting.subtract(1, ordering: .relaxed)
        turn { $0.send(frame, mid: mid, at: $1, into: &$2) }
    }

    /// Frames of a section come from another source from now on, which counts from a zero of its own (another file):
    /// timestamps on the wire go on, and no exchange is needed.
    public func replaceSource(mid: String) { turn { engine, _, _ in engine.replaceSource(mid: mid) } }

    /// Sends keys (DTMF) on the audio stream: `0`-`9`, `A`-`D`, `*`, `#`; a comma is a pause of two seconds.
    /// - Parameters:
    ///   - duration: how long a key sounds, 40...6,000 ms.
    ///   - gap: silence after each, 30...6,000 ms.
    ///   - mid: the section to send on; `nil`: the first that sends audio and takes them.
    public func sendTelephoneEvents(
        _ digits: String, duration: TimeDelta = .milliseconds(100), gap: TimeDelta = .milliseconds(70),
        mid: String? = nil
    ) throws(TelephoneEventRefusal) {
        let now = loop.now
        defer { flush(at: now) }
        try engine.sendTelephoneEvents(digits, duration: duration, gap: gap, mid: mid, at: now, into: &out)
    }

    /// Asks the other side for keyframes.
    public func requestKeyframes() { turn { $0.requestKeyframes(at: $1, into: &$2) } }

    // MARK: State

    public func statistics() -> StatisticsReport { engine.statistics(at: loop.now) }
    public func milestones() -> Milestones { engine.milestones }
    public func socketCounters() -> [TransportAddress: UDPSocketCounters] { sockets.mapValues(\.counters) }

    /// Says goodbye and closes the sockets. The last events are told before it returns. With allocations on TURN servers
    /// it takes a round trip more, and `releaseLimit` where they do not answer.
    public func close() async {
        isClosing = true
        turn { $0.close(at: $1, into: &$2) }
        // A server that was not told keeps a port of ours for minutes, and a place of the user's quota.
        let limit = loop.now + Self.releaseLimit
        while !engine.areRelaysReleased, loop.now < limit {
            do { try await Task.sleep(for: .milliseconds(5)) } catch { break }
        }
        timer?.cancel()
        timer = nil
        for socket in sockets.values { socket.close() }
        sockets = [:]
        closeStreams()
    }

    // MARK: One turn

    func negotiate<Result>(
        _ body: (inout PeerEngine, Instant, inout PeerEngine.Output) throws(NegotiationError) -> Result
    ) throws(NegotiationError) -> Result {
        let now = loop.now
        let result: Result
        do {
            result = try body(&engine, now, &out)
        } catch {
            flush(at: now)
            throw error
        }
        flush(at: now)
        return result
    }

    func turn(_ body: (inout PeerEngine, Instant, inout PeerEngine.Output) -> Void) {
        let now = loop.now
        body(&engine, now, &out)
        flush(at: now)
    }

    /// Carries out what the engine wants: datagrams first, in one batch a socket, then the observer, then the timer.
    private func flush(at now: Instant) {
        if ufrags != engine.localUfrags { nameSockets() }
        if !out.datagrams.isEmpty {
            sendDatagrams()
        }
        var wanted: [RelayServer] = []
        if !out.events.isEmpty || !out.trace.isEmpty {
            observer.observe(events: out.events, trace: out.trace, at: now)
            for case .nameResolutionWanted(let name) in out.events { resolve(name) }
            wanted = out.events.compactMap { if case .relayConnectionWanted(let server) = $0 { server } else { nil } }
        }
        out.removeAll()
        timer?.deadline = engine.deadline
        for server in wanted { connect(to: server) }
    }

    /// Tells the sockets what checks of the other side name us by, before anything that leaves tells the other side.
    private func nameSockets() {
        ufrags = engine.localUfrags
        for socket in sockets.values { socket.setUfrags(ufrags) }
    }

    private func sendDatagrams() {
        if sockets.count == 1, let socket = sockets.first?.value {
            socket.send(out.datagrams)
            return
        }
        var start = 0
        while start < out.datagrams.count {
            let local = out.datagrams[start].path.local
            var end = start + 1
            while end < out.datagrams.count, out.datagrams[end].path.local == local { end += 1 }
            if let socket = sockets[local] {
                if start == 0, end == out.datagrams.count {
                    socket.send(out.datagrams)
                } else {
                    sendBatch.append(contentsOf: out.datagrams[start..<end])
                    socket.send(sendBatch)
                    sendBatch.removeAll(keepingCapacity: true)
                }
            }
            start = end
        }
    }

    private func received(_ batch: inout DatagramBatch) {
        let now = batch.arrival
        batch.drain { datagram, _ in engine.receive(datagram, at: now, into: &out) }
        flush(at: now)
    }

    private func received(_ errors: [SocketError], at now: Instant) {
        for error in errors {
            engine.noteUnreachable(error.path, reason: error.reason.description, at: now, into: &out)
        }
        flush(at: now)
    }

    private func deadlineReached(now: Instant) {
        engine.advance(to: now, into: &out)
        flush(at: now)
    }
}

extension PeerConnection: UDPSocketOwner {
    public nonisolated func receive(_ batch: inout DatagramBatch) {
        assumeIsolated { $0.received(&batch) }
    }

    public nonisolated func receive(_ errors: [SocketError], at now: Instant) {
        assumeIsolated { $0.received(errors, at: now) }
    }
}

extension PeerConnection: LoopClient {
    public nonisolated func deadlineReached(at now: Instant) {
        assumeIsolated { $0.deadlineReached(now: now) }
    }
}

/// An opened socket with what ICE wants to know of its interface.
public struct SocketBinding: @unchecked Sendable {
    // The socket is started, and from then on used, on its loop's thread only.
    public var socket: any MediaSocket
    public var interfaceName: String
    public var preference: UInt16
    /// TURN servers are reached from it and nobody else (`LocalBase.isForRelays`).
    public var isForRelays: Bool

    public init(socket: any MediaSocket, interfaceName: String, preference: UInt16, isForRelays: Bool = false) {
        self.socket = socket
        self.interfaceName = interfaceName
        self.preference = preference
        self.isForRelays = isForRelays
    }
}
