/// Why a datagram had no effect.
public enum ICEDropReason: Hashable, Sendable {
    case malformed(STUNParseError)
    case wrongFingerprint
    case unknownMethod(UInt16)
    case missingCredentials
    case unknownUfrag(String)
    case wrongIntegrity
    case unmatchedResponse
    /// Too many early checks.
    case earlyChecksFull
    /// It came to a socket of ours directly, and only relayed addresses may be used.
    case notRelayed
}

extension ICEDropReason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let error): "malformed (\(error))"
        case .wrongFingerprint: "wrong FINGERPRINT"
        case .unknownMethod(let method): "unknown method \(method)"
        case .missingCredentials: "USERNAME or MESSAGE-INTEGRITY missing"
        case .unknownUfrag(let ufrag): "unknown ufrag \(ufrag)"
        case .wrongIntegrity: "wrong MESSAGE-INTEGRITY"
        case .unmatchedResponse: "response to no request"
        case .earlyChecksFull: "too many early checks"
        case .notRelayed: "not through a relay, and only relays may be used"
        }
    }
}
