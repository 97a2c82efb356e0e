import Peer
import Primitives
import SDP

/// Descriptions and candidates.
///
/// A program that negotiates at any time needs five things: `.negotiationNeeded` from the observer, on which it calls
/// `offerIfNeeded` and sends what it gets; `receive(_:type:isPolite:)` for what comes, and sends the answer it gets;
/// `addRemoteCandidate`; and the local candidates from the observer.
extension PeerConnection {
    // MARK: What is wanted

    /// Adds something to send, to receive, or both. It takes part from the next exchange on.
    @discardableResult
    public func addTransceiver(
        _ kind: MediaKind, direction: MediaDirection
    ) throws(NegotiationError) -> TransceiverDescription.ID {
        try negotiate { engine, _, out throws(NegotiationError) in
            let id = try engine.addTransceiver(kind, direction: direction)
            engine.noteNegotiationNeeded(into: &out)
            return id
        }
    }

    /// Changes what is sent and received, with the next exchange: hold is `inactive` or `sendOnly`, resume `sendReceive`.
    public func setDirection(
        _ direction: MediaDirection, of id: TransceiverDescription.ID
    ) throws(NegotiationError) {
        try negotiate { engine, _, out throws(NegotiationError) in
            try engine.setDirection(direction, of: id)
            engine.noteNegotiationNeeded(into: &out)
        }
    }

    /// Stops a transceiver for good; the next exchange rejects its section.
    public func stopTransceiver(_ id: TransceiverDescription.ID) throws(NegotiationError) {
        try negotiate { engine, _, out throws(NegotiationError) in
            try engine.stopTransceiver(id)
            engine.noteNegotiationNeeded(into: &out)
        }
    }

    /// Asks for new ICE credentials with the next offer. Sockets, keys and media stay.
    public func restartICE() {
        turn { engine, _, out in
            engine.restartICE()
            engine.noteNegotiationNeeded(into: &out)
        }
    }

    public var transceivers: [TransceiverDescription] { engine.transceivers }
    public var signalingState: SignalingState { engine.signalingState }
    /// Whether an offer of ours would change something now.
    public var needsNegotiation: Bool { engine.needsNegotiation }

    /// The section the transport is described in: candidates are signalled under its name.
    public var transportSection: (mid: String, index: Int) { engine.transportSection }

    /// What was agreed last; `nil` before the first answer.
    public var negotiatedSession: NegotiatedSession? { engine.negotiatedSession }

    // MARK: Negotiation at any time

    /// Makes an offer and applies it, where one is needed and no exchange is under way; `nil` otherwise.
    public func offerIfNeeded() throws(NegotiationError) -> SessionDescription? {
        try negotiate { engine, now, out throws(NegotiationError) in
            try engine.offerIfNeeded(at: now, into: &out)
        }
    }

    /// Takes in a description of the other side, whatever state we are in, and answers an offer.
    ///
    /// - Parameter isPolite: whether we give way when two offers meet; exactly one side must.
    public func receive(
        _ description: SessionDescription, type: DescriptionType, isPolite: Bool
    ) throws(NegotiationError) -> DescriptionOutcome {
        try negotiate { engine, now, out throws(NegotiationError) in
            try engine.takeDescription(description, type: type, isPolite: isPolite, at: now, into: &out)
        }
    }

    // MARK: Step by step

    /// Creates an offer and applies it as the local description.
    public func offer(iceRestart: Bool = false) throws(NegotiationError) -> SessionDescription {
        try negotiate { engine, now, out throws(NegotiationError) in
            let offer = try engine.createOffer(iceRestart: iceRestart, at: now, into: &out)
            try engine.setLocalDescription(offer, type: .offer, at: now, into: &out)
            return offer
        }
    }

    /// Creates an answer to the offer that was received and applies it as the local description.
    public func answer() throws(NegotiationError) -> SessionDescription {
        try negotiate { engine, now, out throws(NegotiationError) in
            let answer = try engine.createAnswer()
            try engine.setLocalDescription(answer, type: .answer, at: now, into: &out)
            return answer
        }
    }

    /// Creates an offer without applying it. It may be applied as long as nothing else happens in between.
    public func createOffer(iceRestart: Bool = false) throws(NegotiationError) -> SessionDescription {
        try negotiate { engine, now, out throws(NegotiationError) in
            try engine.createOffer(iceRestart: iceRestart, at: now, into: &out)
        }
    }

    public func createAnswer() throws(NegotiationError) -> SessionDescription {
        try negotiate { engine, _, _ throws(NegotiationError) in try engine.createAnswer() }
    }

    public func setLocalDescription(_ description: SessionDescription, type: DescriptionType) throws(NegotiationError) {
        try negotiate { engine, now, out throws(NegotiationError) in
            try engine.setLocalDescription(description, type: type, at: now, into: &out)
        }
    }

    /// - Parameter rollingBackOwnOffer: whether an offer that meets our own takes its place; else it is an error, `.glare`.
    public func setRemoteDescription(
        _ description: SessionDescription, type: DescriptionType, rollingBackOwnOffer: Bool = false
    ) throws(NegotiationError) {
        try negotiate { engine, now, out throws(NegotiationError) in
            try engine.setRemoteDescription(
                description, type: type, rollingBackOwnOffer: rollingBackOwnOffer, at: now, into: &out)
        }
    }

    /// Takes the pending offer back, ours or the other side's: everything is as it was before it, ICE credentials too.
    public func rollback() throws(NegotiationError) {
        try negotiate { engine, now, out throws(NegotiationError) in try engine.rollback(at: now, into: &out) }
    }

    // MARK: Candidates

    public func addRemoteCandidate(_ candidate: CandidateAttribute, mid: String? = nil, mediaIndex: Int? = nil) {
        turn { $0.addRemoteCandidate(candidate, mid: mid, mediaIndex: mediaIndex, at: $1, into: &$2) }
    }

    public func endOfRemoteCandidates() { turn { $0.endOfRemoteCandidates(at: $1, into: &$2) } }
}
