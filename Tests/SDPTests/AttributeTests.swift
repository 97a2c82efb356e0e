import FixtureSupport
import Primitives
import SDP
import Testing

@Suite struct AttributeTests {
    @Test func chromiumOfferIsReadInFull() throws {
        let description = try offer("chromium-156-offer")
        #expect(description.origin.sessionID == "1148917306746861097")
        #expect(description.origin.sessionVersion == 2)
        #expect(description.groups == [MediaGroup(.bundle, mids: ["0", "1", "2"])])
        #expect(description.allowsMixedExtensions)
        #expect(description.media.map(\.media) == ["audio", "video", "application"])
        #expect(description.media.map(\.mid) == ["0", "1", "2"])
        let audio = description.media[0]
        #expect(audio.payloadTypes == [111, 63, 9, 0, 8, 13, 110, 126])
        #expect(audio.iceUfrag == "aqJV" && audio.icePwd == "naCybvRKQJIkQSGNsrdTfnqy")
        #expect(audio.iceOptions == ["trickle"])
        #expect(audio.setup == .actpass && audio.direction == .sendReceive)
        #expect(audio.isRTCPMux && audio.isRTCPReducedSize && audio.rtcpPort == 9)
        #expect(audio.fingerprints[0].hashFunction == "sha-256")
        #expect(audio.fingerprints[0].bytes.prefix(3) == [0xCD, 0x72, 0x81] && audio.fingerprints[0].bytes.count == 32)
        #expect(audio.rtpMaps[0] == RTPMap(payloadType: 111, encoding: "opus", clockRate: 48_000, channels: 2))
        #expect(audio.formatParameters[0].value(of: "useinbandfec") == "1")
        #expect(audio.formatParameters[1].parameters == [.init("111/111", nil)])
        #expect(
            audio.streams == [
                MediaStreamIdentification(stream: "-", track: "cf323843-f574-400f-9190-64b0c79a07ff")
            ])
        #expect(audio.attributes.contains(.rtcpXR(["rcvr-rtt=all"])))
        #expect(audio.connection == ConnectionData(addressType: "IP4", address: "0.0.0.0"))
        let video = description.media[1]
        #expect(
            video.rtcpFeedback.filter { $0.payloadType == 96 }.map(\.value)
                == ["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"])
        #expect(video.extensionMaps.first { $0.uri.hasSuffix("sdes:mid") }?.id == 4)
        #expect(
            video.sourceGroups == [SourceGroup(semantics: "FID", ssrcs: [SSRC(1_902_411_953), SSRC(2_386_839_565)])])
        #expect(
            video.sourceAttributes[0]
                == SourceAttribute(ssrc: SSRC(1_902_411_953), name: "cname", value: "OiQcSpnSJHkGQP2n"))
        let data = description.media[2]
        #expect(data.sctpPort == 5000 && data.maximumMessageSize == 262_144 && data.formats == ["webrtc-datachannel"])
    }

    @Test func firefoxOfferIsReadInFull() throws {
        let description = try offer("firefox-153-offer")
        #expect(description.origin.username == "mozilla...THIS_IS_SDPARTA-99.0")
        #expect(description.fingerprints.count == 1 && description.media[0].fingerprints.isEmpty)
        #expect(description.iceOptions == ["trickle"])
        let audio = description.media[0]
        #expect(audio.candidates.map(\.component) == [1, 1, 2, 2])
        #expect(audio.candidates[0].host == .address(IPAddress("198.51.100.1")!) && audio.candidates[0].port == 48_587)
        #expect(audio.candidates[1].tcpType == .active && audio.candidates[1].transport == .tcp)
        #expect(audio.hasEndOfCandidates)
        #expect(audio.extensionMaps[1].direction == .receiveOnly)
        #expect(audio.port == 48_587 && audio.rtcpPort == 60_492)
    }

    @Test func simulcastAndItsIdentifiersAreRead() throws {
        let video = try offer("simulcast-style-offer").media[1]
        #expect(video.restrictionIdentifiers.map(\.id) == ["h", "m", "l"])
        #expect(
            video.simulcast
                == Simulcast(send: [[.init(rid: "h")], [.init(rid: "m")], [.init(rid: "l", isPaused: true)]]))
        guard case .simulcast(let both) = try Attribute(parsing: "simulcast:recv 1;~4,5 send 6"),
            case .rid(let rid) = try Attribute(parsing: "rid:1 recv pt=97;max-width=1280")
        else {
            Issue.record("not read")
            return
        }
        #expect(
            both.receive.map { $0.map(\.rid) } == [["1"], ["4", "5"]] && both.send.map { $0.map(\.rid) } == [["6"]])
        #expect(both.description == "recv 1;~4,5 send 6")
        #expect(rid.restrictions == "pt=97;max-width=1280" && rid.direction == .receive)
    }

    @Test func bundleOnlySectionsAreNotRejectedOnes() throws {
        let description = try offer("webrtcbin-style-offer")
        #expect(description.media.map(\.port) == [9, 0, 0])
        #expect(description.media.map(\.isRejected) == [false, false, false])
        #expect(description.media[0].attributes.contains(.rtcpMuxOnly))
    }

    @Test(
        arguments: [
            ("ice-lite", .iceLite), ("ice-pacing:50", .icePacing(50)), ("ptime:20", .ptime(20)),
            ("maxptime:120", .maxptime(120)), ("tls-id:abcdefabcdefabcdefab", .tlsID("abcdefabcdefabcdefab")),
            ("setup:holdconn", .setup(.holdconn)), ("group:LS a v", .group(MediaGroup(.lipSync, mids: ["a", "v"]))),
            ("group:FID a v", .group(MediaGroup(.other("FID"), mids: ["a", "v"]))),
            ("rtcp:5001", .rtcp(port: 5001, address: nil)), ("extmap-allow-mixed", .extmapAllowMixed),
            ("rtcp-fb:* nack", .rtcpFeedback(RTCPFeedback(payloadType: nil, value: "nack"))),
            (
                "extmap:4096/inactive urn:x a b",
                .extmap(ExtensionMap(id: 4096, uri: "urn:x", direction: .inactive, attributes: "a b"))
            ),
            ("msid:stream", .msid(MediaStreamIdentification(stream: "stream", track: nil))),
            ("rtcp-xr", .rtcpXR([])), ("rtcp-mux:x", .other(name: "rtcp-mux", value: "x")),
            (
                "remote-candidates:1 192.0.2.3 45664 2 x.local 45665",
                .remoteCandidates([
                    RemoteCandidate(component: 1, host: .address(IPAddress("192.0.2.3")!), port: 45_664),
                    RemoteCandidate(component: 2, host: .name("x.local"), port: 45_665),
                ])
            ),
        ] as [(String, Attribute)])
    func attributeIsReadAndWritten(_ text: String, _ attribute: Attribute) throws {
        #expect(try Attribute(parsing: text) == attribute)
        #expect(try Attribute(parsing: "a=" + text) == attribute)
        #expect(attribute.description == text)
    }

    @Test func fingerprintLetterCaseIsTheWritersOwn() throws {
        let lower = try Attribute(
            parsing: "fingerprint:SHA-1 4a:ad:b9:b1:3f:82:18:3b:54:02:12:df:3e:5d:49:6b:19:e5:7c:ab")
        #expect(
            lower.description
                == "fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB")
    }

    @Test func formatParametersTolerateBlanksAndEmptyParts() {
        let parameters = FormatParameters(payloadType: 96, text: "a=1; B = x=y ;;c; ")
        #expect(parameters.parameters == [.init("a", "1"), .init("B", "x=y"), .init("c", nil)])
        #expect(parameters.value(of: "b") == "x=y")
        #expect(parameters.value(of: "c") == nil)
    }

    @Test(arguments: MediaDirection.allCases)
    func directionsReverseAndIntersect(_ direction: MediaDirection) {
        #expect(direction.reversed.sends == direction.receives)
        #expect(direction.reversed.reversed == direction)
        #expect(direction.intersection(.sendReceive) == direction)
        #expect(direction.intersection(.inactive) == .inactive)
    }
}
