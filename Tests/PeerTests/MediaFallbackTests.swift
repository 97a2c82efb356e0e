import Primitives
import SDP
import Testing

@testable import Peer
@testable import RTP

/// Peers that do not do all we do: what both do makes the call, and what only one does is declined without a fuss.
@Suite struct MediaFallbackTests {
    /// A call with a peer of these capabilities on the right; media of synthetic tracks where they are wanted.
    private func call(
        seed: UInt64, offerer: Side = .left, kinds: [MediaKind] = [.audio, .video],
        _ change: @escaping (inout MediaCapabilities) -> Void = { _ in },
        signalFilter: @escaping (ScenarioCall.Signal) -> ScenarioCall.Signal? = { $0 }
    ) throws -> ScenarioCall {
        let call = try ScenarioCall("rtt=60ms", seed: seed) { side, configuration in
            if side == .right { change(&configuration.capabilities) }
        }
        try call.addMedia(left: kinds, right: kinds, videoBitrate: 300_000)
        call.signalFilter = signalFilter
        try call.start(offerer: offerer)
        try call.connect()
        return call
    }

    /// Sends a second of sound frame by frame; how many came whole, and how many were refused.
    private func sound(
        _ codec: Codec, from side: Side, on call: ScenarioCall
    ) throws -> (received: Int, refused: DropReason?) {
        for peer in Side.allCases { call[peer].tracks.removeAll { $0.kind == .audio } }
        try call.run(for: .milliseconds(500))
        var received = 0
        var refused: DropReason?
        let ticks: Int64 = codec == .opus ? 960 : 160
        call[side.other].onEvent = { event, _ in
            guard case .frame(let frame, "0") = event, frame.codec == codec else { return }
            if frame.payload == Array(repeating: 0xD5, count: 160), frame.duration == ticks { received += 1 }
        }
        for index in 0..<50 {
            let now = call.now
            // For Opus that is two frames of 10 ms.
            let payload = [UInt8](repeating: 0xD5, count: 160)
            try call.turn(side) { engine, out in
                let frame = EncodedFrame(
                    codec: codec, payload: payload, timestamp: Int64(index) * ticks, duration: ticks)
                refused = engine.send(frame, mid: "0", at: now, into: &out) ?? refused
            }
            try call.run(for: .milliseconds(20))
        }
        try call.run(for: .milliseconds(500))
        return (received, refused)
    }

    @Test(arguments: Side.allCases, [Codec.pcmu, .pcma])
    func aPeerWithG711OnlyIsHeardAndHears(offerer: Side, codec: Codec) throws {
        let call = try call(seed: 1, offerer: offerer) { capabilities in
            capabilities.audio.removeAll { $0.codec != codec && $0.codec != .comfortNoise }
        }
        #expect(call.left.engine.negotiatedSession?.media[0].sendCodec?.codec == codec)
        for side in Side.allCases {
            let sound = try sound(codec, from: side, on: call)
            #expect(sound.received == 50 && sound.refused == nil, "\(side)")
        }
        #expect(try call.frames("1", at: .right) > 55, "the picture goes on")
        // The negative twin: what was not agreed does not leave.
        let opus = try sound(.opus, from: .left, on: call)
        #expect(opus.received == 0 && opus.refused == .codecNotAgreed)
    }

    @Test(arguments: Side.allCases) func aPeerWithSoundOnlyGetsItsCall(offerer: Side) throws {
        let call = try ScenarioCall("rtt=60ms", seed: 2) { side, configuration in
            if side == .right { configuration.capabilities.video = [] }
        }
        #expect(throws: NegotiationError.self) {
            try call.right.engine.addTransceiver(.video, direction: .sendReceive)
        }
        for kind in MediaKind.allCases { try call.left.engine.addTransceiver(kind, direction: .sendReceive) }
        try call.right.engine.addTransceiver(.audio, direction: .sendReceive)
        for side in Side.allCases { call.addTrack(.audio, mid: "0", to: side) }
        call.addTrack(.video, mid: "1", to: .left)
        try call.start(offerer: offerer)
        try call.connect()
        let video = call.left.engine.negotiatedSession?.media.dropFirst().map(\.rejection)
        #expect(video == (offerer == .left ? [.refusedByPeer] : []))
        for side in Side.allCases { #expect(try call.frames("0", at: side) > 95) }
        #expect(call.right.received["1"] == nil)
        #expect(call.left.track(.video)?.refusals["directionInactive"] ?? 0 > 20)
        #expect(call.areConnected)
    }

