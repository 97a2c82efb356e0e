/// Who speaks first in the handshake: `a=setup:active` is the client, `passive` the server (RFC 5763 §5, RFC 8842).
public enum DTLSRole: String, Hashable, Sendable, CaseIterable {
    case client
    case server

    public var opposite: DTLSRole { self == .client ? .server : .client }
}
