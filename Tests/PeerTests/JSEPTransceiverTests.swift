import Peer
import Primitives
import SDP
import Testing

/// Transceivers and the m-lines they live in: RTCRtpTransceiver*, RTCPeerConnection-addTransceiver and
/// protocol/transceiver-mline-recycling of web-platform-tests.
@Suite struct JSEPTransceiverTests {
    @Test(arguments: directions + stopping + codecs) func transceivers(_ behaviour: JSEPBehaviour) throws {
        try behaviour.check()
    }

    static let directions = [
        JSEPBehaviour("RTCPeerConnection-addTransceiver", "each has a section, a track and sources of its own") {
            var negotiator = Negotiator(random: .seeded(1))
            for _ in 0..<3 { try negotiator.addTransceiver(.video) }
            let offer = try negotiator.offering()
            #expect(offer.media.map(\.mid) == ["0", "1", "2"])
            #expect(Set(offer.media.flatMap(\.streams).map(\.track)).count == 3)
            #expect(Set(offer.media.flatMap(\.sourceAttributes).map(\.ssrc)).count == 6)
        },
        JSEPBehaviour("RTCRtpTransceiver", "an offer for which we have none makes one that receives") {
            var pair = try NegotiationPair.wanting([])
            try pair.offerer.addTransceiver(.audio)
            let answer = try pair.exchange().answer
            #expect(answer.media[0].direction == .receiveOnly)
            #expect(pair.answerer.transceivers.map(\.direction) == [.receiveOnly])
            #expect(pair.offerer.transceivers[0].currentDirection == .sendOnly)
        },
        JSEPBehaviour("RTCRtpTransceiver", "an offer takes those we have, in our order, by kind") {
            var pair = try NegotiationPair.wanting([])
            let video = try pair.answerer.addTransceiver(.video)
            let first = try pair.answerer.addTransceiver(.audio)
            let second = try pair.answerer.addTransceiver(.audio)
            for kind in [MediaKind.audio, .video, .audio] { try pair.offerer.addTransceiver(kind) }
            try pair.exchange()
            #expect(pair.answerer[first]?.mid == "0" && pair.answerer[video]?.mid == "1")
            #expect(pair.answerer[second]?.mid == "2" && pair.answerer.transceivers.count == 3)
        },
        JSEPBehaviour("RTCRtpTransceiver-direction", "a direction takes effect with the next exchange only") {
            var pair = try NegotiationPair.agreed([.audio])
            let id = pair.offerer.transceivers[0].id
            try pair.offerer.setDirection(.receiveOnly, of: id)
            #expect(pair.offerer[id]?.direction == .receiveOnly && pair.offerer[id]?.currentDirection == .sendReceive)
            try pair.exchange()
            #expect(pair.offerer[id]?.currentDirection == .receiveOnly)
            #expect(pair.answerer.transceivers[0].currentDirection == .sendOnly)
        },
        JSEPBehaviour("RTCRtpTransceiver-direction", "the far end's wish to send is not ours to grant alone") {
            var pair = try NegotiationPair.agreed([.audio])
            try pair.answerer.setDirection(.inactive, of: pair.answerer.transceivers[0].id)
            try pair.exchange()
            #expect(pair.offerer.transceivers[0].currentDirection == .inactive)
            #expect(pair.offerer.transceivers[0].direction == .sendReceive && !pair.offerer.needsNegotiation)
        },
        JSEPBehaviour("RTCRtpTransceiver", "whoever cannot send and is offered nothing is inactive") {
            var pair = try NegotiationPair.wanting([])
            try pair.offerer.addTransceiver(.audio, direction: .receiveOnly)
            let answer = try pair.exchange().answer
            #expect(answer.media[0].direction == .inactive && answer.media[0].port != 0)
        },
    ]

