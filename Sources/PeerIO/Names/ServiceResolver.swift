import CLinuxIO
import Primitives

/// Where a service is (RFC 2782).
public struct SRVRecord: Hashable, Sendable {
    /// The lowest is asked first.
    public var priority: UInt16
    /// A share among those of one priority.
    public var weight: UInt16
    public var port: UInt16
    /// A host name; "." says that there is no such service.
    public var target: String

    public init(priority: UInt16, weight: UInt16, port: UInt16, target: String) {
        self.priority = priority
        self.weight = weight
        self.port = port
        self.target = target
    }
}

/// What services a domain has, and where to look for each (RFC 3403 §4.1, RFC 3958 §2).
public struct NAPTRRecord: Hashable, Sendable {
    public var order: UInt16
    public var preference: UInt16
    /// `s`: SRV records of the replacement come next, `a`: its addresses, empty: its own NAPTR records.
    public var flags: String
    /// An application service tag and protocol tags, such as `RELAY:turn.udp:turn.tcp`.
    public var service: String
    public var replacement: String

    public init(order: UInt16, preference: UInt16, flags: String, service: String, replacement: String) {
        self.order = order
        self.preference = preference
        self.flags = flags
        self.service = service
        self.replacement = replacement
    }
}

/// Looks up the records by which a domain names its servers, with the system's stub resolver, off every other thread.
public final class ServiceResolver: Sendable {
    private let threads = LookupThreads<[RawRecord]>(threadLimit: 4, waitingLimit: 64)
    private let server: (host: String, port: UInt16)?

    /// Records of one answer that are looked at.
    static let maximumRecords = 32

    /// - Parameter server: an IPv4 name server to ask in place of the system's.
    public init(server: TransportAddress? = nil) {
        self.server = server.map { ("\($0.ip)", $0.port) }
    }

    /// SRV records in no order; none where the name has none.
    public func services(_ name: String, timeout: TimeDelta = .seconds(5)) async throws(ResolveError) -> [SRVRecord] {
        try await records(name, type: postern_type_srv(), timeout: timeout).map {
            SRVRecord(priority: $0.first, weight: $0.second, port: $0.port, target: $0.target)
        }
    }

    /// NAPTR records in no order; none where the name has none. Those with a regular expression are left out: S-NAPTR has
    /// none (RFC 3958 §2.2.4).
    public func pointers(_ name: String, timeout: TimeDelta = .seconds(5)) async throws(ResolveError) -> [NAPTRRecord] {
        try await records(name, type: postern_type_naptr(), timeout: timeout).filter { !$0.isRewriting }.map {
            NAPTRRecord(
                order: $0.first, preference: $0.second, flags: $0.flags.lowercased(), service: $0.service,
                replacement: $0.target)
        }
    }

    private func records(_ name: String, type: Int32, timeout: TimeDelta) async throws(ResolveError) -> [RawRecord] {
        guard Resolver.isHostName(name) else { throw .invalidName(name) }
        return try await threads.answer(name, timeout: timeout) { [server] in
            var found = [postern_record](repeating: postern_record(), count: Self.maximumRecords)
            let count = unsafe postern_query(name, type, server?.host, server?.port ?? 0, &found, Int32(found.count))
            guard count >= 0 else { return .failure(.temporaryFailure(name)) }
            return .success(found.prefix(Int(count)).map(RawRecord.init))
        }
    }
}

private struct RawRecord: Sendable {
    var first: UInt16
    var second: UInt16
    var port: UInt16
    var isRewriting: Bool
    var flags: String
    var service: String
    var target: String

    init(_ record: postern_record) {
        first = record.first
        second = record.second
        port = record.port
        isRewriting = record.is_rewriting != 0
        flags = unsafe withUnsafeBytes(of: record.flags) { unsafe text(of: $0) }
        service = unsafe withUnsafeBytes(of: record.service) { unsafe text(of: $0) }
        target = unsafe withUnsafeBytes(of: record.target) { unsafe text(of: $0) }
    }
}

private func text(of bytes: UnsafeRawBufferPointer) -> String {
    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
}
