import Peer
import Primitives
import SDP
import Testing

/// What other implementations do that ours does not: each case was met in a call with one of them.
@Suite struct ForeignPeerTests {
    /// A gateway that knows only G.711: Opus bytes under its payload type would be noise.
    @Test func framesOfAnotherCodecThanTheAgreedOneDoNotLeave() throws {
        let call = try ScenarioCall("rtt=20ms", seed: 1) { side, configuration in
            guard side == .right else { return }
            configuration.capabilities.audio.removeAll { $0.codec != .pcmu }
        }
        try call.addMedia(right: [])
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        #expect(call.right.received["0"] == nil)
        #expect(call.left.track(.audio)?.refusals["codecNotAgreed"] ?? 0 > 40)
        #expect(call.right.received["1"]?.count ?? 0 > 20, "the video goes on")
        let now = call.now
        try call.turn(.left) { engine, out in
            let frame = EncodedFrame(
                codec: .pcmu, payload: Array(repeating: 0xFF, count: 160), timestamp: 0, duration: 160)
            #expect(engine.send(frame, mid: "0", at: now, into: &out) == nil)
        }
        try call.run(for: .milliseconds(200))
        #expect(call.right.received["0"]?.count == 1)
    }

    /// Chromium 156 with codec preferences set while it answers: the answer lists PCMA alone, and Opus comes.
    @Test func whatWasOfferedIsHeardEvenWhereTheAnswerLeftItOut() throws {
        let call = try ScenarioCall("rtt=20ms", seed: 2)
        try call.addMedia(left: [.video], right: [.audio, .video])
        call.signalFilter = { signal in
            guard case .description(.answer, let text) = signal.message else { return signal }
            var signal = signal
            signal.message = .description(.answer, Self.keeping(payloadType: "8", in: text))
            return signal
        }
        try call.start()
        try call.connect()
        try call.run(for: .seconds(2))
        let session = try #require(call.left.engine.negotiatedSession)
        #expect(session.media[0].sendCodecs.map(\.payloadType) == [8])
        #expect(session.media[0].receivePayloadTypes[77] == nil, "never offered")
        #expect(call.left.received["0"]?.count ?? 0 > 80)
        #expect(call.left.refusedStreams == 0)
    }

    /// Transport-wide numbers on the video alone, as some servers have them.
    @Test(arguments: [true, false]) func transportWideNumbersNeedNotBeOnTheFirstSection(onVideo: Bool) throws {
        let call = try ScenarioCall("rtt=20ms", seed: 3)
        try call.addMedia(right: [])
        call.signalFilter = { signal in
            guard case .description(.offer, let text) = signal.message else { return signal }
            var signal = signal
            var isAudio = false
            let lines = text.split(separator: "\r\n").filter { line in
                if line.hasPrefix("m=") { isAudio = line.hasPrefix("m=audio") }
                return !line.contains("transport-wide-cc-extensions") || (onVideo && !isAudio)
            }
            signal.message = .description(.offer, lines.joined(separator: "\r\n") + "\r\n")
            return signal
        }
        try call.start()
        try call.connect()
        try call.run(for: .seconds(5))
        let feedback = call.departures(.rtcp, from: .right)
        #expect(onVideo ? feedback > 60 : feedback < 30, "\(feedback)")
    }

    /// Gathered before the offer came, told after it: the name of the section is the offer's.
    @Test func candidatesGoByTheNameOfTheTransportsSection() throws {
        let call = try ScenarioCall("rtt=20ms", seed: 4)
        try call.addMedia()
        for side in Side.allCases { try call.gather(side) }
        let now = call.now
        var text = ""
        try call.turn(.left) { engine, out in
            text = try engine.createOffer(at: now, into: &out).serialized
        }
        text =
            text.split(separator: "\r\n").map {
                switch $0 {
                case "a=mid:0": "a=mid:sound"
                case "a=mid:1": "a=mid:picture"
                case "a=group:BUNDLE 0 1": "a=group:BUNDLE picture sound"
                default: String($0)
                }
            }.joined(separator: "\r\n") + "\r\n"
        try call.turn(.right) { engine, out in
            try engine.setRemoteDescription(try SessionDescription(parsing: text), type: .offer, at: now, into: &out)
            try engine.setLocalDescription(try engine.createAnswer(), type: .answer, at: now, into: &out)
        }
        let section = call.right.engine.transportSection
        #expect(section.mid == "picture" && section.index == 1)
    }

    @Test func statisticsNameTheCodecThatComes() throws {
        let call = try ScenarioCall("rtt=20ms", seed: 5)
        try call.addMedia()
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        let report = call.right.engine.statistics(at: call.now)
        let inbound = try #require(report.objects(of: .inboundRTP).first { $0["kind"] == .string("audio") })
        let codec = try #require(report.objects.first { .string($0.id) == inbound["codecId"] })
        #expect(codec["payloadType"]?.asDouble == 111 && codec["mimeType"] == .string("audio/opus"))
    }

    /// The description with one payload type left in its audio section.
    private static func keeping(payloadType: String, in text: String) -> String {
        var isAudio = false
        return text.split(separator: "\r\n").compactMap { line -> String? in
            if line.hasPrefix("m=") { isAudio = line.hasPrefix("m=audio") }
            guard isAudio else { return String(line) }
            if line.hasPrefix("m=") {
                return line.split(separator: " ").prefix(3).joined(separator: " ") + " " + payloadType
            }
            for prefix in ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"] where line.hasPrefix(prefix) {
                if !line.hasPrefix(prefix + payloadType + " ") { return nil }
            }
            return String(line)
        }.joined(separator: "\r\n") + "\r\n"
    }
}
