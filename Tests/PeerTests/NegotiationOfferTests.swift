import Peer
import Primitives
import SDP
import Testing

@Suite struct NegotiationOfferTests {
    @Test func offerOfAudioAndVideoIsGolden() throws {
        var negotiator = Negotiator(cname: "c", random: .seeded(1))
        try negotiator.addTransceiver(.audio)
        try negotiator.addTransceiver(.video, direction: .receiveOnly)
        let transport = TransportParameters(
            iceUfrag: "abcd", icePwd: "0123456789012345678901",
            fingerprints: [FingerprintAttribute(bytes: Array(repeating: 0xA0, count: 32))])
        let session = try negotiator.createOffer(transport: transport)
        #expect(session.serialized == goldenOffer.replacing("\n", with: "\r\n") + "\r\n")
        #expect(try SessionDescription(parsing: session.serialized) == session)
    }

    @Test func candidatesAndDefaultAddressStandInTheFirstSectionOnly() throws {
        var negotiator = Negotiator(random: .seeded(1))
        try negotiator.addTransceiver(.audio)
        try negotiator.addTransceiver(.video)
        var transport = TransportParameters.sample("here", candidates: [.host("192.0.2.1", 5000)])
        transport.defaultAddress = TransportAddress("[2001:db8::1]:30008")
        transport.endOfCandidates = true
        transport.isICELite = true
        transport.icePacing = 20
        transport.tlsID = "0123456789abcdef0123"
        let offer = try negotiator.createOffer(transport: transport)
        #expect(offer.media.map(\.port) == [30_008, 9])
        #expect(offer.media[0].connection == ConnectionData(addressType: "IP6", address: "2001:db8::1"))
        #expect(offer.media.map { $0.candidates.count } == [1, 0])
        #expect(offer.media.map(\.hasEndOfCandidates) == [true, false])
        #expect(offer.isICELite && offer.icePacing == 20 && offer.media[0].tlsID == "0123456789abcdef0123")
    }

    @Test func candidatesGatheredLaterGoIntoTheLocalDescription() throws {
        var negotiator = Negotiator(random: .seeded(1))
        try negotiator.addTransceiver(.audio)
        var transport = TransportParameters.sample("here")
        let offer = try negotiator.createOffer(transport: transport)
        try negotiator.setLocalDescription(offer, type: .offer)
        transport.candidates = [.host("192.0.2.1", 5000), .host("192.0.2.1", 5001)]
        negotiator.updateLocalCandidates(of: transport)
        transport.candidates.removeLast()
        negotiator.updateLocalCandidates(of: transport)
        let section = try #require(negotiator.localDescription?.media[0])
        #expect(section.candidates == [.host("192.0.2.1", 5000)])
        #expect(negotiator.localDescription?.withCandidatesRemoved == offer.withCandidatesRemoved)
    }

    @Test func bundleOnlySectionsAreWrittenWhereAsked() throws {
        var negotiator = Negotiator(bundlePolicy: .maxBundle, random: .seeded(1))
        try negotiator.addTransceiver(.audio)
        try negotiator.addTransceiver(.video)
        let offer = try negotiator.createOffer(transport: .sample("here"))
        #expect(offer.media.map(\.port) == [9, 0])
        #expect(offer.media.map { $0.attributes.contains(.bundleOnly) } == [false, true])
        var peer = Negotiator(random: .seeded(2))
        let (answer, session) = try answered(offer, by: &peer)
        #expect(answer.media.map(\.port) == [9, 9] && session.acceptedMedia.count == 2)
    }