    /// Its video is all H.264: declined, and both hear each other. Whether it offers so, or answers our VP8 with port 0.
    @Test(arguments: Side.allCases) func videoOfH264OnlyIsDeclinedAndTheSoundGoesOn(offerer: Side) throws {
        let call = try call(
            seed: 3, offerer: offerer,
            signalFilter: { signal in
                guard case .description(.offer, let text) = signal.message else { return signal }
                var signal = signal
                signal.message = .description(.offer, text.replacing("VP8/90000", with: "H264/90000"))
                return signal
            })
        let section = try #require(call.left.engine.negotiatedSession?.media[1])
        #expect(section.rejection == (offerer == .left ? .refusedByPeer : .noCommonCodec))
        for side in Side.allCases { #expect(try call.frames("0", at: side) > 95) }
        #expect(call.right.received["1"] == nil)
    }

    /// The negative twin: with VP8 beside it nothing is declined.
    @Test func videoWithVP8BesideH264IsTaken() throws {
        let call = try call(
            seed: 4, offerer: .right,
            signalFilter: { signal in
                guard signal.to == .left, case .description(.offer, let text) = signal.message else { return signal }
                var signal = signal
                signal.message = .description(.offer, Self.addingH264(text))
                return signal
            })
        #expect(call.left.engine.negotiatedSession?.media[1].sendCodecs.map(\.codec) == [.vp8])
        for side in Side.allCases { #expect(try call.frames("1", at: side) > 55) }
    }

    private static func addingH264(_ text: String) -> String {
        text.replacing(" 96 97\r\n", with: " 102 96 97\r\n")
            .replacing("a=rtpmap:96 ", with: "a=rtpmap:102 H264/90000\r\na=rtpmap:96 ")
    }

    // MARK: Comfort noise (RFC 3389)

    /// Sound, two seconds of a silence that is described now and then, sound again: nothing is missed and time goes on.
    @Test(arguments: [true, false]) func comfortNoiseIsAPauseOfItsLength(isAgreed: Bool) throws {
        let call = try call(seed: 5, kinds: [.audio]) { capabilities in
            capabilities.audio.removeAll { $0.codec != .pcmu && (!isAgreed || $0.codec != .comfortNoise) }
        }
        call.left.tracks = []
        call.right.tracks = []
        var heard: [(codec: Codec, timestamp: Int64)] = []
        call.right.onEvent = { event, _ in
            if case .frame(let frame, "0") = event { heard.append((frame.codec, frame.timestamp)) }
        }
        for index in 0..<200 {
            let now = call.now
            let isSound = index < 50 || index >= 150
            try call.turn(.left) { engine, out in
                if isSound {
                    let frame = EncodedFrame(
                        codec: .pcmu, payload: Array(repeating: 0xD5, count: 160), timestamp: Int64(index) * 160,
                        duration: 160, marker: index == 150)
                    #expect(engine.send(frame, mid: "0", at: now, into: &out) == nil)
                } else if index % 20 == 10 {
                    // Our own encoder makes none, gateways do.
                    var packets: [OutboundPacket] = []
                    let position = try #require(engine.senders.position(of: "0"))
                    let stream = engine.senders[at: position].stream
                    engine.senders[at: position].stream.append(
                        payload: [70], payloadType: 13, timestamp: stream.rtpTimestamp(of: Int64(index) * 160),
                        marker: false, at: now, into: &packets)
                    for packet in packets {
                        engine.pacer.enqueue(
                            PacedPacket(packet: packet), bytes: packet.bytes.count, priority: .audio, at: now)
                    }
                    engine.releasePaced(at: now, into: &out)
                }
            }
            try call.run(for: .milliseconds(20))
        }
        try call.run(for: .milliseconds(500))
        let times = heard.map(\.timestamp)
        #expect(heard.count { $0.codec == .pcmu } == 100)
        #expect(heard.count { $0.codec == .comfortNoise } == (isAgreed ? 5 : 0), "of what was not agreed nothing comes")
        #expect(times == times.sorted() && (times.last ?? 0) - (times.first ?? 0) == 199 * 160)
        let lost = call.right.statistic("packetsLost", of: .inboundRTP, kind: .audio, at: call.now)
        #expect(lost == 0)
    }

    // MARK: Opus parameters (RFC 7587 §7)

    /// What the far end asks for reaches whoever encodes; without its word there is nothing to obey.
    @Test(arguments: [true, false]) func stereoIsAskedForInTheParametersOfTheReceiver(isAsked: Bool) throws {
        let call = try call(seed: 6, kinds: [.audio]) { capabilities in
            if isAsked {
                capabilities.audio[0].parameters = "minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=128000"
            }
        }
        let parameters = call.left.engine.negotiatedSession?.media[0].sendCodec?.parameters
        #expect(parameters?.value(of: "stereo") == (isAsked ? "1" : nil))
        #expect(parameters?.value(of: "maxaveragebitrate") == (isAsked ? "128000" : nil))
        // What we ask for is our own affair.
        let back = call.right.engine.negotiatedSession?.media[0].sendCodec?.parameters
        #expect(back?.value(of: "stereo") == nil && back?.value(of: "useinbandfec") == "1")
        #expect(try call.frames("0", at: .right) > 95)
    }
}
