import CLinuxIO
import Glibc
import Locks
import Primitives
import Testing

@testable import PeerIO

@Suite struct MulticastDNSMessageTests {
    private static let name = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"

    /// An answer as responders write it: the second name is a pointer to the first.
    private static let compressed: [UInt8] = {
        var bytes: [UInt8] = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 1]
        for label in name.split(separator: ".") {
            bytes.append(UInt8(label.utf8.count))
            bytes += Array(label.utf8)
        }
        bytes += [0, 0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 7]
        bytes +=
            [0xC0, 12, 0, 28, 0x80, 1, 0, 0, 0, 120, 0, 16, 0x20, 1, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [7]
        return bytes
    }()

    @Test func aQuestionAsksForBothKindsOfAddress() throws {
        let bytes = MulticastDNSMessage(isResponse: false, questions: [Self.name]).bytes
        let message = try MulticastDNSMessage(parsing: bytes)
        #expect(message.questions == [Self.name, Self.name] && !message.isResponse && message.addresses.isEmpty)
        #expect(bytes.count == 12 + 2 * (Self.name.utf8.count + 2 + 4))
    }

    @Test func compressedNamesAreReadAndOtherRecordsPassedOver() throws {
        let message = try MulticastDNSMessage(parsing: Self.compressed)
        #expect(message.isResponse)
        #expect(message.addresses.map(\.name) == [Self.name, Self.name])
        #expect(message.addresses.map { "\($0.address)" } == ["192.0.2.7", "2001:db8::7"])
        var other = Self.compressed
        other[12 + Self.name.utf8.count + 3] = 16
        #expect(try MulticastDNSMessage(parsing: other).addresses.map { "\($0.address)" } == ["2001:db8::7"])
    }

    @Test func aPointerThatDoesNotLeadBackIsRefused() {
        var loop = Self.compressed
        let pointer = loop.count - 28
        #expect(loop[pointer] == 0xC0)
        loop[pointer + 1] = UInt8(pointer)
        #expect(throws: MulticastDNSError.invalidName(offset: pointer)) { try MulticastDNSMessage(parsing: loop) }
    }

    @Test func everyTruncationIsAnError() {
        for length in 0..<Self.compressed.count {
            #expect(throws: MulticastDNSError.self) {
                try MulticastDNSMessage(parsing: Array(Self.compressed.prefix(length)))
            }
        }
    }

    @Test func recordsAreBounded() throws {
        let many = MulticastDNSMessage(
            isResponse: true,
            addresses: (0..<200).map { .init(name: "n\($0).local", address: IPAddress(v4: UInt32($0))) })
        #expect(try MulticastDNSMessage(parsing: many.bytes).addresses.count == MulticastDNSMessage.maximumRecords)
    }

    @Test func mutationsNeverTrap() {
        var random = RandomSource.seeded(5_353)
        let seeds = [Self.compressed, MulticastDNSMessage(isResponse: false, questions: [Self.name]).bytes]
        var values = 0
        for _ in 0..<100_000 {
            var bytes = seeds[Int.random(in: 0..<2, using: &random)]
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2 where at > 0: bytes.removeLast(bytes.count - at)
                default: bytes.insert([0xC0, 0, 0xFF, 63][Int.random(in: 0..<4, using: &random)], at: at)
                }
            }
            if (try? MulticastDNSMessage(parsing: bytes)) != nil { values += 1 }
        }
        #expect(values > 10_000)
    }
}

/// The whole way over real multicast on the loopback interface, with a responder on a port of the test's own.
@Suite(.serialized) struct MulticastResolverTests {
    private static let loopback: UInt32 = 1

    @Test func aNameOnTheLinkIsResolved() async throws {
        let port: UInt16 = 45_353
        guard let responder = Responder(port: port, known: ["here.local": IPAddress(v4: 0xC000_0207)]) else { return }
        defer { responder.stop() }
        let resolver = MulticastResolver(interfaces: [Self.loopback], port: port, timeout: .seconds(3))
        #expect(try await resolver.resolve("Here.local.") == [IPAddress(v4: 0xC000_0207)])
        await #expect(throws: ResolveError.notFound("gone.local")) {
            try await MulticastResolver(interfaces: [Self.loopback], port: port, timeout: .milliseconds(300))
                .resolve("gone.local")
        }
        #expect(responder.asked.withLock { $0.contains("gone.local") })
    }

    @Test(arguments: ["example.com", "", ".local", "a b.local", "local", "x..local"])
    func otherNamesAreNotAskedFor(name: String) async {
        let resolver = MulticastResolver(interfaces: [Self.loopback], port: 45_354, timeout: .milliseconds(100))
        await #expect(throws: ResolveError.invalidName(name)) { try await resolver.resolve(name) }
    }

    @Test func withoutAnInterfaceNothingIsAsked() async {
        let resolver = MulticastResolver(interfaces: [], port: 45_355, timeout: .milliseconds(100))
        await #expect(throws: ResolveError.self) { try await resolver.resolve("here.local") }
    }
}

/// Answers for a few names, to the group.
private final class Responder: Sendable {
    let asked = Locked<Set<String>>([])
    private let isStopped = Locked(false)

    init?(port: UInt16, known: [String: IPAddress]) {
        let file = postern_mdns_open(4, 1, port)
        guard file >= 0 else { return nil }
        let (asked, isStopped) = (asked, isStopped)
        guard
            let thread = try? LoopThread.start(
                name: "test-mdns",
                {
                    var bytes = [UInt8](repeating: 0, count: 2_000)
                    while !isStopped.withLock({ $0 }) {
                        let files = [file]
                        guard unsafe postern_mdns_wait(files, 1, 20) > 0 else { continue }
                        let count = unsafe postern_mdns_receive(file, &bytes, bytes.count)
                        guard count > 0,
                            let message = try? MulticastDNSMessage(parsing: Array(bytes.prefix(Int(count)))),
                            !message.isResponse
                        else { continue }
                        asked.withLock { $0.formUnion(message.questions) }
                        let found = Set(message.questions).compactMap { name in
                            known[name].map { MulticastDNSMessage.Address(name: name, address: $0) }
                        }
                        if found.isEmpty { continue }
                        // Somebody else's answer first: it must not be taken for ours.
                        for addresses in [[.init(name: "other.local", address: .loopbackV4)], found] {
                            let answer = MulticastDNSMessage(isResponse: true, addresses: addresses).bytes
                            _ = unsafe postern_mdns_send(file, 4, 1, port, answer, answer.count)
                        }
                    }
                    _ = close(file)
                })
        else { return nil }
        pthread_detach(thread)
    }

    func stop() { isStopped.withLock { $0 = true } }
}
