import Primitives
import RTP
import Testing

@Suite struct ClosedLoopTests {
    @Test func withoutLossEveryFrameComesAtOnce() {
        for kind in MediaKind.allCases {
            var call = VirtualCall(kind: kind)
            call.run(.milliseconds(5_000))
            call.drain()
            #expect(call.matches() == (true, call.sent.count))
            #expect(call.receiver.statistics.jitterBufferDelay == 0)
            #expect(call.receiver.statistics.packetsLost == 0)
            #expect(call.sender.statistics.nackCount == 0)
            #expect(call.received.allSatisfy { !$0.followsLoss })
            #expect(call.keyframesWanted == 0)
            #expect(call.receiver.deadline == nil)
        }
    }

    @Test(arguments: [0.0, 0.02, 0.05, 0.1], [true, false])
    func videoSurvivesLossAndJitterByRetransmission(loss: Double, isRTX: Bool) {
        var call = VirtualCall(
            kind: .video, loss: loss, jitter: .milliseconds(30), delay: .milliseconds(35), isRTX: isRTX, seed: 77)
        call.run(.milliseconds(40_000))
        call.drain()
        let (isFaithful, count) = call.matches()
        #expect(isFaithful)
        #expect(call.isDecodable())
        let share = Double(count) / Double(call.sent.count)
        #expect(
            share >= (loss <= 0.02 ? 0.999 : loss <= 0.05 ? 0.99 : 0.95),
            "\(loss) \(isRTX): \(count) of \(call.sent.count)")
        #expect(call.brokenDeadlines == 0)
        if loss > 0 {
            #expect(call.sender.statistics.retransmittedPacketsSent > 0)
            #expect((call.receiver.statistics.retransmittedPacketsReceived > 0) == isRTX)
        }
    }

    /// The negative twin: without NACK the same path loses frames.
    @Test func withoutNACKLossCostsFrames() {
        var call = VirtualCall(
            kind: .video, loss: 0.02, jitter: .milliseconds(30), delay: .milliseconds(35), isNACKEnabled: false,
            seed: 77)
        call.run(.milliseconds(30_000))
        call.drain()
        #expect(call.matches().isFaithful)
        #expect(call.isDecodable())
        #expect(call.matches().count < call.sent.count * 95 / 100)
        #expect(call.keyframesWanted > 10)
        #expect(call.sender.statistics.pliCount > 10)
        #expect(call.receiver.statistics.freezeCount > 0)
    }

    @Test func audioGoesOnOverLossAndSaysSo() {
        var call = VirtualCall(kind: .audio, loss: 0.05, jitter: .milliseconds(5), isNACKEnabled: false, seed: 5)
        call.run(.milliseconds(30_000))
        call.drain()
        let (isFaithful, count) = call.matches()
        #expect(isFaithful)
        #expect(count == call.sent.count - call.forward.lost)
        let gaps = zip(call.received, call.received.dropFirst()).filter { $1.timestamp - $0.timestamp > 960 }
        #expect(gaps.count > 30)
        #expect(gaps.allSatisfy { $1.followsLoss })
        #expect(call.received.filter(\.followsLoss).count == gaps.count)
        #expect(Int(call.receiver.statistics.packetsSkipped) == call.forward.lost)
        #expect(call.receiver.statistics.packetsLost == Int64(call.forward.lost))
    }

    @Test func audioUnderJitterKeepsOrderAndLosesNothing() {
        var call = VirtualCall(kind: .audio, jitter: .milliseconds(60), isNACKEnabled: false, seed: 6)
        call.run(.milliseconds(60_000))
        call.drain()
        let (isFaithful, count) = call.matches()
        #expect(isFaithful)
        #expect(count >= call.sent.count * 998 / 1_000)
    }

    @Test func audioIsRepairedOverAShortPath() {
        var call = VirtualCall(kind: .audio, loss: 0.05, delay: .milliseconds(10), seed: 7)
        call.run(.milliseconds(30_000))
        call.drain()
        #expect(call.matches().isFaithful)
        #expect(call.matches().count >= call.sent.count * 995 / 1_000)
    }

    @Test func duplicatesAreDropped() {
        var call = VirtualCall(kind: .video, jitter: .milliseconds(20), duplication: 0.5, seed: 8)
        call.run(.milliseconds(10_000))
        call.drain()
        #expect(call.matches() == (true, call.sent.count))
        #expect(call.receiver.statistics.packetsDuplicated > 300)
    }

    @Test(arguments: MediaKind.allCases, [true, false])
    func sequenceAndTimestampWrapUnderReorderingAndLoss(kind: MediaKind, isRTX: Bool) {
        var call = VirtualCall(
            kind: kind, loss: 0.02, jitter: .milliseconds(20), delay: .milliseconds(10), isRTX: isRTX, seed: 9)
        call.renumber(firstSequence: 65_400, firstTimestamp: UInt32.max - 30_000)
        call.run(.milliseconds(10_000))
        call.drain()
        #expect(call.matches().isFaithful)
        #expect(call.matches().count >= call.sent.count * 995 / 1_000)
        #expect((call.received.first?.timestamp ?? 0) < 1 << 32)
        #expect((call.received.last?.timestamp ?? 0) > 1 << 32)
        #expect(call.sender.statistics.packetsSent > 400)
        if isRTX {
            #expect(call.receiver.statistics.packetsLost == Int64(call.lostMedia))
        } else {
            #expect(call.receiver.statistics.packetsLost <= Int64(call.lostMedia))
        }
    }

    @Test func aReceiverThatComesLateAsksForAKeyframe() {
        var call = VirtualCall(kind: .video)
        call.tap = { bytes, count in count < 200 ? nil : bytes }
        call.run(.milliseconds(10_000))
        call.drain()
        #expect(call.matches().isFaithful)
        #expect(call.isDecodable())
        #expect(call.keyframesWanted == 1)
        #expect(call.received.first?.isKeyframe == true)
        #expect(call.receiver.statistics.keyFramesReceived == 1)
        #expect(call.trace.contains { if case .keyframeReceived = $0 { true } else { false } })
    }

    @Test func theWishForAKeyframeIsRepeatedUntilOneComes() {
        var call = VirtualCall(kind: .video)
        call.backward.loss = 1
        call.tap = { bytes, count in count < 100 ? nil : bytes }
        call.run(.milliseconds(3_000))
        #expect(call.received.isEmpty)
        #expect((6...11).contains(call.keyframesWanted))
        call.backward.loss = 0
        call.run(.milliseconds(1_000))
        #expect(call.received.first?.isKeyframe == true)
        let wanted = call.keyframesWanted
        call.run(.milliseconds(2_000))
        #expect(call.keyframesWanted == wanted)
    }

    @Test func anOutageEndsWithAKeyframe() {
        var call = VirtualCall(kind: .video, delay: .milliseconds(20))
        call.run(.milliseconds(2_000))
        call.forward.loss = 1
        call.run(.milliseconds(3_000))
        call.forward.loss = 0
        let before = call.received.count
        call.run(.milliseconds(2_000))
        #expect(call.matches().isFaithful)
        #expect(call.isDecodable())
        #expect(call.received.count > before + 40)
        #expect(call.received[before].isKeyframe)
        #expect(call.received[before].followsLoss)
    }

    @Test func silenceIsNotLoss() {
        // DTX: the numbers go on, the timestamps jump.
        var random = RandomSource.seeded(1)
        var sender = SendStream(
            SendStreamConfiguration(codec: .opus, payloadType: 96, clockRate: 48_000, ssrc: SSRC(1), cname: "x"),
            random: &random)
        var receiver = ReceiveStream(
            ReceiveStreamConfiguration(
                ssrc: SSRC(1), kind: .audio, clockRate: 48_000, payloadTypes: [96: .opus], isNACKEnabled: true))
        var frames: [EncodedFrame] = []
        var now = Instant.zero
        for time in [0, 960, 1_920, 20_160, 21_120, 200_640] as [Int64] {
            now = .zero + .milliseconds(time / 48)
            var packets: [OutboundPacket] = []
            sender.packetize(
                EncodedFrame(codec: .opus, payload: [0x78, 1, 2], timestamp: time, marker: time == 20_160), at: now,
                into: &packets)
            var out = Outbox<ReceiveEvent, RTPTrace>()
            for packet in packets {
                guard let header = try? RTPHeader(parsing: packet.bytes) else { continue }
                receiver.receive(header, packet: packet.bytes, at: now, into: &out)
            }
            for case .frame(let frame) in out.events { frames.append(frame) }
            #expect(out.events.count == 1)
        }
        #expect(frames.map { $0.timestamp - frames[0].timestamp } == [0, 960, 1_920, 20_160, 21_120, 200_640])
        #expect(frames.allSatisfy { !$0.followsLoss && $0.duration == 960 })
        #expect(frames.map(\.marker) == [true, false, false, true, false, false])
        #expect(receiver.deadline == nil)
        #expect(receiver.statistics.jitter < .milliseconds(1))
    }

    @Test func telephoneEventsComeThroughLoss() {
        var call = VirtualCall(kind: .audio, loss: 0.1, isNACKEnabled: false, seed: 11)
        call.run(.milliseconds(500))
        call.sendTones("159#d,*", duration: .milliseconds(100))
        call.run(.milliseconds(6_000))
        call.drain()
        let ends = call.tones.filter(\.isEnd)
        #expect(String(ends.compactMap(\.digit)) == "159#D*")
        #expect(call.tones.count == 12)
        #expect(ends.filter { $0.duration == 4_800 }.count >= 5)
        #expect(call.matches().isFaithful)
    }

    @Test func longTelephoneEventsGoOnInSegments() {
        var call = VirtualCall(kind: .audio)
        call.run(.milliseconds(100))
        call.sendTones("7", duration: .milliseconds(4_000))
        call.run(.milliseconds(5_000))
        call.drain()
        #expect(call.tones.count == 2)
        #expect(call.tones.last?.isEnd == true)
        #expect(call.tones.last?.duration == 192_000)
        #expect(call.tones.last?.digit == "7")
        // Audio was held back meanwhile.
        #expect(call.received.count < call.sent.count - 195)
    }
}
