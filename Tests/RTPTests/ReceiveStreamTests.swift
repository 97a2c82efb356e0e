import FixtureSupport
import Primitives
import RTP
import Testing

/// Feeds hand-made packets and gathers what comes out.
private struct Feed {
    var stream: ReceiveStream
    var frames: [EncodedFrame] = []
    var nacks: [[UInt16]] = []
    var requests: [KeyframeRequestReason] = []
    var tones: [ReceivedTelephoneEvent] = []
    var trace: [RTPTrace] = []

    init(_ kind: MediaKind, nack: Bool = true, _ adjust: (inout ReceiveStreamConfiguration) -> Void = { _ in }) {
        var configuration = ReceiveStreamConfiguration(
            ssrc: SSRC(1), kind: kind, clockRate: kind == .video ? 90_000 : 8_000,
            payloadTypes: kind == .video ? [96: .vp8] : [0: .pcmu, 13: .comfortNoise, 101: .telephoneEvent],
            retransmissionPayloadTypes: [97: 96], isNACKEnabled: nack)
        adjust(&configuration)
        stream = ReceiveStream(configuration)
    }

    mutating func put(
        _ sequence: UInt16, _ timestamp: UInt32, _ payload: [UInt8], type: UInt8, marker: Bool = false,
        at milliseconds: Int64, padding: Int = 0, isRetransmission: Bool = false
    ) {
        var bytes: [UInt8] = []
        RTPHeader.write(
            marker: marker, payloadType: type, sequence: SequenceNumber(sequence), timestamp: RTPTimestamp(timestamp),
            ssrc: SSRC(1), hasExtensions: false, into: &bytes)
        bytes += payload
        if padding > 0 {
            bytes[0] |= 0x20
            bytes += Array(repeating: 0, count: padding - 1) + [UInt8(padding)]
        }
        guard let header = try? RTPHeader(parsing: bytes) else {
            Issue.record("bad packet")
            return
        }
        var out = Outbox<ReceiveEvent, RTPTrace>()
        stream.receive(
            header, packet: bytes, at: .zero + .milliseconds(milliseconds), isRetransmission: isRetransmission,
            into: &out)
        take(out)
    }

    /// A VP8 packet: S on the first of a frame, marker on the last.
    mutating func video(
        _ sequence: UInt16, frame: UInt32, first: Bool = true, last: Bool = true, key: Bool = false,
        data: [UInt8] = [7], at milliseconds: Int64, isRetransmission: Bool = false
    ) {
        let head: [UInt8] = first ? [0x10, key ? 0x10 : 0x11] : [0x00]
        put(
            sequence, frame &* 3_000, head + data, type: 96, marker: last, at: milliseconds,
            isRetransmission: isRetransmission)
    }

    mutating func audio(_ sequence: UInt16, at milliseconds: Int64, isRetransmission: Bool = false) {
        put(
            sequence, UInt32(sequence) &* 160, Array(repeating: UInt8(truncatingIfNeeded: sequence), count: 160),
            type: 0, at: milliseconds, isRetransmission: isRetransmission)
    }

    mutating func advance(_ milliseconds: Int64) {
        var out = Outbox<ReceiveEvent, RTPTrace>()
        let now = Instant.zero + .milliseconds(milliseconds)
        stream.advance(to: now, into: &out)
        if let next = stream.deadline, next <= now { Issue.record("deadline not in the future") }
        take(out)
    }

    private mutating func take(_ out: Outbox<ReceiveEvent, RTPTrace>) {
        trace += out.trace
        for event in out.events {
            switch event {
            case .frame(let frame): frames.append(frame)
            case .sendNACK(let numbers): nacks.append(numbers.map(\.rawValue))
            case .requestKeyframe(let reason): requests.append(reason)
            case .telephoneEvent(let event): tones.append(event)
            default: break
            }
        }
    }
}

