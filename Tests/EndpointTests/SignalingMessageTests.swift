import Endpoint
import FixtureSupport
import Testing

@Suite struct SignalingMessageTests {
    @Test(arguments: [
        SignalingMessage.offer("v=0\r\ns=\"é\"\r\n"), .answer("v=0\r\n"), .endOfCandidates, .bye,
        .candidate("candidate:1 1 udp 1 192.0.2.1 5 typ host", sdpMid: "0", sdpMLineIndex: 0),
        .candidate("candidate:1 1 udp 1 192.0.2.1 5 typ host", sdpMid: nil, sdpMLineIndex: nil),
    ])
    func linesRoundTrip(_ message: SignalingMessage) throws {
        #expect(!message.line.contains("\n"))
        #expect(try SignalingMessage(parsing: message.line) == message)
    }

    @Test func browsersAndOldAppsAreUnderstood() throws {
        #expect(try SignalingMessage(parsing: "null") == .endOfCandidates)
        #expect(try SignalingMessage(parsing: #"{"candidate":""}"#) == .endOfCandidates)
        #expect(
            try SignalingMessage(parsing: #"{"candidate":{"candidate":"x","sdpMid":"0","sdpMLineIndex":1}}"#)
                == .candidate("x", sdpMid: "0", sdpMLineIndex: 1))
        #expect(
            try SignalingMessage(parsing: #"{"type":"candidate","candidate":"x","sdpMid":"a"}"#)
                == .candidate("x", sdpMid: "a", sdpMLineIndex: nil))
    }

    @Test(arguments: [
        "", "{", "[]", "5", "{}", #"{"type":"offer"}"#, #"{"type":5,"x":1}"#, #"{"type":"shout","sdp":"x"}"#,
        #"{"candidate":5}"#, #"{"type":"answer","sdp":""}"#,
    ])
    func malformedLinesAreRefused(_ line: String) {
        #expect(throws: SignalingError.self) { try SignalingMessage(parsing: line) }
    }

    @Test func aLineWithoutEndIsRefused() {
        #expect(throws: SignalingError.self) {
            try SignalingMessage(parsing: String(repeating: "x", count: SignalingMessage.maximumLine + 1))
        }
    }

    @Test func mutatedLinesEndInAMessageOrAReason() {
        let android =
            #"{"candidate":{"candidate":"0:0:candidate:4020260996 1 udp 2122260223 10.0.0.9 52652 typ host network-cost 50: ","sdpMid":"0","sdpMLineIndex":0}}"#
        let seeds = [
            #"{"type":"offer","sdp":"v=0\r\ns=-\r\n"}"#, #"{"type":"answer","sdp":"v=0é😀"}"#, android,
            #"{"candidate":null}"#, #"{"type":"end-of-candidates"}"#,
            #"{"candidate":"candidate:1 1 udp 1 192.0.2.1 5 typ host","sdpMid":null,"sdpMLineIndex":1e300}"#,
            #"{"candidate":"x","sdpMLineIndex":-99999999999999999999}"#,
        ].map { Array($0.utf8) }
        for seed in seeds {
            for length in 0...seed.count {
                _ = try? SignalingMessage(parsing: String(decoding: seed[..<length], as: UTF8.self))
            }
        }
        var mutations = Mutations(of: seeds, seed: 8_829)
        for _ in 0..<100_000 {
            guard let message = try? SignalingMessage(parsing: String(decoding: mutations.next(), as: UTF8.self)) else {
                continue
            }
            if message.line.contains("\n") { Issue.record("\(message)") }
        }
    }

    @Test func deepNestingIsRefused() {
        let deep = String(repeating: #"{"candidate":"#, count: 15_000)
        #expect(throws: SignalingError.self) { try SignalingMessage(parsing: deep) }
        #expect(throws: SignalingError.self) {
            try SignalingMessage(parsing: deep + "5" + String(repeating: "}", count: 15_000))
        }
    }
}
