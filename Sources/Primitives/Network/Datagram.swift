/// The way a datagram takes: our socket and the far address. ICE state lives on this pair of addresses.
public struct NetworkPath: Hashable, Sendable {
    /// The address our socket is bound to (the base of its candidates, RFC 8445 §5.1.1.2).
    public var local: TransportAddress
    public var remote: TransportAddress

    @inlinable public init(local: TransportAddress, remote: TransportAddress) {
        self.local = local
        self.remote = remote
    }
}

extension NetworkPath: CustomStringConvertible {
    public var description: String { "\(local)→\(remote)" }
}

/// A UDP payload with its path, inbound or outbound.
public struct Datagram: Hashable, Sendable {
    public var bytes: [UInt8]
    public var path: NetworkPath

    @inlinable public init(bytes: [UInt8], path: NetworkPath) {
        self.bytes = bytes
        self.path = path
    }
}
