import FixtureSupport
import Foundation
import Peer
import Primitives
import SDP
import Testing

/// What one fixture must come to when a peer that wants audio and video both ways answers it.
struct ExpectedAnswer: Sendable {
    var fixture: String
    /// `m=` lines of the answer.
    var mediaLines: [String]
    var group: [String]
    var directions: [MediaDirection]
    var rejections: [SectionRejection?]
    /// Of the first accepted section.
    var ufrag: String?
    var candidates = 0
    var midExtension: UInt16?
}

private let expectedAnswers = [
    ExpectedAnswer(
        fixture: "chromium-156-offer",
        mediaLines: [
            "audio 9 UDP/TLS/RTP/SAVPF 111 0 8 13 110 126", "video 9 UDP/TLS/RTP/SAVPF 96 97",
            "application 0 UDP/DTLS/SCTP webrtc-datachannel",
        ], group: ["0", "1"], directions: [.sendReceive, .sendReceive, .inactive],
        rejections: [nil, nil, .unsupportedMedia], ufrag: "aqJV", midExtension: 4),
    ExpectedAnswer(
        fixture: "firefox-153-offer",
        mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 109 0 8 101", "video 9 UDP/TLS/RTP/SAVPF 120 124"],
        group: ["0", "1"], directions: [.sendReceive, .sendReceive], rejections: [nil, nil], ufrag: "07a64155",
        candidates: 2, midExtension: 3),
    ExpectedAnswer(
        fixture: "firefox-153-offer-datachannel",
        mediaLines: [
            "audio 9 UDP/TLS/RTP/SAVPF 109 0 8 101", "video 9 UDP/TLS/RTP/SAVPF 120 124",
            "application 0 UDP/DTLS/SCTP webrtc-datachannel",
        ], group: ["0", "1"], directions: [.sendReceive, .sendReceive, .inactive],
        rejections: [nil, nil, .unsupportedMedia], ufrag: "28ccf3a3", candidates: 2, midExtension: 3),
    ExpectedAnswer(
        fixture: "safari-style-offer",
        mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 111 0 8 13 110 126", "video 9 UDP/TLS/RTP/SAVPF 103 104"],
        group: ["0", "1"], directions: [.sendReceive, .sendReceive], rejections: [nil, nil], ufrag: "Xk3z",
        candidates: 2, midExtension: 4),
    ExpectedAnswer(
        fixture: "android-libwebrtc-style-offer",
        mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 111 0 8 13 110 126", "video 9 UDP/TLS/RTP/SAVPF 96 97"],
        group: ["0", "1"], directions: [.sendReceive, .sendReceive], rejections: [nil, nil], ufrag: "h8Jd",
        candidates: 6, midExtension: 4),
    ExpectedAnswer(
        fixture: "janus-style-offer",
        mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 111", "video 9 UDP/TLS/RTP/SAVPF 96 97"], group: ["0", "1"],
        directions: [.receiveOnly, .receiveOnly], rejections: [nil, nil], ufrag: "q7Bz", candidates: 2,
        midExtension: 4),
    ExpectedAnswer(
        fixture: "webrtcbin-style-offer",
        mediaLines: [
            "video 9 UDP/TLS/RTP/SAVPF 96", "audio 9 UDP/TLS/RTP/SAVPF 97",
            "application 0 UDP/DTLS/SCTP webrtc-datachannel",
        ], group: ["video0", "audio1"], directions: [.sendReceive, .sendReceive, .inactive],
        rejections: [nil, nil, .unsupportedMedia], ufrag: "VbX8jGf0yKk6JgZ8Jq1vXy3sGQG0pd3n"),
    ExpectedAnswer(
        fixture: "g711-only-style-offer", mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 8 0 101 13"], group: [],
        directions: [.sendReceive], rejections: [nil], ufrag: "Y0sKdRmv9fQ4Ubtc", candidates: 1),
    ExpectedAnswer(
        fixture: "h264-only-style-offer",
        mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 96", "video 0 UDP/TLS/RTP/SAVPF 97 98"], group: ["audio"],
        directions: [.receiveOnly, .inactive], rejections: [nil, .noCommonCodec], ufrag: "Lp0e", midExtension: 1),
    ExpectedAnswer(
        fixture: "datachannel-only-style-offer", mediaLines: ["application 0 UDP/DTLS/SCTP webrtc-datachannel"],
        group: [], directions: [.inactive], rejections: [.unsupportedMedia], ufrag: nil),
    ExpectedAnswer(
        fixture: "simulcast-style-offer",
        mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 111 13 126", "video 9 UDP/TLS/RTP/SAVPF 96 97"], group: ["0", "1"],
        directions: [.receiveOnly, .receiveOnly], rejections: [nil, nil], ufrag: "F3hT", midExtension: 4),
    ExpectedAnswer(
        fixture: "unbundled-style-offer",
        mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 111 0", "video 0 UDP/TLS/RTP/SAVPF 100"], group: [],
        directions: [.sendReceive, .inactive], rejections: [nil, .notBundled], ufrag: "au01", candidates: 1),
    ExpectedAnswer(
        fixture: "every-codec-style-offer",
        mediaLines: [
            "audio 9 UDP/TLS/RTP/SAVPF 111 0 8 13 110 126", "video 9 UDP/TLS/RTP/SAVPF 96 97",
            "application 0 UDP/DTLS/SCTP webrtc-datachannel",
        ], group: ["0", "1"], directions: [.sendReceive, .sendReceive, .inactive],
        rejections: [nil, nil, .unsupportedMedia], ufrag: "eC3x", midExtension: 4),
    ExpectedAnswer(
        fixture: "audio-only-style-offer", mediaLines: ["audio 9 UDP/TLS/RTP/SAVPF 109 0 8 101"], group: ["0"],
        directions: [.sendReceive], rejections: [nil], ufrag: "a0d10b1e", midExtension: 3),
    ExpectedAnswer(
        fixture: "plan-b-style-offer",
        mediaLines: ["audio 9 RTP/SAVPF 111 0 8 13 126", "video 9 RTP/SAVPF 100 96"], group: ["audio", "video"],
        directions: [.sendReceive, .sendReceive], rejections: [nil, nil], ufrag: "pB7k"),
]

