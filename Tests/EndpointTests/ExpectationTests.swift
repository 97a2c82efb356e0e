import Endpoint
import Testing

@Suite struct ExpectationTests {
    static let report: JSONValue = [
        "outcome": "connected", "setup": 312.5,
        "video": ["freezes": 0, "lossFraction": 0.021, "bitrate": 998_000],
        "recording": nil, "tracks": [["codec": "opus"], ["codec": "VP8"]], "ok": true,
    ]

    @Test(arguments: [
        "setup < 1s", "setup<=312.5ms", "video.freezes == 0", "video.lossFraction < 2.2%", "video.bitrate > 0.9mbps",
        "video.bitrate < 1000 kbps", "outcome == connected", "outcome != 'failed'", "recording == null",
        "tracks.1.codec == VP8", "ok == true", "setup >= 312500us", "setup < 1e3", "video.freezes >= -1",
    ])
    func holds(_ text: String) throws {
        let result = try Expectation(parsing: text).evaluate(on: Self.report)
        #expect(result.held, "\(result.reason)")
    }

    @Test(arguments: [
        "setup < 0.3s", "video.freezes > 0", "outcome == failed", "recording < 5", "video.nothing == 0",
        "outcome < 3", "tracks.2.codec == VP8", "setup.deeper == 1", "ok == false",
    ])
    func fails(_ text: String) throws {
        #expect(try !Expectation(parsing: text).evaluate(on: Self.report).held)
    }

    @Test func aMissingMemberNamesWhatIsThere() throws {
        let result = try Expectation(parsing: "video.freeze == 0").evaluate(on: Self.report)
        #expect(result.reason == "video has no member \"freeze\"; it has freezes, lossFraction, bitrate")
    }

    @Test(arguments: ["", "setup", "< 3", "setup <", "setup < 3 parsecs", "a..b == 1", ".a == 1", "setup < (3)"])
    func malformedIsRefused(_ text: String) {
        #expect(throws: ExpectationError.self) { try Expectation(parsing: text) }
    }

    @Test func jsonKeepsOrderAndEscapes() {
        #expect(JSONValue.object([.init("b", 1), .init("a", "x\"\n\u{1}é")]).line == #"{"b":1,"a":"x\"\n\u0001é"}"#)
        #expect(JSONValue.number(.nan).line != "nan" || JSONValue(rounded: .nan) == .null)
    }
}
