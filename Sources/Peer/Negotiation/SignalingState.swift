/// Where an offer/answer exchange stands (RFC 9429 §3.2).
public enum SignalingState: String, Hashable, Sendable {
    case stable
    case haveLocalOffer = "have-local-offer"
    case haveRemoteOffer = "have-remote-offer"
    case haveLocalProvisionalAnswer = "have-local-pranswer"
    case haveRemoteProvisionalAnswer = "have-remote-pranswer"
    case closed
}

/// What a description is (RFC 9429 §3.2). Raw values are those of the W3C API and of signalling messages.
public enum DescriptionType: String, Hashable, Sendable {
    case offer
    case answer
    case provisionalAnswer = "pranswer"
    case rollback
}

/// How sections after the first are written in offers. Either way there is one transport.
public enum BundlePolicy: Hashable, Sendable {
    /// Every section carries a port and the transport's attributes, as Chromium writes it. Peers exist that read port 0
    /// as a rejection even beside `a=bundle-only`.
    case maxBundleWithPorts
    /// Sections not yet negotiated have port 0 and `a=bundle-only` (RFC 9429 §5.2.1, policy `max-bundle`).
    case maxBundle
}
