import FixtureSupport
import Primitives
import RTP
import Testing

private func fixture(_ name: String) throws -> [UInt8] { try Fixtures.bytes("rtp/vp8_descriptor_\(name).bin") }

private func parse(_ bytes: [UInt8]) throws -> (VP8PayloadDescriptor, [UInt8]) {
    var data = 0..<0
    let descriptor = try VP8PayloadDescriptor(parsing: bytes, in: 0..<bytes.count, dataRange: &data)
    return (descriptor, Array(bytes[data]))
}

@Suite struct VP8PayloadTests {
    static let forms: [(String, VP8PayloadDescriptor)] = [
        ("minimal", VP8PayloadDescriptor(startsPartition: true, hasLongPictureID: false)),
        ("partition_7", VP8PayloadDescriptor(startsPartition: false, partition: 7, hasLongPictureID: false)),
        ("picture_id_7", VP8PayloadDescriptor(startsPartition: true, pictureID: 17, hasLongPictureID: false)),
        ("picture_id_15", VP8PayloadDescriptor(startsPartition: true, pictureID: 4_711)),
        (
            "all",
            VP8PayloadDescriptor(
                startsPartition: true, pictureID: 0x7FFF, temporalLevelZeroIndex: 200, temporalLayer: 2,
                isLayerSync: true, keyIndex: 21)
        ),
        (
            "layer_only",
            VP8PayloadDescriptor(startsPartition: false, partition: 1, hasLongPictureID: false, temporalLayer: 3)
        ),
        (
            "key_index_only",
            VP8PayloadDescriptor(startsPartition: false, partition: 1, hasLongPictureID: false, keyIndex: 31)
        ),
    ]

    @Test func everyFormOfTheDescriptorIsReadAndWritten() throws {
        for (name, expected) in Self.forms {
            let bytes = try fixture(name)
            let (descriptor, data) = try parse(bytes)
            #expect(descriptor == expected, "\(name)")
            #expect(data == [0x10] + Array("data".utf8), "\(name)")
            var written: [UInt8] = []
            expected.write(into: &written)
            #expect(written + data == bytes, "\(name)")
        }
    }

    @Test func everyCombinationOfFieldsGoesBothWays() throws {
        for bits in 0..<64 {
            let descriptor = VP8PayloadDescriptor(
                isNonReference: bits & 1 != 0, startsPartition: bits & 2 != 0, partition: 0,
                pictureID: bits & 4 != 0 ? 99 : nil, hasLongPictureID: bits & 4 != 0 && bits & 1 != 0,
                temporalLevelZeroIndex: bits & 8 != 0 ? 7 : nil, temporalLayer: bits & 16 != 0 ? 1 : nil,
                isLayerSync: bits & 16 != 0, keyIndex: bits & 32 != 0 ? 9 : nil)
            var bytes: [UInt8] = []
            descriptor.write(into: &bytes)
            let (back, data) = try parse(bytes + [1])
            #expect(back == descriptor)
            #expect(data == [1])
        }
    }

    @Test func truncatedDescriptorsAndEmptyDataAreErrors() throws {
        for (name, _) in Self.forms {
            let bytes = try fixture(name)
            for count in 0...bytes.count - 5 {
                #expect(throws: RTPError.self) { try parse(Array(bytes.prefix(count))) }
            }
            #expect(throws: Never.self) { try parse(Array(bytes.dropLast(4))) }
        }
    }

    @Test func framesOfEverySizeComeTogetherAgain() throws {
        var format = VP8PayloadFormat(pictureID: 0x7FF0)
        for size in 1...600 {
            let frame = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let id = format.pictureID
            let payloads = format.packetize(frame, maximumPayload: 54)
            #expect(payloads.count == (size + 49) / 50)
            var whole: [UInt8] = []
            for (index, payload) in payloads.enumerated() {
                #expect(payload.count <= 54)
                let (descriptor, data) = try parse(payload)
                #expect(descriptor.startsFrame == (index == 0))
                #expect(descriptor.pictureID == id)
                whole += data
            }
            #expect(whole == frame)
            let sizes = payloads.map(\.count)
            #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 1)
        }
        #expect(format.pictureID == (0x7FF0 + 600) & 0x7FFF)
    }

