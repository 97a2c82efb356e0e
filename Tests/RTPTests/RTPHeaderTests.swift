import FixtureSupport
import Primitives
import RTP
import Testing

private func fixture(_ name: String) throws -> [UInt8] { try Fixtures.bytes("rtp/\(name).bin") }

@Suite struct RTPHeaderTests {
    @Test func plainPacketGivesItsFields() throws {
        let bytes = try fixture("rtp_plain")
        let header = try RTPHeader(parsing: bytes)
        #expect(header.payloadType == 111)
        #expect(header.sequence == SequenceNumber(65_535))
        #expect(header.timestamp == RTPTimestamp(4_294_967_295))
        #expect(header.ssrc == SSRC(0x1234_5678))
        #expect(!header.marker)
        #expect(header.csrcCount == 0)
        #expect(header.extensions.isEmpty)
        #expect(header.paddingLength == 0)
        #expect(Array(bytes[header.payloadRange]) == [1, 2, 3])
        #expect(RTPHeader.ssrc(of: bytes) == header.ssrc)
    }

    @Test func markerAndContributingSources() throws {
        let bytes = try fixture("rtp_marker_csrc")
        let header = try RTPHeader(parsing: bytes)
        #expect(header.marker)
        #expect(header.payloadType == 111)
        #expect(header.contributingSources(in: bytes) == [SSRC(0xAABB_CCDD), SSRC(1)])
        #expect(Array(bytes[header.payloadRange]) == Array("media".utf8))
    }

    @Test func paddingIsNotPayload() throws {
        let bytes = try fixture("rtp_padding")
        let header = try RTPHeader(parsing: bytes)
        #expect(header.paddingLength == 4)
        #expect(Array(bytes[header.payloadRange]) == Array("media".utf8))
        let only = try RTPHeader(parsing: try fixture("rtp_only_padding"))
        #expect(only.paddingLength == 224)
        #expect(only.payloadRange.isEmpty)
    }

    @Test func paddingOfZeroOrOverTheHeaderIsRefused() throws {
        var bytes = try fixture("rtp_padding")
        bytes[bytes.count - 1] = 0
        #expect(throws: RTPError.invalidPadding(offset: bytes.count - 1)) { try RTPHeader(parsing: bytes) }
        bytes[bytes.count - 1] = 10
        #expect(throws: RTPError.invalidPadding(offset: bytes.count - 1)) { try RTPHeader(parsing: bytes) }
        bytes[bytes.count - 1] = 9
        #expect(try RTPHeader(parsing: bytes).payloadRange.isEmpty)
    }

    @Test func otherVersionsAreRefused() throws {
        var bytes = try fixture("rtp_plain")
        bytes[0] = 0x40
        #expect(throws: RTPError.unsupportedVersion(offset: 0)) { try RTPHeader(parsing: bytes) }
    }

    @Test func elementsOfTheOneByteForm() throws {
        let bytes = try fixture("rtp_one_byte_extensions")
        let header = try RTPHeader(parsing: bytes)
        #expect(header.extensions.profile == 0xBEDE)
        let ids: HeaderExtensionMap = [
            .transportSequenceNumber: 3, .mid: 4, .audioLevel: 1, .absoluteSendTime: 2,
        ]
        #expect(header.transportSequenceNumber(ids: ids, in: bytes) == SequenceNumber(0x1234))
        #expect(header.text(.mid, ids: ids, in: bytes) == "0")
        #expect(header.audioLevel(ids: ids, in: bytes) == AudioLevel(hasVoice: true, level: 127))
        #expect(header.absoluteSendTime(ids: ids, in: bytes) == AbsoluteSendTime(rawValue: 0x0A0B0C))
        #expect(header.extensions.find(5, in: bytes) == nil)
        #expect(header.extensions.find(0, in: bytes) == nil)
        #expect(Array(bytes[header.payloadRange]) == Array("media".utf8))
        var seen: [UInt8] = []
        header.extensions.forEach(in: bytes) { id, _ in seen.append(id) }
        #expect(seen == [3, 4, 1, 2])
    }

    @Test func elementsOfTheTwoByteFormMayBeEmptyAndLong() throws {
        let bytes = try fixture("rtp_two_byte_extensions")
        let header = try RTPHeader(parsing: bytes)
        #expect(header.extensions.profile == 0x1000)
        let ids: HeaderExtensionMap = [.transportSequenceNumber: 3, .mid: 16]
        #expect(header.transportSequenceNumber(ids: ids, in: bytes) == SequenceNumber(0x1234))
        #expect(header.text(.mid, ids: ids, in: bytes) == "a long media section name")
        #expect(header.extensions.find(200, in: bytes)?.isEmpty == true)
        #expect(header.extensions.find(201, in: bytes) == nil)
    }

    @Test func nothingIsReadBehindId15() throws {
        let bytes = try fixture("rtp_one_byte_extension_id_15")
        let header = try RTPHeader(parsing: bytes)
        #expect(header.extensions.find(1, in: bytes) != nil)
        #expect(header.extensions.find(2, in: bytes) == nil)
        #expect(header.extensions.find(15, in: bytes) == nil)
    }

