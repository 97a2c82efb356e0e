import Glibc
import Primitives
import Testing

@testable import PeerIO

@Suite struct ServiceResolverTests {
    @Test func serviceRecordsAreRead() async throws {
        let server = try NameServer { name, type in
            guard name == "_turn._udp.example.net", type == 33 else { return nil }
            return [
                NameServer.bytes(10, 5, 3479) + NameServer.name("a.example.net"),
                NameServer.bytes(20, 0, 443) + NameServer.name("b.example.net"),
            ]
        }
        defer { server.stop() }
        let found = try await ServiceResolver(server: server.address).services("_turn._udp.example.net")
        #expect(
            Set(found) == [
                SRVRecord(priority: 10, weight: 5, port: 3479, target: "a.example.net"),
                SRVRecord(priority: 20, weight: 0, port: 443, target: "b.example.net"),
            ])
        #expect(try await ServiceResolver(server: server.address).services("_turn._tcp.example.net").isEmpty)
    }

    @Test func pointerRecordsAreReadWithoutThoseThatRewrite() async throws {
        let server = try NameServer { _, type in
            guard type == 35 else { return nil }
            return [
                NameServer.bytes(100, 10) + NameServer.text("S") + NameServer.text("RELAY:turn.udp")
                    + NameServer.text("") + NameServer.name("_turn._udp.example.net"),
                NameServer.bytes(100, 20) + NameServer.text("U") + NameServer.text("E2U+sip")
                    + NameServer.text("!^.*$!sip:info@example.net!") + NameServer.name(""),
            ]
        }
        defer { server.stop() }
        #expect(
            try await ServiceResolver(server: server.address).pointers("example.net") == [
                NAPTRRecord(
                    order: 100, preference: 10, flags: "s", service: "RELAY:turn.udp",
                    replacement: "_turn._udp.example.net")
            ])
    }

    /// What a name server says is no more to be trusted than any packet.
    @Test func recordsCutAtEveryByteAreLeftOut() async throws {
        let srv = NameServer.bytes(10, 5, 3479) + NameServer.name("a.example.net")
        let naptr =
            NameServer.bytes(1, 1) + NameServer.text("s") + NameServer.text("RELAY:turn.udp") + NameServer.text("")
            + NameServer.name("b.example.net")
        let server = try NameServer { _, type in
            let whole = type == 33 ? srv : naptr
            return (0..<Swift.min(whole.count, 30)).map { Array(whole.prefix($0)) } + [whole]
        }
        defer { server.stop() }
        let resolver = ServiceResolver(server: server.address)
        // A cut name runs on into the next record: what comes of it is a name or nothing, and never more.
        #expect(try await resolver.services("_turn._udp.example.net").allSatisfy { $0.target.utf8.count < 1_025 })
        #expect(try await resolver.pointers("example.net").contains { $0.replacement == "b.example.net" })
    }

    @Test func aNameServerThatDoesNotAnswerIsAnErrorOfItsOwn() async throws {
        // Nobody listens there: the port was ours.
        let server = try NameServer { _, _ in nil }
        server.stop()
        await #expect(throws: ResolveError.temporaryFailure("example.net")) {
            try await ServiceResolver(server: server.address).services("example.net")
        }
        await #expect(throws: ResolveError.invalidName("a b")) { try await ServiceResolver().services("a b") }
    }
}

/// A name server on a port of loopback that answers with the data of records made by a closure; `nil` is "no such name".
private final class NameServer: Sendable {
    let address: TransportAddress
    private let file: Int32
    private let thread: pthread_t

    init(answer: @escaping @Sendable (_ name: String, _ type: UInt16) -> [[UInt8]]?) throws {
        let file = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var own = sockaddr_in()
        own.sin_family = sa_family_t(AF_INET)
        own.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = unsafe withUnsafeMutableBytes(of: &own) { bytes -> Int32 in
            let pointer = unsafe bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            let result = unsafe bind(file, pointer, length)
            return result == 0 ? unsafe getsockname(file, pointer, &length) : result
        }
        try #require(bound == 0)
        self.file = file
        address = TransportAddress(.loopbackV4, UInt16(bigEndian: own.sin_port))
        thread = try LoopThread.start(name: "test-dns") { Self.serve(file, answer) }
    }

    /// The number of the socket may be another's as soon as it is closed: not before the thread has gone.
    func stop() {
        shutdown(file, Int32(SHUT_RDWR))
        pthread_join(thread, nil)
        close(file)
    }

    private static func serve(_ file: Int32, _ answer: (String, UInt16) -> [[UInt8]]?) {
        var query = [UInt8](repeating: 0, count: 512)
        while true {
            var peer = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = unsafe withUnsafeMutableBytes(of: &peer) { bytes in
                unsafe recvfrom(
                    file, &query, query.count, 0, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), &length)
            }
            guard count > 12 else { return }
            var labels: [String] = []
            var at = 12
            while at < count, query[at] > 0 {
                labels.append(String(decoding: query[at + 1..<at + 1 + Int(query[at])], as: UTF8.self))
                at += 1 + Int(query[at])
            }
            let question = Array(query[12..<at + 5])
            let type = UInt16(query[at + 1]) << 8 | UInt16(query[at + 2])
            let records = answer(labels.joined(separator: ".").lowercased(), type)
            var reply = Array(query[0..<2]) + [0x85, records == nil ? 0x83 : 0x80]
            reply += bytes(1, UInt16(records?.count ?? 0), 0, 0) + question
            for record in records ?? [] {
                reply += [0xC0, 12] + bytes(type, 1, 0, 60, UInt16(record.count)) + record
            }
            unsafe withUnsafeMutableBytes(of: &peer) { bytes in
                _ = unsafe sendto(
                    file, reply, reply.count, 0, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
            }
        }
    }

    static func bytes(_ numbers: UInt16...) -> [UInt8] {
        numbers.flatMap { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    }
    static func text(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + text.utf8 }
    static func name(_ name: String) -> [UInt8] { name.split(separator: ".").flatMap { Self.text(String($0)) } + [0] }
}
