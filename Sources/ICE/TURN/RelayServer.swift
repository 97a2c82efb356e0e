import Primitives

/// A TURN server that gives us relayed addresses (RFC 8656), already resolved.
public struct RelayServer: Hashable, Sendable {
    /// As it was configured, without credentials: what candidates, traces and reports name it by.
    public var url: String
    public var address: TransportAddress
    public var credential: TURNCredential?
    /// Reached by a connection, which whoever drives the agent makes (`ICEEvent.relayConnectionWanted`).
    public var stream: RelayStream?
    /// The connection leads through a proxy, which `address` is of.
    public var tunnel: HTTPTunnel?
    /// Another server sent us here (RFC 8489 §10): it is followed once.
    var isRedirected = false

    public init(
        url: String, address: TransportAddress, credential: TURNCredential? = nil, stream: RelayStream? = nil,
        tunnel: HTTPTunnel? = nil
    ) {
        self.url = url
        self.address = address
        self.credential = credential
        self.stream = stream
        self.tunnel = tunnel
    }

    /// The same service at another address.
    func redirected(to other: TransportAddress) -> RelayServer {
        var server = self
        server.isRedirected = true
        guard tunnel != nil else {
            server.address = other
            return server
        }
        server.tunnel?.host = "\(other.ip)"
        server.tunnel?.port = other.port
        return server
    }
}

/// TCP, or TLS over it.
public enum RelayStream: Hashable, Sendable {
    case tcp
    /// The server's certificate has to bear this name or address.
    case tls(host: String)
}

/// Which candidates an agent may use (RFC 8828 §5.2; `iceTransportPolicy` of W3C webrtc has the first two).
public enum ICETransportPolicy: String, Hashable, Sendable, CaseIterable {
    case all
    /// Relayed ones only: our addresses are neither told nor used, and what comes to them directly is not answered.
    case relay
    /// No server is asked, and none learns of us.
    case hostOnly = "host-only"
}
