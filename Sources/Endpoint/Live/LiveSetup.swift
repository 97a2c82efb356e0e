import DTLSSRTP
import Foundation
import ICE
import Media
import Peer
import PeerIO
import Primitives
import SDP

/// STUN and TURN servers with their addresses.
struct ICEServers {
    var stun: [STUNServer] = []
    var relays: [RelayServer] = []
    /// STUN servers over TCP and TLS. They see a connection's address, which is no candidate for UDP: `gather` asks them.
    var connected: [RelayServer] = []
    /// Why there is no address, by URL.
    var unresolved: [String: String] = [:]

    func apply(to configuration: inout PeerConfiguration) {
        configuration.stunServers = stun
        configuration.relayServers = relays
    }

    /// Those that datagrams are sent to.
    var askedByUDP: [(url: String, address: TransportAddress)] {
        stun.map { ($0.url, $0.address) } + relays.filter { $0.stream == nil }.map { ($0.url, $0.address) }
    }

    /// Whether all are on this machine, so that 127.0.0.1 will do to reach them.
    var areLocal: Bool {
        (stun.map(\.address) + relays.map(\.address) + connected.map(\.address)).allSatisfy(\.ip.isLoopback)
    }
}

/// What calls over sockets share: the loop, sockets, servers, publishers.
extension CallSession {
    func makeLoop() throws -> IOLoop {
        PacketMemory.keepFreed()
        do {
            return try IOLoop(name: "postern-io")
        } catch {
            throw CallSetupError("\(error)", status: .network)
        }
    }

    /// One certificate a process: made for this run, or read from the files that were named.
    func makeCertificate() throws -> Certificate {
        guard let files = options.network.certificate else { return try Certificate.generate() }
        func read(_ path: String, flag: String) throws -> String {
            do {
                return try String(contentsOfFile: path, encoding: .utf8)
            } catch {
                throw CallSetupError("\(flag) \(path): it cannot be read as text", status: .dtls)
            }
        }
        do {
            return try Certificate(
                pemCertificate: read(files.certificate, flag: "--dtls-certificate"),
                pemKey: read(files.key, flag: "--dtls-key"))
        } catch let error as CertificateError {
            throw CallSetupError("--dtls-certificate \(files.certificate): \(error)", status: .dtls)
        }
    }

    /// One socket an address: from the range or of the port that was asked for, else of those that a mapping rule
    /// announces, else on any port.
    func openSockets(on loop: IOLoop, addresses: [HostAddress]) throws -> [SocketBinding] {
        var bindings: [SocketBinding] = []
        do {
            for (index, address) in addresses.enumerated() {
                let port = try portChoice(for: address, flag: "--udp-port", exactly: options.network.udpPort)
                let configuration = UDPSocketConfiguration(
                    address: address.ip, port: port,
                    interfaceIndex: address.ip.isLinkLocal ? address.interfaceIndex : 0)
                let socket = try SocketSupply.process.socket(
                    loop: loop, configuration, isShared: options.network.udpPort != nil)
                bindings.append(
                    SocketBinding(
                        socket: socket, interfaceName: address.interfaceName,
                        preference: UInt16(clamping: 65_535 - index * 256)))
                reporter.log(.debug, describe(socket, port, loop))
                guard options.network.needsRelaySockets else { continue }
                // An allocation belongs to a socket's address: on the shared one it would be everyone's.
                let own = try UDPSocket(
                    loop: loop,
                    UDPSocketConfiguration(address: address.ip, interfaceIndex: configuration.interfaceIndex))
                bindings.append(
                    SocketBinding(
                        socket: own, interfaceName: address.interfaceName,
                        preference: UInt16(clamping: 65_535 - index * 256), isForRelays: true))
            }
        } catch {
            for binding in bindings { binding.socket.close() }
            if let error = error as? CallSetupError { throw error }
            throw CallSetupError("\(error)", status: .network)
        }
        return bindings
    }

    private func describe(_ socket: any MediaSocket, _ port: PortChoice, _ loop: IOLoop) -> String {
        var text = "udp \(socket.localAddress)"
        if case .range(let range, _) = port,
            let usage = SocketSupply.process.usage(of: range, on: socket.localAddress.ip, at: loop.now)
        {
            text += " (\(usage))"
        }
        for announced in mapping.withLock({ $0 }).announced(socket.localAddress) where announced.isMapped {
            text += ", announced as \(announced.address)"
        }
        return text
    }

