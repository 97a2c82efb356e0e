import Primitives
import SDP

/// What a description of the other side came to.
public enum DescriptionOutcome: Hashable, Sendable {
    /// It was an offer, and is answered: this is to be sent.
    case answered(SessionDescription)
    /// It was an answer, and is set.
    case set
    /// It met an offer of ours, or came too late. Nothing is to be sent.
    case ignored(reason: String)
}

/// Offers and answers at any time, from either side, by the rules of `PerfectNegotiation`.
extension PeerEngine {
    /// Makes and sets an offer where one is needed and may leave; `nil` otherwise. What could not be offered now is told
    /// again by `.negotiationNeeded` when the exchange under way is over.
    public mutating func offerIfNeeded(
        at now: Instant, into out: inout Output
    ) throws(NegotiationError) -> SessionDescription? {
        guard perfectNegotiation.mayOffer(in: signalingState), needsNegotiation else { return nil }
        let offer = try createOffer(at: now, into: &out)
        try setLocalDescription(offer, type: .offer, at: now, into: &out)
        return offer
    }

    /// Takes a description of the other side in, and answers it where it is an offer.
    ///
    /// - Parameter isPolite: whether we give way when offers meet. Signalling decides; exactly one side must.
    public mutating func takeDescription(
        _ description: SessionDescription, type: DescriptionType, isPolite: Bool, at now: Instant,
        into out: inout Output
    ) throws(NegotiationError) -> DescriptionOutcome {
        switch perfectNegotiation.receive(type, isPolite: isPolite, in: signalingState) {
        case .ignore(let reason):
            trace(.peer(.remoteDescriptionIgnored(type: type.rawValue, reason: reason)), at: now, into: &out)
            return .ignored(reason: reason)
        case .take:
            try setRemoteDescription(description, type: type, at: now, into: &out)
        case .takeAfterRollback:
            try setRemoteDescription(description, type: type, rollingBackOwnOffer: true, at: now, into: &out)
        }
        guard type == .offer else { return .set }
        do {
            let answer = try createAnswer()
            try setLocalDescription(answer, type: .answer, at: now, into: &out)
            return .answered(answer)
        } catch {
            // An offer without an answer must not block every later one.
            if signalingState == .haveRemoteOffer { try rollback(at: now, into: &out) }
            throw error
        }
    }
}
