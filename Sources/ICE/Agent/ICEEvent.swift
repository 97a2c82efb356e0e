import Primitives

/// What the owner of an agent has to know or do.
public enum ICEEvent: Hashable, Sendable {
    /// To be signaled. Its ufrag names the generation.
    case localCandidate(Candidate)
    case gatheringStateChanged(ICEGatheringState)
    case connectionStateChanged(ICEConnectionState)
    /// Where to send DTLS and media; `nil` stops all sending.
    case sendingPathChanged(NetworkPath?)
    case selectedPairChanged(local: Candidate, remote: Candidate, path: NetworkPath)
    /// A TURN server is reached by TCP or TLS: a connection is to be made, and told by `relayConnected` or
    /// `relayDisconnected`; so is one after it was lost.
    case relayConnectionWanted(RelayServer)
    /// No STUN: what a TURN server delivered, on the path from our relayed address to the peer.
    case relayedDatagram(Datagram)
    /// Nothing was answered for 30 s (RFC 7675 §5.1).
    case consentExpired
    /// The other side came with new credentials; ours are new now, too, and belong in the answer (RFC 8839 §4.4.2).
    case restartedByRemote
    /// The call stood, and nothing of the other side was heard for so long: it may have given up checking, and begins
    /// again only with an ICE restart. Told again while it lasts.
    case restartWanted(silence: TimeDelta)
}
