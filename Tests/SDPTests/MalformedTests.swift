import FixtureSupport
import SDP
import Testing

/// A whole description whose line 7 is replaced.
private func description(withLine7 line: String) -> String {
    """
    v=0
    o=- 1 1 IN IP4 0.0.0.0
    s=-
    t=0 0
    a=group:BUNDLE 0
    m=audio 9 UDP/TLS/RTP/SAVPF 0
    \(line)
    a=mid:0
    """
}

@Suite struct MalformedTests {
    @Test(arguments: [
        ("hello", "letter=value"), ("A=mid:0", "letter=value"), ("a", "letter=value"), (" a=mid:0", "letter=value"),
        ("a=", "no name"), ("a=:x", "no name"), ("a=mid:", "mid"), ("a=mid:a b", "mid"), ("a=group:", "semantics"),
        ("a=group", "semantics"), ("a=group:BUNDLE (", "mid in the group"), ("a=ice-ufrag:abc", "4 to 256"),
        ("a=ice-ufrag:ab\"d", "4 to 256"), ("a=ice-pwd:tooshort", "22 to 256"), ("a=setup:maybe", "role"),
        ("a=fingerprint:sha-256", "hash function and a hash"), ("a=fingerprint:sha-256 AB:CD", "2 bytes where"),
        ("a=fingerprint:sha-256 ABCD", "pairs"), ("a=fingerprint:x G0:11", "pairs"), ("a=fingerprint:x +1", "pairs"),
        ("a=rtpmap:128 opus/48000", "0 to 127"), ("a=rtpmap:111", "no encoding"), ("a=rtpmap:111 opus", "clock rate"),
        ("a=rtpmap:111 opus/0", "clock rate"), ("a=rtpmap:111 opus/48000/x", "channels"),
        ("a=extmap:0 urn:x", "1 to 255"), ("a=extmap:300 urn:x", "1 to 255"), ("a=extmap:1/up urn:x", "direction"),
        ("a=extmap:1", "no URI"), ("a=sctp-port:65536", "SCTP port"), ("m=audio", "m= needs"),
        ("m=audio 65536 X 0", "0 to 65535"), ("m=audio -1 X 0", "0 to 65535"), ("m=audio 9/0 X 0", "number of ports"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF", "no format"), ("m=au(dio 9 X 0", "no token"), ("c=IN IP4", "c= needs"),
        ("c=IN IP4 0.0.0.0 more", "c= needs"), ("t=0", "t= needs"), ("t=a b", "t= needs"), ("v=0", "only once"),
        ("o=- 1 1 IN IP4 0.0.0.0", "only once"), ("a=x\ra=y", "carriage return"), ("a=x\u{0}", "NUL"),
    ])
    func malformedLineIsNamedByItsNumber(_ line: String, _ expected: String) {
        let error = #expect(throws: SDPError.self) { try SessionDescription(parsing: description(withLine7: line)) }
        #expect(error?.line == 7)
        #expect(error?.kind == .malformed)
        #expect(error?.problem.contains(expected) == true, "\(String(describing: error))")
        #expect(error.map { "\($0)".hasPrefix("SDP line 7 “") } == true)
        #expect(error?.remedy.isEmpty == false)
    }

    @Test(arguments: [
        "a=candidate:1", "a=remote-candidates:x", "a=remote-candidates", "a=rtcp:x", "a=rtcp:9 IN", "a=fmtp:200 x",
        "a=fmtp:96", "a=rtcp-fb:96", "a=rtcp-fb", "a=rtcp-fb:x nack", "a=ssrc:x cname:y", "a=ssrc:1", "a=ssrc-group:",
        "a=ssrc-group:FID x", "a=rid:(", "a=rid:1 up", "a=simulcast:", "a=simulcast:send", "a=simulcast:send ;",
        "a=simulcast:send 1;(", "a=simulcast:send 1 send 2", "a=ptime:x", "a=maxptime:", "a=max-message-size:-1",
        "a=ice-pacing:x", "a=ice-options:", "a=tls-id:", "a=msid:", "a=msid:a b c",
    ])
    func malformedInessentialAttributeIsKeptAsUnknownWithAWarning(_ line: String) throws {
        let text = description(withLine7: line)
        let parsed = try SessionDescription(parsing: text)
        #expect(parsed.warnings.map(\.line) == [7])
        let name = line.dropFirst(2).split(separator: ":", maxSplits: 1)[0]
        guard case .attribute(.other(String(name), _), let kept) = parsed.media[0].lines[0] else {
            Issue.record("\(parsed.media[0].lines[0])")
            return
        }
        #expect("a=" + kept == line)
        #expect(throws: SDPError.self) { try Attribute(parsing: line) }
    }

    @Test(arguments: [
        ("", 1, "empty"), ("\r\n\r\n", 1, "empty"), ("o=- 1 1 IN IP4 0.0.0.0\n", 1, "v=0"), ("v=1\n", 1, "version 0"),
        ("v=0\n", 2, "o="), ("v=0\ns=-\n", 2, "o="), ("v=0\no=- 1 1 IN IP4\n", 2, "o= needs"),
        ("v=0\no=- x 1 IN IP4 0.0.0.0\n", 2, "decimal"),
        ("v=0\no=- 1 18446744073709551616 IN IP4 0.0.0.0\n", 2, "decimal"),
        ("{\"type\":\"offer\"}", 1, "letter=value"), ("v=0\\r\\no=- 1 1 IN IP4 0.0.0.0\\r\\n", 1, "version 0"),
    ])
    func unusableTextIsNamed(_ text: String, _ line: Int, _ expected: String) {
        let error = #expect(throws: SDPError.self) { try SessionDescription(parsing: text) }
        #expect(error?.line == line)
        #expect(error?.problem.contains(expected) == true, "\(String(describing: error))")
    }

    @Test func whatWasPastedWronglyIsSaid() {
        let json = #expect(throws: SDPError.self) { try SessionDescription(parsing: "{\"sdp\":1}") }
        #expect(json?.remedy.contains("JSON") == true)
        let escaped = #expect(throws: SDPError.self) { try SessionDescription(parsing: "v=0\\r\\no=- 1 1") }
        #expect(escaped?.remedy.contains("decode the JSON string") == true)
    }

    @Test func longLinesAreShortenedInTheMessage() {
        let line = "a=mid:" + String(repeating: "(", count: 500)
        let error = #expect(throws: SDPError.self) { try SessionDescription(parsing: description(withLine7: line)) }
        #expect(error?.text.count == 81)
        #expect(error?.text.hasSuffix("…") == true)
    }
}

@Suite struct LimitTests {
    private static let head = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

    private func parse(_ tail: String, _ limits: SessionDescription.Limits) -> SDPError? {
        do throws(SDPError) {
            _ = try SessionDescription(parsing: Self.head + tail, limits: limits)
            return nil
        } catch { return error }
    }

    @Test func bytesAreCapped() {
        let size = Self.head.utf8.count
        #expect(parse("", .init(bytes: size)) == nil)
        #expect(parse("", .init(bytes: size - 1))?.kind == .limit)
    }

    @Test func lineLengthIsCapped() {
        #expect(parse("a=" + String(repeating: "x", count: 98), .init(lineBytes: 100)) == nil)
        let error = parse("a=" + String(repeating: "x", count: 99), .init(lineBytes: 100))
        #expect(error?.kind == .limit && error?.line == 5)
    }

    @Test func linesAreCapped() {
        #expect(parse("a=x\r\na=y\r\n", .init(lines: 6)) == nil)
        let error = parse("a=x\r\na=y\r\na=z\r\n", .init(lines: 6))
        #expect(error?.kind == .limit && error?.line == 7)
        #expect(parse("\n\n\n\n", .init(lines: 6))?.kind == .limit)
    }

    @Test func mediaSectionsAreCapped() {
        let section = "m=audio 9 X 0\r\n"
        #expect(parse(section + section, .init(mediaSections: 2)) == nil)
        let error = parse(section + section + section, .init(mediaSections: 2))
        #expect(error?.kind == .limit && error?.line == 7)
    }

    @Test func attributesOfASectionAreCapped() {
        let three = "a=x\r\na=x\r\na=x\r\n"
        #expect(parse(three + "m=audio 9 X 0\r\n" + three, .init(attributesPerSection: 3)) == nil)
        let error = parse(three + "m=audio 9 X 0\r\n" + three + "a=x\r\n", .init(attributesPerSection: 3))
        #expect(error?.kind == .limit && error?.line == 12)
    }

    @Test func standardLimitsHoldAgainstFloods() {
        #expect(parse(String(repeating: "m=audio 9 X 0\r\n", count: 257), .standard)?.kind == .limit)
        #expect(parse(String(repeating: "a=x\r\n", count: 2_049), .standard)?.kind == .limit)
        #expect(parse(String(repeating: "b=x\r\n", count: 16_384), .standard)?.kind == .limit)
        #expect(parse("a=" + String(repeating: "x", count: 9_000), .standard)?.kind == .limit)
        #expect(parse(String(repeating: "x", count: 600_000), .standard)?.kind == .limit)
    }
}
