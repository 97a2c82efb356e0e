/// What a `RoomServer` is started with.
public struct RoomServerConfiguration: Sendable {
    /// An address to listen on, or a name of this machine.
    public var host = "127.0.0.1"
    /// 0 takes a free one.
    public var port = 8099
    /// Who does not know it gets no room; `nil` lets anyone in who can reach the server.
    public var token: String?
    /// Origins of web pages that may open a WebSocket besides this server's own page, such as `https://example.org`.
    public var origins: [String] = []
    public var tls: TLSIdentity?
    public var limits = SignalingLimits()
    /// Whether the server answers every room itself: see `RoomServer.residents`.
    public var hasResidents = false

    public init() {}
}

/// A certificate chain and its key, PEM.
public struct TLSIdentity: Sendable {
    public var certificates: String
    public var key: String

    public init(certificates: String, key: String) {
        self.certificates = certificates
        self.key = key
    }
}

/// Why a server could not start.
public struct RoomServerError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable { case address, certificate }
    public var kind: Kind
    public var description: String
}
