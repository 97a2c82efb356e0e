import CLinuxIO
import Glibc
import Primitives

/// Host names to addresses, with the system's resolver (`getaddrinfo`: hosts file, DNS), off every other thread.
///
/// The system's call blocks, so it runs on threads of its own (`LookupThreads`).
public final class Resolver: Sendable {
    /// The blocking lookup; every address of `name`, in the system's order (RFC 6724).
    typealias Lookup = @Sendable (_ name: String) -> Result<[IPAddress], ResolveError>

    private let threads: LookupThreads<[IPAddress]>
    private let lookup: Lookup

    /// - Parameters:
    ///   - threadLimit: lookups under way at a time.
    ///   - waitingLimit: lookups that wait for a thread; one more fails with `.overloaded`.
    public convenience init(threadLimit: Int = 4, waitingLimit: Int = 64) {
        self.init(threadLimit: threadLimit, waitingLimit: waitingLimit, lookup: systemLookup)
    }

    init(threadLimit: Int, waitingLimit: Int, lookup: @escaping Lookup) {
        threads = LookupThreads(threadLimit: threadLimit, waitingLimit: waitingLimit)
        self.lookup = lookup
    }

    /// The addresses of `host`, at least one, most preferred first. An address in text gives itself.
    public func resolve(
        _ host: String, family: IPAddress.Family? = nil, timeout: TimeDelta = .seconds(5)
    ) async throws(ResolveError) -> [IPAddress] {
        if let literal = IPAddress(host) {
            guard family == nil || family == literal.family else { throw .notFound(host) }
            return [literal]
        }
        guard Self.isHostName(host) else { throw .invalidName(host) }
        let lowered = host.lowercased()
        if lowered.hasSuffix(".local") || lowered.hasSuffix(".local.") { throw .multicastNameUnsupported(host) }

        let addresses = try await answer(host, timeout: timeout).filter { family == nil || $0.family == family }
        guard !addresses.isEmpty else { throw .notFound(host) }
        return addresses
    }

    /// What the lookup of a name says, taken as it is.
    func answer(_ host: String, timeout: TimeDelta) async throws(ResolveError) -> [IPAddress] {
        try await threads.answer(host, timeout: timeout) { [lookup] in lookup(host) }
    }

    /// Lookups that wait for a thread.
    var waiting: Int { threads.waitingCount }

    /// Letters, digits, hyphens, underscores and dots, 253 bytes at most, the last label not a number (RFC 1123 §2.1, and
    /// what is met in practice).
    static func isHostName(_ text: String) -> Bool {
        let bytes = text.utf8
        guard (1...254).contains(bytes.count), bytes.count < 254 || bytes.last == 0x2E, bytes.first != 0x2E,
            !text.contains("..")
        else { return false }
        // The system would read "1" or "010.0.0.1" as addresses, and not as the user meant them.
        guard text.split(separator: ".").last.map({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) == false
        else { return false }
        return bytes.allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
            default: false
            }
        }
    }
}

private func systemLookup(_ name: String) -> Result<[IPAddress], ResolveError> {
    var raw: UnsafeMutablePointer<addrinfo>?
    let code = unsafe postern_resolve(name, &raw)
    guard code == 0 else {
        switch postern_resolve_verdict(code) {
        case 1: return .failure(.notFound(name))
        case 2: return .failure(.temporaryFailure(name))
        default: return .failure(.failed(name, reason: unsafe String(cString: gai_strerror(code))))
        }
    }
    defer { unsafe freeaddrinfo(raw) }
    var addresses: [IPAddress] = []
    var cursor = unsafe raw
    while let entry = unsafe cursor, addresses.count < 64 {
        var address = postern_address.none
        unsafe postern_from_sockaddr(entry.pointee.ai_addr, &address)
        if address.family != 0, !addresses.contains(address.ip) { addresses.append(address.ip) }
        unsafe cursor = entry.pointee.ai_next
    }
    return .success(addresses)
}
