import Peer
import Primitives
import SDP
import Testing

/// Creating and setting descriptions: RTCPeerConnection-createOffer, -createAnswer, -setLocalDescription-*,
/// -setRemoteDescription-* of web-platform-tests. What is done otherwise on purpose stands in ARCHITECTURE.md § Deviations.
@Suite struct JSEPDescriptionTests {
    @Test(arguments: creating + settingLocal + settingRemote) func descriptions(_ behaviour: JSEPBehaviour) throws {
        try behaviour.check()
    }

    static let creating = [
        JSEPBehaviour("RTCPeerConnection-createOffer", "an offer changes nothing until it is set") {
            var pair = try NegotiationPair.wanting([.audio])
            _ = try pair.offerer.createOffer(transport: NegotiationPair.left)
            #expect(pair.offerer.signalingState == .stable && pair.offerer.localDescription == nil)
            #expect(pair.offerer.transceivers[0].mid == nil)
        },
        JSEPBehaviour("RTCPeerConnection-createOffer", "a closed connection makes none") {
            var pair = try NegotiationPair.wanting([.audio])
            pair.offerer.close()
            expectRefusal(.wrongState) { _ = try pair.offerer.createOffer(transport: NegotiationPair.left) }
        },
        JSEPBehaviour("RTCPeerConnection-createAnswer", "without a remote offer there is none") {
            var pair = try NegotiationPair.wanting([.audio])
            expectRefusal(.wrongState) { _ = try pair.answerer.createAnswer(transport: NegotiationPair.right) }
        },
        JSEPBehaviour("RTCPeerConnection-createAnswer", "an answer changes nothing until it is set") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            _ = try pair.answerer.createAnswer(transport: NegotiationPair.right)
            #expect(pair.answerer.signalingState == .haveRemoteOffer && pair.answerer.session == nil)
            #expect(pair.answerer.transceivers[0].currentDirection == nil)
        },
        JSEPBehaviour("RTCPeerConnection-createAnswer", "a closed connection makes none") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            pair.answerer.close()
            expectRefusal(.wrongState) { _ = try pair.answerer.createAnswer(transport: NegotiationPair.right) }
        },
    ]

    static let settingLocal = [
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-offer", "a text changed by hand is refused") {
            var pair = try NegotiationPair.wanting([.audio])
            let offer = try pair.offerer.createOffer(transport: NegotiationPair.left)
            let changed = try altered(offer) { $0.replacing("a=sendrecv", with: "a=sendonly") }
            expectRefusal(.modifiedDescription) { try pair.offerer.setLocalDescription(changed, type: .offer) }
            #expect(pair.offerer.signalingState == .stable)
            try pair.offerer.setLocalDescription(offer, type: .offer)
        },
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-offer", "of two offers the later one counts") {
            var pair = try NegotiationPair.wanting([.audio])
            let first = try pair.offerer.createOffer(transport: NegotiationPair.left)
            try pair.offerer.addTransceiver(.video)
            let second = try pair.offerer.createOffer(transport: NegotiationPair.left)
            expectRefusal(.modifiedDescription) { try pair.offerer.setLocalDescription(first, type: .offer) }
            try pair.offerer.setLocalDescription(second, type: .offer)
        },
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-offer", "a remote offer makes one of ours worthless") {
            var pair = try NegotiationPair.wanting([.audio])
            let mine = try pair.answerer.createOffer(transport: NegotiationPair.right)
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            expectRefusal(.modifiedDescription) { try pair.answerer.setLocalDescription(mine, type: .offer) }
            #expect(pair.answerer.signalingState == .haveRemoteOffer)
        },
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-answer", "pending descriptions become the current ones") {
            let pair = try NegotiationPair.agreed([.audio])
            for end in [pair.offerer, pair.answerer] {
                #expect(end.pendingLocalDescription == nil && end.pendingRemoteDescription == nil)
                #expect(end.currentLocalDescription != nil && end.currentRemoteDescription != nil)
                #expect(end.signalingState == .stable)
            }
            #expect(pair.offerer.currentLocalDescription == pair.answerer.currentRemoteDescription)
        },
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-answer", "the answer of an earlier offer is refused") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            let stale = try pair.answerer.createAnswer(transport: NegotiationPair.right)
            try pair.offerer.rollback()
            try pair.offerer.addTransceiver(.video)
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            expectRefusal(.modifiedDescription) { try pair.answerer.setLocalDescription(stale, type: .answer) }
        },
        JSEPBehaviour("RTCPeerConnection-setLocalDescription-pranswer", "may be repeated, and an answer ends it") {
            var pair = try NegotiationPair.wanting([.audio])
            let offer = try pair.offerer.offering()
            try pair.answerer.setRemoteDescription(offer, type: .offer)
            for _ in 0..<3 {
                let early = try pair.answerer.answering(as: .provisionalAnswer)
                try pair.offerer.setRemoteDescription(early, type: .provisionalAnswer)
                #expect(pair.answerer.pendingLocalDescription == early && pair.answerer.currentLocalDescription == nil)
                #expect(pair.offerer.pendingRemoteDescription == early)
            }
            try pair.offerer.setRemoteDescription(try pair.answerer.answering(), type: .answer)
            #expect(pair.offerer.signalingState == .stable && pair.answerer.signalingState == .stable)
        },
    ]

    static let settingRemote = [
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-offer", "a text that is none is refused by its line") {
            let error = #expect(throws: SDPError.self) {
                _ = try SessionDescription(parsing: "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nInvalid SDP\r\n")
            }
            #expect(error?.line == 3 && error?.remedy.isEmpty == false)
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-offer", "a later offer takes the place of one") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            try pair.offerer.rollback()
            try pair.offerer.addTransceiver(.video)
            let second = try pair.offerer.offering()
            try pair.answerer.setRemoteDescription(second, type: .offer)
            #expect(pair.answerer.pendingRemoteDescription == second && pair.answerer.transceivers.count == 2)
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-offer", "one that was set may be set again") {
            var pair = try NegotiationPair.agreed([.audio])
            let offer = try pair.offerer.offering()
            for _ in 0..<3 { try pair.answerer.setRemoteDescription(offer, type: .offer) }
            #expect(pair.answerer.transceivers.count == 1 && pair.answerer.signalingState == .haveRemoteOffer)
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-answer", "every m-line is answered, and none added") {
            var pair = try NegotiationPair.wanting([.audio, .video])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            var answer = try pair.answerer.answering()
            answer.media.removeLast()
            expectRefusal(.invalidRemoteDescription) {
                try pair.offerer.setRemoteDescription(answer, type: .answer)
            }
            #expect(pair.offerer.signalingState == .haveLocalOffer)
        },
        JSEPBehaviour(
            "RTCPeerConnection-setRemoteDescription-nomsid", "a section without msid is received all the same"
        ) {
            var pair = try NegotiationPair.wanting([.audio])
            var offer = try pair.offerer.createOffer(transport: NegotiationPair.left)
            offer.media[0].removeAttributes {
                switch $0 {
                case .msid, .ssrc, .ssrcGroup: true
                default: false
                }
            }
            let (_, session) = try answered(offer, by: &pair.answerer)
            #expect(session.media[0].direction == .sendReceive && session.media[0].remoteStreams.isEmpty)
            #expect(session.media[0].remoteSSRCs.isEmpty, "known by its packets: MID and payload type")
        },
        JSEPBehaviour("protocol/msid-parse", "a track may be in several streams, or in none") {
            var pair = try NegotiationPair.wanting([.audio, .audio])
            var offer = try pair.offerer.createOffer(transport: NegotiationPair.left)
            for index in 0..<2 { offer.media[index].removeAttributes { if case .msid = $0 { true } else { false } } }
            for stream in ["a", "b"] {
                offer.media[0].append(.msid(MediaStreamIdentification(stream: stream, track: "t")))
            }
            offer.media[1].append(.msid(MediaStreamIdentification(stream: "-", track: "u")))
            let session = try answered(try altered(offer) { $0 }, by: &pair.answerer).session
            #expect(session.media[0].remoteStreams.map(\.stream) == ["a", "b"])
            #expect(session.media[1].remoteStreams.map(\.track) == ["u"])
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-tracks", "tracks of one stream are told as such") {
            let pair = try NegotiationPair.agreed()
            let streams = try agreed(pair.answerer).media.flatMap(\.remoteStreams).map(\.stream)
            #expect(streams.count == 2 && Set(streams).count == 1)
        },
        JSEPBehaviour("RTCPeerConnection-setRemoteDescription-simulcast", "simulcast is answered with one encoding") {
            var negotiator = Negotiator(random: .seeded(1))
            let (answer, session) = try answered(try fixture("simulcast-style-offer"), by: &negotiator)
            #expect(answer.media[1].simulcast == nil && answer.media[1].restrictionIdentifiers.isEmpty)
            #expect(session.media[1].direction.receives && !session.media[1].isRejected)
        },
    ]
}
