import Primitives
import Testing

@testable import Media

@Suite struct SourceTimelineTests {
    private func timeline() -> AudioTimeline { AudioTimeline(sampleRate: 1_000, channels: 1, frameSamples: 20) }
    private func ramp(_ range: Range<Int>) -> [Float] { range.map { Float($0) } }

    private func drain(_ timeline: inout AudioTimeline) -> (position: Int64?, samples: [Float]) {
        var samples: [Float] = []
        var first: Int64?
        while let (position, frame) = timeline.next() {
            if first == nil { first = position }
            #expect(frame.count == 20)
            samples += frame
        }
        return (first, samples)
    }

    @Test func piecesAreCutIntoFramesAndTheLastIsFilledUp() {
        var timeline = timeline()
        timeline.append(ramp(1..<8), at: .milliseconds(5))
        #expect(!timeline.isReady)
        timeline.append(ramp(8..<31), at: .milliseconds(13))
        timeline.finish()
        let (position, samples) = drain(&timeline)
        #expect(position == 5)
        #expect(samples == ramp(1..<31) + [Float](repeating: 0, count: 10))
    }

    @Test func aGapBecomesSilenceAndAnHourOfItCostsNothing() {
        var timeline = timeline()
        timeline.append(ramp(1..<21), at: .zero)
        timeline.append(ramp(1..<21), at: .milliseconds(100))
        timeline.append(ramp(1..<21), at: .milliseconds(3_600_000))
        var frames: [(position: Int64, samples: [Float])] = []
        for _ in 0..<6 { if let frame = timeline.next() { frames.append(frame) } }
        #expect(frames.map(\.position) == [0, 20, 40, 60, 80, 100])
        #expect(frames[5].samples == ramp(1..<21))
        #expect(frames[1...4].allSatisfy { $0.samples.allSatisfy { $0 == 0 } })
        #expect(timeline.isReady)
    }

    @Test func anOverlapLosesTheNewSound() {
        var timeline = timeline()
        timeline.append(ramp(0..<100), at: .zero)
        timeline.append(ramp(50..<120), at: .milliseconds(50))
        timeline.finish()
        #expect(drain(&timeline).samples == ramp(0..<120))
    }

    @Test func roundedTimesAreNoGaps() {
        var timeline = timeline()
        for number in 0..<50 { timeline.append(ramp(0..<10), at: .milliseconds(Int64(number * 10 + number % 3 * 9))) }
        timeline.finish()
        #expect(drain(&timeline).samples.count == 500)
    }

    @Test func aClockSetBackGoesOn() {
        var timeline = timeline()
        timeline.append(ramp(0..<100), at: .milliseconds(5_000))
        timeline.append(ramp(100..<200), at: .zero)
        timeline.append(ramp(200..<300), at: .milliseconds(100))
        timeline.finish()
        let (position, samples) = drain(&timeline)
        #expect(position == 5_000)
        #expect(samples == ramp(0..<300))
    }

    @Test func whatIsBeforeZeroIsCut() {
        var timeline = timeline()
        timeline.append(ramp(0..<10), at: .milliseconds(-30))
        timeline.append(ramp(10..<50), at: .milliseconds(-20))
        timeline.finish()
        let (position, samples) = drain(&timeline)
        #expect(position == 0)
        #expect(samples == ramp(30..<50))
    }

    @Test func alignmentCutsOrFillsToTheSample() {
        var timeline = timeline()
        timeline.append(ramp(0..<57), at: .zero)
        timeline.append(ramp(57..<60), at: .milliseconds(57))
        timeline.align(to: .milliseconds(50))
        timeline.append(ramp(0..<30), at: .milliseconds(50))
        timeline.align(to: .milliseconds(85))
        timeline.append(ramp(0..<15), at: .milliseconds(85))
        timeline.finish()
        #expect(drain(&timeline).samples == ramp(0..<50) + ramp(0..<30) + [0, 0, 0, 0, 0] + ramp(0..<15))
    }

    // Pictures.

    private func conform(
        _ rate: FrameRateConformer<Int>.Rate, _ times: [Double], duration: Double = 0.04, most: Int = 1_000
    ) throws -> [(Int, Int64)] {
        var conformer = FrameRateConformer<Int>(rate)
        var index = 0
        var shown: [(Int, Int64)] = []
        while shown.count < most,
            let next = try conformer.next({ () throws(MediaError) in
                guard index < times.count else { return nil }
                defer { index += 1 }
                return .init(picture: index, time: .seconds(times[index]), duration: .seconds(duration))
            })
        { shown.append((next.picture, next.time.milliseconds)) }
        return shown
    }