    /// The port to bind on an address, held against what the mapping announces: a port that no rule announces is one that
    /// nobody outside can reach.
    func portChoice(for address: HostAddress, flag: String, exactly port: UInt16?) throws -> PortChoice {
        let network = options.network
        let announced = network.mapping.announcedPorts(on: address.ip, interface: address.interfaceName)
        guard let wanted = port.map({ $0...$0 }) ?? network.portRange else {
            guard let ports = announced.max(by: { $0.count < $1.count }), ports.count < 60_000 else { return .any }
            return .range(ports)
        }
        if let gap = network.mapping.unannounced(wanted, on: address.ip, interface: address.interfaceName).first {
            let flag = port == nil ? "--port-range" : flag
            throw CallSetupError(
                "\(flag): \(address.ip):\(portText(gap)) would be bound, but the mapping announces only "
                    + announced.map(portText).joined(separator: ", ") + "; nobody outside could reach the others",
                status: .network)
        }
        return port.map { .exactly($0) } ?? .range(wanted)
    }

    private func portText(_ range: ClosedRange<UInt16>) -> String {
        range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
    }

    /// What the options say of ICE.
    func applyNetwork(to configuration: inout PeerConfiguration) {
        configuration.ice.mapping = mapping.withLock { $0 }
        configuration.ice.isLite = options.network.isICELite
        configuration.ice.hidesPrivateAddresses = options.network.hidesPrivateAddresses
        configuration.ice.policy = options.network.icePolicy
        configuration.ice.relayPeers = options.network.relayPeers
        configuration.relayTrust = options.network.relayTrust
        configuration.ice.allocation.families = options.network.relayFamilies
        configuration.ice.allowsAsymmetricResponses = options.network.allowsAsymmetricProxy
    }

    /// Looks the names of mapping rules up. One that cannot be resolved is an error: the flag asked for it.
    private func resolveMapping() async throws {
        var resolved = options.network.mapping
        let resolver = Resolver()
        for name in resolved.names {
            do {
                resolved.setAddresses(try await resolver.resolve(name), of: name)
            } catch {
                throw CallSetupError("--map: \(error)", status: .network)
            }
        }
        let result = resolved
        mapping.withLock { $0 = result }
    }

    /// How often names in mapping rules are looked up again: dynamic DNS commonly has a lifetime of a minute.
    private static let nameLifetime = Duration.seconds(60)

