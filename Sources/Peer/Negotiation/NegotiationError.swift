/// A description that cannot be created or applied. The negotiator is unchanged when it is thrown.
public struct NegotiationError: Error, Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// The call does not fit the signalling state: a mistake of the application.
        case wrongState
        /// A remote offer met our own: roll ours back or refuse theirs.
        case glare
        /// The remote description breaks RFC 9429, RFC 3264 or RFC 8843: a mistake of the peer.
        case invalidRemoteDescription
        /// The peer wants something allowed that this implementation does not do.
        case unsupported
        /// The certificate fingerprint changed without an ICE restart (RFC 8842 §5.1).
        case fingerprintChange
        /// The local description is not the one created last.
        case modifiedDescription
        case unknownTransceiver
        /// A cap of `Negotiator.Limits`.
        case limit
    }
    public var kind: Kind
    /// The section's index, from 0; `nil` for the description as a whole.
    public var mediaIndex: Int?
    public var mid: String?
    public var problem: String
    public var remedy: String

    init(_ kind: Kind, at mediaIndex: Int? = nil, mid: String? = nil, _ problem: String, _ remedy: String) {
        self.kind = kind
        self.mediaIndex = mediaIndex
        self.mid = mid
        self.problem = problem
        self.remedy = remedy
    }
}

extension NegotiationError: CustomStringConvertible {
    public var description: String {
        guard let mediaIndex else { return "\(problem); \(remedy)" }
        return "m-line \(mediaIndex)\(mid.map { " (mid \($0))" } ?? ""): \(problem); \(remedy)"
    }
}