@Suite struct ReceiveStreamTests {
    @Test func aFrameIsGivenOutWithItsLastPacket() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, last: false, key: true, data: [1, 2], at: 0)
        feed.video(12, frame: 1, first: false, data: [5], at: 1)
        #expect(feed.frames.isEmpty)
        feed.video(11, frame: 1, first: false, last: false, data: [3, 4], at: 7)
        #expect(feed.frames.count == 1)
        #expect(feed.frames[0].payload == [0x10, 1, 2, 3, 4, 5])
        #expect(feed.frames[0].isKeyframe)
        #expect(feed.frames[0].codec == .vp8)
        #expect(feed.frames[0].arrival == .zero + .milliseconds(7))
        #expect(feed.requests.isEmpty)
    }

    @Test func aMissingMarkerIsMadeUpForByTheNextFrame() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, last: false, key: true, at: 0)
        feed.video(11, frame: 2, at: 33)
        #expect(feed.frames.map(\.timestamp) == [3_000, 6_000])
    }

    @Test func packetsOfPaddingAreNoFrames() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, last: false, key: true, at: 0)
        feed.put(11, 3_000, [], type: 96, at: 1, padding: 200)
        feed.video(12, frame: 1, first: false, at: 2)
        feed.put(13, 3_000, [], type: 96, at: 3, padding: 200)
        feed.put(14, 3_000, [1, 2, 3], type: 120, at: 4)
        feed.video(15, frame: 2, at: 33)
        #expect(feed.frames.map(\.payload) == [[0x10, 7, 7], [0x11, 7]])
        #expect(feed.stream.statistics.packetsOfUnknownType == 1)
        #expect(feed.stream.statistics.packetsReceived == 6)
        #expect(feed.stream.statistics.framesDropped == 0)
    }

    @Test func keyframePacketsThatOvertakeTheFirstAreKept() {
        var feed = Feed(.video)
        feed.video(12, frame: 1, first: false, at: 0)
        feed.video(11, frame: 1, first: false, last: false, at: 1)
        feed.video(10, frame: 1, last: false, key: true, at: 5)
        #expect(feed.frames.count == 1)
        #expect(feed.requests.isEmpty)
        feed.advance(100)
        #expect(feed.requests.isEmpty)
    }

    @Test func aStreamThatBeginsWithoutAKeyframeAsksForOne() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, at: 0)
        feed.advance(20)
        #expect(feed.requests == [.start])
        feed.video(11, frame: 2, at: 33)
        feed.advance(269)
        #expect(feed.requests == [.start])
        feed.advance(270)
        #expect(feed.requests == [.start, .start])
        feed.video(12, frame: 3, key: true, at: 300)
        #expect(feed.frames.map(\.timestamp) == [9_000])
        #expect(feed.stream.deadline == nil)
        #expect(feed.stream.statistics.pliCount == 2)
    }

    @Test func whereKeyframesCannotBeAskedForOneIsWaitedFor() {
        var feed = Feed(.video) { $0.keyframeRequests = .none }
        feed.video(10, frame: 1, at: 0)
        #expect(feed.stream.deadline == nil)
        feed.video(11, frame: 2, key: true, at: 33)
        #expect(feed.requests.isEmpty)
        #expect(feed.frames.count == 1)
    }

    @Test func fullIntraRequestsAreCountedAsSuch() {
        var feed = Feed(.video) { $0.keyframeRequests = .fullIntraRequest }
        feed.video(10, frame: 1, at: 0)
        feed.advance(20)
        #expect(feed.stream.statistics.firCount == 1)
        #expect(feed.stream.statistics.pliCount == 0)
    }

    @Test func missingPacketsAreAskedForAfterTheToleranceAndAgainEachRoundTrip() {
        var feed = Feed(.video)
        feed.stream.roundTripTime = .milliseconds(80)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(14, frame: 3, at: 33)
        #expect(feed.nacks.isEmpty)
        feed.advance(37)
        #expect(feed.nacks.isEmpty)
        feed.advance(38)
        #expect(feed.nacks == [[11, 12, 13]])
        feed.video(12, frame: 2, first: false, last: false, at: 100, isRetransmission: true)
        feed.advance(125)
        #expect(feed.nacks.count == 1)
        feed.advance(127)
        #expect(feed.nacks.last == [11, 13])
        #expect(feed.stream.statistics.nackCount == 2)
        #expect(feed.stream.statistics.nackedPackets == 5)
    }

    @Test func aPacketThatIsOnlyLateIsNotAskedFor() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, at: 33)
        feed.video(11, frame: 2, at: 36)
        feed.advance(60)
        #expect(feed.nacks.isEmpty)
        #expect(feed.frames.count == 3)
    }

    @Test func aPacketIsAskedForTenTimesAtMost() {
        var feed = Feed(.video) {
            $0.longestWait = .seconds(60); $0.shortestWait = .seconds(60)
        }
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, at: 33)
        for time in 34..<20_000 as Range<Int64> { feed.advance(time) }
        #expect(feed.nacks == Array(repeating: [11], count: 10))
    }

    @Test func videoGivesUpAfterItsWaitAndGoesOnAtTheNextKeyframe() {
        var feed = Feed(.video, nack: false) { $0.longestWait = .milliseconds(60) }
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, at: 33)
        feed.advance(92)
        #expect(feed.requests.isEmpty)
        feed.advance(93)
        #expect(feed.requests == [.loss])
        #expect(feed.trace.contains(.packetsSkipped(SSRC(1), count: 1)))
        feed.video(13, frame: 4, at: 100)
        #expect(feed.frames.count == 1)
        feed.video(14, frame: 5, key: true, at: 140)
        feed.video(15, frame: 6, at: 170)
        #expect(feed.frames.map(\.timestamp) == [3_000, 15_000, 18_000])
        #expect(feed.frames.map(\.followsLoss) == [false, true, false])
        #expect(feed.stream.statistics.packetsSkipped == 1)
        #expect(feed.stream.statistics.packetsLost == 1)
    }

    @Test func aKeyframeBehindTheGapIsUsedWithoutAskingForAnother() {
        var feed = Feed(.video, nack: false)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, key: true, at: 33)
        feed.video(13, frame: 4, at: 40)
        feed.advance(600)
        #expect(feed.frames.map(\.timestamp) == [3_000, 9_000, 12_000])
        #expect(feed.requests.isEmpty)
    }

    @Test func theDecoderMayAskForAKeyframe() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        var out = Outbox<ReceiveEvent, RTPTrace>()
        feed.stream.requireKeyframe(at: .zero + .milliseconds(10), into: &out)
        #expect(out.events == [.requestKeyframe(.decoder)])
        feed.video(11, frame: 2, at: 33)
        #expect(feed.frames.count == 1)
        feed.video(12, frame: 3, key: true, at: 66)
        #expect(feed.frames.count == 2)
    }

    @Test func malformedPayloadsCostAKeyframeNotTheProcess() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.put(11, 6_000, [0x90], type: 96, marker: true, at: 33)
        #expect(feed.requests == [.malformed])
        #expect(feed.stream.statistics.packetsMalformed == 1)
        feed.video(12, frame: 3, key: true, at: 66)
        #expect(feed.frames.count == 2)
        // A frame whose beginning is missing without a gap in the numbers.
        feed.video(13, frame: 4, first: false, at: 400)
        #expect(feed.requests.last == .malformed)
    }

    @Test func audioGoesOnAfterItsWait() {
        var feed = Feed(.audio, nack: false)
        feed.audio(1, at: 0)
        feed.audio(3, at: 40)
        feed.audio(4, at: 60)
        #expect(feed.frames.count == 1)
        #expect(feed.stream.deadline == Instant.zero + .milliseconds(40) + feed.stream.wait)
        feed.advance(89)
        #expect(feed.frames.count == 1)
        feed.advance(90)
        #expect(feed.frames.map(\.timestamp) == [160, 480, 640])
        #expect(feed.frames.map(\.followsLoss) == [false, true, false])
        #expect(feed.frames.allSatisfy { $0.duration == 160 && $0.codec == .pcmu })
        feed.audio(2, at: 95)
        #expect(feed.frames.count == 3)
        #expect(feed.stream.statistics.packetsDiscarded == 1)
        #expect(feed.stream.statistics.packetsLost == 0)
    }

    @Test func comfortNoiseIsAFrameAndTelephoneEventsAreEvents() {
        var feed = Feed(.audio)
        feed.audio(1, at: 0)
        feed.put(2, 320, [60], type: 13, at: 20)
        feed.put(3, 480, TelephoneEvent(event: 1, isEnd: false, volume: 10, duration: 160).payload, type: 101, at: 40)
        feed.put(4, 480, TelephoneEvent(event: 1, isEnd: true, volume: 10, duration: 320).payload, type: 101, at: 60)
        feed.put(5, 480, TelephoneEvent(event: 1, isEnd: true, volume: 10, duration: 320).payload, type: 101, at: 60)
        feed.audio(6, at: 100)
        #expect(feed.frames.map(\.codec) == [.pcmu, .comfortNoise, .pcmu])
        #expect(feed.frames.allSatisfy { !$0.followsLoss })
        #expect(feed.tones.map(\.isEnd) == [false, true])
        #expect(feed.tones.map(\.duration) == [160, 320])
        #expect(feed.tones[0].digit == "1")
    }

    @Test func anEventWhoseEndIsLostEndsWithTheNext() {
        var feed = Feed(.audio)
        feed.put(1, 800, TelephoneEvent(event: 1, isEnd: false, volume: 10, duration: 160).payload, type: 101, at: 0)
        feed.put(2, 2_400, TelephoneEvent(event: 2, isEnd: true, volume: 10, duration: 800).payload, type: 101, at: 200)
        #expect(feed.tones.map(\.event) == [1, 1, 2, 2])
        #expect(feed.tones.map(\.isEnd) == [false, true, false, true])
    }

    @Test func onePacketFarAwayIsIgnoredAndTwoAreARestart() {
        var feed = Feed(.audio)
        feed.audio(100, at: 0)
        feed.audio(30_000, at: 20)
        feed.audio(101, at: 20)
        #expect(feed.frames.count == 2)
        #expect(feed.stream.deadline == nil)
        feed.audio(30_000, at: 40)
        feed.audio(30_001, at: 60)
        feed.audio(30_002, at: 80)
        #expect(feed.frames.count == 4)
        #expect(feed.frames[2].followsLoss)
        #expect(feed.trace.contains(.sequenceRestarted(SSRC(1), at: SequenceNumber(30_001))))
        #expect(feed.stream.statistics.packetsLost == 0)
    }

    @Test func aRestartOfVideoAsksForAKeyframe() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(40_000, frame: 5, at: 400)
        feed.video(40_001, frame: 6, at: 433)
        #expect(feed.requests == [.restart])
        feed.video(40_002, frame: 7, key: true, at: 500)
        #expect(feed.frames.count == 2)
    }

    @Test func aGapTooWideIsGivenUpAtOnce() {
        var feed = Feed(.video) { $0.maximumMissing = 100 }
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(112, frame: 2, at: 33)
        #expect(feed.requests == [.overflow])
        #expect(feed.nacks.isEmpty)
        feed.advance(100)
        #expect(feed.nacks.isEmpty)
        feed.video(113, frame: 3, key: true, at: 110)
        #expect(feed.frames.count == 2)
        var narrow = Feed(.video) { $0.maximumMissing = 100 }
        narrow.video(10, frame: 1, key: true, at: 0)
        narrow.video(111, frame: 2, at: 33)
        narrow.advance(40)
        #expect(narrow.nacks.first?.count == 100)
    }

    @Test func aWideGapIsAskedForInSeveralMessages() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(511, frame: 2, at: 33)
        feed.advance(40)
        #expect(feed.nacks.map(\.count) == [250, 250])
    }

    @Test func packetsHeldAreBounded() {
        var video = Feed(.video) {
            $0.maximumPackets = 64; $0.longestWait = .seconds(60); $0.shortestWait = .seconds(60)
        }
        video.video(0, frame: 0, key: true, at: 0)
        var most = 0
        for sequence in 2..<500 as Range<UInt16> {
            video.video(sequence, frame: UInt32(sequence), at: Int64(sequence))
            most = max(most, video.stream.heldPackets)
        }
        #expect(most == 64 || most == 63)
        #expect(video.requests.contains(.overflow))
        var audio = Feed(.audio) {
            $0.maximumPackets = 64; $0.longestWait = .seconds(60); $0.shortestWait = .seconds(60)
        }
        audio.audio(0, at: 0)
        most = 0
        for sequence in 2..<500 as Range<UInt16> {
            audio.audio(sequence, at: Int64(sequence))
            most = max(most, audio.stream.heldPackets)
        }
        #expect(most <= 64)
        #expect(audio.frames.count > 400)
    }

    @Test func bytesHeldAreBounded() {
        var feed = Feed(.video) {
            $0.maximumBytes = 10_000; $0.longestWait = .seconds(60); $0.shortestWait = .seconds(60)
        }
        feed.video(0, frame: 0, key: true, at: 0)
        for sequence in 2..<50 as Range<UInt16> {
            feed.video(sequence, frame: UInt32(sequence), data: Array(repeating: 1, count: 1_000), at: Int64(sequence))
            #expect(feed.stream.heldPackets <= 10)
        }
        #expect(feed.requests == [.overflow])
    }

    /// A keyframe that never comes must not fill the lists.
    @Test func waitingForAKeyframeUnderLossStaysBounded() {
        var feed = Feed(.video) { $0.keyframeRequests = .none }
        for index in 0..<20_000 where index % 3 != 0 {
            feed.video(UInt16(truncatingIfNeeded: index), frame: UInt32(index), at: Int64(index) * 5)
        }
        #expect(feed.stream.heldPackets <= 2_048)
        #expect(!feed.trace.contains { if case .bufferOverflowed = $0 { true } else { false } })
        feed.video(20_000, frame: 20_000, key: true, at: 100_010)
        #expect(feed.frames.count == 1)
    }

    @Test func retransmissionsAreUnwrappedAndCounted() throws {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.video(12, frame: 3, at: 33)
        var bytes: [UInt8] = []
        RTPHeader.write(
            marker: true, payloadType: 97, sequence: SequenceNumber(500), timestamp: RTPTimestamp(6_000),
            ssrc: SSRC(2), hasExtensions: false, into: &bytes)
        bytes += [0, 11, 0x10, 0x11, 9]
        var out = Outbox<ReceiveEvent, RTPTrace>()
        feed.stream.receiveRetransmission(
            try RTPHeader(parsing: bytes), packet: bytes, at: .zero + .milliseconds(60), into: &out)
        let frames = out.events.compactMap { if case .frame(let frame) = $0 { frame } else { nil } }
        #expect(frames.map(\.payload) == [[0x11, 9], [0x11, 7]])
        #expect(feed.stream.statistics.retransmittedPacketsReceived == 1)
        // The path lost it all the same (RFC 3550); the report says so.
        #expect(feed.stream.statistics.packetsLost == 1)
        #expect(feed.stream.retransmissionReport(ssrc: SSRC(2))?.highestSequence == 500)
    }

    @Test func retransmissionFixtureIsRestoredBitByBit() throws {
        let original = try Fixtures.bytes("rtp/rtx_original.bin")
        var bytes = try Fixtures.bytes("rtp/rtx_wrapped.bin")
        var header = try RTPHeader(parsing: bytes)
        let unwrapper = RTXUnwrapper(mediaSSRC: SSRC(0x1111_1111), payloadTypes: [97: 96])
        #expect(unwrapper.unwrap(&header, &bytes))
        #expect(bytes == original)
        #expect(header == (try RTPHeader(parsing: original)))
        var unknown = try RTPHeader(parsing: original)
        #expect(!unwrapper.unwrap(&unknown, &bytes))
    }

    @Test func retransmissionsBeforeAnyMediaAreDropped() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0, isRetransmission: true)
        #expect(feed.frames.isEmpty)
        #expect(!feed.stream.hasReceived)
    }

    @Test func payloadTypesOfARenegotiationAreAdopted() {
        var feed = Feed(.video)
        feed.video(10, frame: 1, key: true, at: 0)
        feed.stream.adopt(payloadTypes: [100: .vp8], retransmissionPayloadTypes: [:])
        feed.put(11, 6_000, [0x10, 0x11, 7], type: 100, marker: true, at: 33)
        #expect(feed.frames.count == 2)
    }

    @Test func keyframeSizesAreKept() {
        var feed = Feed(.video)
        feed.put(
            10, 3_000, [0x10, 0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0xE0, 0x01], type: 96, marker: true, at: 0)
        #expect(feed.stream.statistics.frameWidth == 640)
        #expect(feed.stream.statistics.frameHeight == 480)
    }

    @Test func freezesAreCountedAsTheW3CDefinesThem() {
        var feed = Feed(.video)
        var time: Int64 = 0
        var sequence: UInt16 = 0
        func frames(_ count: Int, every interval: Int64) {
            for _ in 0..<count {
                feed.video(sequence, frame: UInt32(sequence), key: sequence == 0, at: time)
                sequence += 1
                time += interval
            }
        }
        frames(31, every: 33)
        // 33 + 150 = 183 ms is the threshold: an interval of 33 + 149 is none, of 33 + 151 is one.
        time += 148
        frames(40, every: 33)
        #expect(feed.stream.statistics.freezeCount == 0)
        time += 152
        frames(10, every: 33)
        #expect(feed.stream.statistics.freezeCount == 1)
        #expect(abs(feed.stream.statistics.totalFreezesDuration - 0.185) < 1e-9)
        time += 6_000
        frames(2, every: 33)
        #expect(feed.stream.statistics.freezeCount == 1)
        #expect(feed.stream.statistics.pauseCount == 1)
        let last = Double(time - 33) / 1_000
        #expect(abs(feed.stream.statistics.totalInterFrameDelay - last) < 1e-9)
    }

    @Test func theReportCarriesTheSendersClock() throws {
        var feed = Feed(.audio)
        #expect(feed.stream.receptionReport(at: .zero) == nil)
        feed.audio(1, at: 0)
        #expect(feed.stream.receptionReport(at: .zero)?.lastSenderReport == 0)
        #expect(feed.stream.captureTime(of: 160) == nil)
        let ntp = NTPTime(rawValue: 0xE000_0001_8000_0000)
        feed.stream.noteSenderReport(ntp: ntp, rtp: RTPTimestamp(8_160), at: .zero + .milliseconds(100))
        let reported = feed.stream.receptionReport(at: .zero + .milliseconds(600))
        let block = try #require(reported)
        #expect(block.lastSenderReport == 0x0001_8000)
        #expect(block.delaySinceLastSenderReport == 32_768)
        #expect(block.highestSequence == 1)
        // One second before the report's timestamp is one second before its NTP time.
        #expect(feed.stream.captureTime(of: 160) == NTPTime(rawValue: 0xE000_0000_8000_0000))
        #expect(feed.stream.captureTime(of: 8_164)?.since(ntp).microseconds == 499)
        #expect(feed.stream.receptionReport(at: .zero + .milliseconds(9_000)) == nil)
    }

    @Test func hostilePacketsNeverTrap() throws {
        var random = RandomSource.seeded(12)
        for kind in MediaKind.allCases {
            var feed = Feed(kind) { $0.maximumPackets = 128 }
            var time: Int64 = 0
            for _ in 0..<20_000 {
                let payload = random.bytes(Int.random(in: 0...12, using: &random))
                let isNear = Int.random(in: 0..<4, using: &random) > 0
                feed.put(
                    isNear ? UInt16.random(in: 0..<300, using: &random) : UInt16.random(in: 0...65_535, using: &random),
                    UInt32.random(in: 0...UInt32.max, using: &random), payload,
                    type: [96, 0, 13, 101, 5].randomElement(using: &random) ?? 0,
                    marker: Bool.random(using: &random), at: time,
                    isRetransmission: Int.random(in: 0..<5, using: &random) == 0)
                time += Int64.random(in: 0...30, using: &random)
                if Bool.random(using: &random) { feed.advance(time) }
                if feed.stream.heldPackets > 128 { Issue.record("too many held") }
                feed.trace.removeAll()
                feed.frames.removeAll()
            }
        }
    }
}
