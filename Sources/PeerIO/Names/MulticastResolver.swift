import CLinuxIO
import Glibc
import Primitives

/// Looks up `.local` names by multicast DNS (RFC 6762): what browsers put in their candidates in place of addresses.
///
/// Questions leave on the interfaces that were named and on no other, from port 5353 as RFC 6762 §6 wants it of those who
/// understand multicast answers: browsers answer to the group only. A name is asked for three times within a second and a
/// half; the first datagram that tells an address of it ends the lookup. Nothing is kept from one lookup to the next, and
/// nothing is ever answered.
///
/// Lookups run on a few threads of their own (`Resolver`), so their number is bounded.
public final class MulticastResolver: Sendable {
    private let resolver: Resolver
    private let timeout: TimeDelta

    /// Interfaces asked on at most; each takes a socket a family.
    public static let maximumInterfaces = 8
    public static let port: UInt16 = 5_353

    /// - Parameters:
    ///   - interfaces: indices of the interfaces to ask on.
    ///   - timeout: when to give up; browsers on the link answer within milliseconds.
    public convenience init(interfaces: [UInt32], timeout: TimeDelta = .seconds(3)) {
        self.init(interfaces: interfaces, port: Self.port, timeout: timeout)
    }

    init(interfaces: [UInt32], port: UInt16, timeout: TimeDelta) {
        self.timeout = timeout
        let interfaces = Array(interfaces.prefix(Self.maximumInterfaces))
        resolver = Resolver(threadLimit: 4, waitingLimit: 16) { name in
            MulticastLookup(name: name, port: port).run(on: interfaces, timeout: timeout)
        }
    }

    /// The addresses of a name under `.local`, at least one.
    public func resolve(_ name: String) async throws(ResolveError) -> [IPAddress] {
        guard let name = Self.multicastName(name) else { throw .invalidName(name) }
        return try await resolver.answer(name, timeout: timeout + .seconds(2))
    }

    /// A host name under `.local`, in lower case and without a final dot; `nil` for any other text.
    static func multicastName(_ text: String) -> String? {
        guard Resolver.isHostName(text) else { return nil }
        var name = text.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        guard name.hasSuffix(".local"), name.split(separator: ".").allSatisfy({ $0.utf8.count <= 63 }) else {
            return nil
        }
        return name
    }
}

/// One lookup, on a thread that may block.
struct MulticastLookup {
    var name: String
    var port: UInt16

    private struct Socket {
        var file: Int32
        var family: Int32
        var interface: UInt32
    }

    /// Milliseconds after the start at which the question goes out (RFC 6762 §5.2 spaces repeats by a second and more;
    /// the first repeat is early, since a call waits).
    private static let schedule = [0, 400, 1_500]

    func run(on interfaces: [UInt32], timeout: TimeDelta) -> Result<[IPAddress], ResolveError> {
        var sockets: [Socket] = []
        var failure: Int32 = ENODEV
        for interface in interfaces {
            for family: Int32 in [4, 6] {
                let file = postern_mdns_open(family, interface, port)
                if file >= 0 {
                    sockets.append(Socket(file: file, family: family, interface: interface))
                } else {
                    failure = -file
                }
            }
        }
        defer { for socket in sockets { _ = close(socket.file) } }
        guard !sockets.isEmpty else { return .failure(failed(failure)) }
        return ask(sockets, timeout: timeout)
    }

    private func ask(_ sockets: [Socket], timeout: TimeDelta) -> Result<[IPAddress], ResolveError> {
        let question = MulticastDNSMessage(isResponse: false, questions: [name]).bytes
        let files = sockets.map(\.file)
        let start = milliseconds()
        let end = Swift.max(0, Int(clamping: timeout.milliseconds))
        var sent = 0
        while true {
            let elapsed = Int(clamping: milliseconds() - start)
            if elapsed >= end { return .failure(.notFound(name)) }
            if sent < Self.schedule.count, elapsed >= Self.schedule[sent] {
                sent += 1
                var failure: Int32 = 0
                var hasLeft = false
                for socket in sockets {
                    let result = unsafe postern_mdns_send(
                        socket.file, socket.family, socket.interface, port, question, question.count)
                    if result == 0 { hasLeft = true } else { failure = -result }
                }
                if !hasLeft { return .failure(failed(failure)) }
            }
            let next = sent < Self.schedule.count ? Self.schedule[sent] : end
            let wait = Swift.max(1, Swift.min(next, end) - elapsed)
            guard unsafe postern_mdns_wait(files, Int32(files.count), Int32(clamping: wait)) > 0 else { continue }
            let found = answers(on: files)
            if !found.isEmpty { return .success(found) }
        }
    }

    /// The addresses in what has come. Other hosts' questions and answers come too; a flood of them is read in portions.
    private func answers(on files: [Int32]) -> [IPAddress] {
        var found: [IPAddress] = []
        var bytes = [UInt8](repeating: 0, count: 9_000)
        for file in files {
            for _ in 0..<32 {
                let count = unsafe postern_mdns_receive(file, &bytes, bytes.count)
                guard count > 0 else { break }
                guard let message = try? MulticastDNSMessage(parsing: Array(bytes.prefix(Int(count)))),
                    message.isResponse
                else { continue }
                for record in message.addresses
                where record.name == name && Self.isUsable(record.address) && !found.contains(record.address) {
                    found.append(record.address)
                }
            }
        }
        return found
    }

    /// An address a host may have.
    private static func isUsable(_ address: IPAddress) -> Bool {
        if address.isUnspecified { return false }
        return address.family == .ipv4 ? address.words.lower >> 28 < 0xE : address.words.upper >> 56 != 0xFF
    }

    private func failed(_ code: Int32) -> ResolveError {
        .failed(name, reason: "no question could be asked: \(unsafe String(cString: strerror(code)))")
    }

    private func milliseconds() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
