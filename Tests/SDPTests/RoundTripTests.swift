import FixtureSupport
import Primitives
import SDP
import Testing

func offerFixtures() throws -> [String] { try Fixtures.names(in: "sdp").filter { $0.hasSuffix(".sdp") } }

func offer(_ name: String) throws -> SessionDescription {
    try SessionDescription(parsing: try Fixtures.text("sdp/\(name).sdp"))
}

@Suite struct RoundTripTests {
    @Test func thereAreFifteenFixtures() throws { #expect(try offerFixtures().count == 15) }

    @Test(arguments: try offerFixtures())
    func everyFixtureComesBackByteForByte(_ name: String) throws {
        var bytes = try Fixtures.bytes(name)
        while bytes.suffix(2) == [10, 10] { bytes.removeLast() }  // the capture's empty line
        let description = try SessionDescription(parsing: String(decoding: bytes, as: UTF8.self))
        #expect(Array(description.serialized.utf8) == bytes)
        #expect(description.warnings.isEmpty, "\(description.warnings)")
    }

    @Test(arguments: try offerFixtures())
    func typedValuesWriteTheTextTheyCameFrom(_ name: String) throws {
        let description = try SessionDescription(parsing: try Fixtures.text(name))
        for line in description.lines + description.media.flatMap(\.lines) {
            guard case .attribute(let attribute, let text) = line else { continue }
            // Letter case of the transport, and the blank some write after msid-semantic, are the writer's own.
            #expect(attribute.description.lowercased() == text.lowercased())
            #expect(try Attribute(parsing: "a=" + text) == attribute)
        }
    }

    @Test func lineFeedsAloneAndAMissingLastLineEndAreTolerated() throws {
        let text = try Fixtures.text("sdp/janus-style-offer.sdp")
        let expected = try SessionDescription(parsing: text)
        let unix = String(decoding: text.utf8.filter { $0 != 13 }, as: UTF8.self)
        #expect(try SessionDescription(parsing: unix) == expected)
        #expect(try SessionDescription(parsing: String(decoding: text.utf8.dropLast(2), as: UTF8.self)) == expected)
        #expect(try SessionDescription(parsing: String(decoding: text.utf8.dropLast(1), as: UTF8.self)) == expected)
        #expect(try SessionDescription(parsing: unix + "\n\n") == expected)
    }

    @Test(arguments: ["s=", "s= ", "s=-", "s=Ünï ☎ = a=b", "s=VideoRoom 1234"])
    func anySessionNameSurvives(_ name: String) throws {
        let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n\(name)\r\nt=0 0\r\n"
        #expect(try SessionDescription(parsing: text).serialized == text)
    }

    @Test func unknownLinesAndAttributesStayInPlace() throws {
        let text = """
            v=0
            o=jdoe 00012345678901234567890123 5 IN IP6 2001:db8::1
            s=Call
            i=A call
            u=http://example.com/
            e=a@example.com
            p=+1 617 555-6011
            c=IN IP4 233.252.0.1/127
            b=AS:128
            t=3724394400 3724398000
            r=604800 3600 0 90000
            z=3730921200 -1h
            k=clear:x
            a=recvonly
            a=x-unknown:  two  blanks
            a=flag:
            x=not in any standard
            m=audio 49170/2 RTP/AVP 0
            i=voice
            b=X-YZ:1
            a=unknown
            m=image 9 whatever t38

            """.replacing("\n", with: "\r\n")
        let description = try SessionDescription(parsing: text)
        #expect(description.serialized == text)
        #expect(description.media[0].portCount == 2)
        #expect(description.media[1].kind == nil)
        #expect(description.attributes.contains(.other(name: "flag", value: "")))
        #expect(description.direction == .receiveOnly)
        #expect(description.origin.sessionID == "00012345678901234567890123")
    }

    @Test func noValueCanSmuggleInALine() {
        var description = SessionDescription(
            origin: Origin(
                sessionID: "1", sessionVersion: 1, address: ConnectionData(addressType: "IP4", address: "0.0.0.0")))
        description.append(.other(name: "x", value: "1\r\na=setup:active\nm=audio 1 x 0\u{0}"))
        let text = description.serialized
        #expect(text == "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=x:1  a=setup:active m=audio 1 x 0 \r\n")
        #expect(throws: SDPError.self) { try Attribute(parsing: "a=mid:0\r\na=mid:1") }
    }
}
