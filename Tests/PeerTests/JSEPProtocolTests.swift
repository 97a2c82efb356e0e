import Peer
import Primitives
import SDP
import Testing

/// What descriptions look like on the wire: webrtc/protocol/ of web-platform-tests.
@Suite struct JSEPProtocolTests {
    @Test(arguments: offers + sections + roles + numbers) func descriptions(_ behaviour: JSEPBehaviour) throws {
        try behaviour.check()
    }

    static let offers = [
        JSEPBehaviour("protocol/jsep-initial-offer", "the first lines are those of the standard") {
            var pair = try NegotiationPair.wanting([.audio])
            let offer = try pair.offerer.offering()
            let lines = offer.serialized.split(separator: "\r\n").map(String.init)
            #expect(lines[0] == "v=0" && lines[2] == "s=-" && lines[3] == "t=0 0")
            #expect(lines[1].hasPrefix("o=- ") && lines[1].hasSuffix(" 1 IN IP4 127.0.0.1"))
            let number = try #require(UInt64(offer.origin.sessionID))
            #expect(number < 1 << 63, "63 bits")
            #expect(lines.allSatisfy { !$0.isEmpty } && offer.serialized.hasSuffix("\r\n"))
        },
        JSEPBehaviour("RTCPeerConnection-canTrickleIceCandidates", "every section says that candidates may follow") {
            let pair = try NegotiationPair.agreed()
            for description in [pair.offerer.localDescription, pair.answerer.localDescription] {
                #expect(description?.media.allSatisfy { $0.iceOptions == ["trickle"] } == true)
            }
        },
        JSEPBehaviour("protocol/bundle", "all sections are one group, and the answer's is a part of it") {
            var pair = try NegotiationPair.wanting([.audio, .video, .audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            try pair.answerer.stop(pair.answerer.transceivers[0].id)
            let answer = try pair.answerer.answering()
            #expect(pair.offerer.localDescription?.groups.map(\.mids) == [["0", "1", "2"]])
            #expect(answer.groups.map(\.mids) == [["1", "2"]])
            try pair.offerer.setRemoteDescription(answer, type: .answer)
            #expect(try agreed(pair.offerer).remoteTransport?.iceUfrag == "ufright")
        },
        JSEPBehaviour("protocol/bundle", "an answer cannot bundle what was not offered so") {
            var pair = try NegotiationPair.wanting([.audio])
            try pair.answerer.setRemoteDescription(try pair.offerer.offering(), type: .offer)
            let answer = try altered(try pair.answerer.answering()) {
                $0.replacing("BUNDLE 0", with: "BUNDLE 0 7")
            }
            expectRefusal(.invalidRemoteDescription) { try pair.offerer.setRemoteDescription(answer, type: .answer) }
        },
    ]

    static let sections = [
        JSEPBehaviour("protocol/unknown-mediatypes", "an unknown kind is declined, and the rest goes on") {
            var pair = try NegotiationPair.wanting([.audio])
            var offer = try pair.offerer.createOffer(transport: NegotiationPair.left)
            var unicycle = offer.media[0]
            unicycle.media = "unicycle"
            unicycle.lines = unicycle.lines.map { $0.attribute == .mid("0") ? .attribute(.mid("u")) : $0 }
            offer.media.insert(unicycle, at: 0)
            let (answer, session) = try answered(offer, by: &pair.answerer)
            #expect(answer.media.map(\.media) == ["unicycle", "audio"] && answer.media.map(\.port) == [0, 9])
            #expect(session.media.map(\.rejection) == [.unsupportedMedia, nil])
        },
        JSEPBehaviour("protocol/h264-unidirectional-codec-offer", "H.264 alone is declined, and sound goes on") {
            var negotiator = Negotiator(random: .seeded(1))
            try negotiator.addTransceiver(.audio)
            try negotiator.addTransceiver(.video)
            let session = try answered(try fixture("h264-only-style-offer"), by: &negotiator).session
            #expect(session.media.map(\.rejection) == [nil, .noCommonCodec])
        },
        JSEPBehaviour("protocol/sctp-format", "a data channel is declined, and the call goes on") {
            var negotiator = Negotiator(random: .seeded(1))
            let (answer, session) = try answered(try fixture("chromium-156-offer"), by: &negotiator)
            #expect(answer.media[2].port == 0 && !answer.groups[0].mids.contains("2"))
            #expect(session.acceptedMedia.count == 2)
        },
        JSEPBehaviour("protocol/missing-fields", "an answer without a=mid or a=msid is taken") {
            var pair = try NegotiationPair.wanting([.audio])
            let (answer, _) = try answered(
                try pair.offerer.offering(), by: &pair.answerer, transport: NegotiationPair.right)
            var bare = answer
            bare.removeAttributes { if case .group = $0 { true } else { false } }
            bare.media[0].removeAttributes {
                switch $0 {
                case .mid, .msid, .ssrc: true
                default: false
                }
            }
            try pair.offerer.setRemoteDescription(bare, type: .answer)
            #expect(try agreed(pair.offerer).media[0].mid == "0")
            #expect(pair.offerer.transceivers[0].currentDirection == .sendReceive)
        },
        JSEPBehaviour("protocol/missing-fields", "one without ICE credentials or a fingerprint is not") {
            for name in ["ice-ufrag", "ice-pwd", "fingerprint"] {
                var pair = try NegotiationPair.wanting([.audio])
                let (answer, _) = try answered(
                    try pair.offerer.offering(), by: &pair.answerer, transport: NegotiationPair.right)
                let text = answer.serialized.split(separator: "\r\n").filter { !$0.hasPrefix("a=\(name):") }
                let bare = try SessionDescription(parsing: text.joined(separator: "\r\n") + "\r\n")
                expectRefusal(.invalidRemoteDescription) { try pair.offerer.setRemoteDescription(bare, type: .answer) }
            }
        },
        JSEPBehaviour("protocol/ice-ufragpwd", "credentials of other characters, or too short, are refused") {
            var pair = try NegotiationPair.wanting([.audio])
            let offer = try pair.offerer.createOffer(transport: NegotiationPair.left)
            for (old, new) in [
                ("ice-ufrag:ufleft", "ice-ufrag:uf=left"), ("ice-ufrag:ufleft", "ice-ufrag:abc"),
                ("passwordpasswordpassleft", "password=passwordpass=left"), ("passwordpasswordpassleft", "short"),
            ] {
                let error = #expect(throws: SDPError.self) { _ = try altered(offer) { $0.replacing(old, with: new) } }
                #expect((error?.line ?? 0) > 0)
            }
        },
    ]

    static let roles = [
        JSEPBehaviour("protocol/dtls-setup", "an offer leaves the role open, and the answerer opens the handshake") {
            let pair = try NegotiationPair.agreed([.audio])
            #expect(pair.offerer.localDescription?.media[0].setup == .actpass)
            #expect(pair.answerer.localDescription?.media[0].setup == .active)
            #expect(try !agreed(pair.offerer).isDTLSClient && agreed(pair.answerer).isDTLSClient)
        },
        JSEPBehaviour("protocol/dtls-setup", "an answer of active or passive is obeyed") {
            for (role, isClient) in [(SetupRole.active, false), (.passive, true)] {
                var pair = try NegotiationPair.wanting([.audio])
                let (answer, _) = try answered(
                    try pair.offerer.offering(), by: &pair.answerer,
                    transport: .sample("right", certificate: 2, setup: role))
                try pair.offerer.setRemoteDescription(answer, type: .answer)
                #expect(try agreed(pair.offerer).isDTLSClient == isClient)
                #expect(try agreed(pair.answerer).isDTLSClient != isClient)
            }
        },
        JSEPBehaviour("protocol/dtls-setup", "an answer of actpass is refused") {
            var pair = try NegotiationPair.wanting([.audio])
            let (answer, _) = try answered(
                try pair.offerer.offering(), by: &pair.answerer, transport: NegotiationPair.right)
            let open = try altered(answer) { $0.replacing("setup:active", with: "setup:actpass") }
            expectRefusal(.invalidRemoteDescription) { try pair.offerer.setRemoteDescription(open, type: .answer) }
        },
        JSEPBehaviour("protocol/dtls-setup", "the roles outlive exchanges in either direction") {
            var pair = try NegotiationPair.agreed([.audio])
            for _ in 0..<2 {
                try pair.exchangeBack()
                #expect(try agreed(pair.answerer).isDTLSClient && !agreed(pair.offerer).isDTLSClient)
                try pair.exchange()
                #expect(try agreed(pair.answerer).isDTLSClient && !agreed(pair.offerer).isNewDTLSAssociation)
            }
        },
    ]

    static let numbers = [
        JSEPBehaviour("protocol/rtp-payloadtypes", "numbers are valid, and mean one thing in the whole group") {
            var pair = try NegotiationPair.wanting([.audio, .video, .audio, .video])
            let offer = try pair.offerer.offering()
            var meanings: [UInt8: Set<String>] = [:]
            for section in offer.media {
                #expect(section.payloadTypes.count == Set(section.payloadTypes).count)
                for map in section.rtpMaps {
                    meanings[map.payloadType, default: []].insert("\(map.encoding)/\(map.clockRate)")
                    let isDynamic = (96...127).contains(map.payloadType) || (35...63).contains(map.payloadType)
                    #expect(isDynamic || [0, 8, 13].contains(map.payloadType))
                }
            }
            #expect(meanings.values.allSatisfy { $0.count == 1 })
        },
        JSEPBehaviour("protocol/rtp-extension-support", "every extension has one number, and MID is always there") {
            var pair = try NegotiationPair.wanting([.audio, .video])
            let offer = try pair.offerer.offering()
            var uris: [UInt16: Set<String>] = [:]
            for section in offer.media {
                for map in section.extensionMaps { uris[map.id, default: []].insert(map.uri) }
                #expect(section.extensionMaps.contains { $0.uri == HeaderExtensionURI.mid })
            }
            #expect(uris.values.allSatisfy { $0.count == 1 })
        },
        JSEPBehaviour("protocol/rtp-extension-support", "an unknown extension is left out of the answer") {
            var pair = try NegotiationPair.wanting([.audio])
            let offer = try altered(try pair.offerer.createOffer(transport: NegotiationPair.left)) {
                $0.replacing("a=sendrecv\r\n", with: "a=extmap:14 urn:example:foo\r\na=sendrecv\r\n")
            }
            let (answer, session) = try answered(offer, by: &pair.answerer)
            #expect(!answer.serialized.contains("urn:example:foo") && session.acceptedMedia.count == 1)
        },
        JSEPBehaviour("protocol/rtx-codecs", "retransmission of a codec we decline is declined with it") {
            var negotiator = Negotiator(random: .seeded(1))
            let answer = try answered(try fixture("every-codec-style-offer"), by: &negotiator).answer
            #expect(answer.media[1].rtpMaps.map(\.encoding) == ["VP8", "rtx"])
            #expect(answer.media[1].formatParameters.compactMap { $0.value(of: "apt") } == ["96"])
        },
        JSEPBehaviour("protocol/rtx-codecs", "retransmission of nothing, or of itself, is none") {
            var pair = try NegotiationPair.wanting([.video])
            let offer = try pair.offerer.createOffer(transport: NegotiationPair.left)
            for apt in ["97", "55", "300", "x"] {
                let odd = try altered(offer) { $0.replacing("apt=96", with: "apt=\(apt)") }
                var answerer = pair.answerer
                let (answer, session) = try answered(odd, by: &answerer)
                #expect(answer.media[0].formats == ["96"])
                #expect(session.media[0].sendCodecs.first?.retransmissionPayloadType == nil)
            }
        },
    ]
}
