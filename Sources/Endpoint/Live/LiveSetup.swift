import DTLSSRTP
import Foundation
import ICE
import Media
import Peer
import PeerIO
import Primitives
import SDP

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

    /// One socket an address, within the port range where one is given.
    func openSockets(on loop: IOLoop, addresses: [HostAddress]) throws -> [SocketBinding] {
        var bindings: [SocketBinding] = []
        for (index, address) in addresses.enumerated() {
            let configuration = UDPSocketConfiguration(
                address: address.ip, port: options.network.portRange.map { .range($0) } ?? .any,
                interfaceIndex: address.ip.isLinkLocal ? address.interfaceIndex : 0)
            do {
                let socket = try UDPSocket(loop: loop, configuration)
                bindings.append(
                    SocketBinding(
                        socket: socket, interfaceName: address.interfaceName,
                        preference: UInt16(clamping: 65_535 - index * 256)))
            } catch {
                for binding in bindings { binding.socket.close() }
                throw CallSetupError("\(error)", status: .network)
            }
        }
        return bindings
    }

    /// The addresses to bind: those of the interfaces that were named, or all that lead anywhere.
    func hostAddresses() throws -> [HostAddress] {
        var selection = AddressSelection()
        selection.onlyInterfaces = options.network.interfaces
        selection.allowsLoopback = !options.network.interfaces.isEmpty
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
            return found
        } catch let failure as SocketFailure {
            throw CallSetupError("\(failure)", status: .network)
        }
    }

    /// The addresses of the STUN servers. A name that cannot be resolved is an error: the flag asked for it.
    func resolveServers() async throws -> [STUNServer] {
        var servers: [STUNServer] = []
        let resolver = Resolver()
        for url in options.network.iceServers {
            if let ip = IPAddress(url.host) {
                servers.append(STUNServer(url: "\(url)", address: TransportAddress(ip, url.port)))
                continue
            }
            do {
                for ip in try await resolver.resolve(url.host).prefix(2) {
                    servers.append(STUNServer(url: "\(url)", address: TransportAddress(ip, url.port)))
                }
            } catch {
                throw CallSetupError("--ice-server \(url): \(error)", status: .network)
            }
        }
        return servers
    }

    /// One thread a track, so that a long video encode does not delay the audio. A pipe cannot be opened twice and a
    /// passthrough costs nothing, so those have one thread.
    func makePublishers(
        _ source: any MediaSource, kinds: [MediaKind], mids: [MediaKind: String], connection: PeerConnection,
        clock: @escaping @Sendable () -> Instant
    ) throws -> [PublisherThread] {
        func publisher(_ source: any MediaSource, name: String) -> PublisherThread {
            PublisherThread(
                publisher: Publisher(
                    source: source, mids: mids, audioBitrate: kinds.contains(.audio) ? audioBitrate : 0,
                    videoBitrateCap: videoBitrate, limit: options.duration),
                connection: connection, name: name, clock: clock)
        }
        guard kinds.count == 2, options.send != "-", !options.media.passthrough else {
            return [publisher(source, name: "postern-encode")]
        }
        source.close()
        return try kinds.compactMap { kind in
            try openSource(tracks: [kind]).map { publisher($0, name: "postern-\(kind.rawValue)") }
        }
    }

    func openKeyLog() -> FileHandle? {
        guard let path = ProcessInfo.processInfo.environment["SSLKEYLOGFILE"], !path.isEmpty else { return nil }
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(
                atPath: path, contents: nil, attributes: [.posixPermissions: 0o600])
        }
        guard let handle = FileHandle(forWritingAtPath: path) else {
            reporter.log(.error, "SSLKEYLOGFILE \(path) cannot be written; keys are not logged")
            return nil
        }
        _ = try? handle.seekToEnd()
        return handle
    }
}