    static let stopping = [
        JSEPBehaviour("RTCRtpTransceiver-stop", "one stopped before it was offered leaves no trace") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.offerer.stop(try pair.offerer.addTransceiver(.video))
            #expect(pair.offerer.transceivers.count == 1)
            #expect(try pair.offerer.offering().media.map(\.media) == ["audio"])
        },
        JSEPBehaviour("RTCRtpTransceiver-stop", "its section is rejected, and the far end's is gone with it") {
            var pair = try NegotiationPair.agreed()
            try pair.offerer.stop(pair.offerer.transceivers[1].id)
            let (offer, answer) = try pair.exchange()
            #expect(offer.media[1].port == 0 && answer.media[1].port == 0)
            #expect(offer.media[1].direction == .inactive && !offer.groups[0].mids.contains("1"))
            #expect(pair.offerer.transceivers.count == 1 && pair.answerer.transceivers.count == 1)
        },
        JSEPBehaviour("RTCRtpTransceiver-stop", "a stopped one cannot be changed or stopped again") {
            var pair = try NegotiationPair.agreed([.audio])
            let id = pair.offerer.transceivers[0].id
            try pair.offerer.stop(id)
            expectRefusal(.unknownTransceiver) { try pair.offerer.setDirection(.sendOnly, of: id) }
            expectRefusal(.unknownTransceiver) { try pair.offerer.stop(id) }
        },
        JSEPBehaviour("RTCRtpTransceiver-stop", "one that is stopped while its offer waits is rejected in the answer") {
            var pair = try NegotiationPair.wanting([.audio, .video])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            try pair.answerer.stop(pair.answerer.transceivers[1].id)
            let answer = try pair.answerer.answering()
            #expect(answer.media.map(\.port) == [9, 0] && answer.groups[0].mids == ["0"])
            try pair.offerer.setRemoteDescription(answer, type: .answer)
            #expect(pair.offerer.transceivers.map(\.kind) == [.audio])
        },
        JSEPBehaviour("protocol/transceiver-mline-recycling", "a place is free once both sides know it is") {
            var pair = try NegotiationPair.agreed()
            try pair.offerer.stop(pair.offerer.transceivers[0].id)
            try pair.offerer.addTransceiver(.audio)
            let first = try pair.exchange().offer
            #expect(first.media.map(\.port) == [0, 9, 9], "not in the same offer")
            try pair.offerer.addTransceiver(.video)
            let second = try pair.exchange().offer
            #expect(second.media.map(\.media) == ["video", "video", "audio"])
            #expect(second.media.map(\.mid) == ["3", "1", "2"], "under a name of its own")
        },
        JSEPBehaviour("protocol/transceiver-mline-recycling", "the first free place is taken first") {
            var pair = try NegotiationPair.agreed([.audio, .video, .audio])
            try pair.offerer.stop(pair.offerer.transceivers[0].id)
            try pair.offerer.stop(pair.offerer.transceivers[1].id)
            try pair.exchange()
            let new = try pair.offerer.addTransceiver(.video)
            try pair.exchange()
            #expect(pair.offerer[new]?.mediaIndex == 0)
            #expect(try agreed(pair.answerer).media.map(\.isRejected) == [false, true, false])
        },
    ]

    static let codecs = [
        JSEPBehaviour("RTCRtpTransceiver-setCodecPreferences", "the offer has them in their order, and no others") {
            var negotiator = Negotiator(random: .seeded(1))
            try negotiator.addTransceiver(.audio, codecPreferences: [.pcmu, .opus, .telephoneEvent])
            let offer = try negotiator.offering()
            #expect(offer.media[0].rtpMaps.map(\.encoding) == ["PCMU", "opus", "telephone-event", "telephone-event"])
        },
        JSEPBehaviour("RTCRtpTransceiver-setCodecPreferences", "so has the answer") {
            var pair = try NegotiationPair.wanting([])
            try pair.offerer.addTransceiver(.audio)
            try pair.answerer.addTransceiver(.audio, codecPreferences: [.pcma, .opus])
            let answer = try pair.exchange().answer
            #expect(answer.media[0].formats == ["8", "111"])
            #expect(try agreed(pair.offerer).media[0].sendCodecs.map(\.codec) == [.pcma, .opus])
        },
        JSEPBehaviour("RTCRtpTransceiver-setCodecPreferences", "a list without media is refused") {
            var negotiator = Negotiator(random: .seeded(1))
            for list in [[Codec.vp8], [.telephoneEvent], [.comfortNoise, .telephoneEvent]] {
                expectRefusal(.unsupported) { try negotiator.addTransceiver(.audio, codecPreferences: list) }
            }
            #expect(negotiator.transceivers.isEmpty)
        },
    ]
}
