import FixtureSupport
import Media
import Primitives
import Testing

@Suite struct CodecOpusTests {
    private func frames(_ samples: [Int16], channels: Int = 1, length: Int = 960) -> [AudioFrame] {
        stride(from: 0, to: samples.count - length * channels + 1, by: length * channels).enumerated().map {
            AudioFrame(
                samples: .int16(Array(samples[$1..<$1 + length * channels])), sampleRate: 48_000, channels: channels,
                time: .milliseconds(Int64($0 * length / 48)))
        }
    }

    @Test func soundSurvivesEncodingAndDecoding() throws {
        var configuration = OpusEncoder.Configuration(channels: 1, bitrate: 64_000)
        configuration.application = .audio
        let encoder = try OpusEncoder(configuration)
        let decoder = try OpusDecoder(channels: 1)
        let sent = tone(440, seconds: 1, rate: 48_000)
        var received: [Int16] = []
        for (number, frame) in frames(sent).enumerated() {
            let packet = try #require(try encoder.encode(frame))
            #expect((packet.timestamp, packet.duration) == (Int64(number) * 960, 960))
            #expect(OpusDecoder.samples(in: packet.payload) == 960)
            received += try decoder.decode(packet.payload).int16
        }
        #expect(received.count == 48_000)
        // The tone is stationary, so that the first frames, in which the codec settles, can be left out.
        let snr = Quality.snr(
            sent: Array(sent[9_600...]), received: Array(received[9_600...]), delay: encoder.lookahead)
        #expect(snr > 20, "\(snr) dB")
    }