    /// Looks the names of mapping rules up again while a call goes on, until it is cancelled. A failure changes nothing.
    func keepResolvingNames(for connection: PeerConnection) -> Task<Void, Never> {
        Task {
            guard !options.network.mapping.names.isEmpty else { return }
            let resolver = Resolver()
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.nameLifetime)
                var next = mapping.withLock { $0 }
                let before = next
                for name in next.names {
                    if let found = try? await resolver.resolve(name) { next.setAddresses(found, of: name) }
                }
                guard next != before, !Task.isCancelled else { continue }
                let changed = next
                mapping.withLock { $0 = changed }
                await connection.setAddressMapping(changed)
            }
        }
    }

    /// The addresses to bind: those of the interfaces that were named, or all that lead anywhere.
    func hostAddresses() throws -> [HostAddress] {
        var selection = AddressSelection()
        selection.onlyInterfaces = options.network.interfaces
        selection.allowsLoopback = !options.network.interfaces.isEmpty
        if !options.network.families.isEmpty { selection.families = options.network.families }
        do {
            for name in options.network.interfaces {
                var one = selection
                one.onlyInterfaces = [name]
                guard try one.selectFromSystem().isEmpty else { continue }
                let names = try NetworkInterfaces.list().map(\.name)
                throw CallSetupError(
                    "--interface \(name): no such interface is up with an address; there are "
                        + names.joined(separator: ", "), status: .network)
            }
            var found = try selection.selectFromSystem()
            if found.isEmpty {
                // A machine without any network still calls itself: peers on this host, tests, containers.
                selection.allowsLoopback = true
                found = try selection.selectFromSystem()
            }
            guard !found.isEmpty else { throw CallSetupError("no network interface is up", status: .network) }
            return try filtered(found)
        } catch let failure as SocketFailure {
            throw CallSetupError("\(failure)", status: .network)
        }
    }

    private func filtered(_ addresses: [HostAddress]) throws -> [HostAddress] {
        let network = options.network
        let kept = addresses.filter { address in
            (network.networks.isEmpty || network.networks.contains { $0.contains(address.ip) })
                && (!network.isDefaultRouteOnly || address.isDefaultRoute)
        }
        guard kept.isEmpty else { return kept }
        throw CallSetupError(
            "--subnet, --ice-policy: no address is left; without them there are "
                + addresses.map { "\($0.ip)" }.joined(separator: ", "), status: .network)
    }

    /// The addresses of the STUN and TURN servers. A name that cannot be resolved is an error, for the flag asked for it,
    /// unless `isTolerant`: then it is in `unresolved`.
    func resolveServers(isTolerant: Bool = false) async throws -> ICEServers {
        try await resolveMapping()
        let mapping = mapping.withLock { $0 }
        var servers = ICEServers()
        let resolver = Resolver()
        let credential = options.network.login.credential(at: Date())
        for url in options.network.iceServers {
            let tunnel = url.uri.transport == .tcp ? options.network.proxy?.tunnel(to: url) : nil
            let proxy = tunnel == nil ? nil : options.network.proxy
            let found: [FoundServer]
            do {
                found = try await addresses(of: url, through: proxy, mapping, resolver)
            } catch {
                let flag = proxy.map { "--proxy \($0.host):\($0.port)" } ?? "--ice-server \(url)"
                guard isTolerant else { throw CallSetupError("\(flag): \(error)", status: .network) }
                servers.unresolved["\(url)"] = "\(error)"
                continue
            }
            for (address, stream) in found {
                let server = RelayServer(
                    url: "\(url)", address: address, credential: url.credential ?? credential, stream: stream,
                    tunnel: tunnel)
                switch (url.uri.service, stream) {
                case (.stun, nil): servers.stun.append(STUNServer(url: "\(url)", address: address))
                case (.stun, _): servers.connected.append(server)
                case (.turn, _): servers.relays.append(server)
                }
            }
        }
        return servers
    }

    private typealias FoundServer = (address: TransportAddress, stream: RelayStream?)

    private func addresses(
        of url: ICEServerURL, through proxy: HTTPProxy?, _ mapping: AddressMapping, _ resolver: Resolver
    ) async throws -> [FoundServer] {
        if let proxy {
            if let ip = IPAddress(proxy.host) { return [(TransportAddress(ip, proxy.port), url.stream)] }
            let found = try await resolver.resolve(proxy.host)
            // One is enough: an allocation is made for each.
            return (found.first { $0.family == .ipv4 } ?? found.first)
                .map { [(TransportAddress($0, proxy.port), url.stream)] } ?? []
        }
        if let mapped = mapping.server(name: url.host, port: url.port) {
            return mapped.map { ($0.address, url.stream) }
        }
        if let ip = IPAddress(url.host) { return [(TransportAddress(ip, url.port), url.stream)] }
        let start = ContinuousClock.now
        let plain = Task { try await resolver.resolve(url.host) }
        // A proxy that TCP has to go through knows nothing of other servers than those it is asked for.
        if !url.hasPort, options.network.proxy == nil {
            let servers = await discovered(of: url, since: start, plain)
            let found = await addresses(of: servers, for: url, resolver)
            if !found.isEmpty { return found }
        }
        let ips = plain.isCancelled ? try await resolver.resolve(url.host) : try await plain.value
        return ips.prefix(2).map { (TransportAddress($0, url.port), url.stream) }
    }

    /// What the domain's records tell. Where its addresses are known, the wait for records that may not exist is a second at
    /// the most: a name server that does not answer what it does not know is no reason to keep a call waiting.
    private func discovered(
        of url: ICEServerURL, since start: ContinuousClock.Instant, _ plain: Task<[IPAddress], any Error>
    ) async -> [ServerDiscovery.Server] {
        await withTaskGroup(of: [ServerDiscovery.Server].self) { group in
            group.addTask { await ServerDiscovery(ServiceResolver()).servers(of: url) }
            group.addTask {
                let isKnown = (try? await plain.value) != nil
                try? await Task.sleep(until: start + (isKnown ? .seconds(1) : .seconds(5)), clock: .continuous)
                return []
            }
            let servers = await group.next() ?? []
            if !servers.isEmpty { plain.cancel() }
            group.cancelAll()
            return servers
        }
    }

    /// The first few: an allocation is made for each, and with one that does not answer the next is there already.
    private func addresses(
        of servers: [ServerDiscovery.Server], for url: ICEServerURL, _ resolver: Resolver
    ) async -> [FoundServer] {
        let limit = 4
        var found: [FoundServer] = []
        for server in servers where found.count < limit {
            let stream: RelayStream? =
                switch server.transport {
                case .udp: nil
                case .tcp: .tcp
                // The name that was asked for has to be in the certificate, not the one that the DNS tells (RFC 5928 §5).
                case .tls: .tls(host: url.host)
                }
            guard let ips = try? await resolver.resolve(server.target) else {
                reporter.log(.error, "\(url): \(server), as its DNS records say, has no address")
                continue
            }
            reporter.log(.info, "\(url): \(server), as its DNS records say")
            found += ips.prefix(2).map { (TransportAddress($0, server.port), stream) }
        }
        return Array(found.prefix(limit))
    }

    /// What is sent on an agreed session: the kinds of the source that the other side takes, in the codecs agreed.
    ///
    /// One thread a track, so that a long video encode does not delay the audio. A pipe cannot be opened twice and a
    /// passthrough costs nothing, so those have one thread.
    ///
    /// - Parameters:
    ///   - opened: the source as it was opened to learn its kinds; goes on where it cannot be opened again.
    ///   - elapsed: how long the call has stood: what is sent ends with it.
    func makePublishers(
        _ kinds: [MediaKind], of opened: (any MediaSource)?, to sections: SectionKinds, connection: PeerConnection,
        elapsed: TimeDelta = .zero, clock: @escaping @Sendable () -> Instant
    ) throws -> [PublisherThread] {
        for kind in kinds where sections.sent[kind] == nil {
            reporter.log(.error, "the other side takes no \(kind.rawValue): none is sent")
        }
        let kinds = kinds.filter { sections.sent[$0] != nil }
        let audioCodec = sections.codecs[.audio] ?? .opus
        guard !kinds.isEmpty else { return [] }
        if options.media.passthrough, kinds.contains(.audio), audioCodec != .opus {
            throw CallSetupError(
                "--passthrough: the file's audio is opus, the other side takes only \(audioCodec.rawValue); "
                    + "leave out --passthrough", status: .mediaInput)
        }
        func publisher(_ source: any MediaSource, name: String) -> PublisherThread {
            PublisherThread(
                publisher: Publisher(
                    source: source, mids: sections.sent, audioBitrate: kinds.contains(.audio) ? audioBitrate : 0,
                    videoBitrateCap: videoBitrate, limit: options.duration.map { $0 - elapsed }),
                connection: connection, name: name, clock: clock)
        }
        if let opened, !isSourceReopenable {
            try refuseRecoding(audioCodec)
            return [publisher(opened, name: "postern-encode")]
        }
        opened?.close()
        guard kinds.count == 2, !options.media.passthrough else {
            return try openSource(tracks: Set(kinds), audio: sections.audio).map { source in
                [publisher(source, name: "postern-encode")]
            } ?? []
        }
        return try kinds.compactMap { kind in
            try openSource(tracks: [kind], audio: sections.audio).map { source in
                publisher(source, name: "postern-\(kind.rawValue)")
            }
        }
    }

    /// Whether publishers for `sections` are to be made in place of those there: not of a pipe, whose bytes come once.
    func mayReplace(_ publishers: [PublisherThread], for sections: SectionKinds) throws -> Bool {
        guard !publishers.isEmpty, !isSourceReopenable else { return true }
        try refuseRecoding(sections.codecs[.audio] ?? .opus)
        return false
    }

    private func refuseRecoding(_ codec: Codec) throws {
        guard codec != .opus else { return }
        throw CallSetupError(
            "--send: a pipe's audio is encoded as opus before the other side is heard, which takes only "
                + "\(codec.rawValue); send from a file", status: .mediaInput)
    }

    /// Whether opening it again begins anew: a pipe's bytes come once.
    private var isSourceReopenable: Bool {
        guard let path = sourcePath.withLock({ $0 }), path != "test" else { return true }
        let attributes = try? FileManager.default.attributesOfItem(atPath: (path as NSString).resolvingSymlinksInPath)
        return path != "-" && attributes?[.type] as? FileAttributeType == .typeRegular
    }

    func openKeyLog() -> FileHandle? {
        guard let path = ProcessInfo.processInfo.environment["SSLKEYLOGFILE"], !path.isEmpty else { return nil }
        guard let handle = FileHandle(creating: path, permissions: 0o600, appending: true) else {
            reporter.log(.error, "SSLKEYLOGFILE \(path) cannot be written; keys are not logged")
            return nil
        }
        return handle
    }
}
