import FixtureSupport
import Primitives
import RTP
import Testing

private func stream(
    _ codec: Codec = .vp8, rtx: Bool = true, mid: String? = "0", maximumPacketSize: Int = 1_160,
    history: Int = 1_024,
    extensions: HeaderExtensionMap = [.transportSequenceNumber: 3, .mid: 4, .absoluteSendTime: 2],
    seed: UInt64 = 1
) -> SendStream {
    var random = RandomSource.seeded(seed)
    return SendStream(
        SendStreamConfiguration(
            codec: codec, payloadType: 96, clockRate: codec == .vp8 ? 90_000 : 48_000, ssrc: SSRC(1),
            retransmission: rtx ? .init(ssrc: SSRC(2), payloadType: 97) : nil, cname: "name", mid: mid,
            extensions: extensions, maximumPacketSize: maximumPacketSize, historyCapacity: history),
        random: &random)
}

private func frame(_ size: Int, at time: Int64 = 0, key: Bool = false, codec: Codec = .vp8) -> EncodedFrame {
    var payload = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
    if size > 0 { payload[0] = key ? 0x10 : 0x11 }
    return EncodedFrame(codec: codec, payload: payload, timestamp: time, isKeyframe: key)
}

private func report(_ stream: inout SendStream, _ clock: WallClock, at now: Instant) -> SenderReport? {
    stream.senderReport(wallClock: clock, at: now)
}

private func nack(_ numbers: [SequenceNumber]) -> GenericNACK {
    GenericNACK(senderSSRC: SSRC(9), mediaSSRC: SSRC(1), lost: numbers)
}

@Suite struct SendStreamTests {
    @Test func packetsAreCompleteAndNoneIsTooLarge() throws {
        var stream = stream()
        for size in [1, 500, 1_120, 1_121, 5_000, 50_000] {
            var packets: [OutboundPacket] = []
            let first = stream.nextSequenceNumber
            stream.packetize(frame(size, at: 3_000), at: .zero, into: &packets)
            var data: [UInt8] = []
            for (index, packet) in packets.enumerated() {
                #expect(packet.bytes.count <= 1_158)
                #expect(packet.bytes.capacity >= packet.bytes.count + 16)
                let header = try RTPHeader(parsing: packet.bytes)
                #expect(header.sequence == first + index)
                #expect(packet.sequence == header.sequence)
                #expect(header.ssrc == SSRC(1))
                #expect(header.payloadType == 96)
                #expect(header.marker == (index == packets.count - 1))
                #expect(packet.marker == header.marker)
                #expect(packet.payloadBytes == header.payloadRange.count)
                #expect(header.extensions.find(4, in: packet.bytes).map { Array(packet.bytes[$0]) } == [0x30])
                #expect(packet.transportSequenceOffset == header.extensions.find(3, in: packet.bytes)?.lowerBound)
                var range = 0..<0
                let descriptor = try VP8PayloadDescriptor(
                    parsing: packet.bytes, in: header.payloadRange, dataRange: &range)
                #expect(descriptor.startsFrame == (index == 0))
                data += packet.bytes[range]
            }
            #expect(data == frame(size).payload)
        }
        #expect(stream.statistics.framesSent == 6)
        #expect(stream.statistics.bytesSent > 57_000)
    }

    @Test func theFirstNumbersAreBelow32768() {
        for seed in 0..<200 as Range<UInt64> {
            #expect(stream(seed: seed).nextSequenceNumber.rawValue < 0x8000)
        }
    }

    @Test func departureStampsItsNumberAndTime() throws {
        var stream = stream(.opus)
        var packets: [OutboundPacket] = []
        stream.packetize(frame(10, codec: .opus), at: .zero, into: &packets)
        packets[0].stamp(transportSequence: SequenceNumber(0xABCD), at: Instant(nanoseconds: 1_000_000_000))
        let header = try RTPHeader(parsing: packets[0].bytes)
        let ids: HeaderExtensionMap = [.transportSequenceNumber: 3, .absoluteSendTime: 2]
        #expect(header.transportSequenceNumber(ids: ids, in: packets[0].bytes) == SequenceNumber(0xABCD))
        #expect(header.absoluteSendTime(ids: ids, in: packets[0].bytes) == AbsoluteSendTime(rawValue: 1 << 18))
    }

