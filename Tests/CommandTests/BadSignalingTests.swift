import Foundation
import Testing

/// Signalling that makes no sense, or none at all: exit code 13 with the reason, and no recording.
@Suite struct BadSignalingTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// A line as a JSON string value.
    private func line(_ type: String, _ sdp: String) throws -> String {
        let text = String(decoding: try JSONEncoder().encode(sdp), as: UTF8.self)
        return "{\"type\":\"\(type)\",\"sdp\":\(text)}\n"
    }

    /// An offer of postern's own.
    private func offer() async throws -> String {
        let ended = try await scriptedCall("offer", ["--send", "test"], says: "", scratch: scratch)
        let first = try #require(ended.output.split(separator: "\n").first)
        return try #require(try JSON(parsing: String(first))["sdp"].text)
    }

    private func refused(
        _ text: String, by role: String = "answer", saying words: [String] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let ended = try await scriptedCall(
            role, ["--record", scratch.file("out.webm"), "--setup-timeout", "1"], says: text, scratch: scratch)
        expectFailure(ended, 13, saying: words, "\(text.prefix(120))", sourceLocation: sourceLocation)
        #expect(!scratch.exists("out.webm"), "\(text.prefix(120))", sourceLocation: sourceLocation)
    }

    @Test func linesThatAreNoSignalling() async throws {
        let cases: [(String, String)] = [
            ("junk\n", "not JSON"), ("[1]\n", "not a JSON object"), ("{}\n", "neither \"type\" nor \"candidate\""),
            ("{\"type\":\"offer\"}\n", "without a string \"sdp\""), ("{\"type\":\"offer\",\"sdp\":5}\n", "\"sdp\""),
            ("{\"type\":\"quux\"}\n", "unknown type"), ("{\"candidate\":5}\n", "neither a string nor null"),
            ("\u{0}\u{1}\u{FF}\n", "not JSON"), (String(repeating: "[", count: 100_000) + "\n", "not JSON"),
            (String(repeating: "a", count: 300_000) + "\n", "262144"),
        ]
        for (text, word) in cases { try await refused(text, saying: [word]) }
    }

    @Test func descriptionsThatCannotBeAgreedOn() async throws {
        let sdp = try await offer()
        func without(_ prefix: String) -> String {
            sdp.split(separator: "\r\n").filter { !$0.hasPrefix(prefix) }.joined(separator: "\r\n") + "\r\n"
        }
        try await refused(try line("offer", without("a=fingerprint")), saying: ["a=fingerprint", "m-line 0"])
        try await refused(try line("offer", without("a=ice-pwd")), saying: ["ice-pwd"])
        try await refused(try line("offer", without("o=")), saying: ["o=", "line 2"])
        try await refused(try line("offer", "v=0"), saying: ["malformed"])
        try await refused(try line("offer", "<html>404</html>"), saying: ["malformed"])
        try await refused(try line("answer", sdp), saying: ["without an offer of ours"])
        try await refused(try line("offer", sdp.replacing("sha-256 ", with: "sha-256 ZZ:")), saying: ["fingerprint"])
        try await refused(try line("answer", sdp), by: "offer", saying: ["a=setup:actpass"])
    }

    /// A description cut short anywhere is refused, or understood as far as it goes: then nobody answers (20).
    @Test func aDescriptionThatIsCutShortAnywhere() async throws {
        let sdp = try await offer()
        let refusals = try await withThrowingTaskGroup(of: Bool.self) { group in
            for step in 0..<40 {
                let text = try line(
                    "offer", String(sdp.unicodeScalars.prefix(1 + step * (sdp.unicodeScalars.count - 1) / 40)))
                group.addTask { [scratch] in
                    let ended = try await scriptedCall(
                        "answer", ["--record", scratch.file("\(step).webm"), "--setup-timeout", "200ms"], says: text,
                        scratch: scratch)
                    expectFailure(ended, ended.status == 20 ? 20 : 13, "cut \(step)")
                    return ended.status == 13
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(refusals > 10, "\(refusals) of 40 were refused")
        // Empty files of calls that never stood would be junk.
        #expect(!scratch.contents.contains { $0.hasSuffix(".webm") })
    }

    @Test func anAnswerWhoseSectionsAreInAnotherOrder() async throws {
        let call = try await PipedCall.run(
            offerer: ["--send", Fixture.clip, "--setup-timeout", "2"],
            answerer: ["--record", scratch.file("out.webm"), "--setup-timeout", "2"], scratch: scratch
        ) { line, side in
            guard side == .answerer, line.contains("\"answer\""), let sdp = (try? JSON(parsing: line))?["sdp"].text
            else { return [line] }
            let parts = sdp.components(separatedBy: "\r\nm=")
            guard parts.count == 3 else { return [line] }
            let tail = parts[2].hasSuffix("\r\n") ? String(parts[2].dropLast(2)) : parts[2]
            let swapped = [parts[0], tail, parts[1]].joined(separator: "\r\nm=") + "\r\n"
            let text = (try? JSONEncoder().encode(swapped)).map { String(decoding: $0, as: UTF8.self) } ?? ""
            return ["{\"type\":\"answer\",\"sdp\":\(text)}"]
        }
        expectFailure(call.offerer, 13, saying: ["m-line"])
        #expect([13, 20, 21].contains(call.answerer.status), "\(call.answerer.errors)")
        #expect(!scratch.exists("out.webm"))
    }

    /// Candidates that are none cost nothing but a line for people.
    @Test func candidatesThatAreNoneDoNoHarm() async throws {
        let recording = scratch.file("out.webm")
        let bad = [
            "candidate:", "candidate:1 1 udp", "candidate:1 1 udp 99999999999999 192.0.2.1 5 typ host", "junk",
            "candidate:1 1 udp 1 999.1.1.1 5 typ host", "candidate:1 1 udp 1 192.0.2.1 99999 typ host",
            "candidate:1 1 quic 1 192.0.2.1 5 typ host", "candidate:1 1 udp 1 192.0.2.1 5 typ quux",
            "candidate:1 2 udp 1 nobody.invalid 5 typ host", String(repeating: "candidate:", count: 5_000),
        ]
        let lines = bad.flatMap {
            ["{\"candidate\":\"\($0)\",\"sdpMid\":\"0\"}", "{\"candidate\":\"\($0)\",\"sdpMLineIndex\":-99999999999}"]
        }
        let call = try await PipedCall.run(
            offerer: ["--send", Fixture.clip, "--duration", "2"], answerer: ["--record", recording], scratch: scratch
        ) { line, _ in line.contains("\"candidate\"") ? lines + [line] : [line] }
        #expect(
            call.offerer.status == 0 && call.answerer.status == 0, "\(call.offerer.errors)\n\(call.answerer.errors)")
        #expect(call.answerer.errors.contains("candidate not used"), "\(call.answerer.errors)")
        try await expectPlayable(recording, scratch: scratch)
    }

    /// Keys of somebody else: refused before any media, by whoever was lied to.
    @Test(arguments: [PipedCall.Side.offerer, .answerer]) func aWrongFingerprintLetsNothingIn(
        _ lied: PipedCall.Side
    ) async throws {
        let (here, there) = (scratch.file("here.webm"), scratch.file("there.webm"))
        let call = try await PipedCall.run(
            offerer: ["--send", Fixture.clip, "--record", here, "--report", scratch.file("here.json")],
            answerer: ["--send", Fixture.clip, "--record", there, "--report", scratch.file("there.json")],
            scratch: scratch
        ) { line, from in
            guard from != lied, line.contains("a=fingerprint:sha-256 ") else { return [line] }
            let digest = Array(repeating: "AB", count: 32).joined(separator: ":")
            return [line.replacing(/a=fingerprint:sha-256 [0-9A-Fa-f:]+/, with: "a=fingerprint:sha-256 " + digest)]
        }
        let (victim, report) = lied == .offerer ? (call.offerer, "here.json") : (call.answerer, "there.json")
        expectFailure(
            victim, 21,
            saying: [
                "the peer's certificate has sha-256", "its description announced", "The fingerprint is wrong", "Check",
            ])
        #expect(try JSON(file: scratch.file(report))["diagnosis"]["sentence"].text?.contains("certificate") == true)
        let other = lied == .offerer ? call.answerer : call.offerer
        #expect(other.status != 0 && !other.wasSignalled, "\(other.errors)")
        #expect(!scratch.exists("here.webm") && !scratch.exists("there.webm"))
    }

    @Test func signallingThatEndsEarly() async throws {
        for role in ["offer", "answer"] {
            try await refused("", by: role, saying: ["signalling ended before the other side's description came"])
            try await refused("{\"candidate\":null}\n{\"type\":\"bye\"}\n", by: role, saying: ["description"])
        }
    }

    /// The other side holds the line and says nothing: told after --setup-timeout, as what it is.
    @Test(arguments: ["offer", "answer"]) func anotherSideThatSaysNothing(_ role: String) async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let ended = try await scriptedCall(
            role, ["--record", scratch.file("out.webm"), "--setup-timeout", "1s"], says: "", keepsOpen: true,
            scratch: scratch)
        #expect(clock.now - start < .seconds(20))
        expectFailure(ended, 13, saying: ["the other side's description never came"])
        #expect(!scratch.exists("out.webm"))
    }

    /// Once the call stands, signalling has done its work.
    @Test func noiseAfterTheCallStandsDoesNotEndIt() async throws {
        let recording = scratch.file("out.webm")
        let call = try await PipedCall.run(
            offerer: ["--send", Fixture.clip, "--duration", "2"], answerer: ["--record", recording], scratch: scratch
        ) { line, _ in line == "{\"candidate\":null}" ? [line, "", "   "] : [line] }
        #expect(
            call.offerer.status == 0 && call.answerer.status == 0, "\(call.offerer.errors)\n\(call.answerer.errors)")
        try await expectPlayable(recording, scratch: scratch)
    }
}
