import Primitives

/// A server that tells us our outside address (RFC 8489), already resolved.
public struct STUNServer: Hashable, Sendable {
    public var url: String
    public var address: TransportAddress

    public init(url: String, address: TransportAddress) {
        self.url = url
        self.address = address
    }
}
