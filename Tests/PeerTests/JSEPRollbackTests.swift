import Peer
import Primitives
import SDP
import Testing

/// Taking offers back and needing new ones: RTCPeerConnection-setLocalDescription-rollback, -setRemoteDescription-rollback,
/// -onnegotiationneeded, -perfect-negotiation of web-platform-tests.
@Suite struct JSEPRollbackTests {
    @Test(arguments: rollbacks + remoteRollbacks + needs) func rollbacksAndNeeds(_ behaviour: JSEPBehaviour) throws {
        try behaviour.check()
    }

    static let rollbacks = [
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-rollback", "an offer of ours is taken back") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.offerer.offering()
            try pair.offerer.rollback()
            #expect(pair.offerer.signalingState == .stable && pair.offerer.localDescription == nil)
            #expect(pair.offerer.transceivers.count == 1 && pair.offerer.transceivers[0].mid == nil)
            #expect(pair.offerer.needsNegotiation)
        },
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-rollback", "there is nothing to take back when stable") {
            var pair = try NegotiationPair.wanting([.audio])
            expectRefusal(.wrongState) { try pair.offerer.rollback() }
            try pair.exchange()
            expectRefusal(.wrongState) { try pair.offerer.rollback() }
            expectRefusal(.wrongState) { try pair.answerer.rollback() }
        },
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-rollback", "nor after a provisional answer") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            let early = try pair.answerer.answering(as: .provisionalAnswer)
            try pair.offerer.setRemoteDescription(early, type: .provisionalAnswer)
            expectRefusal(.wrongState) { try pair.answerer.rollback() }
            expectRefusal(.wrongState) { try pair.offerer.rollback() }
        },
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-rollback", "what was agreed before holds again") {
            var pair = try NegotiationPair.agreed()
            let session = try agreed(pair.offerer)
            try pair.offerer.setDirection(.inactive, of: pair.offerer.transceivers[0].id)
            try pair.offerer.stop(pair.offerer.transceivers[1].id)
            try pair.offerer.offering()
            try pair.offerer.rollback()
            #expect(try agreed(pair.offerer) == session)
            #expect(pair.offerer.transceivers.map(\.currentDirection) == [.sendReceive, .sendReceive])
            #expect(pair.offerer.transceivers[1].isStopped, "what the application asked for stays asked for")
        },
    ]

    static let remoteRollbacks = [
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-rollback", "an offer of theirs is taken back") {
            var pair = try NegotiationPair.wanting([.audio])
            let offer = try pair.offerer.offering()
            try pair.answerer.setRemoteDescription(offer, type: .offer)
            try pair.answerer.setRemoteDescription(offer, type: .rollback)
            #expect(pair.answerer.signalingState == .stable && pair.answerer.remoteDescription == nil)
            #expect(pair.answerer.transceivers.map(\.mid) == [nil], "the one that is ours stays, without a place")
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-rollback", "what the offer made goes with it") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.offerer.addTransceiver(.video)
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            #expect(pair.answerer.transceivers.count == 2)
            try pair.answerer.rollback()
            #expect(pair.answerer.transceivers.map(\.kind) == [.audio])
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-rollback", "what we added meanwhile stays") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            let added = try pair.answerer.addTransceiver(.video)
            try pair.answerer.rollback()
            #expect(pair.answerer[added] != nil && pair.answerer.needsNegotiation)
            #expect(try pair.answerer.offering(NegotiationPair.right).media.map(\.media) == ["audio", "video"])
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-rollback", "a rejected place stays rejected") {
            var pair = try NegotiationPair.agreed()
            try pair.offerer.stop(pair.offerer.transceivers[1].id)
            try pair.exchange()
            try pair.offerer.addTransceiver(.video)
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            #expect(pair.answerer.transceivers.count == 2)
            try pair.answerer.rollback()
            #expect(pair.answerer.transceivers.count == 1)
            #expect(try agreed(pair.answerer).media[1].isRejected)
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-rollback", "an ICE restart in it never happened") {
            var pair = try NegotiationPair.agreed([.audio])
            let restart = try pair.offerer.offering(.sample("fresh", certificate: 1))
            try pair.answerer.setRemoteDescription(restart, type: .offer)
            #expect(pair.answerer.remoteRestartsICE)
            try pair.answerer.rollback()
            try pair.offerer.rollback()
            #expect(pair.answerer.remoteTransport?.iceUfrag == "ufleft")
            try pair.exchange()
            #expect(try !agreed(pair.answerer).isICERestart)
        },
        JSEPBehaviour("RTCPeerConnection-perfect-negotiation", "of two offers that meet, the impolite one's stands") {
            var pair = try NegotiationPair.agreed([.audio])
            try pair.offerer.addTransceiver(.video)
            try pair.answerer.addTransceiver(.video)
            let stands = try pair.offerer.offering()
            try pair.answerer.offering(NegotiationPair.right)
            expectRefusal(.glare) { try pair.answerer.setRemoteDescription(stands, type: .offer) }
            try pair.answerer.rollback()
            try pair.answerer.setRemoteDescription(stands, type: .offer)
            try pair.offerer.setRemoteDescription(try pair.answerer.answering(), type: .answer)
            // Both wanted video; one section carries both.
            #expect(try agreed(pair.offerer).media.map(\.direction) == [.sendReceive, .sendReceive])
            #expect(!pair.offerer.needsNegotiation && !pair.answerer.needsNegotiation)
        },
    ]

    static let needs = [
        JSEPBehaviour("RTCPeerConnection-onnegotiationneeded", "with nothing wanted, nothing is needed") {
            #expect(!Negotiator(random: .seeded(1)).needsNegotiation)
        },
        JSEPBehaviour("RTCPeerConnection-onnegotiationneeded", "a first transceiver needs an offer") {
            let pair = try NegotiationPair.wanting([.video])
            #expect(pair.offerer.needsNegotiation)
        },
        JSEPBehaviour("RTCPeerConnection-onnegotiationneeded", "what a remote offer has room for needs none of ours") {
            var pair = try NegotiationPair.wanting([.audio])
            _ = try answered(try pair.offerer.offering(), by: &pair.answerer)
            #expect(!pair.answerer.needsNegotiation)
        },
        JSEPBehaviour("RTCPeerConnection-onnegotiationneeded", "what it has no room for does") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.answerer.addTransceiver(.video)
            _ = try answered(try pair.offerer.offering(), by: &pair.answerer)
            #expect(pair.answerer.needsNegotiation)
        },
        JSEPBehaviour("RTCPeerConnection-onnegotiationneeded", "a direction changed before the answer is in the answer")
        {
            var pair = try NegotiationPair.agreed([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            try pair.answerer.setDirection(.receiveOnly, of: pair.answerer.transceivers[0].id)
            #expect(try pair.answerer.answering().media[0].direction == .receiveOnly)
            #expect(!pair.answerer.needsNegotiation)
        },
        JSEPBehaviour("RTCPeerConnection-onnegotiationneeded", "one changed after it needs another exchange") {
            var pair = try NegotiationPair.agreed([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            let answer = try pair.answerer.createAnswer(transport: NegotiationPair.right)
            try pair.answerer.setDirection(.receiveOnly, of: pair.answerer.transceivers[0].id)
            try pair.answerer.setLocalDescription(answer, type: .answer)
            #expect(pair.answerer.needsNegotiation)
        },
    ]
}
