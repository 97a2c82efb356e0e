import Primitives

/// Why a check failed. None of these is the end of a pair: it is checked again, more slowly.
public enum CheckFailure: Hashable, Sendable {
    case noResponse(requests: Int)
    /// Answered from another address than asked (RFC 8445 §7.2.5.2.1).
    case responseFromElsewhere(NetworkPath)
    case errorResponse(STUNErrorCode)
    /// An error response without valid MESSAGE-INTEGRITY: believed only as far as a hint goes.
    case unauthenticatedErrorResponse(STUNErrorCode)
    /// The response demands to understand what we do not (RFC 8489 §6.3.3).
    case unknownAttributes([UInt16])
    case unreachable(String)
    /// The TCP connection could not be made, or ended (RFC 6544 §7.1).
    case connectionFailed(String)
    case consentExpired
}

extension CheckFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noResponse(let requests): "no response to \(requests) requests"
        case .responseFromElsewhere(let path): "asymmetric: answered from \(path.remote) to \(path.local)"
        case .errorResponse(let error): "error \(error.code) \(error.reason)"
        case .unauthenticatedErrorResponse(let error): "unauthenticated error \(error.code) \(error.reason)"
        case .unknownAttributes(let types): "response demands unknown attributes \(types)"
        case .unreachable(let reason): "unreachable: \(reason)"
        case .connectionFailed(let reason): "TCP connection: \(reason)"
        case .consentExpired: "consent expired"
        }
    }
}
