import FixtureSupport
import Primitives
import RTP
import Testing

private func roundTrip(_ feedback: TransportFeedback) throws -> TransportFeedback? {
    let bytes = RTCPPacket.bytes(of: [.transportFeedback(feedback)])
    #expect(bytes.count % 4 == 0)
    guard case .transportFeedback(let back) = try RTCPPacket.parseCompound(bytes)[0] else { return nil }
    return back
}

private func feedback(_ deltas: [Int16?]) -> TransportFeedback {
    TransportFeedback(
        senderSSRC: SSRC(1), mediaSSRC: SSRC(2), baseSequence: SequenceNumber(65_530), referenceTime: -3,
        feedbackCount: 255, deltas: deltas)
}

@Suite struct TransportFeedbackTests {
    @Test func vectorAndRunChunksAreRead() throws {
        let bytes = try Fixtures.bytes("rtp/rtcp_transport_feedback.bin")
        let expected = TransportFeedback(
            senderSSRC: SSRC(1), mediaSSRC: SSRC(2), baseSequence: SequenceNumber(65_533), referenceTime: -2,
            feedbackCount: 17, deltas: [4, 0, nil, -16, nil, 300, 255, nil, 1])
        #expect(try RTCPPacket.parseCompound(bytes) == [.transportFeedback(expected)])
        var seen: [(UInt16, Int64?)] = []
        expected.forEachPacket { seen.append(($0.rawValue, $1?.microseconds)) }
        #expect(seen.map(\.0) == [65_533, 65_534, 65_535, 0, 1, 2, 3, 4, 5])
        // −2 × 64 ms, then sums of 250 µs.
        #expect(
            seen.map(\.1) == [-127_000, -127_000, nil, -131_000, nil, -56_000, 7_750, nil, 8_000])
    }

    @Test func everyLengthOfEveryPatternGoesBothWays() throws {
        let patterns: [[Int16?]] = [
            [1], [nil], [300], [1, nil], [nil, nil, 5], [1, 1, 1, 1, -1], [-1, nil], [255, 256, 0, nil, nil, nil],
        ]
        for pattern in patterns {
            for count in 0..<64 {
                let deltas = (0..<count).map { pattern[$0 % pattern.count] }
                #expect(try roundTrip(feedback(deltas)) == feedback(deltas))
            }
        }
    }

    @Test func randomPatternsGoBothWays() throws {
        var random = RandomSource.seeded(1)
        for _ in 0..<500 {
            let lossy = Int.random(in: 0...10, using: &random)
            let large = Int.random(in: 0...10, using: &random)
            let deltas = (0..<Int.random(in: 1...400, using: &random)).map { _ -> Int16? in
                if Int.random(in: 0..<10, using: &random) < lossy { return nil }
                let isLarge = Int.random(in: 0..<10, using: &random) < large
                return isLarge
                    ? Int16.random(in: .min ... .max, using: &random) : Int16.random(in: 0...255, using: &random)
            }
            #expect(try roundTrip(feedback(deltas)) == feedback(deltas))
        }
    }

    @Test func longRunsAreShort() throws {
        let bytes = RTCPPacket.bytes(of: [.transportFeedback(feedback(Array(repeating: nil, count: 8_000)))])
        #expect(bytes.count == 24)
        #expect(try roundTrip(feedback(Array(repeating: nil, count: 8_000)))?.deltas.count == 8_000)
    }

    @Test func morePacketsThanTheLimitAreRefused() {
        var bytes = RTCPPacket.bytes(of: [.transportFeedback(feedback(Array(repeating: nil, count: 8_000)))])
        bytes.overwrite(8_193 as UInt16, at: 14)
        #expect(throws: RTPError.limitExceeded(offset: 14)) { try RTCPPacket.parseCompound(bytes) }
    }

    @Test func reservedSymbolsAndEmptyRunsAreRefused() {
        var bytes = RTCPPacket.bytes(of: [.transportFeedback(feedback([nil]))])
        bytes.overwrite(0x6001 as UInt16, at: 20)
        #expect(throws: RTPError.invalidValue(offset: 20)) { try RTCPPacket.parseCompound(bytes) }
        bytes.overwrite(0x0000 as UInt16, at: 20)
        #expect(throws: RTPError.invalidValue(offset: 20)) { try RTCPPacket.parseCompound(bytes) }
    }

    @Test func madeFromArrivalsItGivesTheArrivalsBack() throws {
        var random = RandomSource.seeded(2)
        var arrivals: [TransportArrival] = []
        var at = Instant(nanoseconds: 5_000_000_123)
        for sequence in Int64(65_500)..<66_500 where Int.random(in: 0..<10, using: &random) > 0 {
            at += .microseconds(Int64.random(in: -2_000...9_000, using: &random))
            arrivals.append(TransportArrival(sequence: sequence, at: at))
        }
        var base: Int64 = 65_490
        var rest = arrivals[...]
        var found: [Int64: TimeDelta] = [:]
        var told = 0
        var count: UInt8 = 0
        while let made = TransportFeedback.make(
            senderSSRC: SSRC(1), mediaSSRC: SSRC(2), feedbackCount: count, base: base, arrivals: rest,
            maximumPackets: 100)
        {
            #expect(made.feedback.deltas.count <= 100)
            let back = try #require(try roundTrip(made.feedback))
            var sequence = base
            back.forEachPacket { number, time in
                #expect(number.rawValue == UInt16(truncatingIfNeeded: sequence))
                if let time { found[sequence] = time }
                sequence += 1
                told += 1
            }
            base = made.nextBase
            #expect(base == sequence)
            rest = rest.dropFirst(made.taken)
            count += 1
        }
        #expect(rest.isEmpty)
        #expect(found.count == arrivals.count)
        #expect(told == Int((arrivals.last?.sequence ?? 0) - 65_490 + 1))
        for arrival in arrivals {
            let error = (found[arrival.sequence] ?? .zero).nanoseconds - arrival.at.nanoseconds
            #expect(abs(error) <= 250_000)
        }
    }

    @Test func aDeltaThatDoesNotFitEndsTheFeedback() {
        let arrivals = [
            TransportArrival(sequence: 1, at: .zero),
            TransportArrival(sequence: 2, at: Instant(nanoseconds: 9_000_000_000)),
        ]
        let made = TransportFeedback.make(
            senderSSRC: SSRC(1), mediaSSRC: SSRC(2), feedbackCount: 0, base: 1, arrivals: arrivals[...])
        #expect(made?.taken == 1)
        #expect(made?.nextBase == 2)
    }

    @Test func withoutArrivalsThereIsNothingToSay() {
        #expect(
            TransportFeedback.make(senderSSRC: SSRC(1), mediaSSRC: SSRC(2), feedbackCount: 0, base: 5, arrivals: [])
                == nil)
    }
}