    @Test func withoutExtensionsThereIsNoExtensionBlock() throws {
        var stream = stream(.opus, mid: nil, extensions: [:])
        var packets: [OutboundPacket] = []
        stream.packetize(frame(10, codec: .opus), at: .zero, into: &packets)
        #expect(packets[0].bytes.count == 22)
        #expect(packets[0].transportSequenceOffset == nil)
    }

    @Test func theMediaSectionIsNamedUntilTheFarEndReports() throws {
        var stream = stream()
        func hasMid(_ key: Bool) throws -> Bool {
            var packets: [OutboundPacket] = []
            stream.packetize(frame(100, key: key), at: .zero, into: &packets)
            return try RTPHeader(parsing: packets[0].bytes).extensions.find(4, in: packets[0].bytes) != nil
        }
        #expect(try hasMid(false))
        stream.receive(report: ReportBlock(ssrc: SSRC(7)), at: .zero)
        #expect(try hasMid(false))
        stream.receive(report: ReportBlock(ssrc: SSRC(1)), at: .zero)
        #expect(try !hasMid(false))
        #expect(try hasMid(true))
    }

    @Test func theAudioLevelIsCarried() throws {
        var stream = stream(.opus, extensions: [.audioLevel: 1])
        stream.audioLevel = AudioLevel(hasVoice: true, level: 20)
        var packets: [OutboundPacket] = []
        stream.packetize(frame(10, codec: .opus), at: .zero, into: &packets)
        let header = try RTPHeader(parsing: packets[0].bytes)
        #expect(header.audioLevel(ids: [.audioLevel: 1], in: packets[0].bytes) == stream.audioLevel)
    }

    @Test func aRetransmissionUnwrapsToTheOriginal() throws {
        var stream = stream()
        var packets: [OutboundPacket] = []
        stream.packetize(frame(3_000, key: true), at: .zero, into: &packets)
        var again: [OutboundPacket] = []
        stream.retransmit(
            nack(packets.map(\.sequence)), at: .zero + .milliseconds(50), rtt: .milliseconds(40), into: &again)
        #expect(again.count == packets.count)
        let unwrapper = RTXUnwrapper(mediaSSRC: SSRC(1), payloadTypes: [97: 96])
        for (original, packet) in zip(packets, again) {
            #expect(packet.ssrc == SSRC(2))
            #expect(packet.isRetransmission)
            var bytes = packet.bytes
            var header = try RTPHeader(parsing: bytes)
            #expect(header.payloadType == 97)
            #expect(unwrapper.unwrap(&header, &bytes))
            #expect(bytes == original.bytes)
            #expect(header == (try RTPHeader(parsing: original.bytes)))
        }
        #expect(again[1].sequence == again[0].sequence.next)
        #expect(stream.statistics.retransmittedPacketsSent == UInt64(packets.count))
        #expect(stream.statistics.packetsSent == UInt64(packets.count * 2))
        // The report counts the media stream alone.
        let report = stream.senderReport(wallClock: WallClock(instant: .zero, unixNanoseconds: 0), at: .zero)
        #expect(report?.packetCount == UInt32(packets.count))
    }

    @Test func withoutRTXThePacketItselfIsSentAgain() {
        var stream = stream(rtx: false)
        var packets: [OutboundPacket] = []
        stream.packetize(frame(3_000), at: .zero, into: &packets)
        var again: [OutboundPacket] = []
        stream.retransmit(nack([packets[1].sequence]), at: .zero, rtt: nil, into: &again)
        #expect(again.map(\.bytes) == [packets[1].bytes])
        #expect(again[0].isRetransmission)
    }

