import FixtureSupport
import Peer
import Primitives
import SDP
import Testing

@Suite struct NegotiationRefusalTests {
    private func offering(_ kinds: [MediaKind] = [.audio, .video]) throws -> (Negotiator, SessionDescription) {
        var negotiator = Negotiator(random: .seeded(1))
        for kind in kinds { try negotiator.addTransceiver(kind) }
        let offer = try negotiator.createOffer(transport: .sample("left"))
        try negotiator.setLocalDescription(offer, type: .offer)
        return (negotiator, offer)
    }

    private func answer(to offer: SessionDescription) throws -> SessionDescription {
        var peer = Negotiator(random: .seeded(2))
        return try answered(offer, by: &peer).answer
    }

    private func refusal(
        of description: SessionDescription, type: DescriptionType, by negotiator: Negotiator
    ) -> NegotiationError? {
        var copy = negotiator
        do throws(NegotiationError) {
            try copy.setRemoteDescription(description, type: type)
            return nil
        } catch {
            #expect(copy.signalingState == negotiator.signalingState)
            #expect(copy.transceivers == negotiator.transceivers && copy.session == negotiator.session)
            #expect(!error.remedy.isEmpty)
            return error
        }
    }

    @Test func anAnswerThatAddsOrDropsSectionsIsRefused() throws {
        let (negotiator, offer) = try offering()
        var longer = try answer(to: offer)
        longer.media.append(longer.media[1])
        longer.media[2].removeAttributes { if case .mid = $0 { true } else { false } }
        let added = refusal(of: longer, type: .answer, by: negotiator)
        #expect(added?.kind == .invalidRemoteDescription && added?.problem.contains("3 m-lines") == true)
        var shorter = try answer(to: offer)
        shorter.media.removeLast()
        shorter.removeAttributes { if case .group = $0 { true } else { false } }
        #expect(refusal(of: shorter, type: .answer, by: negotiator)?.problem.contains("1 m-lines") == true)
    }

    @Test func anAnswerOutOfOrderIsRefusedByItsLine() throws {
        let (negotiator, offer) = try offering()
        var swapped = try answer(to: offer)
        swapped.media.swapAt(0, 1)
        let error = refusal(of: swapped, type: .answer, by: negotiator)
        #expect(error?.mediaIndex == 0 && error?.mid == "0")
        #expect(error.map { "\($0)".hasPrefix("m-line 0 (mid 0): the answer has video") } == true)
    }

    @Test(arguments: [
        ("a=mid:1", "a=mid:7", "mid 1"), ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 5", "mid 5"),
        ("a=setup:active", "a=setup:actpass", "role open"), ("UDP/TLS/RTP/SAVPF", "UDP/XYZ", "protocol"),
        ("a=rtcp-mux\r\n", "", "multiplex"), ("a=ice-ufrag:ufhere\r\n", "", "ice-ufrag"),
        ("a=fingerprint:sha-256", "a=x:", "fingerprint"),
    ])
    func malformedAnswersAreRefused(_ original: String, _ replacement: String, _ expected: String) throws {
        let (negotiator, offer) = try offering()
        let text = try answer(to: offer).serialized.replacing(original, with: replacement)
        let error = refusal(of: try SessionDescription(parsing: text), type: .answer, by: negotiator)
        #expect(error.map { "\($0)".contains(expected) } == true, "\(String(describing: error))")
    }

    @Test func anAnswerMustNotAcceptWhatWasRejected() throws {
        var pair = NegotiationPair()
        let id = try pair.offerer.addTransceiver(.audio)
        try pair.offerer.addTransceiver(.video)
        try pair.exchange()
        try pair.offerer.stop(id)
        let offer = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        try pair.offerer.setLocalDescription(offer, type: .offer)
        var (answer, _) = try answered(offer, by: &pair.answerer, transport: .sample("right", certificate: 2))
        answer.media[0].port = 9
        #expect(refusal(of: answer, type: .answer, by: pair.offerer)?.problem.contains("our offer rejects") == true)
    }

