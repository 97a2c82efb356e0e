import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket
import Primitives

/// The state of a server, on the one event loop that all its connections have.
///
/// Unchecked: `loop` owns everything that varies; methods are called on it.
final class RoomServerCore: @unchecked Sendable {
    let loop: any EventLoop
    let configuration: RoomServerConfiguration
    let policy: AccessPolicy
    let tls: NIOSSLContext?
    let residents: AsyncStream<Resident>
    private let residentContinuation: AsyncStream<Resident>.Continuation
    private var rooms: Rooms
    private var random = RandomSource.system
    /// Every TCP connection by its number, which is its age too.
    private var channels: [ConnectionID: any Channel] = [:]
    private var peers: [ConnectionID: WebSocketHandler] = [:]
    private var inner: [ConnectionID: Resident] = [:]
    private var nextConnection: UInt64 = 0
    private var ticks: RepeatedTask?
    private var metrics = ServerMetrics()
    private var isStopping = false

    init(
        loop: any EventLoop, configuration: RoomServerConfiguration, isLocalOnly: Bool, tls: NIOSSLContext?
    ) {
        self.loop = loop
        self.configuration = configuration
        self.tls = tls
        policy = AccessPolicy(
            token: configuration.token, origins: configuration.origins, isLocalOnly: isLocalOnly)
        rooms = Rooms(limits: configuration.limits, hasResidents: configuration.hasResidents, random: .system)
        (residents, residentContinuation) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingOldest(configuration.limits.rooms))
    }

    private var limits: SignalingLimits { configuration.limits }
    private var now: Instant { NIODeadline.now().instant }

    func start() {
        ticks = loop.scheduleRepeatedTask(initialDelay: .milliseconds(200), delay: .milliseconds(200)) { [self] _ in
            perform { $0.advance(to: $1, into: &$2) }
        }
    }

    // MARK: Connections

    /// Sets a connection up that was accepted.
    func accept(_ channel: any Channel) throws {
        guard !isStopping else { throw ChannelError.eof }
        metrics.accepted += 1
        if channels.count >= limits.connections { evict() }
        guard channels.count < limits.connections else {
            metrics.evicted += 1
            throw ChannelError.eof
        }
        nextConnection &+= 1
        let id = ConnectionID(nextConnection)
        channels[id] = channel
        channel.closeFuture.whenComplete { [self] _ in
            channels[id] = nil
            peers[id] = nil
        }
        channel.eventLoop.scheduleTask(in: limits.requestTime.amount) { [self] in
            guard channels[id] != nil, peers[id] == nil else { return }
            metrics.timedOut += 1
            channel.close(mode: .all, promise: nil)
        }
        let pipeline = channel.pipeline.syncOperations
        if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
        let bound = RequestBound(bytes: limits.requestBytes)
        try pipeline.addHandler(bound)
        let requests = RequestHandler(core: self)
        let upgrader = NIOWebSocketServerUpgrader(
            maxFrameSize: limits.messageBytes, automaticErrorHandling: false,
            shouldUpgrade: { [self] channel, head in
                let verdict = policy.verdict(on: AccessPolicy.Request(head))
                guard case .room = verdict else { return channel.eventLoop.makeSucceededFuture(nil) }
                return channel.eventLoop.makeSucceededFuture(HTTPHeaders())
            },
            upgradePipelineHandler: { [self] channel, head in
                channel.eventLoop.makeCompletedFuture {
                    guard case .room(let room) = policy.verdict(on: AccessPolicy.Request(head)) else {
                        throw ChannelError.eof
                    }
                    try channel.pipeline.syncOperations.addHandler(makePeer(id, room: room))
                }
            })
        try pipeline.configureHTTPServerPipeline(
            withServerUpgrade: (
                upgraders: [upgrader],
                completionHandler: { context in
                    context.pipeline.syncOperations.removeHandler(requests, promise: nil)
                    if let bound = try? context.pipeline.syncOperations.handler(type: RequestBound.self) {
                        context.pipeline.syncOperations.removeHandler(bound, promise: nil)
                    }
                }
            ))
        try pipeline.addHandler(requests)
    }

    /// Makes room by ending the oldest connection that has no place: floods pay for themselves, calls stand.
    private func evict() {
        let oldest = channels.keys.lazy.filter { [self] in !rooms.hasPlace($0) }.min { $0.rawValue < $1.rawValue }
        guard let oldest, let channel = channels[oldest] else { return }
        metrics.evicted += 1
        channels[oldest] = nil
        channel.close(mode: .all, promise: nil)
    }

    private func makePeer(_ id: ConnectionID, room: String) -> WebSocketHandler {
        WebSocketHandler(
            role: .server, limits: limits,
            events: WebSocketHandler.Events(
                opened: { [self] handler in
                    metrics.webSockets += 1
                    peers[id] = handler
                    perform { rooms, now, _ in rooms.connected(id, room: room, at: now) }
                },
                received: { [self] text in
                    metrics.messages += 1
                    perform { $0.receive(text, from: id, at: $1, into: &$2) }
                },
                exceeded: { [self] excess in
                    perform { rooms, now, out in
                        switch excess {
                        case .tooLarge: rooms.refuse(id, .tooLarge, at: now, into: &out)
                        case .tooFast: rooms.refuse(id, .tooFast, at: now, into: &out)
                        case .tooSlow: rooms.refuse(id, .tooSlow, at: now, into: &out)
                        }
                    }
                },
                ended: { [self] _ in
                    peers[id] = nil
                    perform { $0.disconnected(id, at: $1, into: &$2) }
                }))
    }

    // MARK: Residents

    func receive(_ text: String, from resident: ConnectionID) {
        perform { $0.receive(text, from: resident, at: $1, into: &$2) }
    }

    // MARK: What the machine wants

    private func perform(_ body: (inout Rooms, Instant, inout [Rooms.Output]) -> Void) {
        var out: [Rooms.Output] = []
        body(&rooms, now, &out)
        for output in out {
            switch output {
            case .send(let id, let text):
                peers[id]?.send(text)
                if inner[id]?.deliver(text) == false { inner[id]?.leave() }
            case .close(let id, let code):
                peers[id]?.close(WebSocketErrorCode(codeNumber: Int(code.rawValue)))
                inner.removeValue(forKey: id)?.end()
            case .resident(let room, let id):
                let resident = Resident(room: room, id: id, core: self)
                inner[id] = resident
                if case .enqueued = residentContinuation.yield(resident) { continue }
                resident.leave()
            }
        }
    }

    // MARK: HTTP

    func answer(to head: HTTPRequestHead) -> Answer {
        metrics.requests += 1
        switch policy.verdict(on: AccessPolicy.Request(head)) {
        case .page:
            return .page(PackageResources.index_html, host: head.headers.first(name: "host"), random: &random)
        case .health: return .text("ok\n")
        case .metrics:
            return .text(
                metrics.text(rooms: rooms, connections: channels.count, webSockets: peers.count),
                type: "text/plain; version=0.0.4; charset=utf-8")
        case .room: return .text("this WebSocket request is malformed\n", status: 400)
        case .refused(let status, let reason):
            metrics.refused[status, default: 0] += 1
            return .text(reason + "\n", status: status)
        }
    }

    // MARK: The end

    /// Tells everybody and lets what was said go out. Residents are told too and end by themselves.
    func sayGoodbye() {
        isStopping = true
        perform { rooms, _, out in rooms.shutDown(into: &out) }
        residentContinuation.finish()
    }

    func closeAll() {
        ticks?.cancel()
        for channel in channels.values { channel.close(mode: .all, promise: nil) }
    }

    var openPeers: Int { peers.count }
}

extension AccessPolicy.Request {
    init(_ head: HTTPRequestHead) {
        self.init(
            method: head.method.rawValue, target: head.uri, host: head.headers.first(name: "host"),
            origin: head.headers.first(name: "origin"), authorization: head.headers.first(name: "authorization"),
            isUpgrade: head.headers[canonicalForm: "upgrade"].contains { $0.lowercased() == "websocket" })
    }
}
