import DTLSSRTP
import FixtureSupport
import Foundation
import Primitives
import Testing

/// `openssl s_client` or `s_server` on loopback UDP, and a transport of ours on the other end of it, in real time.
final class OpenSSLPeer {
    let transport: DTLSTransport
    private(set) var events: [DTLSTransport.Event] = []
    private(set) var trace: [DTLSTransport.Trace] = []
    private let socket: LoopbackSocket
    private let process = Process()
    private let input = Pipe()
    private let outputPath: String
    private let clock = ContinuousClock()
    private let origin: ContinuousClock.Instant

    /// Whether the program is there; without it the tests of this kind have nothing to say.
    static let isAvailable = FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")

    /// - Parameter arguments: given to `s_client` where we are the server and to `s_server` where we are the client.
    init(ourRole: DTLSRole, arguments: [String], configure: (inout DTLSTransport.Configuration) -> Void = { _ in })
        throws
    {
        var configuration = DTLSTransport.Configuration(certificate: try #require(Identities.client))
        configuration.roundTripTime = .milliseconds(1)
        configure(&configuration)
        transport = DTLSTransport(configuration)
        origin = clock.now
        socket = try LoopbackSocket()
        outputPath = NSTemporaryDirectory() + "/postern-openssl-\(UUID().uuidString)"
        _ = FileManager.default.createFile(atPath: outputPath, contents: nil)
        let output = try #require(FileHandle(forWritingAtPath: outputPath))
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        switch ourRole {
        case .server:
            process.arguments = ["s_client", "-connect", "127.0.0.1:\(socket.port)"] + arguments
        case .client:
            let free = try LoopbackSocket()
            socket.remotePort = free.port
            free.close()
            process.arguments = ["s_server", "-accept", "127.0.0.1:\(socket.remotePort)"] + arguments
        }
        process.standardInput = input
        process.standardOutput = output
        process.standardError = output
        try process.run()
        call { $0.start(as: ourRole, at: $1, into: &$2) }
    }

    deinit {
        if process.isRunning { process.terminate() }
        socket.close()
        try? FileManager.default.removeItem(atPath: outputPath)
    }

    var output: String { (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? "" }

    func type(_ line: String) { try? input.fileHandleForWriting.write(contentsOf: Data(line.utf8)) }

    func call(_ body: (DTLSTransport, Instant, inout DTLSTransport.Output) -> Void) {
        var result = DTLSTransport.Output()
        body(transport, .zero + .nanoseconds(Int64((clock.now - origin) / .nanoseconds(1))), &result)
        events += result.events
        trace += result.trace
        for datagram in result.datagrams { socket.send(datagram) }
    }

    /// Lets the two talk until `condition` holds, 10 s at most. Returns whether it came to hold.
    func talk(until condition: (OpenSSLPeer) -> Bool) -> Bool {
        let end = clock.now + .seconds(10)
        while clock.now < end {
            if condition(self) { return true }
            if let datagram = socket.receive(withinMilliseconds: 5) {
                call { $0.receive(datagram, at: $1, into: &$2) }
            }
            call { $0.advance(to: $1, into: &$2) }
        }
        return condition(self)
    }

    var association: DTLSTransport.Association? {
        for case .connected(let association) in events { return association }
        return nil
    }

    var failure: DTLSError? {
        for case .failed(let error) in events { return error }
        return nil
    }
}

/// A UDP socket on 127.0.0.1 that talks to whoever spoke last.
final class LoopbackSocket {
    private let descriptor: Int32
    let port: UInt16
    var remotePort: UInt16 = 0

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        try #require(descriptor >= 0)
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        try #require(isBound)
    }

    func send(_ bytes: [UInt8]) {
        guard remotePort != 0 else { return }
        var address = Self.loopback(remotePort)
        _ = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    func receive(withinMilliseconds timeout: Int32) -> [UInt8]? {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&entry, 1, timeout) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let count = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe recvfrom(descriptor, &bytes, bytes.count, 0, $0, &length)
            }
        }
        guard count >= 0 else { return nil }
        remotePort = UInt16(bigEndian: address.sin_port)
        return Array(bytes.prefix(count))
    }

    func close() { _ = Foundation.close(descriptor) }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        return address
    }
}