@Suite struct NegotiationAnswerTests {
    private func peer() throws -> Negotiator {
        var negotiator = Negotiator(cname: "c", random: .seeded(1))
        try negotiator.addTransceiver(.audio)
        try negotiator.addTransceiver(.video)
        return negotiator
    }

    @Test func everyFixtureHasAnExpectation() {
        let names = try? Fixtures.names(in: "sdp").filter { $0.hasSuffix(".sdp") }.count
        #expect(names == expectedAnswers.count)
    }

    @Test(arguments: expectedAnswers)
    func everyOfferIsAnsweredAsExpected(_ expected: ExpectedAnswer) throws {
        var negotiator = try peer()
        let offer = try fixture(expected.fixture)
        let (answer, session) = try answered(offer, by: &negotiator)
        #expect(answer.media.map(\.mediaLine) == expected.mediaLines)
        #expect(answer.groups.flatMap(\.mids) == expected.group)
        #expect(session.media.map(\.direction) == expected.directions)
        #expect(session.media.map(\.rejection) == expected.rejections)
        #expect(session.remoteTransport?.iceUfrag == expected.ufrag)
        #expect(session.remoteTransport?.candidates.count ?? 0 == expected.candidates)
        #expect(session.midExtension == expected.midExtension)
        #expect(session.isDTLSClient && !session.isLocalOfferer && !session.isICERestart)
        #expect(negotiator.signalingState == .stable)
        // What found no section to its liking waits for an offer of ours.
        let accepted = session.acceptedMedia.compactMap(\.kind)
        #expect(negotiator.needsNegotiation == (accepted.count < 2))
        #expect(answer.media.map(\.mid) == offer.media.map(\.mid))
        for (section, offered) in zip(answer.media, offer.media) where section.port != 0 {
            #expect(section.setup == .active && section.isRTCPMux)
            // Numbers and extension ids mirror the offer.
            let maps = Dictionary(uniqueKeysWithValues: offered.rtpMaps.map { ($0.payloadType, $0) })
            for map in section.rtpMaps {
                if let theirs = maps[map.payloadType] {
                    #expect(theirs.encoding.lowercased() == map.encoding.lowercased())
                } else {
                    #expect(map.payloadType < 64)
                }
            }
            #expect(section.payloadTypes.allSatisfy { offered.payloadTypes.contains($0) })
            for map in section.extensionMaps {
                #expect(offered.extensionMaps.contains { $0.id == map.id && $0.uri == map.uri })
            }
        }
        #expect(answer.serialized.contains("a=crypto") == false && answer.serialized.contains("a=simulcast") == false)
        #expect(answer.serialized.contains("rtcp-mux-only") == false)
    }

