import Peer
import Primitives
import SDP
import Testing

/// What each call does in each signalling state (RFC 9429 §3.2, §4.1; W3C webrtc-pc §4.4.1.5).
@Suite struct NegotiationStateTests {
    enum Operation: String, CaseIterable, Sendable {
        case createOffer, createAnswer
        case localOffer, localAnswer, localProvisionalAnswer, localRollback
        case remoteOffer, remoteAnswer, remoteProvisionalAnswer, remoteRollback
    }

    /// The state afterwards. What is not here is refused and changes nothing.
    ///
    /// One departure from the W3C: an offer is made in the stable state only, so `localOffer` cannot replace itself. A
    /// remote offer that meets ours is an error unless the caller asks for the rollback, so that both kinds of peer (polite
    /// and not) can be made of it.
    static let allowed: [SignalingState: [Operation: SignalingState]] = [
        .stable: [.createOffer: .stable, .localOffer: .haveLocalOffer, .remoteOffer: .haveRemoteOffer],
        .haveLocalOffer: [
            .localRollback: .stable, .remoteRollback: .stable, .remoteAnswer: .stable,
            .remoteProvisionalAnswer: .haveRemoteProvisionalAnswer,
        ],
        .haveRemoteOffer: [
            .createAnswer: .haveRemoteOffer, .localAnswer: .stable,
            .localProvisionalAnswer: .haveLocalProvisionalAnswer, .localRollback: .stable, .remoteRollback: .stable,
            .remoteOffer: .haveRemoteOffer,
        ],
        .haveLocalProvisionalAnswer: [
            .createAnswer: .haveLocalProvisionalAnswer, .localAnswer: .stable,
            .localProvisionalAnswer: .haveLocalProvisionalAnswer,
        ],
        .haveRemoteProvisionalAnswer: [
            .remoteAnswer: .stable, .remoteProvisionalAnswer: .haveRemoteProvisionalAnswer,
        ],
        .closed: [:],
    ]
    static let states: [SignalingState] = [
        .stable, .haveLocalOffer, .haveRemoteOffer, .haveLocalProvisionalAnswer, .haveRemoteProvisionalAnswer, .closed,
    ]

    /// A negotiator in a state, an offer for it, and an answer to the offer it has out (or to any).
    private func subject(
        in state: SignalingState
    ) throws -> (Negotiator, offer: SessionDescription, answer: SessionDescription) {
        var subject = Negotiator(cname: "us", random: .seeded(1))
        try subject.addTransceiver(.audio)
        var peer = Negotiator(cname: "them", random: .seeded(2))
        try peer.addTransceiver(.audio)
        let offer = try peer.createOffer(transport: .sample("them", certificate: 2))
        let mine = try subject.createOffer(transport: .sample("us", certificate: 1))
        var answerer = Negotiator(cname: "them", random: .seeded(3))
        let (answer, _) = try answered(mine, by: &answerer, transport: .sample("them", certificate: 2))
        switch state {
        case .stable: break
        case .haveLocalOffer: try subject.setLocalDescription(mine, type: .offer)
        case .haveRemoteProvisionalAnswer:
            try subject.setLocalDescription(mine, type: .offer)
            try subject.setRemoteDescription(answer, type: .provisionalAnswer)
        case .haveRemoteOffer: try subject.setRemoteDescription(offer, type: .offer)
        case .haveLocalProvisionalAnswer:
            try subject.setRemoteDescription(offer, type: .offer)
            let early = try subject.createAnswer(transport: .sample("us", certificate: 1))
            try subject.setLocalDescription(early, type: .provisionalAnswer)
        case .closed: subject.close()
        }
        #expect(subject.signalingState == state)
        return (subject, offer, answer)
    }

    private func perform(
        _ operation: Operation, on subject: inout Negotiator, offer: SessionDescription, answer: SessionDescription
    ) throws(NegotiationError) {
        let transport = TransportParameters.sample("us", certificate: 1)
        switch operation {
        case .createOffer: _ = try subject.createOffer(transport: transport)
        case .createAnswer: _ = try subject.createAnswer(transport: transport)
        case .localOffer:
            try subject.setLocalDescription(try subject.createOffer(transport: transport), type: .offer)
        case .localAnswer:
            try subject.setLocalDescription(try subject.createAnswer(transport: transport), type: .answer)
        case .localProvisionalAnswer:
            try subject.setLocalDescription(try subject.createAnswer(transport: transport), type: .provisionalAnswer)
        case .localRollback: try subject.setLocalDescription(offer, type: .rollback)
        case .remoteOffer: try subject.setRemoteDescription(offer, type: .offer)
        case .remoteAnswer: try subject.setRemoteDescription(answer, type: .answer)
        case .remoteProvisionalAnswer: try subject.setRemoteDescription(answer, type: .provisionalAnswer)
        case .remoteRollback: try subject.setRemoteDescription(offer, type: .rollback)
        }
    }

    @Test(arguments: states, Operation.allCases)
    func everyCallInEveryState(_ state: SignalingState, _ operation: Operation) throws {
        var (subject, offer, answer) = try subject(in: state)
        let before = subject.transceivers
        let expected = Self.allowed[state]?[operation]
        do throws(NegotiationError) {
            try perform(operation, on: &subject, offer: offer, answer: answer)
            #expect(expected == subject.signalingState, "\(operation.rawValue) in \(state.rawValue)")
        } catch {
            #expect(expected == nil, "\(operation.rawValue) in \(state.rawValue): \(error)")
            #expect(subject.signalingState == state && subject.transceivers == before && !error.remedy.isEmpty)
        }
    }

    // MARK: Who gives way

    static let verdicts: [(DescriptionType, SignalingState, polite: Bool, String)] = [
        (.offer, .stable, false, "take"), (.offer, .stable, true, "take"),
        (.offer, .haveLocalOffer, false, "ignore"), (.offer, .haveLocalOffer, true, "rollback"),
        (.offer, .haveRemoteOffer, false, "take"), (.offer, .haveRemoteProvisionalAnswer, true, "ignore"),
        (.answer, .stable, true, "ignore"), (.answer, .haveLocalOffer, true, "take"),
        (.answer, .haveRemoteOffer, false, "ignore"), (.answer, .haveRemoteProvisionalAnswer, false, "take"),
        (.provisionalAnswer, .haveLocalOffer, false, "take"), (.provisionalAnswer, .stable, false, "ignore"),
        (.rollback, .haveRemoteOffer, false, "take"), (.rollback, .stable, true, "ignore"),
        (.offer, .closed, true, "ignore"),
    ]

    @Test func perfectNegotiationIsDecidedByRoleAndState() {
        for (type, state, polite, expected) in Self.verdicts {
            var machine = PerfectNegotiation()
            let verdict = machine.receive(type, isPolite: polite, in: state)
            let word =
                switch verdict {
                case .take: "take"
                case .takeAfterRollback: "rollback"
                case .ignore: "ignore"
                }
            #expect(word == expected, "\(type.rawValue) in \(state.rawValue), polite \(polite)")
            #expect(machine.isIgnoringOffer == (type == .offer && expected == "ignore" && state != .closed))
        }
        var machine = PerfectNegotiation()
        _ = machine.receive(.offer, isPolite: false, in: .haveLocalOffer)
        #expect(machine.isIgnoringOffer)
        _ = machine.receive(.answer, isPolite: false, in: .haveLocalOffer)
        #expect(!machine.isIgnoringOffer, "the answer to ours ends it")
        #expect(machine.mayOffer(in: .stable) && !machine.mayOffer(in: .haveRemoteOffer))
    }
}