    @Test func ownTimesUpToThirtyASecondAreKept() throws {
        for rate in [10.0, 25, 29.97, 30] {
            let times = (0..<60).map { (Double($0) / rate * 1_000).rounded() / 1_000 }
            let shown = try conform(.own(most: 30), times)
            #expect(shown.map(\.0) == Array(0..<60), "\(rate)")
            #expect(shown.map(\.1) == times.map { Int64(($0 * 1_000).rounded()) })
        }
    }

    @Test func fasterPicturesAreThinnedToThirty() throws {
        let sixty = try conform(.own(most: 30), (0..<120).map { Double($0) / 60 }, duration: 1 / 60)
        #expect(sixty.map(\.0) == Array(stride(from: 0, to: 120, by: 2)))
        let fifty = try conform(.own(most: 30), (0..<100).map { Double($0) / 50 }, duration: 1 / 50)
        #expect((59...61).contains(fifty.count), "\(fifty.count)")
        let thousand = try conform(.own(most: 30), (0..<2_000).map { Double($0) / 1_000 }, duration: 0.001)
        #expect((58...62).contains(thousand.count), "\(thousand.count)")
    }

    @Test func theLastOfABurstIsShownLateRatherThanNever() throws {
        let shown = try conform(.own(most: 30), [0, 0.005, 0.01, 0.5, 0.6])
        #expect(shown.map(\.0) == [0, 2, 3, 4])
        #expect(shown[1].1 == 33)
    }

    @Test func aPictureThatStandsIsRepeatedEachSecond() throws {
        let shown = try conform(.own(most: 30), [0, 2.5, 2.6], duration: 2)
        #expect(shown.map(\.0) == [0, 0, 0, 1, 2, 2])
        #expect(shown.map(\.1) == [0, 1_000, 2_000, 2_500, 2_600, 3_600])
    }

    @Test func aGridRepeatsAndLeavesOut() throws {
        let doubled = try conform(.grid(30), (0..<15).map { Double($0) / 15 }, duration: 1 / 15.0)
        #expect(doubled.count == 30)
        #expect(doubled.last?.0 == 14)
        let halved = try conform(.grid(30), (0..<60).map { Double($0) / 60 }, duration: 1 / 60.0)
        #expect(halved.map(\.0) == Array(stride(from: 0, to: 60, by: 2)))
        let same = try conform(
            .grid(30), (0..<60).map { (Double($0) / 30 * 1_000).rounded() / 1_000 }, duration: 1 / 30.0)
        #expect(same.map(\.0) == Array(0..<60))
        #expect(try conform(.grid(10), [0.25], duration: 0.01).map(\.1) == [250])
    }

    @Test func sizesKeepTheirShape() {
        #expect(FileMedia.outputSize(of: VideoSize(1_920, 1_080), wanted: nil) == VideoSize(1_280, 720))
        #expect(FileMedia.outputSize(of: VideoSize(1_080, 1_920), wanted: nil) == VideoSize(720, 1_280))
        #expect(FileMedia.outputSize(of: VideoSize(641, 479), wanted: nil) == VideoSize(640, 478))
        #expect(FileMedia.outputSize(of: VideoSize(1, 1), wanted: nil) == VideoSize(2, 2))
        #expect(VideoSize(64, 48).stretched(to: VideoSize(640, 640)) == VideoSize(640, 480))
        #expect(VideoSize("640x480") == VideoSize(640, 480))
        #expect(VideoSize("640x") == nil && VideoSize("-1x4") == nil && VideoSize("1x2x3") == nil)
    }

    @Test func turnedPicturesAreTurnedClockwise() {
        // Luma 4x2: 0 1 2 3 / 4 5 6 7; chroma 2x1.
        let picture = Picture(size: VideoSize(4, 2), bytes: [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 20, 21])
        #expect(picture.turned(by: 90).bytes == [4, 0, 5, 1, 6, 2, 7, 3, 10, 11, 20, 21])
        #expect(picture.turned(by: 180).bytes == [7, 6, 5, 4, 3, 2, 1, 0, 11, 10, 21, 20])
        #expect(picture.turned(by: 270).bytes == [3, 7, 2, 6, 1, 5, 0, 4, 11, 10, 21, 20])
        #expect(picture.turned(by: 270).size == VideoSize(2, 4))
        #expect(
            Picture(size: VideoSize(2, 2), bytes: [1, 2, 3, 4, 5, 6]).centred(in: VideoSize(6, 2))
                == [16, 16, 1, 2, 16, 16, 16, 16, 3, 4, 16, 16, 128, 5, 128, 128, 6, 128])
    }
}
