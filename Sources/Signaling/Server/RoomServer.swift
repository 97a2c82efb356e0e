import NIOCore
import NIOPosix
import NIOSSL

/// Rooms over WebSocket, and a web page, on one TCP port: HTTP/1.1, over TLS where an identity is given.
///
/// One thread has all connections, so that the rooms are nobody else's. What it bounds is in `SignalingLimits`; nothing is
/// counted by source address, for behind a proxy everybody has the same.
public final class RoomServer: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let core: RoomServerCore
    private let channel: any Channel

    /// Where it listens.
    public let host: String
    public let port: Int
    /// Peers of our own that are to answer a room, where `hasResidents` was asked for.
    public var residents: AsyncStream<Resident> { core.residents }

    private init(group: MultiThreadedEventLoopGroup, core: RoomServerCore, channel: any Channel) {
        self.group = group
        self.core = core
        self.channel = channel
        host = channel.localAddress?.ipAddress ?? core.configuration.host
        port = channel.localAddress?.port ?? core.configuration.port
    }

    /// Listens from now on.
    /// - Parameter isLocalOnly: whether it listens on loopback alone; then it wants to be called by an address.
    public static func start(
        _ configuration: RoomServerConfiguration, isLocalOnly: Bool
    ) async throws(RoomServerError) -> RoomServer {
        let tls = try configuration.tls.map(context)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let core = RoomServerCore(
            loop: group.next(), configuration: configuration, isLocalOnly: isLocalOnly, tls: tls)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_sndbuf), value: .init(configuration.limits.sendBuffer))
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try core.accept(channel) }
            }
        do {
            let channel = try await bootstrap.bind(host: configuration.host, port: configuration.port).get()
            try await core.loop.submit { core.start() }.get()
            return RoomServer(group: group, core: core, channel: channel)
        } catch {
            try? await group.shutdownGracefully()
            throw RoomServerError(
                kind: .address,
                description: "cannot listen on \(configuration.host) port \(configuration.port): \(reason(error))")
        }
    }

    /// Says `bye` to calls and goodbye to everybody, gives it a moment to arrive, and closes.
    public func stop() async {
        try? await channel.close().get()
        try? await core.loop.submit { [core] in core.sayGoodbye() }.get()
        for _ in 0..<40 {
            let open = (try? await core.loop.submit { [core] in core.openPeers }.get()) ?? 0
            if open == 0 { break }
            try? await Task.sleep(for: .milliseconds(50))
        }
        try? await core.loop.submit { [core] in core.closeAll() }.get()
        try? await group.shutdownGracefully()
    }

    private static func context(_ identity: TLSIdentity) throws(RoomServerError) -> NIOSSLContext {
        do {
            let chain = try NIOSSLCertificate.fromPEMBytes(Array(identity.certificates.utf8))
            let key = try NIOSSLPrivateKey(bytes: Array(identity.key.utf8), format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
            configuration.minimumTLSVersion = .tlsv12
            configuration.applicationProtocols = ["http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw RoomServerError(
                kind: .certificate, description: "the certificate or its key cannot be used: \(reason(error))")
        }
    }
}

/// An error of NIO in a few words.
func reason(_ error: any Error) -> String {
    switch error {
    case let error as IOError: error.description
    case let error as NIOConnectionError:
        error.connectionErrors.first.map { reason($0.error) }
            ?? "the name \(error.host) is not known (\(error.dnsAError.map { "\($0)" } ?? "no address"))"
    default: "\(error)"
    }
}