    @Test func keyframesTellTheirSize() {
        // RFC 6386 §9.1: start code, then 640 (scale 0) by 480 (scale 1).
        let key: [UInt8] = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0xE0, 0x41]
        let header = VP8FrameHeader(parsing: key, in: 0..<10)
        #expect(header?.isKeyframe == true)
        #expect(header?.width == 640)
        #expect(header?.height == 480)
        #expect(VP8FrameHeader(parsing: [0x11], in: 0..<1)?.isKeyframe == false)
        #expect(VP8FrameHeader(parsing: [], in: 0..<0) == nil)
        for count in 1..<10 { #expect(VP8FrameHeader(parsing: Array(key.prefix(count)), in: 0..<count)?.width == nil) }
    }

    @Test func mutationsNeverTrap() throws {
        var mutations = Mutations(of: try Self.forms.map { try fixture($0.0) }, seed: 7_741)
        var parsed = 0
        for _ in 0..<100_000 {
            let bytes = mutations.next()
            guard let (_, data) = try? parse(bytes) else { continue }
            parsed += 1
            if data.isEmpty { Issue.record("empty data") }
            _ = VP8FrameHeader(parsing: data, in: 0..<data.count)
        }
        #expect(parsed > 10_000)
    }
}

@Suite struct OpusPayloadTests {
    @Test func durationsOfTheTable() {
        // RFC 6716 §3.1, one frame a packet: microseconds by configuration.
        let silk: [Int64] = [10_000, 20_000, 40_000, 60_000]
        let hybrid: [Int64] = [10_000, 20_000]
        let celt: [Int64] = [2_500, 5_000, 10_000, 20_000]
        for configuration in 0..<32 {
            let expected =
                configuration < 12
                ? silk[configuration % 4] : configuration < 16 ? hybrid[configuration % 2] : celt[configuration % 4]
            let toc = UInt8(configuration << 3)
            #expect(OpusPayloadFormat.duration(of: [toc]) == expected * 48 / 1_000)
            if expected * 2 <= 120_000 {
                #expect(OpusPayloadFormat.duration(of: [toc | 1]) == expected * 96 / 1_000)
                #expect(OpusPayloadFormat.duration(of: [toc | 2, 0]) == expected * 96 / 1_000)
            }
            #expect(OpusPayloadFormat.duration(of: [toc | 3, 1]) == expected * 48 / 1_000)
        }
    }

    @Test func impossiblePacketsHaveNoDuration() {
        #expect(OpusPayloadFormat.duration(of: [] as [UInt8]) == nil)
        #expect(OpusPayloadFormat.duration(of: [3]) == nil)
        #expect(OpusPayloadFormat.duration(of: [3, 0]) == nil)
        #expect(OpusPayloadFormat.duration(of: [3 << 3 | 3, 3]) == nil)
        #expect(OpusPayloadFormat.duration(of: [3 << 3 | 3, 2]) == 5_760)
    }

    @Test func discontinuousTransmissionIsSeenByItsSize() {
        #expect(OpusPayloadFormat.isDiscontinuous([0x78] as [UInt8]))
        #expect(!OpusPayloadFormat.isDiscontinuous([0x78, 1, 2] as [UInt8]))
        #expect(OpusPayloadFormat.isStereo(toc: 0x7C))
        #expect(!OpusPayloadFormat.isStereo(toc: 0x78))
    }

    @Test func mutationsNeverTrap() {
        var mutations = Mutations(of: (0..<32).map { [UInt8($0 << 3 | 3), 2, 1, 2, 3] }, seed: 6_716)
        for _ in 0..<100_000 {
            if let duration = OpusPayloadFormat.duration(of: mutations.next()), duration > 5_760 || duration < 120 {
                Issue.record("\(duration)")
            }
        }
    }
}
