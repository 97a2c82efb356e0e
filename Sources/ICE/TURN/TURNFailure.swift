import Primitives

/// Why there is no allocation, in words for people.
public enum TURNFailure: Error, Hashable, Sendable {
    /// So many requests, and nothing that could be believed in return; `problem` is what came instead.
    case noAnswer(requests: Int, problem: String?)
    /// 401, and no user name and password were given.
    case credentialsRequired(realm: String)
    /// 401 to our user name and password (RFC 8489 §9.2.4).
    case credentialsRejected(realm: String)
    /// 441: the allocation belongs to other credentials (RFC 8656 §5).
    case wrongCredentials
    /// 437: the server has an allocation for this socket already and does not let go of it (RFC 8656 §7.4).
    case allocationMismatch
    /// 486.
    case quotaReached
    /// 508.
    case insufficientCapacity
    /// 442.
    case transportUnsupported
    /// 440.
    case familyUnsupported
    /// 403.
    case forbidden
    /// 300: another server is to be asked (RFC 8489 §10).
    case tryAlternate(TransportAddress?, domain: String?)
    /// 438 again and again, with whatever nonce.
    case nonceNeverFresh
    /// A 401 or 438 whose nonce says that password algorithms were offered, without the offer (RFC 8489 §9.2.5).
    case securityDowngrade
    /// None of the password algorithms offered is known here.
    case passwordAlgorithmsUnsupported
    case unusableAnswer(String)
    /// Any other error.
    case refused(STUNErrorCode)

    /// The failure that an error response to Allocate means.
    init(_ error: STUNErrorCode, in response: STUNMessage) {
        switch error.code {
        case 300: self = .tryAlternate(response.alternateServer, domain: response.alternateDomain)
        case 403: self = .forbidden
        case 437: self = .allocationMismatch
        case 440: self = .familyUnsupported
        case 441: self = .wrongCredentials
        case 442: self = .transportUnsupported
        case 486: self = .quotaReached
        case 508: self = .insufficientCapacity
        default: self = .refused(error)
        }
    }

    /// Whether waiting may mend it. A server that was restarted or is full may be itself again in a minute.
    var isTransient: Bool {
        switch self {
        case .noAnswer, .quotaReached, .insufficientCapacity, .nonceNeverFresh, .unusableAnswer: true
        case .refused(let error): error.code >= 500
        default: false
        }
    }

    /// The number of the STUN error behind it, where there is one (W3C RTCPeerConnectionIceErrorEvent.errorCode; 701 is
    /// its number for servers that do not answer).
    public var code: Int {
        switch self {
        case .noAnswer: 701
        case .credentialsRequired, .credentialsRejected, .securityDowngrade, .passwordAlgorithmsUnsupported: 401
        case .wrongCredentials: 441
        case .allocationMismatch: 437
        case .quotaReached: 486
        case .insufficientCapacity: 508
        case .transportUnsupported: 442
        case .familyUnsupported: 440
        case .forbidden: 403
        case .tryAlternate: 300
        case .nonceNeverFresh: 438
        case .unusableAnswer: 500
        case .refused(let error): error.code
        }
    }
}

extension TURNFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noAnswer(let requests, let problem):
            "no answer to \(requests) requests" + (problem.map { "; \($0)" } ?? "")
        case .credentialsRequired(let realm):
            "401, the server asks for a user name and password (realm \"\(printable(realm))\")"
        case .credentialsRejected(let realm):
            "401, wrong user name or password, or expired ones (realm \"\(printable(realm))\")"
        case .wrongCredentials: "441, the allocation was made with other credentials"
        case .allocationMismatch: "437, the server keeps an older allocation of this port"
        case .quotaReached: "486, this user has as many allocations as the server allows"
        case .insufficientCapacity: "508, the server has no relay port or bandwidth left"
        case .transportUnsupported: "442, the server does not relay UDP"
        case .familyUnsupported: "440, the server has no relay address of this family"
        case .forbidden: "403, the server does not allow it"
        case .tryAlternate(let address, let domain):
            "300, the server sends us to " + (address.map { "\($0)" } ?? "another one, but does not say which")
                + (domain.map { " (\(printable($0)))" } ?? "")
        case .nonceNeverFresh: "438 to every nonce that the server itself gave out"
        case .securityDowngrade: "401 from which the password algorithms were removed on the way"
        case .passwordAlgorithmsUnsupported: "401 with no password algorithm that is known here"
        case .unusableAnswer(let what): "unusable answer: \(what)"
        case .refused(let error): "\(error)"
        }
    }
}

/// Text from the network without control characters, cut to a length for one line.
func printable(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.prefix(100).filter { $0.value >= 32 && $0.value != 127 }))
}
