import FixtureSupport
import Primitives
import RTP
import Testing

private func fixture(_ name: String) throws -> [UInt8] { try Fixtures.bytes("rtp/rtcp_\(name).bin") }
private func one(_ name: String) throws -> RTCPPacket {
    let packets = try RTCPPacket.parseCompound(try fixture(name))
    try #require(packets.count == 1)
    return packets[0]
}

private let block = ReportBlock(
    ssrc: SSRC(0x0B0B_0B0B), fractionLost: 64, cumulativeLost: -2, highestSequence: 0x0001_FFFE, jitter: 123,
    lastSenderReport: 0x89AB_CDEF, delaySinceLastSenderReport: 65_536)

@Suite struct RTCPPacketTests {
    @Test func senderReport() throws {
        let report = SenderReport(
            ssrc: SSRC(0x0A0A_0A0A), ntp: NTPTime(rawValue: 0xE1F2_0304_0506_0708),
            timestamp: RTPTimestamp(0xFFFF_FFFE), packetCount: 4_294_967_295, octetCount: 7, reports: [block])
        #expect(try one("sr") == .senderReport(report))
    }

    @Test func receiverReport() throws {
        #expect(
            try one("rr") == .receiverReport(ReceiverReport(ssrc: SSRC(0x0A0A_0A0A), reports: [block])))
        #expect(try one("rr_empty") == .receiverReport(ReceiverReport(ssrc: SSRC(0x0A0A_0A0A))))
        #expect(try one("rr_padding") == .receiverReport(ReceiverReport(ssrc: SSRC(1))))
    }

    @Test func sourceDescription() throws {
        guard case .sourceDescription(let description) = try one("sdes") else {
            Issue.record("not SDES")
            return
        }
        #expect(description.chunks.map(\.ssrc) == [SSRC(1), SSRC(2)])
        #expect(description.chunks.map(\.cname) == ["{63f459ea-41fe-4474-9d33-9707c9ee79d1}", "abc"])
        #expect(description.chunks[1].items[1] == .init(type: 6, text: Array("tool".utf8)))
    }

    @Test func sourceDescriptionOfOneChunk() throws {
        let name = "{63f459ea-41fe-4474-9d33-9707c9ee79d1}"
        #expect(try one("sdes_one_chunk") == .sourceDescription(SourceDescription(ssrc: SSRC(1), cname: name)))
    }

    @Test func goodbye() throws {
        #expect(try one("bye") == .goodbye(Goodbye(sources: [SSRC(0x0A0A_0A0A), SSRC(5)])))
        #expect(
            try one("bye_reason")
                == .goodbye(Goodbye(sources: [SSRC(0x0A0A_0A0A)], reason: "camera malfunction")))
    }

    @Test func applicationDefined() throws {
        let expected = ApplicationDefined(
            subtype: 5, ssrc: SSRC(0x0A0A_0A0A), name: 0x5445_5354, data: Array("data".utf8))
        #expect(try one("app") == .applicationDefined(expected))
    }

    @Test func genericNACKExpandsItsBitmask() throws {
        let plain = GenericNACK(
            senderSSRC: SSRC(1), mediaSSRC: SSRC(2), lost: [10, 11, 26, 27, 60].map { SequenceNumber($0) })
        #expect(try one("nack") == .genericNACK(plain))
        let wrapped = GenericNACK(
            senderSSRC: SSRC(1), mediaSSRC: SSRC(2), lost: [65_534, 65_535, 0, 3, 40].map { SequenceNumber($0) })
        #expect(try one("nack_wrap") == .genericNACK(wrapped))
    }

    @Test func payloadFeedback() throws {
        #expect(
            try one("pli")
                == .pictureLossIndication(PictureLossIndication(senderSSRC: SSRC(1), mediaSSRC: SSRC(2))))
        #expect(
            try one("fir")
                == .fullIntraRequest(
                    FullIntraRequest(senderSSRC: SSRC(1), entries: [.init(ssrc: SSRC(7), command: 200)])))
        #expect(
            try one("remb")
                == .receiverEstimatedMaximumBitrate(
                    ReceiverEstimatedMaximumBitrate(
                        senderSSRC: SSRC(1), bitrate: 2_500_000, sources: [SSRC(7), SSRC(8)])))
        #expect(
            try one("tmmbr")
                == .maximumBitrateRequest(
                    TemporaryMaximumBitrate(
                        senderSSRC: SSRC(1), entries: [.init(ssrc: SSRC(7), bitrate: 800_000, overhead: 40)])))
    }

    @Test func extendedReport() throws {
        let expected = ExtendedReport(
            ssrc: SSRC(1),
            blocks: [
                .receiverReferenceTime(NTPTime(rawValue: 0xE1F2_0304_0506_0708)),
                .delaySinceLastReceiverReport([
                    .init(ssrc: SSRC(9), lastReceiverReport: 0x0304_0506, delay: 32_768)
                ]), .unknown(type: 6, specific: 0xE0, body: Array(0..<28)),
            ])
        #expect(try one("xr") == .extendedReport(expected))
    }

    @Test func compoundPacketGivesItsParts() throws {
        let packets = try RTCPPacket.parseCompound(try fixture("compound"))
        #expect(packets.count == 3)
        #expect(packets[0] == (try one("sr")))
        #expect(packets[1] == (try one("sdes")))
        #expect(packets[2] == (try one("remb")))
    }

    /// Everything that aiortc wrote, and that has one encoding only, is written the same here.
    @Test func writtenBytesEqualTheFixtures() throws {
        let names = try Fixtures.names(in: "rtp").filter {
            $0.contains("/rtcp_") && !$0.contains("transport_feedback") && !$0.contains("rr_padding")
        }
        #expect(names.count >= 14)
        for name in names {
            let bytes = try Fixtures.bytes(name)
            #expect(RTCPPacket.bytes(of: try RTCPPacket.parseCompound(bytes)) == bytes, "\(name)")
        }
    }

    @Test func unknownTypesAndFormatsAreKept() throws {
        let bytes: [UInt8] = [0x8B, 210, 0, 1, 1, 2, 3, 4, 0x86, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]
        let packets = try RTCPPacket.parseCompound(bytes)
        #expect(
            packets == [
                .unknown(type: 210, count: 11, body: [1, 2, 3, 4]),
                .unknown(type: 205, count: 6, body: [0, 0, 0, 1, 0, 0, 0, 2]),
            ])
        #expect(RTCPPacket.bytes(of: packets) == bytes)
    }

    @Test func applicationFeedbackThatIsNotREMBIsKept() throws {
        let bytes: [UInt8] = [0x8F, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0x41, 0x42, 0x43, 0x44]
        guard case .unknown(206, 15, _) = try RTCPPacket.parseCompound(bytes)[0] else {
            Issue.record("taken for REMB")
            return
        }
    }

    @Test func errorsNameTheirOffset() throws {
        let good = try fixture("pli")
        #expect(throws: RTPError.unsupportedVersion(offset: 12)) {
            try RTCPPacket.parseCompound(good + [0x41, 206, 0, 0])
        }
        #expect(throws: RTPError.truncated(offset: 16)) {
            try RTCPPacket.parseCompound(good + [0x81, 206, 0, 9])
        }
        #expect(throws: RTPError.truncated(offset: 16)) {
            try RTCPPacket.parseCompound(good + [0x81, 206, 0, 0])
        }
        #expect(throws: RTPError.invalidPadding(offset: 23)) {
            try RTCPPacket.parseCompound(good + [0xA0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9])
        }
    }

    @Test func packetsOverTheLimitAreRefused() throws {
        let one: [UInt8] = [0x80, 201, 0, 1, 0, 0, 0, 1]
        let many = Array(repeatElement(one, count: 65).joined())
        #expect(throws: RTPError.limitExceeded(offset: 512)) { try RTCPPacket.parseCompound(many) }
        #expect(try RTCPPacket.parseCompound(many, limit: 65).count == 65)
    }

    @Test func bitratesSaturateAndRound() throws {
        var bytes = try fixture("remb")
        bytes[17] = 0xFF
        bytes[18] = 0xFF
        bytes[19] = 0xFF
        guard case .receiverEstimatedMaximumBitrate(let remb) = try RTCPPacket.parseCompound(bytes)[0] else {
            Issue.record("not REMB")
            return
        }
        #expect(remb.bitrate == .max)
        let written = RTCPPacket.bytes(of: [
            .receiverEstimatedMaximumBitrate(.init(senderSSRC: SSRC(1), bitrate: .max, sources: []))
        ])
        guard case .receiverEstimatedMaximumBitrate(let back) = try RTCPPacket.parseCompound(written)[0] else {
            Issue.record("not REMB")
            return
        }
        #expect(back.bitrate == 0x3_FFFF << 46)
    }

    @Test func everyTruncationIsAnErrorOrWholePackets() throws {
        for name in try Fixtures.names(in: "rtp").filter({ $0.contains("/rtcp_") }) {
            let bytes = try Fixtures.bytes(name)
            let whole = try RTCPPacket.parseCompound(bytes)
            for count in 0..<bytes.count {
                guard let packets = try? RTCPPacket.parseCompound(Array(bytes.prefix(count))) else { continue }
                #expect(packets == Array(whole.prefix(packets.count)), "\(name) cut to \(count)")
                #expect(packets.count < whole.count)
            }
            // Cut inside the packet, its length made to fit: bodies must notice too.
            for words in 0..<bytes.count / 4 {
                var part = Array(bytes.prefix(4 * (words + 1)))
                part.overwrite(UInt16(words), at: 2)
                _ = try? RTCPPacket.parseCompound(part)
            }
        }
    }

    @Test func mutationsNeverTrapAndWhatParsesIsWrittenAgain() throws {
        let seeds = try Fixtures.names(in: "rtp").filter { $0.contains("/rtcp_") }.map { try Fixtures.bytes($0) }
        var mutations = Mutations(of: seeds, seed: 3_550)
        var parsed = 0
        for index in 0..<100_000 {
            guard let packets = try? RTCPPacket.parseCompound(mutations.next()) else { continue }
            parsed += 1
            if index % 8 == 0 {
                let again = try RTCPPacket.parseCompound(RTCPPacket.bytes(of: packets))
                if again.count != packets.count { Issue.record("\(packets)") }
            }
        }
        #expect(parsed > 5_000)
    }

    @Test func demultiplexingByType() {
        for type in 0...255 {
            let isRTCP = RTCPPacket.isRTCP([0x80, UInt8(type), 0, 0])
            #expect(isRTCP == (192...223).contains(type))
        }
        #expect(!RTCPPacket.isRTCP([0x80]))
        #expect(!RTCPPacket.isRTCP([0x00, 200, 0, 0]))
    }
}
