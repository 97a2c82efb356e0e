import ICE
import Primitives
import Testing

/// Frames of RFC 4571.
@Suite struct FrameCutterTests {
    private func stream(_ frames: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for frame in frames { #expect(FrameCutter.append(frame, to: &bytes)) }
        return bytes
    }

    @Test(arguments: [1, 2, 3, 7, 1_000, 100_000])
    func framesComeOutWhateverThePiecesTheyCameIn(size: Int) throws {
        let frames: [[UInt8]] = [[1], Array(repeating: 7, count: 300), [], Array(repeating: 9, count: 65_535), [3, 4]]
        let bytes = stream(frames)
        var cutter = FrameCutter()
        var found: [[UInt8]] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            try cutter.append(bytes[start..<min(start + size, bytes.count)])
            while let frame = try cutter.next() { found.append(frame) }
        }
        #expect(found == frames.filter { !$0.isEmpty })
        #expect(cutter.bufferedBytes == 0)
    }

    @Test func aFrameOverTheLimitIsRefusedAtItsLength() throws {
        var cutter = FrameCutter(limit: 2_048)
        try cutter.append([0x08, 0x01])
        #expect(throws: FrameCutter.Failure.frameTooLong(2_049, limit: 2_048)) { try cutter.next() }
        var other = FrameCutter(limit: 2_048)
        try other.append([0x08, 0x00])
        let next = try other.next()
        #expect(next == nil)
    }

    @Test func aFrameCannotBeLongerThanItsLengthSays() {
        var bytes: [UInt8] = []
        #expect(!FrameCutter.append(Array(repeating: 0, count: 65_536), to: &bytes))
        #expect(bytes.isEmpty)
    }

    @Test func whatIsKeptIsBounded() throws {
        var cutter = FrameCutter(maximumChunk: 1_000)
        #expect(throws: FrameCutter.Failure.chunkTooLong(1_001)) {
            try cutter.append(Array(repeating: 0, count: 1_001))
        }
        try cutter.append([0xFF, 0xFF])
        for _ in 0..<65 {
            try cutter.append(Array(repeating: 1, count: 1_000))
            let next = try cutter.next()
            #expect(next == nil)
        }
        #expect(cutter.bufferedBytes == 65_002)
    }

    @Test func mutatedStreamsNeverTrap() {
        var random = RandomSource.seeded(3)
        for _ in 0..<500 {
            var cutter = FrameCutter(limit: 4_000)
            do {
                for _ in 0..<20 {
                    try cutter.append(random.bytes(Int.random(in: 0...500, using: &random)))
                    while try cutter.next() != nil {}
                    #expect(cutter.bufferedBytes <= 4_502)
                }
            } catch {}
        }
    }

    @Test func mediaIsDroppedBeforeWhatKeepsTheCall() {
        var admission = FrameAdmission()
        let media: [UInt8] = [0x80, 96] + Array(repeating: 0, count: 1_000)
        let report: [UInt8] = [0x80, 200] + Array(repeating: 0, count: 100)
        let check: [UInt8] = [0, 1] + Array(repeating: 0, count: 100)
        // First what has no past, then what drained 10,000 bytes in a quarter of a second.
        let first = [31_999, 32_001].map { queued in
            admission = FrameAdmission()
            return admission.admits(media, queued: queued, at: .zero)
        }
        #expect(first == [true, false])
        for kept in [report, check] {
            let taken = [200_000, 262_100].map { admission.admits(kept, queued: $0, at: .zero) }
            #expect(taken == [true, false])
        }
    }

    @Test func whatMayWaitIsWhatLeavesInFourTenthsOfASecond() {
        let media: [UInt8] = [0x80, 96] + Array(repeating: 0, count: 998)
        for (rate, expected) in [(10_000, 12_000), (100_000, 40_000), (1_000_000, 96_000)] {
            var admission = FrameAdmission()
            var queued = 20_000
            var now = Instant.zero
            for _ in 0..<400 {
                for _ in 0..<20 where admission.admits(media, queued: queued, at: now) { queued += media.count + 2 }
                now = now + .milliseconds(10)
                queued = max(1, queued - rate / 100)
            }
            #expect(abs(admission.mediaLimit - expected) <= expected / 10, "\(rate): \(admission.mediaLimit)")
            #expect(queued <= expected + 2_000, "\(rate): \(queued) wait")
            // When all has left, nothing is known any more.
            _ = admission.admits(media, queued: 0, at: now)
            #expect(admission.mediaLimit == 32_000)
        }
    }
}
