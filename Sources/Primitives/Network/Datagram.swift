/// What carries datagrams: UDP, or frames in a TCP connection (RFC 4571).
public enum PathTransport: UInt8, Hashable, Sendable {
    case udp
    case tcp
}

/// The way a datagram takes: our socket and the far address. ICE state lives on this pair of addresses.
///
/// Over TCP it names a connection: one we accepted by the listener's address and the far one, one we make by port 9 of our
/// address (RFC 6544 §4.5) and the far listener's, so that it keeps its name when it has to be made again.
public struct NetworkPath: Hashable, Sendable {
    /// The address our socket is bound to (the base of its candidates, RFC 8445 §5.1.1.2).
    public var local: TransportAddress
    public var remote: TransportAddress
    public var transport: PathTransport

    @inlinable public init(local: TransportAddress, remote: TransportAddress, transport: PathTransport = .udp) {
        self.local = local
        self.remote = remote
        self.transport = transport
    }
}

extension NetworkPath: CustomStringConvertible {
    public var description: String { "\(transport == .tcp ? "tcp " : "")\(local)→\(remote)" }
}

/// A UDP payload, or a frame of a connection, with its path, inbound or outbound.
public struct Datagram: Hashable, Sendable {
    public var bytes: [UInt8]
    public var path: NetworkPath

    @inlinable public init(bytes: [UInt8], path: NetworkPath) {
        self.bytes = bytes
        self.path = path
    }
}
