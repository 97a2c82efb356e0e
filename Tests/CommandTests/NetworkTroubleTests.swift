import Foundation
import Testing

/// Sockets that cannot be had, and what strangers send to them.
@Suite struct NetworkTroubleTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    @Test func portsThatAreTakenAreNamed() async throws {
        let taken = try BoundSocket()
        for (range, words) in [
            ("\(taken.port)-\(taken.port)", ["\(taken.port)"]),
            // The second peer of two finds the only port taken by the first.
            ("\(try BoundSocket().port)", ["port"]),
        ] {
            let ended = try await postern(
                [
                    "loopback", "--send", "test", "--duration", "1", "--record", scratch.file("out.webm"),
                    "--port-range", range,
                ], scratch: scratch)
            expectFailure(ended, 12, saying: words, range)
            #expect(!scratch.exists("out.webm"))
        }
    }

    @Test func interfacesAndServersThatAreNotThere() async throws {
        for (more, words) in [
            (["--interface", "quux0"], ["--interface quux0", "there are"]),
            (["--ice-server", "stun:nobody.invalid"], ["--ice-server stun:nobody.invalid"]),
        ] {
            let ended = try await postern(
                ["loopback", "--send", "test", "--duration", "1", "--record", scratch.file("out.webm")] + more,
                scratch: scratch)
            expectFailure(ended, 12, saying: words, "\(more)")
            #expect(!scratch.exists("out.webm"))
        }
    }

    /// Noise of every kind to both ports, from before the call stands to its end: the recording is whole.
    @Test func garbageOnThePortsHarmsNothing() async throws {
        let stranger = try BoundSocket()
        // Two ports that were free a moment ago.
        let ports = [try BoundSocket().port, try BoundSocket().port].sorted()
        let (first, last) = (ports[0], ports[1])
        guard last - first < 400 else { return try await garbage(stranger, first, first + 1) }
        try await garbage(stranger, first, last)
    }

    private func garbage(_ stranger: BoundSocket, _ first: UInt16, _ last: UInt16) async throws {
        let recording = scratch.file("out.webm")
        let noise = Task {
            var (random, count) = (SystemRandomNumberGenerator(), 0)
            let heads: [UInt8] = [0, 1, 3, 19, 20, 22, 23, 63, 64, 79, 128, 144, 191, 192, 255]
            while !Task.isCancelled {
                for port in first...last {
                    var bytes = (0..<Int.random(in: 0...400, using: &random)).map { _ in
                        UInt8.random(in: 0...255, using: &random)
                    }
                    if !bytes.isEmpty { bytes[0] = heads[count % heads.count] }
                    if bytes.count > 8, bytes[0] < 4 { bytes.replaceSubrange(4..<8, with: [0x21, 0x12, 0xA4, 0x42]) }
                    stranger.send(bytes, to: port)
                    count += 1
                }
                try? await Task.sleep(for: .milliseconds(2))
            }
            return count
        }
        let ended = try await postern(
            [
                "loopback", "--send", Fixture.clip, "--record", recording, "--port-range", "\(first)-\(last)",
                "--report", scratch.file("r.json"),
            ], scratch: scratch)
        noise.cancel()
        #expect(await noise.value > 1_000)
        #expect(ended.status == 0, "\(ended.errors)")
        try await expectWhole(recording, source: Fixture.clip, scratch: scratch)
    }
}

/// A UDP socket on 127.0.0.1, bound to a port of the system's choice until it goes.
final class BoundSocket: Sendable {
    enum Failure: Error { case socket(Int32) }

    let port: UInt16
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var address = Self.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                let bound = unsafe bind(descriptor, generic, length)
                return unsafe bound == 0 ? getsockname(descriptor, generic, &length) : bound
            }
        }
        guard result == 0 else { throw Failure.socket(errno) }
        port = UInt16(bigEndian: address.sin_port)
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8], to port: UInt16) {
        var address = Self.address(port)
        _ = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe sendto(
                    descriptor, bytes, bytes.count, 0, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    private static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }
}