    @Test(arguments: [
        ("a=mid:1\r\n", "a=mid:0\r\n", "same mid"), ("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1 9", "mid 9"),
        ("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1 1", "twice"), ("a=ice-ufrag:aqJV\r\n", "", "ice-ufrag"),
        ("a=fingerprint:", "a=x:", "fingerprint"),
    ])
    func malformedOffersAreRefused(_ original: String, _ replacement: String, _ expected: String) throws {
        let text = try Fixtures.text("sdp/chromium-156-offer.sdp").replacing(original, with: replacement)
        let error = refusal(
            of: try SessionDescription(parsing: text), type: .offer, by: Negotiator(random: .seeded(1)))
        #expect(error?.kind == .invalidRemoteDescription)
        #expect(error.map { "\($0)".contains(expected) } == true, "\(String(describing: error))")
    }

    @Test func aReofferKeepsItsSections() throws {
        var negotiator = Negotiator(random: .seeded(1))
        let offer = try fixture("chromium-156-offer")
        _ = try answered(offer, by: &negotiator)
        var shorter = offer
        shorter.media.removeLast()
        shorter.removeAttributes { if case .group = $0 { true } else { false } }
        #expect(refusal(of: shorter, type: .offer, by: negotiator)?.problem.contains("2 m-lines") == true)
        var swapped = offer
        swapped.media.swapAt(0, 1)
        #expect(refusal(of: swapped, type: .offer, by: negotiator)?.problem.contains("audio into video") == true)
        var renamed = offer
        renamed.media[0].removeAttributes { if case .mid = $0 { true } else { false } }
        renamed.media[0].append(.mid("x"))
        renamed.removeAttributes { if case .group = $0 { true } else { false } }
        #expect(refusal(of: renamed, type: .offer, by: negotiator)?.problem.contains("renames") == true)
        // A rejected place may be taken by something else.
        var recycled = offer
        recycled.media[2] = offer.media[0]
        recycled.media[2].removeAttributes { if case .mid = $0 { true } else { false } }
        recycled.media[2].append(.mid("9"))
        recycled.lines = offer.lines.map {
            if case .attribute(.group, _) = $0 {
                .attribute(.group(MediaGroup(.bundle, mids: ["0", "1", "9"])))
            } else {
                $0
            }
        }
        #expect(try answered(recycled, by: &negotiator).session.media.map(\.rejection) == [nil, nil, nil])
    }

    @Test func aNewCertificateWithoutAnICERestartIsRefused() throws {
        var pair = NegotiationPair()
        try pair.offerer.addTransceiver(.audio)
        try pair.exchange()
        let offer = try pair.offerer.createOffer(transport: .sample("left", certificate: 66))
        let error = refusal(of: offer, type: .offer, by: pair.answerer)
        #expect(error?.kind == .fingerprintChange)
        // The same from an answerer.
        let mine = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        try pair.offerer.setLocalDescription(mine, type: .offer)
        let (answer, _) = try answered(mine, by: &pair.answerer, transport: .sample("right", certificate: 67))
        #expect(refusal(of: answer, type: .answer, by: pair.offerer)?.kind == .fingerprintChange)
    }

