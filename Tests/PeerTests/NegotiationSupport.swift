import FixtureSupport
import Peer
import Primitives
import SDP

extension TransportParameters {
    /// A local end whose credentials and certificate tell it apart by `name`.
    static func sample(
        _ name: String, certificate: UInt8 = 0xAB, setup: SetupRole? = nil, candidates: [CandidateAttribute] = []
    ) -> TransportParameters {
        TransportParameters(
            iceUfrag: "uf\(name)", icePwd: "passwordpasswordpass\(name)",
            fingerprints: [FingerprintAttribute(bytes: Array(repeating: certificate, count: 32))], setup: setup,
            candidates: candidates)
    }
}

extension CandidateAttribute {
    static func host(_ address: String, _ port: UInt16) -> CandidateAttribute {
        CandidateAttribute(
            foundation: "1", priority: 2_130_706_431, host: .address(IPAddress(address) ?? .anyV4), port: port,
            kind: .host)
    }
}

func fixture(_ name: String) throws -> SessionDescription {
    try SessionDescription(parsing: try Fixtures.text("sdp/\(name).sdp"))
}

/// Two negotiators and the wire between them: every description crosses as text.
struct NegotiationPair {
    var offerer: Negotiator
    var answerer: Negotiator

    init(seed: UInt64 = 1, offerer: MediaCapabilities = .standard, answerer: MediaCapabilities = .standard) {
        self.offerer = Negotiator(capabilities: offerer, cname: "left", random: .seeded(seed))
        self.answerer = Negotiator(capabilities: answerer, cname: "right", random: .seeded(seed &+ 1))
    }

    @discardableResult
    mutating func exchange(
        _ left: TransportParameters = .sample("left", certificate: 1),
        _ right: TransportParameters = .sample("right", certificate: 2)
    ) throws -> (offer: SessionDescription, answer: SessionDescription) {
        let offer = try offerer.createOffer(transport: left)
        try offerer.setLocalDescription(offer, type: .offer)
        try answerer.setRemoteDescription(try SessionDescription(parsing: offer.serialized), type: .offer)
        let answer = try answerer.createAnswer(transport: right)
        try answerer.setLocalDescription(answer, type: .answer)
        try offerer.setRemoteDescription(try SessionDescription(parsing: answer.serialized), type: .answer)
        return (offer, answer)
    }

    /// The same with the roles turned round, for re-offers from the other side.
    @discardableResult
    mutating func exchangeBack(
        _ right: TransportParameters = .sample("right", certificate: 2),
        _ left: TransportParameters = .sample("left", certificate: 1)
    ) throws -> (offer: SessionDescription, answer: SessionDescription) {
        swap(&offerer, &answerer)
        defer { swap(&offerer, &answerer) }
        return try exchange(right, left)
    }
}

/// Sets `offer` and answers it.
func answered(
    _ offer: SessionDescription, by negotiator: inout Negotiator, transport: TransportParameters = .sample("here")
) throws -> (answer: SessionDescription, session: NegotiatedSession) {
    try negotiator.setRemoteDescription(offer, type: .offer)
    let answer = try negotiator.createAnswer(transport: transport)
    try negotiator.setLocalDescription(answer, type: .answer)
    return (try SessionDescription(parsing: answer.serialized), try agreed(negotiator))
}

struct NoSession: Error {}

func agreed(_ negotiator: Negotiator) throws -> NegotiatedSession {
    guard let session = negotiator.session else { throw NoSession() }
    return session
}
