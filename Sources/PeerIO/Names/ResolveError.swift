import Primitives

/// Why a host name gave no address.
public enum ResolveError: Error, Hashable, Sendable {
    /// Not a host name: empty, longer than 253 bytes, or with bytes that no name has.
    case invalidName(String)
    /// The name does not exist, or has no address of the family asked for.
    case notFound(String)
    /// The name servers did not answer, or answered that they could not.
    case temporaryFailure(String)
    case timedOut(String, after: TimeDelta)
    /// A `.local` name (RFC 6762) was given to the resolver of all other names; `MulticastResolver` takes it.
    case multicastNameUnsupported(String)
    /// More lookups are waiting than the resolver takes.
    case overloaded(String)
    case cancelled(String)
    /// Anything else, in the system's words.
    case failed(String, reason: String)
}

extension ResolveError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .invalidName(let name): "\"\(name)\" is not a host name"
        case .notFound(let name): "\(name) has no address: check the name, and which DNS this host uses"
        case .temporaryFailure(let name): "\(name) could not be looked up: the name servers do not answer"
        case .timedOut(let name, let after): "\(name) was not resolved within \(after)"
        case .multicastNameUnsupported(let name):
            "\(name) is a multicast DNS name, which is looked up for candidates only"
        case .overloaded(let name): "\(name) was not looked up: too many lookups are waiting"
        case .cancelled(let name): "the lookup of \(name) was cancelled"
        case .failed(let name, let reason): "\(name) could not be looked up: \(reason)"
        }
    }
}
