/// Who gives way when both sides offer at once ("perfect negotiation", W3C webrtc-pc §10.7).
///
/// Either side may offer at any time, and signalling takes its time, so two offers can meet. The two sides are told apart
/// by a flag that signalling hands out, exactly one of them *polite*:
///
///     offer arrives, we are stable            → take it
///     offer arrives, ours is out, impolite    → ignore it and its candidates; the other side will take ours
///     offer arrives, ours is out, polite      → roll ours back and take it; what ours was for is offered again
///     answer arrives without an offer of ours → ignore it: it answers an offer that was rolled back
///
/// It says what to do and does nothing; the state it needs beyond the signalling state is one: whether the offer that came
/// last was ignored, since candidates that follow it are for descriptions that never were.
public struct PerfectNegotiation: Hashable, Sendable {
    public enum Verdict: Hashable, Sendable {
        case take
        case takeAfterRollback
        case ignore(because: String)
    }

    /// Whether the offer that came last was ignored; its candidates are too.
    public private(set) var isIgnoringOffer = false

    public init() {}

    /// Whether an offer of ours may leave now. Otherwise it is made when the exchange under way is over.
    public func mayOffer(in state: SignalingState) -> Bool { state == .stable }

    /// A description of the other side, before it is set.
    public mutating func receive(_ type: DescriptionType, isPolite: Bool, in state: SignalingState) -> Verdict {
        switch (type, state) {
        case (_, .closed): return .ignore(because: "the session is closed")
        case (.offer, .stable), (.offer, .haveRemoteOffer):
            isIgnoringOffer = false
            return .take
        case (.offer, .haveLocalOffer) where isPolite:
            isIgnoringOffer = false
            return .takeAfterRollback
        case (.offer, _):
            isIgnoringOffer = true
            return .ignore(because: "it met an offer of ours, and the other side gives way")
        case (.answer, .haveLocalOffer), (.answer, .haveRemoteProvisionalAnswer),
            (.provisionalAnswer, .haveLocalOffer), (.provisionalAnswer, .haveRemoteProvisionalAnswer):
            isIgnoringOffer = false
            return .take
        case (.answer, _), (.provisionalAnswer, _):
            return .ignore(because: "no offer of ours waits for it")
        case (.rollback, .haveRemoteOffer):
            return .take
        case (.rollback, _):
            isIgnoringOffer = false
            return .ignore(because: "no offer of the other side is pending")
        }
    }
}