    @Test func aWishRepeatedWithinTheRoundTripIsPassedOver() {
        var stream = stream()
        var packets: [OutboundPacket] = []
        stream.packetize(frame(100), at: .zero, into: &packets)
        func again(at milliseconds: Int64) -> Int {
            var out: [OutboundPacket] = []
            stream.retransmit(
                nack([packets[0].sequence]), at: .zero + .milliseconds(milliseconds), rtt: .milliseconds(100),
                into: &out)
            return out.count
        }
        #expect(again(at: 10) == 1)
        #expect(again(at: 60) == 0)
        #expect(again(at: 90) == 1)
        #expect(stream.statistics.retransmissionsRefused == 1)
        #expect(stream.statistics.nackCount == 3)
    }

    @Test func historyIsBoundedByCountAndAge() {
        var stream = stream(history: 16)
        var packets: [OutboundPacket] = []
        for index in 0..<40 as Range<Int64> {
            stream.packetize(frame(100), at: .zero + .milliseconds(index), into: &packets)
        }
        var again: [OutboundPacket] = []
        stream.retransmit(nack(packets.map(\.sequence)), at: .zero + .milliseconds(50), rtt: nil, into: &again)
        #expect(again.count == 16)
        again = []
        stream.retransmit(nack(packets.map(\.sequence)), at: .zero + .milliseconds(5_000), rtt: nil, into: &again)
        #expect(again.isEmpty)
        again = []
        stream.retransmit(
            GenericNACK(senderSSRC: SSRC(9), mediaSSRC: SSRC(5), lost: [packets[39].sequence]),
            at: .zero + .milliseconds(51), rtt: nil, into: &again)
        #expect(again.isEmpty)
    }

    @Test func numbersNeverSentAreNotSentAgain() {
        var stream = stream()
        var packets: [OutboundPacket] = []
        stream.packetize(frame(100), at: .zero, into: &packets)
        var again: [OutboundPacket] = []
        stream.retransmit(
            nack([packets[0].sequence.next, packets[0].sequence - 1, packets[0].sequence + 30_000]), at: .zero,
            rtt: nil, into: &again)
        #expect(again.isEmpty)
    }