    @Test func stereoKeepsItsSides() throws {
        let encoder = try OpusEncoder(.init(channels: 2))
        let decoder = try OpusDecoder(channels: 2)
        let left = tone(500, seconds: 0.4, rate: 48_000)
        var energy = (left: 0.0, right: 0.0)
        for frame in frames(left.flatMap { [$0, 0] }, channels: 2) {
            let decoded = try decoder.decode(try #require(try encoder.encode(frame)).payload)
            #expect((decoded.channels, decoded.count) == (2, 960))
            for (index, value) in decoded.int16.enumerated() {
                if index % 2 == 0 {
                    energy.left += Double(value) * Double(value)
                } else {
                    energy.right += Double(value) * Double(value)
                }
            }
        }
        #expect(energy.left > energy.right * 100)
    }

    @Test(arguments: [120, 240, 480, 960, 1_920, 2_880]) func everyFrameLengthWorks(length: Int) throws {
        var configuration = OpusEncoder.Configuration(channels: 1)
        configuration.frameDuration = .microseconds(Int64(length) * 1_000 / 48)
        let encoder = try OpusEncoder(configuration)
        #expect(encoder.frameSamples == length)
        let packet = try #require(try encoder.encode(frames(voice(seconds: 0.1), length: length)[0]))
        #expect(OpusDecoder.samples(in: packet.payload) == length)
        #expect(try OpusDecoder().decode(packet.payload).count == length)
    }

    @Test func inBandFECRecoversALostPacketBetterThanConcealment() throws {
        var configuration = OpusEncoder.Configuration(channels: 1, bitrate: 32_000)
        configuration.expectedLoss = 0.2
        let encoder = try OpusEncoder(configuration)
        let packets = try frames(voice(seconds: 1.2)).map { try #require(try encoder.encode($0)).payload }
        func decode(lost: Set<Int>, fec: Bool) throws -> [[Int16]] {
            let decoder = try OpusDecoder()
            return try packets.indices.map { index in
                if !lost.contains(index) { return try decoder.decode(packets[index]).int16 }
                return fec ? try decoder.decodeLost(before: packets[index + 1]).int16 : try decoder.decode(nil).int16
            }
        }
        let lost: Set = [20, 27, 33, 41, 48]
        let whole = try decode(lost: [], fec: false)
        func snr(_ other: [[Int16]]) -> Double {
            Quality.snr(
                sent: lost.sorted().flatMap { whole[$0] }, received: lost.sorted().flatMap { other[$0] }, delay: 0)
        }
        let recovered = snr(try decode(lost: lost, fec: true))
        let concealed = snr(try decode(lost: lost, fec: false))
        #expect(recovered > 6, "\(recovered) dB with FEC")
        #expect(recovered > concealed + 3, "\(recovered) dB with FEC, \(concealed) dB without")
    }

    @Test func withoutExpectedLossThereIsNothingToRecoverFrom() throws {
        let encoder = try OpusEncoder(.init(channels: 1, bitrate: 32_000))
        var sizes: [Int] = []
        for (number, frame) in frames(voice(seconds: 1)).enumerated() {
            if number == 25 { encoder.setExpectedLoss(0.2) }
            sizes.append(try #require(try encoder.encode(frame)).payload.count)
        }
        // With LBRR the same rate is shared by two frames; what shows is that the setting reaches the encoder at all.
        #expect(sizes[30...].reduce(0, +) != sizes[5..<25].reduce(0, +))
        #expect(encoder.configuration.expectedLoss == 0.2)
    }

    @Test func bitrateIsFollowed() throws {
        let encoder = try OpusEncoder(.init(channels: 1, bitrate: 24_000))
        func rate(_ seconds: Double) throws -> Double {
            let sizes = try frames(voice(seconds: seconds)).map { try #require(try encoder.encode($0)).payload.count }
            return Double(sizes.reduce(0, +) * 8) / seconds
        }
        let low = try rate(2)
        encoder.setBitrate(80_000)
        let high = try rate(2)
        #expect(low > 15_000 && low < 32_000, "\(low)")
        #expect(high > 55_000 && high < 100_000, "\(high)")
    }

    @Test func silenceIsNotSentWithDTXAndTheFirstSoundAfterItIsMarked() throws {
        var configuration = OpusEncoder.Configuration(channels: 1)
        configuration.discontinuous = true
        let encoder = try OpusEncoder(configuration)
        let samples = voice(seconds: 0.4) + [Int16](repeating: 0, count: 96_000) + voice(seconds: 0.4)
        let sent = try frames(samples).map { try encoder.encode($0) }
        let silent = sent[40..<115].filter { $0 == nil }.count
        #expect(silent > 60, "\(silent) of 75 silent frames unsent")
        #expect(sent[..<20].allSatisfy { $0 != nil })
        #expect(sent[120...].contains { $0?.marker == true })
        #expect(!sent[..<20].contains { $0?.marker == true })
        let continuous = try OpusEncoder(.init(channels: 1))
        #expect(try frames(samples).allSatisfy { try continuous.encode($0) != nil })
    }

    @Test func shapesThatOpusDoesNotKnowAreRefused() throws {
        #expect(throws: CodecError.self) { try OpusEncoder(.init(channels: 3)) }
        #expect(throws: CodecError.self) { try OpusDecoder(channels: 0) }
        var odd = OpusEncoder.Configuration()
        odd.frameDuration = .milliseconds(15)
        #expect(throws: CodecError.self) { try OpusEncoder(odd) }
        let encoder = try OpusEncoder(.init(channels: 1))
        #expect(throws: CodecError.self) {
            try encoder.encode(AudioFrame(samples: .int16([1, 2, 3]), sampleRate: 48_000, channels: 1))
        }
        #expect(throws: CodecError.self) { try OpusDecoder().decode([]) }
    }

    @Test func concealmentHasTheLengthAskedFor() throws {
        let decoder = try OpusDecoder()
        #expect(try decoder.decode(nil).count == 960)
        #expect(try decoder.decode(nil, duration: .milliseconds(60)).count == 2_880)
        #expect(try decoder.decode(nil, duration: .seconds(100)).count == 5_760)
        #expect(try decoder.decode(nil, duration: .zero).count == 120)
    }

    @Test func lengthsOfMutatedPacketsAreLegalOrNone() throws {
        let encoder = try OpusEncoder(.init(channels: 1, bitrate: 24_000))
        let packets = try frames(voice(seconds: 0.1)).map {
            Array(try #require(try encoder.encode($0)).payload.prefix(16))
        }
        var mutations = Mutations(of: packets, seed: 6)
        for _ in 0..<100_000 {
            if let samples = OpusDecoder.samples(in: mutations.next()), samples > 5_760 { Issue.record("\(samples)") }
        }
        #expect(OpusDecoder.samples(in: []) == nil)
    }

    @Test func mutatedPacketsEndInSoundOrAnError() throws {
        let encoder = try OpusEncoder(.init(channels: 1, bitrate: 24_000))
        let packets = try frames(voice(seconds: 0.3)).map { try #require(try encoder.encode($0)).payload }
        var mutations = Mutations(of: packets, seed: 5)
        let decoder = try OpusDecoder()
        var errors = 0
        for _ in 0..<5_000 {
            let packet = mutations.next()
            do throws(CodecError) {
                let frame = try decoder.decode(packet)
                if frame.count > 5_760 { Issue.record("\(frame.count) samples") }
            } catch { errors += 1 }
        }
        #expect(errors > 10)
    }
}
