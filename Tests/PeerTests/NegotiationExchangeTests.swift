import Peer
import Primitives
import SDP
import Testing

@Suite struct NegotiationExchangeTests {
    private func pair(_ kinds: [MediaKind] = [.audio, .video]) throws -> NegotiationPair {
        var pair = NegotiationPair()
        for kind in kinds {
            try pair.offerer.addTransceiver(kind)
            try pair.answerer.addTransceiver(kind)
        }
        return pair
    }

    /// What each section says of our sources.
    private func names(in description: SessionDescription) -> [[Substring]] {
        var sections: [[Substring]] = []
        for line in description.serialized.split(separator: "\r\n") {
            if line.hasPrefix("m=") {
                sections.append([])
            } else if !sections.isEmpty, line.hasPrefix("a=ssrc") || line.hasPrefix("a=msid:") {
                sections[sections.count - 1].append(line)
            }
        }
        return sections
    }

    @Test func bothEndsAgree() throws {
        var pair = try pair()
        try pair.exchange()
        let left = try agreed(pair.offerer)
        let right = try agreed(pair.answerer)
        #expect(left.isLocalOfferer && !right.isLocalOfferer && right.isDTLSClient && !left.isDTLSClient)
        #expect(left.remoteTransport?.iceUfrag == "ufright" && right.remoteTransport?.iceUfrag == "ufleft")
        for (a, b) in zip(left.media, right.media) {
            #expect(a.mid == b.mid && a.direction == b.direction.reversed && a.rejection == nil)
            #expect(a.sendCodecs.map(\.payloadType) == b.receiveCodecs.map(\.payloadType))
            #expect(a.receivePayloadTypes.keys.sorted() == b.receivePayloadTypes.keys.sorted())
            #expect(a.headerExtensions == b.headerExtensions && !a.headerExtensions.isEmpty)
        }
        #expect(left.media[1].remoteSSRCs.first == pair.answerer.transceivers[1].ssrc)
        #expect(
            right.media[1].remoteRetransmissionSSRCs[pair.offerer.transceivers[1].ssrc]
                == pair.offerer.transceivers[1].retransmissionSSRC)
        #expect(left.media[0].remoteCNAME == "right" && right.media[0].remoteCNAME == "left")
        #expect(!pair.offerer.needsNegotiation && !pair.answerer.needsNegotiation)
    }

    @Test(arguments: MediaDirection.allCases, MediaDirection.allCases)
    func offeredAndWantedDirectionsMeet(_ offered: MediaDirection, _ wanted: MediaDirection) throws {
        var pair = NegotiationPair()
        let left = try pair.offerer.addTransceiver(.audio)
        let right = try pair.answerer.addTransceiver(.audio)
        let first = try pair.exchange()
        try pair.offerer.setDirection(offered, of: left)
        try pair.answerer.setDirection(wanted, of: right)
        #expect(pair.offerer.needsNegotiation == (offered != .sendReceive))
        let (offer, answer) = try pair.exchange()
        let expected = MediaDirection(
            sends: wanted.sends && offered.receives, receives: wanted.receives && offered.sends)
        #expect(offer.media[0].direction == offered && answer.media[0].direction == expected)
        #expect(pair.answerer[right]?.currentDirection == expected)
        #expect(pair.offerer[left]?.currentDirection == expected.reversed)
        #expect(pair.offerer[left]?.direction == offered && pair.answerer[right]?.direction == wanted)
        #expect(!pair.offerer.needsNegotiation && !pair.answerer.needsNegotiation)
        // RFC 9429 §5.2.2: the same, whatever becomes of the direction.
        #expect(!offer.media[0].streams.isEmpty && offer.media[0].streams == first.offer.media[0].streams)
        #expect(!answer.media[0].streams.isEmpty && answer.media[0].streams == first.answer.media[0].streams)
    }

    @Test func reofferFromTheOtherSideKeepsOrderNumbersAndRoles() throws {
        var pair = try pair()
        let first = try pair.exchange()
        let second = try pair.exchangeBack()
        #expect(second.offer.media.map(\.mid) == first.offer.media.map(\.mid))
        #expect(second.offer.media.map(\.formats) == first.offer.media.map(\.formats))
        #expect(second.offer.media[0].setup == .actpass)
        // The right end stays the DTLS client although it offers now.
        #expect(second.answer.media[0].setup == .passive)
        #expect(try agreed(pair.answerer).isDTLSClient && !agreed(pair.offerer).isDTLSClient)
        #expect(try !agreed(pair.offerer).isNewDTLSAssociation && !agreed(pair.answerer).isNewDTLSAssociation)
    }

    @Test func reofferAfterAForeignOfferKeepsItsNumbers() throws {
        var negotiator = Negotiator(random: .seeded(1))
        try negotiator.addTransceiver(.audio)
        try negotiator.addTransceiver(.video)
        _ = try answered(try fixture("firefox-153-offer-datachannel"), by: &negotiator)
        try negotiator.addTransceiver(.audio)
        let offer = try negotiator.createOffer(transport: .sample("here"))
        try #require(offer.media.map(\.media) == ["audio", "video", "application", "audio"])
        #expect(offer.media[2].port == 0 && offer.groups[0].mids == ["0", "1", "3"])
        // 109 and 120 are Firefox's for Opus and VP8; 124 its retransmission; 101 its telephone-event.
        #expect(offer.media[0].formats == ["109", "0", "8", "13", "110", "101"])
        #expect(offer.media[1].formats == ["120", "124"])
        #expect(offer.media[3].formats == ["109", "0", "8", "13", "110", "101"])
        let extensions = offer.media[3].extensionMaps
        #expect(extensions.first { $0.uri == HeaderExtensionURI.mid }?.id == 3)
        #expect(extensions.first { $0.uri == HeaderExtensionURI.transportSequenceNumber }?.id == 7)
        #expect(Set(extensions.map(\.id)).count == extensions.count)
        // Firefox had 4 for abs-send-time on video; 2, which we would like, is its csrc-audio-level.
        #expect(extensions.first { $0.uri == HeaderExtensionURI.absoluteSendTime }?.id == 4)
    }

    @Test func anAnswerWithOtherNumbersIsHonoured() throws {
        var pair = NegotiationPair()
        try pair.offerer.addTransceiver(.audio, codecPreferences: [.opus])
        let offer = try pair.offerer.createOffer(transport: .sample("left"))
        try pair.offerer.setLocalDescription(offer, type: .offer)
        let (answer, _) = try answered(offer, by: &pair.answerer)
        let renumbered = answer.serialized.replacing("SAVPF 111", with: "SAVPF 100").replacing(":111 ", with: ":100 ")
        try pair.offerer.setRemoteDescription(try SessionDescription(parsing: renumbered), type: .answer)
        let audio = try agreed(pair.offerer).media[0]
        #expect(audio.sendCodecs.map(\.payloadType) == [100] && audio.receiveCodecs.map(\.payloadType) == [111])
    }

    @Test func stoppedSectionsAreRejectedAndTheirPlacesRecycled() throws {
        var pair = try pair()
        try pair.exchange()
        let audio = pair.offerer.transceivers[0].id
        try pair.offerer.stop(audio)
        #expect(pair.offerer.needsNegotiation)
        let (offer, answer) = try pair.exchange()
        #expect(offer.media.map(\.port) == [0, 9] && answer.media.map(\.port) == [0, 9])
        #expect(offer.groups[0].mids == ["1"] && answer.groups[0].mids == ["1"])
        #expect(pair.offerer[audio] == nil && pair.answerer.transceivers.map(\.mid) == ["1"])
        #expect(try agreed(pair.offerer).media[0].rejection == .stopped)
        #expect(try agreed(pair.answerer).media[0].rejection == .refusedByPeer)
        #expect(try agreed(pair.answerer).remoteTransport?.iceUfrag == "ufleft")
        #expect(!pair.offerer.needsNegotiation && !pair.answerer.needsNegotiation)
        // A section of another kind takes the place, under a new name.
        let video = try pair.offerer.addTransceiver(.video)
        let third = try pair.exchange().offer
        #expect(third.media.map(\.media) == ["video", "video"] && third.media.map(\.mid) == ["2", "1"])
        #expect(pair.offerer[video]?.mediaIndex == 0)
        #expect(try agreed(pair.answerer).media.map(\.rejection) == [nil, nil])
    }

    @Test func theAnswererMayStopASection() throws {
        var pair = try pair()
        try pair.exchange()
        try pair.answerer.stop(pair.answerer.transceivers[1].id)
        #expect(pair.answerer.needsNegotiation)
        try pair.exchange()
        #expect(try agreed(pair.answerer).media[1].rejection == .stopped)
        #expect(try agreed(pair.offerer).media[1].rejection == .refusedByPeer)
        #expect(pair.offerer.transceivers.count == 1)
    }

    @Test func aRefusedSectionIsReported() throws {
        var voiceOnly = MediaCapabilities.standard
        voiceOnly.video = []
        var pair = NegotiationPair(answerer: voiceOnly)
        try pair.offerer.addTransceiver(.audio)
        let video = try pair.offerer.addTransceiver(.video)
        try pair.exchange()
        #expect(try agreed(pair.offerer).media.map(\.rejection) == [nil, .refusedByPeer])
        #expect(try agreed(pair.answerer).media.map(\.rejection) == [nil, .noCommonCodec])
        #expect(pair.offerer[video] == nil)
    }

    @Test func aNewICESessionIsARestartAndMayBringANewCertificate() throws {
        var pair = try pair()
        try pair.exchange()
        #expect(try agreed(pair.answerer).isNewDTLSAssociation)
        try pair.exchange(.sample("left2", certificate: 1), .sample("right2", certificate: 2))
        #expect(try agreed(pair.answerer).isICERestart && agreed(pair.offerer).isICERestart)
        #expect(try !agreed(pair.answerer).isNewDTLSAssociation)
        try pair.exchange(.sample("left3", certificate: 9), .sample("right3", certificate: 2))
        #expect(try agreed(pair.answerer).isICERestart && agreed(pair.answerer).isNewDTLSAssociation)
    }

    @Test func anOfferSaysEarlyThatItRestartsICE() throws {
        var pair = try pair()
        try pair.exchange()
        let offer = try pair.offerer.createOffer(transport: .sample("left2", certificate: 1))
        try pair.answerer.setRemoteDescription(offer, type: .offer)
        #expect(pair.answerer.remoteRestartsICE && pair.answerer.remoteTransport?.iceUfrag == "ufleft2")
        try pair.answerer.rollback()
        #expect(!pair.answerer.remoteRestartsICE && pair.answerer.remoteTransport?.iceUfrag == "ufleft")
    }

    @Test func rollbackOfOurOfferKeepsWhatTheApplicationAskedFor() throws {
        var pair = try pair()
        try pair.exchange()
        let before = pair.offerer.transceivers
        try pair.offerer.setDirection(.inactive, of: before[0].id)
        let added = try pair.offerer.addTransceiver(.audio)
        let offer = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        try pair.offerer.setLocalDescription(offer, type: .offer)
        #expect(pair.offerer[added]?.mid == "2" && pair.offerer.signalingState == .haveLocalOffer)
        try pair.offerer.rollback()
        #expect(pair.offerer.signalingState == .stable && pair.offerer.pendingLocalDescription == nil)
        #expect(pair.offerer[added]?.mid == nil && pair.offerer[added]?.mediaIndex == nil)
        #expect(pair.offerer.transceivers[0].direction == .inactive)
        #expect(pair.offerer.transceivers[0].currentDirection == .sendReceive && pair.offerer.needsNegotiation)
        let next = try pair.exchange().offer
        #expect(next == offer)
        #expect(next.media.map(\.mid) == ["0", "1", "2"])
    }

    @Test func whatWasSentOnceStaysNamedWhileNothingIsSent() throws {
        var pair = try pair()
        let before = try pair.exchange()
        #expect(names(in: before.offer).allSatisfy { !$0.isEmpty })
        for id in pair.offerer.transceivers.map(\.id) { try pair.offerer.setDirection(.inactive, of: id) }
        // Twice: what the hold itself says, and what an exchange during the hold does.
        for _ in 1...2 {
            let held = try pair.exchange()
            #expect(held.answer.media.map(\.direction) == [.inactive, .inactive])
            #expect(
                names(in: held.offer) == names(in: before.offer) && names(in: held.answer) == names(in: before.answer))
        }
    }

    @Test func whatWasNeverSentIsNotNamed() throws {
        var pair = NegotiationPair()
        try pair.offerer.addTransceiver(.video, direction: .receiveOnly)
        try pair.answerer.addTransceiver(.video, direction: .sendReceive)
        try pair.exchange()
        let again = try pair.exchange()
        #expect(names(in: again.offer) == [[]] && names(in: again.answer)[0].count > 4)
    }

    @Test func anotherOfferAfterARollbackHasAHigherVersion() throws {
        var pair = try pair()
        let first = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        try pair.offerer.setLocalDescription(first, type: .offer)
        try pair.offerer.rollback()
        try pair.offerer.addTransceiver(.audio)
        // The peer may have seen the one that was taken back.
        #expect(try pair.exchange().offer.origin.sessionVersion == first.origin.sessionVersion + 1)
    }

    @Test func rollbackOfARemoteOfferRemovesWhatItMade() throws {
        var negotiator = Negotiator(random: .seeded(1))
        let mine = try negotiator.addTransceiver(.audio)
        try negotiator.setRemoteDescription(try fixture("chromium-156-offer"), type: .offer)
        #expect(negotiator.transceivers.count == 2 && negotiator[mine]?.mid == "0")
        #expect(negotiator.pendingRejections == [nil, nil, .unsupportedMedia])
        try negotiator.setRemoteDescription(try fixture("chromium-156-offer"), type: .rollback)
        #expect(negotiator.transceivers.map(\.id) == [mine] && negotiator[mine]?.mid == nil)
        #expect(negotiator.signalingState == .stable && negotiator.remoteDescription == nil)
        // Another peer's offer is as good as new.
        let (_, session) = try answered(try fixture("webrtcbin-style-offer"), by: &negotiator)
        #expect(session.media.map(\.rejection) == [nil, nil, .unsupportedMedia])
    }

    @Test func aRemoteOfferMayReplaceItself() throws {
        var negotiator = Negotiator(random: .seeded(1))
        try negotiator.setRemoteDescription(try fixture("chromium-156-offer"), type: .offer)
        try negotiator.setRemoteDescription(try fixture("janus-style-offer"), type: .offer)
        #expect(negotiator.transceivers.count == 2 && negotiator.remoteTransport?.iceUfrag == "q7Bz")
    }

    @Test func glareIsToldAndThePoliteSideGivesWay() throws {
        var pair = try pair()
        let mine = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        let theirs = try pair.answerer.createOffer(transport: .sample("right", certificate: 2))
        try pair.offerer.setLocalDescription(mine, type: .offer)
        try pair.answerer.setLocalDescription(theirs, type: .offer)
        let error = #expect(throws: NegotiationError.self) {
            try pair.offerer.setRemoteDescription(theirs, type: .offer)
        }
        #expect(error?.kind == .glare)
        #expect(pair.offerer.signalingState == .haveLocalOffer)
        try pair.offerer.rollback()
        let (answer, _) = try answered(theirs, by: &pair.offerer, transport: .sample("left", certificate: 1))
        try pair.answerer.setRemoteDescription(answer, type: .answer)
        #expect(pair.offerer.transceivers.map(\.mid) == ["0", "1"])
        #expect(try agreed(pair.answerer).media.map(\.rejection) == [nil, nil])
    }

    @Test func provisionalAnswersLeadToAFinalOne() throws {
        var pair = try pair()
        let offer = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        try pair.offerer.setLocalDescription(offer, type: .offer)
        try pair.answerer.setRemoteDescription(offer, type: .offer)
        let id = pair.answerer.transceivers[0].id
        try pair.answerer.setDirection(.inactive, of: id)
        let early = try pair.answerer.createAnswer(transport: .sample("right", certificate: 2))
        try pair.answerer.setLocalDescription(early, type: .provisionalAnswer)
        try pair.offerer.setRemoteDescription(early, type: .provisionalAnswer)
        #expect(pair.answerer.signalingState == .haveLocalProvisionalAnswer)
        #expect(pair.offerer.signalingState == .haveRemoteProvisionalAnswer)
        #expect(try agreed(pair.offerer).media[0].direction == .inactive)
        #expect(try agreed(pair.offerer).isNewDTLSAssociation && agreed(pair.answerer).isNewDTLSAssociation)
        #expect(throws: NegotiationError.self) { try pair.offerer.rollback() }
        try pair.answerer.setDirection(.sendReceive, of: id)
        let final = try pair.answerer.createAnswer(transport: .sample("right", certificate: 2))
        #expect(final.origin.sessionVersion == early.origin.sessionVersion + 1)
        try pair.answerer.setLocalDescription(final, type: .answer)
        try pair.offerer.setRemoteDescription(final, type: .answer)
        #expect(pair.offerer.signalingState == .stable && pair.answerer.signalingState == .stable)
        #expect(try agreed(pair.offerer).media[0].direction == .sendReceive)
        // The handshake began with the provisional answer.
        #expect(try !agreed(pair.offerer).isNewDTLSAssociation && !agreed(pair.answerer).isNewDTLSAssociation)
    }

    @Test func anUnbundledAnswerKeepsTheFirstSection() throws {
        var pair = try pair()
        let offer = try pair.offerer.createOffer(transport: .sample("left"))
        try pair.offerer.setLocalDescription(offer, type: .offer)
        var (answer, _) = try answered(offer, by: &pair.answerer)
        answer.removeAttributes { if case .group = $0 { true } else { false } }
        answer.media[1].removeAttributes { if case .iceUfrag = $0 { true } else { false } }
        answer.media[1].append(.iceUfrag("other"))
        try pair.offerer.setRemoteDescription(answer, type: .answer)
        #expect(try agreed(pair.offerer).media.map(\.rejection) == [nil, .notBundled])
        #expect(pair.offerer.transceivers.count == 1)
    }

    @Test func trickledCandidatesFindTheirWay() throws {
        var negotiator = Negotiator(random: .seeded(1))
        #expect(!negotiator.isOnTransport(mid: "0", mediaIndex: 0))
        try negotiator.setRemoteDescription(try fixture("chromium-156-offer"), type: .offer)
        for _ in 0..<2 {
            #expect(
                negotiator.isOnTransport(mid: "0", mediaIndex: nil) && negotiator.isOnTransport(mid: nil, mediaIndex: 1)
            )
            #expect(
                !negotiator.isOnTransport(mid: "2", mediaIndex: 2) && !negotiator.isOnTransport(mid: nil, mediaIndex: 9)
            )
            #expect(
                !negotiator.isOnTransport(mid: nil, mediaIndex: -1)
                    && !negotiator.isOnTransport(mid: nil, mediaIndex: nil))
            if negotiator.signalingState == .haveRemoteOffer {
                let answer = try negotiator.createAnswer(transport: .sample("here"))
                try negotiator.setLocalDescription(answer, type: .answer)
            }
        }
    }
}
