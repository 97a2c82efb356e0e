import Media
import Primitives
import SDP
import Testing

@testable import Endpoint
@testable import Peer

/// What a peer writes of the audio it wants, and what the encoder is told.
@Suite struct AudioSendParametersTests {
    private func options(
        _ codec: Codec, _ parameters: String? = nil, ptime: Int? = nil, maxptime: Int? = nil,
        _ adjust: (inout SourceOptions) -> Void = { _ in }
    ) throws -> SourceOptions {
        var media = NegotiatedMedia(mediaIndex: 0, mid: "0", kind: .audio, transceiver: nil, direction: .sendOnly)
        let parsed = try parameters.map { text -> FormatParameters in
            guard case .fmtp(let value) = try Attribute(parsing: "fmtp:111 " + text) else {
                throw Unexpected()
            }
            return value
        }
        media.sendCodecs = [
            NegotiatedCodec(
                codec: codec, payloadType: 111, clockRate: codec == .opus ? 48_000 : 8_000, channels: 2,
                parameters: parsed, feedback: [], retransmissionPayloadType: nil)
        ]
        media.packetTime = ptime
        media.maximumPacketTime = maxptime
        var options = SourceOptions()
        adjust(&options)
        try #require(AudioSendParameters(media)).apply(to: &options)
        return options
    }

    private struct Unexpected: Error {}

    @Test func withoutTheOthersWordThereIsMono() throws {
        let plain = try options(.opus, "minptime=10;useinbandfec=1")
        #expect(plain.audioChannels == 1 && !plain.dtx && !plain.opusConstantBitrate && plain.opusInBandFEC)
        #expect(plain.audioBitrate == nil && plain.opusMaximumPlaybackRate == nil)
        #expect(plain.opusFrameDuration == .milliseconds(20))
        #expect(try !options(.opus).opusInBandFEC)
    }

    @Test func everyParameterIsRespected() throws {
        let told = try options(
            .opus, "stereo=1;maxaveragebitrate=20000;usedtx=1;cbr=1;maxplaybackrate=16000;useinbandfec=0", ptime: 40)
        #expect(told.audioChannels == nil, "as the source has it")
        #expect(told.audioBitrate == 20_000 && told.dtx && told.opusConstantBitrate && !told.opusInBandFEC)
        #expect(told.opusMaximumPlaybackRate == 16_000 && told.opusFrameDuration == .milliseconds(40))
    }

    @Test func theUsersWishCountsBelowTheOthersLimit() throws {
        let parameters = "maxaveragebitrate=40000"
        #expect(try options(.opus, parameters) { $0.audioBitrate = 24_000 }.audioBitrate == 24_000)
        #expect(try options(.opus, parameters) { $0.audioBitrate = 96_000 }.audioBitrate == 40_000)
        #expect(try options(.opus, "maxaveragebitrate=-5") { $0.audioBitrate = 96_000 }.audioBitrate == 6_000)
        #expect(try options(.opus, "usedtx=0") { $0.dtx = true }.dtx)
    }

    @Test(arguments: [
        (nil, nil, 20), (60, nil, 60), (60, 40, 40), (3, nil, 10), (nil, 10, 10), (35, nil, 20), (500, 1, 10),
    ])
    func packetsAreAsLongAsIsLiked(ptime: Int?, maxptime: Int?, result: Int64) throws {
        #expect(try options(.opus, ptime: ptime, maxptime: maxptime).opusFrameDuration == .milliseconds(result))
    }

    @Test func theParametersOfG711AreItsPacketTimes() throws {
        let options = try options(.pcma, ptime: 30)
        #expect(options.audioCodec == .pcma && options.g711FrameDuration == .milliseconds(30))
        #expect(options.audioChannels == nil)
    }

    /// What reaches the encoder changes what it makes.
    @Test(.timeLimit(.minutes(1))) func theEncoderDoesAsItIsTold() throws {
        func frames(_ options: SourceOptions) throws -> [EncodedFrame] {
            var options = options
            options.tracks = [.audio]
            let source = try MediaSources.open("test", options: options)
            defer { source.close() }
            var frames: [EncodedFrame] = []
            while frames.count < 50, let next = try source.next() { frames.append(next.frame) }
            return frames
        }
        let constant = try frames(try options(.opus, "cbr=1;maxaveragebitrate=20000", ptime: 60))
        #expect(Set(constant.map(\.payload.count)).count == 1)
        #expect(constant.allSatisfy { $0.duration == 2_880 && OpusHead.isStereo($0.payload) == false })
        #expect(abs(Double(constant[0].payload.count) * 8 / 0.06 - 20_000) < 1_000)
        let narrow = try frames(try options(.opus, "maxplaybackrate=8000"))
        // RFC 6716 §3.1: configurations 0...3 and 16...19 are narrow-band.
        #expect(narrow.allSatisfy { [0, 1, 2, 3, 16, 17, 18, 19].contains($0.payload[0] >> 3) })
        let wide = try frames(try options(.opus))
        #expect(wide.contains { ![0, 1, 2, 3, 16, 17, 18, 19].contains($0.payload[0] >> 3) })
        #expect(wide.allSatisfy { $0.audioLevel != nil })
        let law = try frames(try options(.pcmu, ptime: 40))
        #expect(law.allSatisfy { $0.codec == .pcmu && $0.payload.count == 320 && $0.duration == 320 })
    }
}

private enum OpusHead {
    static func isStereo(_ packet: [UInt8]) -> Bool { packet[0] & 4 != 0 }
}
