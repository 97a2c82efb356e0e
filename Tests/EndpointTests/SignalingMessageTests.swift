import Endpoint
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
}
