import Peer
import Primitives
import SDP
import Testing

/// Behaviours of the standard that an application sees: when negotiation is needed, what rollback restores, what a
/// re-offer may and may not change.
@Suite struct NegotiationBehaviourTests {
    private func pair(_ kinds: [MediaKind] = [.audio, .video]) throws -> NegotiationPair {
        var pair = NegotiationPair()
        for kind in kinds {
            try pair.offerer.addTransceiver(kind)
            try pair.answerer.addTransceiver(kind)
        }
        try pair.exchange()
        return pair
    }

    // MARK: Negotiation needed (W3C webrtc-pc §4.7.3)

    struct Change: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var isNeeded: Bool
        var make: @Sendable (inout Negotiator) throws -> Void
    }

    static let changes: [Change] = [
        Change(testDescription: "nothing", isNeeded: false) { _ in },
        Change(testDescription: "the same direction", isNeeded: false) { negotiator in
            try negotiator.setDirection(.sendReceive, of: negotiator.transceivers[0].id)
        },
        Change(testDescription: "another direction", isNeeded: true) { negotiator in
            try negotiator.setDirection(.receiveOnly, of: negotiator.transceivers[0].id)
        },
        Change(testDescription: "another direction and back", isNeeded: false) { negotiator in
            try negotiator.setDirection(.inactive, of: negotiator.transceivers[0].id)
            try negotiator.setDirection(.sendReceive, of: negotiator.transceivers[0].id)
        },
        Change(testDescription: "a new transceiver", isNeeded: true) { try $0.addTransceiver(.video) },
        Change(testDescription: "a new transceiver that is stopped", isNeeded: false) { negotiator in
            try negotiator.stop(try negotiator.addTransceiver(.video))
        },
        Change(testDescription: "a stopped transceiver", isNeeded: true) { negotiator in
            try negotiator.stop(negotiator.transceivers[1].id)
        },
        Change(testDescription: "an offer created and not set", isNeeded: false) { negotiator in
            _ = try negotiator.createOffer(transport: .sample("left2", certificate: 1))
        },
        Change(testDescription: "an offer rolled back", isNeeded: false) { negotiator in
            let offer = try negotiator.createOffer(transport: .sample("left", certificate: 1))
            try negotiator.setLocalDescription(offer, type: .offer)
            try negotiator.rollback()
        },
    ]

    @Test(arguments: changes) func negotiationIsNeededWhenAnOfferWouldChangeSomething(_ change: Change) throws {
        var pair = try pair()
        #expect(!pair.offerer.needsNegotiation)
        try change.make(&pair.offerer)
        #expect(pair.offerer.needsNegotiation == change.isNeeded)
        try pair.exchange()
        #expect(!pair.offerer.needsNegotiation, "an exchange settles it")
    }

    @Test func negotiationIsNeverNeededInTheMiddleOfAnExchange() throws {
        var pair = try pair()
        let offer = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        try pair.offerer.setLocalDescription(offer, type: .offer)
        try pair.offerer.addTransceiver(.audio)
        #expect(!pair.offerer.needsNegotiation)
        try pair.answerer.setRemoteDescription(offer, type: .offer)
        try pair.answerer.addTransceiver(.audio)
        #expect(!pair.answerer.needsNegotiation)
        let answer = try pair.answerer.createAnswer(transport: .sample("right", certificate: 2))
        try pair.answerer.setLocalDescription(answer, type: .answer)
        try pair.offerer.setRemoteDescription(answer, type: .answer)
        #expect(pair.offerer.needsNegotiation && pair.answerer.needsNegotiation, "but right after it")
    }

    // MARK: Re-offers

    @Test func aReofferWithAnotherDirectionIsAHold() throws {
        var pair = try pair([.audio])
        let id = pair.offerer.transceivers[0].id
        for (wanted, expected) in [
            (MediaDirection.sendOnly, MediaDirection.receiveOnly), (.inactive, .inactive), (.sendReceive, .sendReceive),
        ] {
            try pair.offerer.setDirection(wanted, of: id)
            let answer = try pair.exchange().answer
            #expect(answer.media[0].direction == expected)
            #expect(pair.answerer.transceivers[0].currentDirection == expected)
            #expect(pair.answerer.transceivers[0].direction == .sendReceive, "what it wants is its own affair")
        }
    }

    @Test func sourcesAndTracksKeepTheirNames() throws {
        var pair = try pair()
        let first = try pair.exchange().offer
        try pair.offerer.setDirection(.inactive, of: pair.offerer.transceivers[1].id)
        let held = try pair.exchange().offer
        #expect(!held.media[1].streams.isEmpty && held.media[1].streams == first.media[1].streams)
        #expect(held.media[1].sourceAttributes == first.media[1].sourceAttributes)
        try pair.offerer.setDirection(.sendReceive, of: pair.offerer.transceivers[1].id)
        let resumed = try pair.exchange().offer
        for (a, b) in zip(first.media, resumed.media) {
            #expect(a.streams == b.streams && a.sourceAttributes == b.sourceAttributes)
            #expect(a.mid == b.mid && a.formats == b.formats && a.extensionMaps == b.extensionMaps)
        }
    }

    @Test func theOrderOfSectionsIsForGood() throws {
        var pair = try pair()
        try pair.offerer.addTransceiver(.audio)
        let offer = try pair.exchange().offer
        #expect(offer.media.map(\.mid) == ["0", "1", "2"])
        var swapped = offer
        swapped.media.swapAt(0, 2)
        let error = #expect(throws: NegotiationError.self) {
            try pair.answerer.setRemoteDescription(swapped, type: .offer)
        }
        #expect(error?.kind == .invalidRemoteDescription && error?.mediaIndex == 0)
        #expect(pair.answerer.signalingState == .stable && pair.answerer.transceivers.count == 3)
    }

    @Test func aRejectedPlaceIsTakenByTheOtherSideToo() throws {
        var pair = try pair()
        try pair.offerer.stop(pair.offerer.transceivers[1].id)
        try pair.exchange()
        try pair.answerer.addTransceiver(.video)
        let offer = try pair.exchangeBack().offer
        #expect(offer.media.count == 2 && offer.media[1].mid == "2" && offer.groups[0].mids == ["0", "2"])
        #expect(try agreed(pair.offerer).media.map(\.isRejected) == [false, false])
    }

    @Test func theLastSectionMayBeStoppedAndTheSessionGoOn() throws {
        var pair = try pair([.audio])
        try pair.offerer.stop(pair.offerer.transceivers[0].id)
        let (offer, answer) = try pair.exchange()
        #expect(offer.media.map(\.port) == [0] && answer.media.map(\.port) == [0] && answer.groups.isEmpty)
        #expect(pair.offerer.transceivers.isEmpty && pair.answerer.transceivers.isEmpty)
        try pair.answerer.addTransceiver(.audio)
        #expect(try pair.exchangeBack().offer.media[0].port != 0)
        #expect(try agreed(pair.offerer).acceptedMedia.count == 1)
    }

    // MARK: Transport

    @Test func aFingerprintMayChangeWithNewCredentialsOnly() throws {
        var pair = try pair([.audio])
        let stale = try pair.offerer.createOffer(transport: .sample("left", certificate: 7))
        #expect(throws: NegotiationError.self) { try pair.answerer.setRemoteDescription(stale, type: .offer) }
        try pair.exchange(.sample("fresh", certificate: 7), .sample("right2", certificate: 2))
        #expect(try agreed(pair.answerer).isNewDTLSAssociation && agreed(pair.answerer).isICERestart)
    }

    @Test(arguments: [("ufleft", "ufnew"), ("passwordpasswordpassleft", "passwordpasswordpassnew")])
    func aNewUfragOrPasswordAloneIsARestart(_ former: String, _ new: String) throws {
        var pair = try pair([.audio])
        let offer = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        let text = offer.serialized.replacing(former, with: new)
        try pair.answerer.setRemoteDescription(try SessionDescription(parsing: text), type: .offer)
        #expect(pair.answerer.remoteRestartsICE)
        try pair.answerer.setRemoteDescription(offer, type: .offer)
        #expect(!pair.answerer.remoteRestartsICE, "replaced by one without")
    }

    @Test func anOfferThatReplacesOursIsTakenOrNothingChanges() throws {
        var pair = try pair([.audio])
        let mine = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        try pair.offerer.setLocalDescription(mine, type: .offer)
        var broken = try pair.answerer.createOffer(transport: .sample("right", certificate: 2))
        broken.media[0].media = "video"
        #expect(throws: NegotiationError.self) { try pair.offerer.setRemoteDescription(broken, type: .offer) }
        #expect(pair.offerer.signalingState == .haveLocalOffer && pair.offerer.pendingLocalDescription == mine)
    }
}