    @Test func reportsFollowTheMediaClockBetweenFrames() throws {
        var stream = stream()
        let clock = WallClock(instant: .zero, unixNanoseconds: 1_700_000_000_000_000_000)
        var packets: [OutboundPacket] = []
        #expect(stream.senderReport(wallClock: clock, at: .zero) == nil)
        var random = RandomSource.seeded(4)
        var first: RTPTimestamp?
        for index in 0..<300 as Range<Int64> {
            // The encoder takes 3...25 ms; the report must not show it.
            let captured = Instant.zero + .milliseconds(index * 33)
            let taken = Int64.random(in: 3_000...25_000, using: &random)
            stream.packetize(
                frame(100, at: index * 33 * 90), at: captured + .microseconds(taken), into: &packets)
            first = try first ?? RTPHeader(parsing: packets[0].bytes).timestamp
            guard index > 30 else { continue }
            let now = captured + .milliseconds(28)
            let report = try #require(report(&stream, clock, at: now))
            let expected = Double(index * 33 + 28 - 3) * 90
            let got = Double(report.timestamp.distance(from: try #require(first)))
            #expect(abs(got - expected) < 1.5 * 90, "frame \(index)")
            #expect(report.ntp == clock.ntp(at: now))
        }
    }

    @Test func aMediaClockSetAnewIsTakenOver() throws {
        var stream = stream(.opus)
        let clock = WallClock(instant: .zero, unixNanoseconds: 0)
        var packets: [OutboundPacket] = []
        stream.packetize(frame(10, at: 0, codec: .opus), at: .zero, into: &packets)
        stream.packetize(frame(10, at: 48_000 * 100, codec: .opus), at: .zero + .milliseconds(20), into: &packets)
        let report = try #require(report(&stream, clock, at: .zero + .milliseconds(30)))
        let last = try RTPHeader(parsing: packets[1].bytes).timestamp
        #expect(report.timestamp.distance(from: last) == 480)
    }

    @Test func roundTripsAreMeasuredAgainstOurOwnReports() throws {
        var stream = stream()
        var packets: [OutboundPacket] = []
        stream.packetize(frame(100), at: .zero, into: &packets)
        let clock = WallClock(instant: .zero, unixNanoseconds: 1_700_000_000_000_000_000)
        let report = try #require(report(&stream, clock, at: .zero))
        var block = ReportBlock(
            ssrc: SSRC(1), fractionLost: 128, cumulativeLost: 7, jitter: 900, lastSenderReport: report.ntp.compact,
            delaySinceLastSenderReport: 65_536 / 2)
        stream.receive(report: block, at: .zero + .milliseconds(580))
        #expect(stream.remote.roundTripTime == .milliseconds(80))
        #expect(stream.remote.smoothedRoundTripTime == .milliseconds(80))
        #expect(stream.remote.fractionLost == 0.5)
        #expect(stream.remote.packetsLost == 7)
        #expect(stream.remote.jitter == .milliseconds(10))
        stream.receive(report: block, at: .zero + .milliseconds(660))
        #expect(stream.remote.smoothedRoundTripTime == .milliseconds(90))
        #expect(stream.remote.roundTripTimeMeasurements == 2)
        // Reports we never sent, and round trips below zero, measure nothing.
        block.lastSenderReport &+= 1
        stream.receive(report: block, at: .zero + .milliseconds(900))
        block.lastSenderReport &-= 1
        stream.receive(report: block, at: .zero + .milliseconds(100))
        #expect(stream.remote.roundTripTimeMeasurements == 2)
    }

    @Test func countsInReportsWrap() throws {
        var stream = stream()
        var packets: [OutboundPacket] = []
        stream.packetize(frame(1_000), at: .zero, into: &packets)
        let report = try #require(
            report(&stream, WallClock(instant: .zero, unixNanoseconds: 0), at: .zero))
        #expect(report.octetCount == 1_004)
        #expect(report.ssrc == SSRC(1))
        #expect(stream.sourceDescription.cname == "name")
    }

    @Test func keyframeRequestsAreCountedOnce() {
        var stream = stream()
        #expect(stream.receive(PictureLossIndication(senderSSRC: SSRC(9), mediaSSRC: SSRC(1))) == true)
        #expect(stream.receive(PictureLossIndication(senderSSRC: SSRC(9), mediaSSRC: SSRC(3))) == false)
        func fir(_ command: UInt8, from sender: UInt32 = 9, ssrc: UInt32 = 1) -> Bool {
            stream.receive(
                FullIntraRequest(senderSSRC: SSRC(sender), entries: [.init(ssrc: SSRC(ssrc), command: command)]))
        }
        #expect(fir(1))
        #expect(!fir(1))
        #expect(fir(2))
        #expect(fir(2, from: 10))
        #expect(!fir(3, ssrc: 5))
        #expect(stream.statistics.pliCount == 1)
        #expect(stream.statistics.firCount == 3)
        for sender in 100..<200 as Range<UInt32> { #expect(fir(1, from: sender)) }
    }

    @Test func probesAreRecentPacketsOrPadding() throws {
        var stream = stream()
        var packets: [OutboundPacket] = []
        stream.probe(bytes: 1_000, at: .zero, into: &packets)
        #expect(packets.isEmpty)
        stream.packetize(frame(50), at: .zero, into: &packets)
        packets = []
        stream.probe(bytes: 1_000, at: .zero, into: &packets)
        #expect(packets.reduce(0) { $0 + $1.bytes.count } >= 1_000)
        for packet in packets {
            #expect(packet.isProbe)
            #expect(packet.ssrc == SSRC(2))
            let header = try RTPHeader(parsing: packet.bytes)
            #expect(header.payloadRange.isEmpty)
            var copy = header
            var bytes = packet.bytes
            #expect(!RTXUnwrapper(mediaSSRC: SSRC(1), payloadTypes: [97: 96]).unwrap(&copy, &bytes))
        }
        stream.packetize(frame(900), at: .zero, into: &packets)
        packets = []
        stream.probe(bytes: 2_000, at: .zero, into: &packets)
        #expect(packets.allSatisfy { $0.payloadBytes > 900 })
    }

    @Test func emptyFramesMakeNoPackets() {
        var stream = stream()
        var packets: [OutboundPacket] = []
        stream.packetize(frame(0), at: .zero, into: &packets)
        #expect(packets.isEmpty)
        #expect(stream.statistics.framesDiscarded == 1)
    }

    @Test func telephoneEventsFollowTheRFC() throws {
        var random = RandomSource.seeded(1)
        var stream = SendStream(
            SendStreamConfiguration(
                codec: .pcmu, payloadType: 0, clockRate: 8_000, ssrc: SSRC(1), cname: "x",
                telephoneEventPayloadType: 101),
            random: &random)
        var packets: [OutboundPacket] = []
        stream.packetize(
            EncodedFrame(codec: .pcmu, payload: Array(repeating: 255, count: 160), timestamp: 0), at: .zero,
            into: &packets)
        let media = try RTPHeader(parsing: packets[0].bytes)
        packets = []
        var now = Instant.zero + .milliseconds(100)
        #expect(stream.sendTelephoneEvents("5", duration: .milliseconds(100), at: now) == true)
        while let deadline = stream.deadline {
            #expect(deadline >= now)
            now = deadline
            stream.advance(to: now, into: &packets)
            if let next = stream.deadline { #expect(next > now) }
        }
        let headers = try packets.map { try RTPHeader(parsing: $0.bytes) }
        let events = try zip(headers, packets).map { try TelephoneEvent(parsing: $1.bytes, in: $0.payloadRange) }
        #expect(events.map(\.duration) == [0, 160, 320, 480, 640, 800, 800, 800])
        #expect(events.map(\.isEnd) == [false, false, false, false, false, true, true, true])
        #expect(events.allSatisfy { $0.event == 5 })
        #expect(headers.map(\.marker) == [true] + Array(repeating: false, count: 7))
        #expect(headers.allSatisfy { $0.timestamp.distance(from: media.timestamp) == 800 && $0.payloadType == 101 })
        #expect(headers.map { $0.sequence.distance(from: media.sequence) } == Array(1...8))
    }

    @Test func telephoneEventsAreNotRepeatedAsMediaInRTX() {
        for isRTX in [true, false] {
            var random = RandomSource.seeded(1)
            var stream = SendStream(
                SendStreamConfiguration(
                    codec: .opus, payloadType: 96, clockRate: 48_000, ssrc: SSRC(1),
                    retransmission: isRTX ? .init(ssrc: SSRC(2), payloadType: 97) : nil, cname: "x",
                    telephoneEventPayloadType: 126),
                random: &random)
            stream.sendTelephoneEvents("1", at: .zero)
            var packets: [OutboundPacket] = []
            stream.advance(to: .zero, into: &packets)
            var again: [OutboundPacket] = []
            stream.retransmit(nack([packets[0].sequence]), at: .zero, rtt: nil, into: &again)
            #expect(again.map(\.bytes) == (isRTX ? [] : [packets[0].bytes]))
        }
    }

    @Test func telephoneEventsAreQueuedUpToACap() {
        var call = stream(.opus)
        #expect(call.sendTelephoneEvents("1", at: .zero) == false)
        var random = RandomSource.seeded(1)
        var stream = SendStream(
            SendStreamConfiguration(
                codec: .opus, payloadType: 96, clockRate: 48_000, ssrc: SSRC(1), cname: "x",
                telephoneEventPayloadType: 126),
            random: &random)
        for _ in 0..<10 { stream.sendTelephoneEvents(String(repeating: "1", count: 200), at: .zero) }
        var packets: [OutboundPacket] = []
        while let deadline = stream.deadline { stream.advance(to: deadline, into: &packets) }
        let ends = packets.filter { packet in
            let header = try? RTPHeader(parsing: packet.bytes)
            let event = header.flatMap { try? TelephoneEvent(parsing: packet.bytes, in: $0.payloadRange) }
            return event?.isEnd == true
        }
        #expect(ends.count == 257 * 3)
    }
}
