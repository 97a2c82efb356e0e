import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket

/// Opens WebSockets (RFC 6455 §4.1), over TLS for `wss:`.
public enum WebSocketClient {
    /// How a server's certificate is judged.
    public struct Trust: Sendable {
        /// PEM certificates of authorities to trust in place of the system's.
        public var authorities: String?
        /// Trust any certificate.
        public var isInsecure = false

        public init(authorities: String? = nil, isInsecure: Bool = false) {
            self.authorities = authorities
            self.isInsecure = isInsecure
        }
    }

    /// From the first packet to the open WebSocket.
    public static let timeout = TimeAmount.seconds(10)

    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    public static func connect(
        to url: RoomURL, token: String?, trust: Trust = Trust(), limits: SignalingLimits = SignalingLimits()
    ) async throws(WebSocketError) -> WebSocketConnection {
        let tls = url.isSecure ? try context(trust) : nil
        let loop = group.next()
        let opened = loop.makePromise(of: WebSocketConnection.self)
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(5))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try prepare(channel, url: url, token: token, tls: tls, limits: limits, opened: opened)
                }
            }
        let deadline = loop.scheduleTask(in: timeout) {
            opened.fail(WebSocketError(.unreachable, "\(url): no answer within 10 s"))
        }
        bootstrap.connect(host: url.host, port: url.port).whenComplete { result in
            switch result {
            case .failure(let error):
                opened.fail(WebSocketError(.unreachable, "\(url): cannot connect: \(reason(error))"))
            case .success(let channel):
                channel.closeFuture.whenComplete { _ in
                    // A refusal that came before the end may still be on its way through the pipeline.
                    loop.scheduleTask(in: .milliseconds(200)) {
                        opened.fail(WebSocketError(.unreachable, "\(url): the server closed the connection"))
                    }
                }
                opened.futureResult.whenFailure { _ in channel.close(mode: .all, promise: nil) }
            }
        }
        defer { deadline.cancel() }
        do {
            return try await opened.futureResult.get()
        } catch let error as WebSocketError {
            throw error
        } catch {
            throw WebSocketError(.unreachable, "\(url): \(reason(error))")
        }
    }

    private static func prepare(
        _ channel: any Channel, url: RoomURL, token: String?, tls: NIOSSLContext?, limits: SignalingLimits,
        opened: EventLoopPromise<WebSocketConnection>
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        if let tls {
            // A name is told to the server (SNI); an address is only looked for in its certificate.
            let isAddress = (try? SocketAddress(ipAddress: url.host, port: 0)) != nil
            try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : url.host))
        }
        let request = OpeningRequest(url: url, token: token, opened: opened)
        let upgrader = NIOWebSocketClientUpgrader(
            maxFrameSize: limits.messageBytes, automaticErrorHandling: false,
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture {
                    let connection = WebSocketConnection(loop: channel.eventLoop, limits: limits)
                    try connection.attach(to: channel)
                    opened.succeed(connection)
                }
            })
        try pipeline.addHTTPClientHandlers(
            leftOverBytesStrategy: .forwardBytes,
            withClientUpgrade: (
                upgraders: [upgrader],
                completionHandler: { context in
                    context.pipeline.syncOperations.removeHandler(request, promise: nil)
                }
            ))
        try pipeline.addHandler(request)
    }

    private static func context(_ trust: Trust) throws(WebSocketError) -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        do {
            if let pem = trust.authorities {
                let authorities = try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8))
                configuration.trustRoots = .certificates(authorities)
            }
            if trust.isInsecure { configuration.certificateVerification = .none }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw WebSocketError(.certificate, "the certificates to trust cannot be used: \(reason(error))")
        }
    }
}

/// Why a WebSocket could not be opened.
public struct WebSocketError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// No connection, or none that lasted: trying again may help.
        case unreachable
        /// The server's certificate is not trusted.
        case certificate
        /// The server answered with this HTTP status.
        case refused(status: Int)
    }
    public var kind: Kind
    public var description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

/// Asks for the WebSocket and hears a refusal. Unchecked: it belongs to its channel's event loop.
private final class OpeningRequest: ChannelInboundHandler, RemovableChannelHandler, @unchecked Sendable {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let url: RoomURL
    private let token: String?
    private let opened: EventLoopPromise<WebSocketConnection>
    private var status: HTTPResponseStatus?
    private var body = ""

    init(url: RoomURL, token: String?, opened: EventLoopPromise<WebSocketConnection>) {
        self.url = url
        self.token = token
        self.opened = opened
    }

    func channelActive(context: ChannelHandlerContext) {
        var headers = HTTPHeaders([("host", url.authority), ("user-agent", "postern")])
        if let token { headers.add(name: "authorization", value: "Bearer \(token)") }
        let head = HTTPRequestHead(version: .http1_1, method: .GET, uri: url.path, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = head.status
        case .body(let part): if body.utf8.count < 200 { body += String(buffer: part).prefix(200) }
        case .end: refuse(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if status != nil { refuse(context) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError {
            opened.fail(
                WebSocketError(
                    .certificate,
                    "\(url): TLS failed (\(reason(error))); name the authority with --ca, or use --insecure"))
        } else {
            opened.fail(WebSocketError(.unreachable, "\(url): \(reason(error))"))
        }
        context.close(mode: .all, promise: nil)
    }

    private func refuse(_ context: ChannelHandlerContext) {
        let code = Int(status?.code ?? 0)
        let said = body.split(whereSeparator: \.isNewline).first.map { ": \($0)" } ?? ""
        opened.fail(WebSocketError(.refused(status: code), "\(url): the server answered \(code)\(said)"))
        context.close(mode: .all, promise: nil)
    }
}
