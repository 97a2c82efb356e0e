import Peer
import Primitives
import SDP
import Testing

/// A behaviour of JSEP that web-platform-tests hold browsers to, and what shows that we have it.
struct JSEPBehaviour: Sendable, CustomTestStringConvertible {
    /// The file under webrtc/ of web-platform-tests.
    var origin: String
    var sentence: String
    var check: @Sendable () throws -> Void

    init(_ origin: String, _ sentence: String, _ check: @escaping @Sendable () throws -> Void) {
        self.origin = origin
        self.sentence = sentence
        self.check = check
    }

    var testDescription: String { "\(origin): \(sentence)" }
}

extension NegotiationPair {
    /// Both want the same, and nothing was exchanged yet.
    static func wanting(_ kinds: [MediaKind]) throws -> NegotiationPair {
        var pair = NegotiationPair()
        for kind in kinds {
            try pair.offerer.addTransceiver(kind)
            try pair.answerer.addTransceiver(kind)
        }
        return pair
    }

    /// After one exchange.
    static func agreed(_ kinds: [MediaKind] = [.audio, .video]) throws -> NegotiationPair {
        var pair = try wanting(kinds)
        try pair.exchange()
        return pair
    }

    /// Our end and theirs, the same in every offer: no restart.
    static let left = TransportParameters.sample("left", certificate: 1)
    static let right = TransportParameters.sample("right", certificate: 2)
}

extension Negotiator {
    /// Creates an offer and sets it.
    @discardableResult
    mutating func offering(
        _ transport: TransportParameters = NegotiationPair.left
    ) throws -> SessionDescription {
        let offer = try createOffer(transport: transport)
        try setLocalDescription(offer, type: .offer)
        return offer
    }

    /// Creates the answer and sets it.
    @discardableResult
    mutating func answering(
        _ transport: TransportParameters = NegotiationPair.right, as type: DescriptionType = .answer
    ) throws -> SessionDescription {
        let answer = try createAnswer(transport: transport)
        try setLocalDescription(answer, type: type)
        return answer
    }
}

/// Whether `body` is refused for this reason, with a remedy.
func expectRefusal(
    _ kind: NegotiationError.Kind, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    do {
        try body()
        Issue.record("it was not refused", sourceLocation: sourceLocation)
    } catch let error as NegotiationError {
        #expect(error.kind == kind && !error.remedy.isEmpty, "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("another error: \(error)", sourceLocation: sourceLocation)
    }
}

/// A description with `change` made to its text.
func altered(_ description: SessionDescription, _ change: (String) -> String) throws -> SessionDescription {
    try SessionDescription(parsing: change(description.serialized))
}