    @Test func unknownProfilesHaveNoElements() throws {
        var bytes = try fixture("rtp_one_byte_extensions")
        bytes[12] = 0xAB
        let header = try RTPHeader(parsing: bytes)
        #expect(header.extensions.find(3, in: bytes) == nil)
        #expect(Array(bytes[header.payloadRange]) == Array("media".utf8))
    }

    @Test func writtenElementsAreFoundAgainInBothForms() throws {
        for ids in [[1, 14, 7] as [UInt8], [1, 15, 255]] {
            var bytes: [UInt8] = []
            RTPHeader.write(
                marker: true, payloadType: 96, sequence: SequenceNumber(1), timestamp: RTPTimestamp(2), ssrc: SSRC(3),
                hasExtensions: true, into: &bytes)
            let elements = [
                HeaderExtensionElement(id: ids[0], data: [9]),
                HeaderExtensionElement(id: ids[1], data: Array(repeating: 5, count: 16)),
                HeaderExtensionElement(id: ids[2], data: [1, 2, 3]),
            ]
            let ranges = RTPHeaderExtensions.write(elements, into: &bytes)
            bytes.append(contentsOf: [0xEE])
            let header = try RTPHeader(parsing: bytes)
            #expect(header.extensions.profile == (ids[1] == 14 ? 0xBEDE : 0x1000))
            for (element, range) in zip(elements, ranges) {
                #expect(header.extensions.find(element.id, in: bytes) == range)
                #expect(Array(bytes[range]) == element.data)
            }
            #expect(Array(bytes[header.payloadRange]) == [0xEE])
        }
    }

    @Test func everyTruncationIsAValueOrAnError() throws {
        for name in ["rtp_plain", "rtp_marker_csrc", "rtp_one_byte_extensions", "rtp_two_byte_extensions"] {
            let bytes = try fixture(name)
            let whole = try RTPHeader(parsing: bytes)
            for count in 0..<bytes.count {
                let part = Array(bytes.prefix(count))
                if count < whole.headerLength {
                    #expect(throws: RTPError.self) { try RTPHeader(parsing: part) }
                } else {
                    #expect(try RTPHeader(parsing: part).payloadRange == whole.headerLength..<count)
                }
            }
        }
    }

    @Test func mutationsNeverTrap() throws {
        let seeds = try Fixtures.names(in: "rtp").filter { $0.contains("/rtp_") }.map { try Fixtures.bytes($0) }
        var mutations = Mutations(of: seeds, seed: 8_285)
        var parsed = 0
        for _ in 0..<100_000 {
            let bytes = mutations.next()
            guard let header = try? RTPHeader(parsing: bytes) else { continue }
            parsed += 1
            var last = header.extensions.range.lowerBound
            header.extensions.forEach(in: bytes) { _, range in
                if range.lowerBound < last || range.upperBound > bytes.count { Issue.record("range outside") }
                last = range.upperBound
            }
            if header.payloadRange.upperBound + header.paddingLength != bytes.count { Issue.record("payload outside") }
        }
        #expect(parsed > 10_000)
    }

    @Test func headerExtensionURIsGoBothWays() {
        for kind in HeaderExtension.allCases { #expect(HeaderExtension(uri: kind.uri) == kind) }
        #expect(HeaderExtension(uri: "urn:nothing") == nil)
        var map = HeaderExtensionMap()
        #expect(map[.mid] == nil)
        map[.mid] = 4
        #expect(map[.mid] == 4)
        map[.mid] = nil
        #expect(map == HeaderExtensionMap())
    }

    @Test func typedElementsGoBothWays() {
        let orientation = VideoOrientation(isBackCamera: true, isFlipped: false, rotation: 270)
        #expect(orientation.byte == 0b1011)
        #expect(VideoOrientation(parsing: [orientation.byte], in: 0..<1) == orientation)
        var bytes: [UInt8] = []
        let delay = PlayoutDelay(minimum: .milliseconds(120), maximum: .milliseconds(40_950))
        delay.write(into: &bytes)
        #expect(bytes == [0x00, 0xCF, 0xFF])
        #expect(PlayoutDelay(parsing: bytes, in: 0..<3) == delay)
        #expect(PlayoutDelay(parsing: bytes, in: 0..<2) == nil)
        bytes = []
        let capture = AbsoluteCaptureTime(captured: NTPTime(rawValue: 0x0102_0304_0506_0708), clockOffset: -1)
        capture.write(into: &bytes)
        #expect(bytes.count == 16)
        #expect(AbsoluteCaptureTime(parsing: bytes, in: 0..<16) == capture)
        #expect(AbsoluteCaptureTime(parsing: bytes, in: 0..<8)?.clockOffset == nil)
        #expect(AbsoluteCaptureTime(parsing: bytes, in: 0..<7) == nil)
        #expect(AudioLevel(hasVoice: true, level: 30).byte == 0x9E)
    }

    @Test func absoluteSendTimeWrapsAfter64Seconds() {
        let before = AbsoluteSendTime(Instant(nanoseconds: 63_999_000_000))
        let after = AbsoluteSendTime(Instant(nanoseconds: 64_001_000_000))
        #expect(AbsoluteSendTime(Instant(nanoseconds: 1_000_000_000)).rawValue == 1 << 18)
        #expect(abs(after.since(before).microseconds - 2_000) < 10)
        #expect(abs(before.since(after).microseconds + 2_000) < 10)
    }
}
