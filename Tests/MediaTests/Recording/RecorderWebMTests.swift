import FixtureSupport
import Foundation
import Primitives
import Testing

@testable import Media

@Suite(.enabled(if: FFmpegTools.areInstalled, "ffmpeg and ffprobe are not installed")) struct RecorderWebMTests {
    let folder: ScratchFolder
    let clip: ReceivedMedia

    init() throws {
        folder = try ScratchFolder()
        clip = try ReceivedMedia.clip.get()
    }

    @Test(arguments: ["call.webm", "call.mkv"]) func framesAreCopiedByteForByteAtTheirTimes(name: String) throws {
        let path = folder(name)
        let summary = try clip.record(to: path)
        let probe = try ProbedFile(path)
        #expect(probe["vp8"]?.packets == 180)
        #expect(probe["opus"]?.packets == clip.count(.audio))
        #expect(probe["vp8"]?.width == 320 && probe["vp8"]?.height == 240)
        #expect(probe["opus"]?.channels == 2 && probe["opus"]?.rate == 48_000)
        #expect(probe.largestStep("vp8") < 0.0345 && probe.largestStep("opus") < 0.0215)
        #expect(abs(try #require(probe.duration) - 6.0) < 0.05)
        // The codec's delay is taken out of the sound's times: it starts 7 ms before zero, and 312 samples are skipped.
        #expect(probe["vp8"]?.start == 0)
        #expect(probe["opus"]?.start == -0.007)
        #expect(try FFmpegTools.complaints(path) == "")

        let written = try ReceivedMedia(file: path, startsAtZero: false)
        for kind in [MediaKind.audio, .video] {
            let sent = clip.frames.filter { $0.kind == kind }
            let found = written.frames.filter { $0.kind == kind }
            #expect(sent.map(\.frame.payload) == found.map(\.frame.payload))
            #expect(zip(sent, found).allSatisfy { abs(($0.time - $1.time).microseconds) <= 1_000 })
        }

        #expect(summary.duration == summary[.audio]?.end)
        #expect(summary[.video]?.frames == 180 && summary[.video]?.keyframes == 3)
        #expect(summary[.video]?.bytes == clip.only(.video).frames.reduce(0) { $0 + $1.frame.payload.count })
        #expect(summary[.audio]?.gapCount == 0 && summary[.video]?.gapCount == 0)
        #expect(summary[.video]?.size == VideoSize(320, 240))
        #expect(summary.bytes == Int64(try ScratchFolder.bytes(path).count))
        #expect(summary.notes.isEmpty)
        #expect(summary.synchronization == .senderReports)
    }

    @Test func theHeaderSaysTheDelayAndTheEndSaysDurationAndIndex() throws {
        let path = folder("call.webm")
        _ = try clip.record(to: path)
        let bytes = try ScratchFolder.bytes(path)
        // OpusHead: version 1, two channels, 312 samples of pre-skip, 48 kHz (RFC 7845 §5.1).
        #expect(bytes.contains(Array("OpusHead".utf8) + [1, 2, 0x38, 0x01, 0x80, 0xBB, 0, 0, 0, 0, 0]))
        // CodecDelay 6.5 ms, SeekPreRoll 80 ms, in nanoseconds (RFC 9559 §5.1.4.1.25 f.).
        #expect(bytes.contains([0x56, 0xAA, 0x83, 0x63, 0x2E, 0xA0]))
        #expect(bytes.contains([0x56, 0xBB, 0x84, 0x04, 0xC4, 0xB4, 0x00]))
        // Cues, and a Duration of 8 bytes.
        #expect(bytes.contains([0x1C, 0x53, 0xBB, 0x6B]))
        #expect(bytes.contains([0x44, 0x89, 0x88]))
    }

    @Test func aFileKilledAtAnyMomentCanBePlayed() throws {
        let path = folder("call.webm")
        let copy = folder("copy.webm")
        var random = RandomSource.seeded(11)
        var checked = 0
        _ = try clip.record(to: path) { recorder, index in
            guard Int.random(in: 0..<40, using: &random) == 0 else { return }
            var bytes = try ScratchFolder.bytes(path)
            // In the first 300 ms there is a header, and no cluster yet.
            guard bytes.count > 3_000 else { return }
            // Half of the time the kernel got only part of the last write.
            if checked % 2 == 0 {
                bytes.removeLast(Int.random(in: 0..<bytes.count - 2_000, using: &random))
            }
            let isWhole = checked % 2 == 1
            try Data(bytes).write(to: URL(fileURLWithPath: copy))
            let probe = try ProbedFile(copy)
            #expect(probe.streams.count == 2)
            guard isWhole else {
                checked += 1
                return
            }
            #expect(try FFmpegTools.complaints(copy) == "")
            // No more is lost than what waits: half a second to be flushed, 300 ms to be interleaved.
            let received = clip.frames[...index].last { $0.kind == .video }?.time.seconds ?? 0
            let stands = probe.times["vp8"]?.last ?? 0
            #expect(received - stands < 0.9)
            checked += 1
        }
        #expect(checked > 6)
    }

    @Test func soundThatComesWithoutPictureIsThereAtOnceAndThePictureLater() throws {
        let path = folder("late.webm")
        let summary = try clip.from(.milliseconds(3_500), .video).record(to: path)
        let probe = try ProbedFile(path)
        // The clip has keyframes at 0, 2 and 4 s; before the one at 4 s nothing is written.
        #expect(summary[.video]?.framesBeforeKeyframe == 15)
        #expect(probe["vp8"]?.packets == 60)
        #expect(abs((probe.times["vp8"]?.first ?? 0) - 4) <= 0.001)
        // The header was written long before the size was known.
        #expect(probe["vp8"]?.width == 320 && probe["vp8"]?.height == 240)
        #expect(probe["opus"]?.packets == clip.count(.audio))
        #expect(try FFmpegTools.complaints(path) == "")
    }

    @Test(arguments: [MediaKind.audio, .video]) func aTrackThatNeverCameIsNotInTheFile(kind: MediaKind) throws {
        let path = folder("one.webm")
        let summary = try clip.only(kind).record(to: path)
        let probe = try ProbedFile(path)
        #expect(probe.streams.map(\.codec) == [kind == .audio ? "opus" : "vp8"])
        #expect(try FFmpegTools.complaints(path) == "")
        #expect(summary.notes == ["no \(kind == .audio ? "video" : "audio") came"])
        #expect(summary.synchronization == .none)
    }

    @Test func aChangeOfSizeGoesOnInTheSameFile() throws {
        let small = folder("small.webm")
        try FFmpegTools.ffmpeg(ReceivedMedia.clipArguments(seconds: 2, size: "160x120") + [small])
        let second = try ReceivedMedia(file: small)
        var media = ReceivedMedia(clip.frames.filter { $0.time < .milliseconds(2_000) })
        for item in second.frames {
            var frame = item.frame
            frame.timestamp += item.kind == .audio ? 96_000 : 180_000
            frame.arrival = item.frame.arrival.map { $0 + .milliseconds(2_000) }
            media.frames.append((frame, item.kind, item.time + .milliseconds(2_000)))
        }
        let path = folder("sizes.webm")
        let summary = try media.record(to: path)
        let track = try #require(summary[.video])
        #expect(track.sizeChanges.map(\.size) == [VideoSize(160, 120)])
        #expect(abs((track.sizeChanges[0].time - .milliseconds(2_000)).microseconds) < 1_000)
        #expect(summary.notes.contains { $0.contains("160x120") })
        #expect(try ProbedFile(path)["vp8"]?.packets == 120)
        #expect(try FFmpegTools.complaints(path) == "")
    }

    @Test func lossIsToldFromSilence() throws {
        let media = clip.without(2_100..<2_200, .audio).without(3_000..<4_000, .audio, loss: false)
            .without(1_000..<1_200, .video)
        let summary = try media.record(to: folder("gaps.webm"))
        let audio = try #require(summary[.audio])
        #expect(audio.gaps.map(\.cause) == [.loss, .silence])
        #expect(audio.gaps.map { $0.length.milliseconds } == [100, 1_000])
        #expect(zip(audio.gaps, [2_100, 3_000]).allSatisfy { abs($0.start.milliseconds - $1) <= 1 })
        let video = try #require(summary[.video])
        #expect(video.gaps.map(\.cause) == [.loss])
        #expect(abs(video.gaps[0].length.milliseconds - 200) <= 2)
        #expect(abs(video.gaps[0].start.milliseconds - 1_000) <= 2)
        // Time was not cut.
        #expect(abs((summary.duration - .milliseconds(6_000)).milliseconds) <= 25)
    }

    @Test func timestampsThatStartAnewGiveOneFile() throws {
        let path = folder("anew.webm")
        let media = clip.repeated(after: .milliseconds(6_000), shift: [.audio: -3_900_000_000, .video: 1 << 33])
        let summary = try media.record(to: path)
        let probe = try ProbedFile(path)
        #expect(probe["vp8"]?.packets == 360)
        #expect(abs(try #require(probe.duration) - 12) < 0.1)
        #expect(probe.largestStep("vp8") < 0.1 && probe.largestStep("opus") < 0.1)
        #expect(summary[.audio]?.timestampJumps == 1 && summary[.video]?.timestampJumps == 1)
    }

    @Test func flashAndBeepStayTogetherAsMeasuredFromTheFile() throws {
        let script = Fixtures.folder + "/../Scripts/measure-av"
        guard FileManager.default.isExecutableFile(atPath: script), try FFmpegTools.run(["python3", "-V"]).status == 0
        else {
            print("SKIPPED: A/V offset from the file: no python3 or no Scripts/measure-av")
            return
        }
        let path = folder("sync.webm")
        // Pictures arrive 150 ms later than sound captured with them, and reports come after two seconds only.
        let recorder = try Recorder(path: path, tracks: [TrackExpectation(.audio), TrackExpectation(.video)])
        let media = clip.repeated(after: .milliseconds(6_000))
        let late = media.frames.map { item in
            (item.kind == .video ? item.time + .milliseconds(200) : item.time + .milliseconds(50), item)
        }.sorted { $0.0 < $1.0 }
        var reported: Set<MediaKind> = []
        for (arrival, item) in late {
            if arrival >= .milliseconds(2_000), reported.insert(item.kind).inserted {
                recorder.noteSenderReport(
                    track: item.kind, ntp: NTPTime(unixNanoseconds: 1_700_000_000_000_000_000 + item.time.nanoseconds),
                    rtp: item.frame.timestamp)
            }
            var frame = item.frame
            frame.arrival = .zero + arrival
            try recorder.write(frame, track: item.kind)
        }
        _ = try recorder.finish()
        let result = try FFmpegTools.run([script, path])
        let report = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let offsets = try #require((report["av_offset"] as? [String: Any])?["per_flash"] as? [[Double]])
        #expect(offsets.count >= 10)
        #expect(offsets.contains { $0[1] > 100 })
        #expect(offsets.filter { $0[0] > 5 }.allSatisfy { abs($0[1]) <= 20 })
    }

    @Test func telephoneBandSoundGoesIntoMatroskaOnly() throws {
        func sound(_ codec: Codec) -> ReceivedMedia {
            ReceivedMedia(
                (0..<100).map { index in
                    let time = TimeDelta.milliseconds(Int64(20 * index))
                    let samples = (0..<160).map { Int16(8_000 * sin(Double(index * 160 + $0) * 0.785)) }
                    let frame = EncodedFrame(
                        codec: codec, payload: G711(codec)?.encode(samples) ?? [], timestamp: Int64(160 * index),
                        arrival: .zero + time)
                    return (frame, .audio, time)
                })
        }
        for codec in [Codec.pcmu, .pcma] {
            let path = folder("\(codec.rawValue).mkv")
            let summary = try sound(codec).record(to: path, tracks: [TrackExpectation(.audio)])
            let probe = try ProbedFile(path)
            #expect(probe[codec == .pcmu ? "pcm_mulaw" : "pcm_alaw"]?.packets == 100)
            #expect(abs(try #require(probe.duration) - 2) < 0.03)
            #expect(summary[.audio]?.codec == codec)
        }
        let summary = try sound(.pcmu).record(to: folder("no.webm"), tracks: [TrackExpectation(.audio)])
        #expect(summary.isEmpty && summary[.audio]?.framesDropped == 100)
        #expect(summary.notes.contains { $0.contains("PCMU") })
        #expect(!ScratchFolder.exists(folder("no.webm")))
        #expect(throws: RecordingError.self) {
            try Recorder(path: folder("x.webm"), tracks: [TrackExpectation(.audio, codec: .pcmu)])
        }
    }
}
