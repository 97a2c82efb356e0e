import Primitives

@testable import Media

/// A sender and a network in virtual time, with a recorder at the end whose container keeps the times of what it is given.
/// Every payload carries the moment of its capture, so that a test can say what the file's time ought to be.
struct RecordedCall {
    struct Track {
        var kind: MediaKind
        var interval: TimeDelta
        /// The first RTP timestamp.
        var base: Int64 = 1_000_000
        /// How much faster the RTP clock runs than the sender's wall clock.
        var skew = 0.0
        var start: TimeDelta = .zero
        var end: TimeDelta = .milliseconds(10_000)
        /// Capture times at which nothing is sent.
        var pauses: [Range<Int64>] = []
        /// What the network and the sender's buffers add to a frame captured then.
        var delay: (TimeDelta) -> TimeDelta = { _ in .milliseconds(50) }
        /// What is added to the RTP timestamps of frames and reports from some moment on.
        var timestampShift: (TimeDelta) -> Int64 = { _ in 0 }
        /// Capture times at which sender reports go out.
        var reports: [TimeDelta] = []
        /// What is added to the NTP time of the report sent then.
        var ntpShift: (TimeDelta) -> TimeDelta = { _ in .zero }
        /// What is added to the RTP timestamps of reports alone.
        var reportShift: Int64 = 0

        static func audio(reports: [TimeDelta] = [], until end: TimeDelta = .milliseconds(10_000)) -> Track {
            Track(kind: .audio, interval: .milliseconds(20), end: end, reports: reports)
        }
        static func video(reports: [TimeDelta] = [], until end: TimeDelta = .milliseconds(10_000)) -> Track {
            Track(kind: .video, interval: .microseconds(33_333), base: 77_777, end: end, reports: reports)
        }

        var rate: Double { kind == .audio ? 48_000 : 90_000 }
        func timestamp(at time: TimeDelta) -> Int64 {
            base &+ Int64((time.seconds * rate * (1 + skew)).rounded()) &+ timestampShift(time)
        }
    }

    struct Placed {
        var capture: TimeDelta
        var time: TimeDelta
        /// File time − capture time.
        var offset: TimeDelta { time - capture }
    }

    final class Collector: RecordingContainer {
        var frames: [MediaKind: [Placed]] = [:]
        var opened: [RecordedTrack] = []
        func open(_ tracks: [RecordedTrack]) throws(RecordingError) { opened = tracks }
        func write(_ frame: RecordedFrame) throws(RecordingError) {
            let capture = frame.payload.suffix(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
            frames[frame.kind, default: []].append(Placed(capture: .nanoseconds(capture), time: frame.time))
        }
        func flush() throws(RecordingError) {}
        func finish(empty: Set<MediaKind>) throws(RecordingError) {}
    }

    var tracks: [Track]
    var options = RecordingOptions()
    var expected: [MediaKind]?

    struct Outcome {
        var audio: [Placed]
        var video: [Placed]
        var opened: [RecordedTrack]
        var summary: RecordingSummary
        /// When the first frame was written.
        var firstWrite: TimeDelta?

        /// How much later video is shown than the sound captured with it, at each picture.
        func offsets(from start: TimeDelta = .zero, to end: TimeDelta = .max) -> [TimeDelta] {
            var index = 0
            return video.compactMap { picture in
                guard picture.capture >= start, picture.capture < end, !audio.isEmpty else { return nil }
                while index + 1 < audio.count, audio[index + 1].capture <= picture.capture { index += 1 }
                return picture.offset - audio[index].offset
            }
        }
        func worstOffset(from start: TimeDelta = .zero, to end: TimeDelta = .max) -> TimeDelta {
            offsets(from: start, to: end).map { $0 < .zero ? -$0 : $0 }.max() ?? .max
        }
        var neverGoesBack: Bool {
            [audio, video].allSatisfy { frames in zip(frames, frames.dropFirst()).allSatisfy { $0.time < $1.time } }
        }
    }

    private enum Event {
        case frame(EncodedFrame, MediaKind)
        case report(MediaKind, NTPTime, Int64)
        case tick
    }

    func run() throws -> Outcome {
        var events: [(at: TimeDelta, order: Int, event: Event)] = []
        for track in tracks {
            var capture = track.start
            var last = TimeDelta.zero
            var count = 0
            while capture < track.end {
                let milliseconds = capture.milliseconds
                if !track.pauses.contains(where: { $0.contains(milliseconds) }) {
                    // Frames of a track arrive in order.
                    last = Swift.max(last, capture + track.delay(capture))
                    let frame = RecordedCall.frame(track, capture, isKeyframe: count % 300 == 0, arrival: .zero + last)
                    events.append((last, events.count, .frame(frame, track.kind)))
                    count += 1
                }
                capture += track.interval
            }
            for time in track.reports {
                let ntp = NTPTime(
                    unixNanoseconds: 1_700_000_000_000_000_000 &+ (time + track.ntpShift(time)).nanoseconds)
                let arrival = time + .milliseconds(40)
                events.append(
                    (arrival, events.count, .report(track.kind, ntp, track.timestamp(at: time) &+ track.reportShift)))
            }
        }
        let end = events.map(\.at).max() ?? .zero
        var tick = TimeDelta.zero
        while tick < end {
            events.append((tick, events.count, .tick))
            tick += .milliseconds(100)
        }
        events.sort { ($0.at, $0.order) < ($1.at, $1.order) }

        let collector = Collector()
        let kinds = expected ?? tracks.map(\.kind)
        let recorder = Recorder(
            path: "null:", format: .null, tracks: kinds.map { TrackExpectation($0) }, options: options, file: nil,
            container: collector)
        var firstWrite: TimeDelta?
        for (at, _, event) in events {
            switch event {
            case .frame(let frame, let kind): try recorder.write(frame, track: kind)
            case .report(let kind, let ntp, let rtp): recorder.noteSenderReport(track: kind, ntp: ntp, rtp: rtp)
            case .tick: try recorder.advance(to: .zero + at)
            }
            if firstWrite == nil, !collector.frames.isEmpty { firstWrite = at }
        }
        let summary = try recorder.finish()
        return Outcome(
            audio: collector.frames[.audio] ?? [], video: collector.frames[.video] ?? [], opened: collector.opened,
            summary: summary, firstWrite: firstWrite)
    }

    private static func frame(_ track: Track, _ capture: TimeDelta, isKeyframe: Bool, arrival: Instant) -> EncodedFrame
    {
        var payload: [UInt8] = track.kind == .audio ? [0xFC] : keyframe(isKeyframe)
        payload.append(UInt64(bitPattern: capture.nanoseconds))
        return EncodedFrame(
            codec: track.kind == .audio ? .opus : .vp8, payload: payload, timestamp: track.timestamp(at: capture),
            isKeyframe: isKeyframe, arrival: arrival)
    }

    private static func keyframe(_ isKeyframe: Bool) -> [UInt8] {
        isKeyframe ? [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xF0, 0x00] : [0x11, 0, 0]
    }
}

/// Every so many seconds from the first.
func reportTimes(from first: Double, every interval: Double = 5, until end: Double) -> [TimeDelta] {
    stride(from: first, to: end, by: interval).map { .seconds($0) }
}