    @Test func swappingTheDTLSRolesWithinAnAssociationIsRefused() throws {
        var pair = NegotiationPair()
        try pair.offerer.addTransceiver(.audio)
        try pair.exchange()
        let offer = try pair.offerer.createOffer(transport: .sample("left", certificate: 1, setup: .active))
        try pair.answerer.setRemoteDescription(offer, type: .offer)
        let answer = try pair.answerer.createAnswer(transport: .sample("right", certificate: 2))
        let error = #expect(throws: NegotiationError.self) {
            try pair.answerer.setLocalDescription(answer, type: .answer)
        }
        #expect(error?.problem.contains("roles would swap") == true)
        #expect(pair.answerer.signalingState == .haveRemoteOffer)
    }

    @Test func holdconnIsNotSupported() throws {
        let text = try Fixtures.text("sdp/janus-style-offer.sdp").replacing("setup:actpass", with: "setup:holdconn")
        var negotiator = Negotiator(random: .seeded(1))
        try negotiator.setRemoteDescription(try SessionDescription(parsing: text), type: .offer)
        let error = #expect(throws: NegotiationError.self) { try negotiator.createAnswer(transport: .sample("here")) }
        #expect(error?.kind == .unsupported)
    }

    @Test func aChangedLocalDescriptionIsRefused() throws {
        var negotiator = Negotiator(random: .seeded(1))
        try negotiator.addTransceiver(.audio)
        var offer = try negotiator.createOffer(transport: .sample("here"))
        offer.media[0].append(.ptime(60))
        let error = #expect(throws: NegotiationError.self) { try negotiator.setLocalDescription(offer, type: .offer) }
        #expect(error?.kind == .modifiedDescription)
        #expect(throws: NegotiationError.self) { try negotiator.setLocalDescription(offer, type: .answer) }
    }

    @Test func callsOutOfTurnAreRefused() throws {
        var (negotiator, offer) = try offering()
        #expect(throws: NegotiationError.self) { try negotiator.createOffer(transport: .sample("left")) }
        #expect(throws: NegotiationError.self) { try negotiator.createAnswer(transport: .sample("left")) }
        let stray = refusal(of: offer, type: .answer, by: Negotiator(random: .seeded(3)))
        #expect(stray?.kind == .wrongState)
        var idle = Negotiator(random: .seeded(3))
        #expect(throws: NegotiationError.self) { try idle.rollback() }
        negotiator.close()
        #expect(negotiator.signalingState == .closed)
        #expect(throws: NegotiationError.self) { try negotiator.addTransceiver(.audio) }
        #expect(throws: NegotiationError.self) { try negotiator.rollback() }
        #expect(refusal(of: offer, type: .answer, by: negotiator)?.kind == .wrongState)
        #expect(throws: NegotiationError.self) { try negotiator.stop(.init(99)) }
    }

    @Test func everythingKeptHasACap() throws {
        let limits = Negotiator.Limits(mediaSections: 2, candidates: 3, sources: 1, headerExtensions: 2)
        var negotiator = Negotiator(limits: limits, random: .seeded(1))
        let many = refusal(of: try fixture("chromium-156-offer"), type: .offer, by: negotiator)
        #expect(many?.kind == .limit)
        let (_, session) = try answered(try fixture("android-libwebrtc-style-offer"), by: &negotiator)
        #expect(session.remoteTransport?.candidates.count == 3)
        #expect(session.media[1].remoteSSRCs.count == 1 && session.media[1].remoteRetransmissionSSRCs.isEmpty)
        #expect(session.media[0].headerExtensions.map(\.id) == [1, 2])
        let error = #expect(throws: NegotiationError.self) { try negotiator.addTransceiver(.audio) }
        #expect(error?.kind == .limit)
    }

    @Test func mutatedOffersAndAnswersNeverTrap() throws {
        let names = try Fixtures.names(in: "sdp").filter { $0.hasSuffix("-style-offer.sdp") }
        var offers = Mutations(of: try names.map { try Fixtures.bytes($0) }, seed: 9429)
        var accepted = 0
        for _ in 0..<500 {
            guard let offer = try? SessionDescription(parsing: String(decoding: offers.next(), as: UTF8.self)) else {
                continue
            }
            var negotiator = Negotiator(random: .seeded(1))
            try negotiator.addTransceiver(.audio)
            if (try? answered(offer, by: &negotiator)) != nil { accepted += 1 }
            _ = try? negotiator.createOffer(transport: .sample("here"))
        }
        #expect(accepted > 50)
        let (negotiator, offer) = try offering()
        var answers = Mutations(of: [Array(try answer(to: offer).serialized.utf8)], seed: 3264)
        accepted = 0
        for _ in 0..<500 {
            guard let answer = try? SessionDescription(parsing: String(decoding: answers.next(), as: UTF8.self)) else {
                continue
            }
            var copy = negotiator
            if (try? copy.setRemoteDescription(answer, type: .answer)) != nil { accepted += 1 }
        }
        #expect(accepted > 50)
    }
}