    /// The whole answer, to the letter: Fixtures/sdp/answers. `POSTERN_UPDATE_FIXTURES=1` writes them anew, to be looked at.
    @Test(arguments: expectedAnswers)
    func everyAnswerIsGolden(_ expected: ExpectedAnswer) throws {
        var negotiator = try peer()
        var transport = TransportParameters.sample("here", candidates: [.host("192.0.2.1", 5000)])
        transport.endOfCandidates = true
        let text = try answered(try fixture(expected.fixture), by: &negotiator, transport: transport).answer.serialized
        let name = "sdp/answers/\(expected.fixture).sdp"
        if ProcessInfo.processInfo.environment["POSTERN_UPDATE_FIXTURES"] != nil {
            try Data(text.utf8).write(to: URL(fileURLWithPath: Fixtures.path(name)))
        }
        #expect(text == (try Fixtures.text(name)))
        // Read back, it says the same.
        #expect(try SessionDescription(parsing: text).serialized == text)
    }

    @Test func chromiumSessionHasAllTheEngineNeeds() throws {
        var negotiator = try peer()
        let (_, session) = try answered(try fixture("chromium-156-offer"), by: &negotiator)
        let audio = session.media[0]
        #expect(
            audio.sendCodecs.map(\.codec)
                == [.opus, .pcmu, .pcma, .comfortNoise, .telephoneEvent, .telephoneEvent])
        #expect(audio.sendCodecs[0].parameters?.text == "minptime=10;useinbandfec=1")
        #expect(audio.sendCodecs[0].feedback == ["transport-cc"] && audio.sendCodecs[0].channels == 2)
        #expect(audio.usesReceiverReferenceTime && audio.isRTCPReducedSize && audio.allowsMixedExtensions)
        #expect(audio.remoteSSRCs == [SSRC(1_051_318_960)] && audio.remoteCNAME == "OiQcSpnSJHkGQP2n")
        #expect(audio.sendExtension(HeaderExtensionURI.audioLevel) == 1)
        let video = session.media[1]
        #expect(video.sendCodecs.map(\.payloadType) == [96] && video.sendCodecs[0].retransmissionPayloadType == 97)
        #expect(video.sendCodecs[0].feedback == ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"])
        #expect(video.receivePayloadTypes[97] == .retransmission(of: 96))
        #expect(video.receivePayloadTypes[96] == .media(video.receiveCodecs[0]))
        #expect(video.receivePayloadTypes.count == 2)
        #expect(video.remoteRetransmissionSSRCs == [SSRC(1_902_411_953): SSRC(2_386_839_565)])
        #expect(
            video.remoteStreams == [
                MediaStreamIdentification(stream: "-", track: "81e6e7a2-7b6a-42a8-a82c-d13f76744746")
            ])
        #expect(video.transceiver == negotiator.transceivers[1].id)
        #expect(negotiator.transceivers.map(\.mid) == ["0", "1"])
        #expect(negotiator.transceivers.map(\.currentDirection) == [.sendReceive, .sendReceive])
        #expect(negotiator.transceivers[1].negotiated == video)
    }

    @Test func directedExtensionsAreTurnedRound() throws {
        var negotiator = try peer()
        let (answer, session) = try answered(try fixture("firefox-153-offer"), by: &negotiator)
        let delay = answer.media[1].extensionMaps.first { $0.uri == HeaderExtensionURI.playoutDelay }
        #expect(delay?.id == 6 && delay?.direction == .sendOnly)
        #expect(session.media[1].sendExtension(HeaderExtensionURI.playoutDelay) == 6)
        #expect(session.media[1].receiveExtension(HeaderExtensionURI.playoutDelay) == nil)
    }

    @Test func sourcesOfOldStyleNameTheirStreams() throws {
        var negotiator = try peer()
        let (_, session) = try answered(try fixture("webrtcbin-style-offer"), by: &negotiator)
        #expect(
            session.media[1].remoteStreams == [
                MediaStreamIdentification(stream: "user2771356094@host-5a8d0e5c", track: "webrtctransceiver1")
            ])
        #expect(session.media[0].remoteRetransmissionSSRCs.isEmpty)
        #expect(session.media[0].sendCodecs[0].retransmissionPayloadType == nil)
    }

    @Test func aSectionWithoutMidGetsOneButTheAnswerHasNone() throws {
        var negotiator = try peer()
        let (answer, session) = try answered(try fixture("g711-only-style-offer"), by: &negotiator)
        #expect(session.media[0].mid == "0" && negotiator.transceivers[0].mid == "0")
        #expect(answer.media[0].mid == nil && answer.groups.isEmpty)
        #expect(session.media[0].packetTime == 20)
        #expect(session.media[0].sendCodecs.map(\.codec) == [.pcma, .pcmu, .telephoneEvent, .comfortNoise])
        // Our own next offer names it.
        let offer = try negotiator.createOffer(transport: .sample("here"))
        #expect(offer.media[0].mid == "0" && offer.media[1].mid == "1")
    }

    @Test func feedbackForAllFormatsCountsForEach() throws {
        var text = try fixture("unbundled-style-offer").serialized
        text = text.replacing("t=0 0\r\n", with: "t=0 0\r\na=group:BUNDLE audio video\r\n")
        var negotiator = try peer()
        let (_, session) = try answered(try SessionDescription(parsing: text), by: &negotiator)
        #expect(session.media[1].sendCodecs[0].feedback == ["ccm fir", "nack", "nack pli"])
        #expect(session.media[1].sendCodecs[0].payloadType == 100)
    }

    @Test func withoutAGroupTheSameCredentialsAreTheSameTransport() throws {
        let text = try fixture("unbundled-style-offer").serialized
            .replacing("vi02", with: "au01").replacing("f6GtN1wPqZ3sXk9RjL7yCbDh", with: "k2VnQ8xLr5TzW0yHcJ4mBdSf")
        var negotiator = try peer()
        let (answer, session) = try answered(try SessionDescription(parsing: text), by: &negotiator)
        #expect(session.media.map(\.rejection) == [nil, nil])
        #expect(answer.groups.isEmpty)
    }

    @Test func sectionsWithoutMuxOrOfForeignProfilesAreRejected() throws {
        let text = try fixture("unbundled-style-offer").serialized
        var first = try peer()
        let noMux = try SessionDescription(parsing: text.replacing("a=rtcp-mux\r\n", with: ""))
        let withoutMux = try answered(noMux, by: &first).session
        #expect(withoutMux.media.map(\.rejection) == [.noRTCPMux, .noRTCPMux] && withoutMux.remoteTransport == nil)
        var second = try peer()
        let foreign = try SessionDescription(
            parsing: text.replacing("m=audio 40000 UDP/TLS/RTP/SAVPF", with: "m=audio 40000 UDP/XYZ"))
        let withoutAudio = try answered(foreign, by: &second).session
        #expect(withoutAudio.media.map(\.rejection) == [.unsupportedProtocol, nil])
        #expect(withoutAudio.remoteTransport?.iceUfrag == "vi02")
    }

    @Test func withTheTaggedSectionRejectedTheNextOneStandsForTheTransport() throws {
        let text = try fixture("webrtcbin-style-offer").serialized.replacing("VP8", with: "VP9")
        var negotiator = try peer()
        let (answer, session) = try answered(try SessionDescription(parsing: text), by: &negotiator)
        #expect(session.media.map(\.rejection) == [.noCommonCodec, nil, .unsupportedMedia])
        #expect(answer.groups.flatMap(\.mids) == ["audio1"])
        #expect(session.remoteTransport?.iceUfrag == "VbX8jGf0yKk6JgZ8Jq1vXy3sGQG0pd3n")
    }

    @Test func aBundleOnlySectionMayLeaveItsTransportToTheTaggedOne() throws {
        var offer = try fixture("webrtcbin-style-offer")
        offer.media[1].removeAttributes {
            switch $0 {
            case .iceUfrag, .icePwd, .fingerprint, .setup, .rtcpMux, .rtcpMuxOnly: true
            default: false
            }
        }
        var negotiator = try peer()
        let (_, session) = try answered(offer, by: &negotiator)
        #expect(session.media.map(\.rejection) == [nil, nil, .unsupportedMedia])
    }

    @Test func anOfferMakesReceiversWhereNothingIsWanted() throws {
        var negotiator = Negotiator(random: .seeded(1))
        let (answer, session) = try answered(try fixture("chromium-156-offer"), by: &negotiator)
        #expect(negotiator.transceivers.map(\.direction) == [.receiveOnly, .receiveOnly])
        #expect(negotiator.transceivers.map(\.isFromRemoteOffer) == [true, true])
        #expect(session.media.map(\.direction) == [.receiveOnly, .receiveOnly, .inactive])
        #expect(answer.media[0].streams.isEmpty && answer.media[0].sourceAttributes.isEmpty)
    }

    @Test func aSenderIsNotSpentOnASectionThatOnlySends() throws {
        var negotiator = Negotiator(random: .seeded(1))
        let sender = try negotiator.addTransceiver(.audio, direction: .sendOnly)
        let (_, session) = try answered(try fixture("janus-style-offer"), by: &negotiator)
        #expect(session.media[0].direction == .receiveOnly && session.media[0].transceiver != sender)
        #expect(negotiator[sender]?.mid == nil && negotiator.needsNegotiation)
    }

    @Test func bandwidthLimitsAreRead() throws {
        var offer = try fixture("janus-style-offer")
        offer.lines.append(.other(letter: "b", value: "AS:2000"))
        offer.media[1].lines.append(.other(letter: "b", value: "AS:99999999999999999999"))
        offer.media[0].lines.append(.other(letter: "b", value: "AS:64"))
        offer.media[0].lines.append(.other(letter: "b", value: "TIAS:32000"))
        var negotiator = try peer()
        let (_, session) = try answered(offer, by: &negotiator)
        #expect(session.media.map(\.remoteBandwidthLimit) == [32_000, 2_000_000])
    }

    @Test func theAnswererMayWantToBeTheServer() throws {
        var negotiator = try peer()
        let (answer, session) = try answered(
            try fixture("chromium-156-offer"), by: &negotiator, transport: .sample("here", setup: .passive))
        #expect(answer.media[0].setup == .passive && !session.isDTLSClient)
    }

    @Test(arguments: [(SetupRole.active, SetupRole.passive, false), (.passive, .active, true)])
    func aSettledOfferDecidesTheRole(_ offered: SetupRole, _ expected: SetupRole, _ isClient: Bool) throws {
        let text = try fixture("chromium-156-offer").serialized
            .replacing("a=setup:actpass", with: "a=setup:\(offered.rawValue)")
        var negotiator = try peer()
        let (answer, session) = try answered(try SessionDescription(parsing: text), by: &negotiator)
        #expect(answer.media[0].setup == expected && session.isDTLSClient == isClient)
    }
}