    @Test func codecPreferencesChooseAndOrder() throws {
        var negotiator = Negotiator(random: .seeded(1))
        try negotiator.addTransceiver(.audio, codecPreferences: [.pcma, .opus])
        let offer = try negotiator.createOffer(transport: .sample("here"))
        #expect(offer.media[0].formats == ["8", "111"])
        #expect(throws: NegotiationError.self) { try negotiator.addTransceiver(.audio, codecPreferences: [.vp8]) }
        #expect(throws: NegotiationError.self) {
            try negotiator.addTransceiver(.audio, codecPreferences: [.comfortNoise])
        }
    }

    @Test func nothingToOfferIsAnError() {
        var negotiator = Negotiator(random: .seeded(1))
        let error = #expect(throws: NegotiationError.self) { try negotiator.createOffer(transport: .sample("here")) }
        #expect(error?.kind == .wrongState)
    }

    @Test func sameOfferKeepsItsVersionAndAChangedOneGoesUpByOne() throws {
        var pair = NegotiationPair()
        let id = try pair.offerer.addTransceiver(.audio)
        let first = try pair.exchange().offer
        #expect(first.origin.sessionVersion == 1)
        #expect(try pair.offerer.createOffer(transport: .sample("left", certificate: 1)).origin.sessionVersion == 1)
        try pair.offerer.setDirection(.inactive, of: id)
        _ = try pair.offerer.createOffer(transport: .sample("left", certificate: 1))
        let second = try pair.exchange().offer
        #expect(second.origin.sessionVersion == 2 && second.origin.sessionID == first.origin.sessionID)
        try pair.offerer.setDirection(.sendOnly, of: id)
        #expect(try pair.exchange().offer.origin.sessionVersion == 3)
    }

    @Test func ssrcsAndTrackNamesAreUnique() throws {
        var negotiator = Negotiator(random: .seeded(3))
        for _ in 0..<20 { try negotiator.addTransceiver(.video) }
        let ssrcs = negotiator.transceivers.flatMap { [$0.ssrc, $0.retransmissionSSRC] }
        #expect(Set(ssrcs).count == 40 && !ssrcs.contains(nil))
        #expect(Set(negotiator.transceivers.map(\.trackID)).count == 20)
        #expect(Set(negotiator.transceivers.map(\.streamID)).count == 1)
    }
}

extension SessionDescription {
    var withCandidatesRemoved: SessionDescription {
        var copy = self
        for index in copy.media.indices {
            copy.media[index].removeAttributes { if case .candidate = $0 { true } else { $0 == .endOfCandidates } }
        }
        return copy
    }
}

private let fingerprintOfA0 = Array(repeating: "A0", count: 32).joined(separator: ":")

private let goldenOffer = """
    v=0
    o=- 6483309580052039778 1 IN IP4 127.0.0.1
    s=-
    t=0 0
    a=group:BUNDLE 0 1
    a=extmap-allow-mixed
    a=msid-semantic: WMS *
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 13 110 126
    c=IN IP4 0.0.0.0
    a=rtcp:9 IN IP4 0.0.0.0
    a=ice-ufrag:abcd
    a=ice-pwd:0123456789012345678901
    a=ice-options:trickle
    a=fingerprint:sha-256 \(fingerprintOfA0)
    a=setup:actpass
    a=mid:0
    a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
    a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time
    a=sendrecv
    a=msid:14452a08-5697-f892-a7a3-66c27b1c2e64 7336239a-e248-7ab2-22a7-fd6f1223c124
    a=rtcp-mux
    a=rtcp-mux-only
    a=rtcp-rsize
    a=rtcp-xr:rcvr-rtt=all
    a=rtpmap:111 opus/48000/2
    a=rtcp-fb:111 transport-cc
    a=rtcp-fb:111 nack
    a=fmtp:111 minptime=10;useinbandfec=1
    a=rtpmap:0 PCMU/8000
    a=rtcp-fb:0 transport-cc
    a=rtcp-fb:0 nack
    a=rtpmap:8 PCMA/8000
    a=rtcp-fb:8 transport-cc
    a=rtcp-fb:8 nack
    a=rtpmap:13 CN/8000
    a=rtpmap:110 telephone-event/48000
    a=fmtp:110 0-15
    a=rtpmap:126 telephone-event/8000
    a=fmtp:126 0-15
    a=ssrc:2381648102 cname:c
    a=ssrc:2381648102 msid:14452a08-5697-f892-a7a3-66c27b1c2e64 7336239a-e248-7ab2-22a7-fd6f1223c124
    m=video 9 UDP/TLS/RTP/SAVPF 96 97
    c=IN IP4 0.0.0.0
    a=rtcp:9 IN IP4 0.0.0.0
    a=ice-ufrag:abcd
    a=ice-pwd:0123456789012345678901
    a=ice-options:trickle
    a=fingerprint:sha-256 \(fingerprintOfA0)
    a=setup:actpass
    a=mid:1
    a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
    a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
    a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay
    a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time
    a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
    a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
    a=extmap:13 urn:3gpp:video-orientation
    a=recvonly
    a=rtcp-mux
    a=rtcp-mux-only
    a=rtcp-rsize
    a=rtcp-xr:rcvr-rtt=all
    a=rtpmap:96 VP8/90000
    a=rtcp-fb:96 goog-remb
    a=rtcp-fb:96 transport-cc
    a=rtcp-fb:96 ccm fir
    a=rtcp-fb:96 nack
    a=rtcp-fb:96 nack pli
    a=rtpmap:97 rtx/90000
    a=fmtp:97 apt=96
    """
