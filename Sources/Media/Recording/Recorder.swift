import Primitives

/// Writes received frames to a file, in time and in step. Confine it to one executor.
///
/// A frame passes four stations:
/// 1. `write` looks at it: a codec the file holds, a well-formed payload, video not before its first keyframe. Its timestamp
///    becomes media time (`RecordingTimeline.note`).
/// 2. It is *held* while the time line settles: until both tracks have a sender report, a second at most. Then the file is
///    made: the header declares every expected track, come or not, so that a camera turned on later has its place.
/// 3. It is *placed*: given its time in the file. It waits up to 300 ms for earlier frames of the other track.
/// 4. It goes into the container, which is flushed every half second, so that a killed process loses a second at most.
///
/// What cannot be recorded in this kind of file is left out and noted in the summary; only if nothing is left is it an
/// error. An error of the file (disk full) ends the recording: the file is cut back to where it was whole, `write` and
/// `advance` throw the error, and `finish` still gives the summary. A file in which nothing would stand is removed.
public final class Recorder {
    public let path: String
    public let format: RecordingFormat
    private let options: RecordingOptions
    private let file: RecordingFile?
    private let container: any RecordingContainer
    private var timeline: RecordingTimeline
    private var tracks: [MediaKind: RecorderTrack] = [:]
    private var notes: [String] = []
    private var heldBytes = 0
    private var now: Instant?
    private var lastFlush: Instant?
    private var isOpen = false
    private var isDirty = false
    private var isFinished = false
    /// What ended the recording.
    public private(set) var failure: RecordingError?
    /// After `finish()`, whether it threw or not.
    public private(set) var summary: RecordingSummary?

    /// Makes the file, or finds out why that is not possible.
    /// - Parameters:
    ///   - path: its extension says the format (`RecordingFormat`); `null:` counts only.
    ///   - tracks: what may come; of each kind the first counts.
    public convenience init(
        path: String, tracks expectations: [TrackExpectation], options: RecordingOptions = RecordingOptions()
    ) throws(RecordingError) {
        guard let format = RecordingFormat(path: path) else { throw RecordingError.unknownExtension(path) }
        guard expectations.contains(where: { Recorder.canRecord($0, in: format) }) else {
            throw RecordingError.nothingToRecord(path, format)
        }
        let file = format == .null ? nil : try RecordingFile(path: path, existing: options.existingFile)
        self.init(
            path: path, format: format, tracks: expectations, options: options, file: file,
            container: format.container(file, options))
    }

    init(
        path: String, format: RecordingFormat, tracks expectations: [TrackExpectation], options: RecordingOptions,
        file: RecordingFile?, container: any RecordingContainer
    ) {
        self.path = path
        self.format = format
        self.options = options
        self.file = file
        self.container = container
        for expectation in expectations where tracks[expectation.kind] == nil {
            let isRecorded = Recorder.canRecord(expectation, in: format)
            tracks[expectation.kind] = RecorderTrack(expectation, isRecorded: isRecorded, options: options)
            if !isRecorded {
                let codec = expectation.codec.map { " (\($0.rawValue))" } ?? ""
                notes.append("\(expectation.kind.rawValue)\(codec) is not recorded: \(format) does not hold it")
            }
        }
        timeline = RecordingTimeline(
            expected: Set(tracks.values.filter(\.isRecorded).map(\.expectation.kind)), configuration: options.timeline)
    }

    private static func canRecord(_ expectation: TrackExpectation, in format: RecordingFormat) -> Bool {
        expectation.codec.map { format.holds($0) } ?? format.holds(expectation.kind)
    }

    /// Takes a received frame. Its `timestamp` is the unwrapped RTP timestamp, its `arrival` the time it was complete.
    public func write(_ frame: EncodedFrame, track kind: MediaKind) throws(RecordingError) {
        try checkRunning()
        let arrival = frame.arrival ?? now ?? .zero
        now = Swift.max(now ?? arrival, arrival)
        guard let waiting = admit(frame, kind, arrival) else { return }
        if tracks[kind]?.held.isFull == true || heldBytes > options.heldBytes { try run(isForced: true) }
        heldBytes += frame.payload.count
        tracks[kind]?.held.append(waiting)
        try run()
    }

    /// Takes a sender report of a track: `ntp` is the sender's wall clock at the unwrapped RTP timestamp `rtp`.
    public func noteSenderReport(track kind: MediaKind, ntp: NTPTime, rtp: Int64) {
        guard tracks[kind]?.isRecorded == true else { return }
        timeline.noteSenderReport(kind, ntp: ntp, timestamp: rtp, at: now ?? .zero)
    }

    /// Takes the time by the sender's clock at which what bears the timestamp `rtp` was captured. It stands in for sender
    /// reports where a track has none.
    public func noteCaptureTime(track kind: MediaKind, ntp: NTPTime, rtp: Int64) {
        guard tracks[kind]?.isRecorded == true else { return }
        timeline.noteCaptureTime(kind, ntp: ntp, timestamp: rtp, at: now ?? .zero)
    }

    /// Tells the time, so that what has waited long enough is written. Ten times a second is good.
    public func advance(to time: Instant) throws(RecordingError) {
        try checkRunning()
        now = Swift.max(now ?? time, time)
        try run()
    }

    /// Writes what still waits and ends the file: with an index and its duration, where the format has them.
    /// - Returns: what came of it, `failure` included where an earlier call threw one.
    /// - Throws: the failure of this very call; `summary` has the rest.
    public func finish() throws(RecordingError) -> RecordingSummary {
        if isFinished { throw RecordingError.finished(path) }
        isFinished = true
        let earlier = failure
        if failure == nil {
            do throws(RecordingError) {
                try run(isForced: true, drains: true)
                if isOpen {
                    try container.flush()
                    try container.finish(
                        empty: Set(tracks.values.filter { $0.summary.frames == 0 }.map(\.expectation.kind)))
                }
            } catch {
                fail(error)
            }
        }
        file?.close()
        failure = failure ?? file?.failure
        let summary = summarize()
        self.summary = summary
        if earlier == nil, let failure { throw failure }
        return summary
    }

    public var progress: RecordingProgress {
        RecordingProgress(
            duration: tracks.values.compactMap(\.summary.end).max() ?? .zero, bytes: file?.size ?? 0,
            audioFrames: tracks[.audio]?.summary.frames ?? 0, videoFrames: tracks[.video]?.summary.frames ?? 0,
            needsKeyframe: tracks[.video]?.needsKeyframe ?? false)
    }
}

extension Recorder {
    private func checkRunning() throws(RecordingError) {
        if let failure { throw failure }
        if isFinished { throw RecordingError.finished(path) }
    }

    /// The first station.
    private func admit(_ frame: EncodedFrame, _ kind: MediaKind, _ arrival: Instant) -> RecorderTrack.Waiting? {
        guard let track = tracks[kind] else {
            note("\(kind.rawValue) came although it was not to be recorded")
            return nil
        }
        // Comfort noise and telephone events are no sound to keep; they leave silence.
        guard track.isRecorded, frame.codec != .comfortNoise, frame.codec != .telephoneEvent else { return nil }
        guard frame.codec.kind == kind, format.holds(frame.codec), track.codec.map({ $0 == frame.codec }) ?? true else {
            note("frames of \(frame.codec.rawValue) were left out: \(format) has no place for them")
            return drop(kind)
        }
        var waiting = RecorderTrack.Waiting(
            frame: frame, time: .zero, duration: .zero, size: nil, isKeyframe: true, since: arrival)
        var ticks = frame.duration
        switch frame.codec {
        case .opus:
            guard let samples = OpusDecoder.samples(in: frame.payload) else { return drop(kind) }
            ticks = Int64(samples)
        case .vp8:
            guard let header = VP8FrameHeader(frame.payload) else { return drop(kind) }
            if let size = header.keyframeSize, size.width < 2 || size.height < 2 { return drop(kind) }
            waiting.isKeyframe = header.isKeyframe
            waiting.size = header.keyframeSize
        default:
            guard !frame.payload.isEmpty else { return drop(kind) }
            ticks = Int64(frame.payload.count)
        }
        let rate = frame.codec.clockRate
        waiting.duration = .nanoseconds(Swift.max(0, Swift.min(ticks, Int64(rate) * 10)) * 1_000_000_000 / Int64(rate))
        tracks[kind]?.hasFrames = true
        guard let media = timeline.note(kind, timestamp: frame.timestamp, clockRate: rate, at: arrival) else {
            return drop(kind)
        }
        waiting.time = media
        if kind == .video, !track.hasKeyframe {
            guard waiting.isKeyframe else {
                tracks[kind]?.summary.framesBeforeKeyframe += 1
                return nil
            }
            tracks[kind]?.hasKeyframe = true
        }
        return waiting
    }

    private func drop(_ kind: MediaKind) -> RecorderTrack.Waiting? {
        tracks[kind]?.summary.framesDropped += 1
        return nil
    }

    private func note(_ sentence: String) {
        if notes.count < options.listedEvents, !notes.contains(sentence) { notes.append(sentence) }
    }

    private func run(isForced: Bool = false, drains: Bool = false) throws(RecordingError) {
        do throws(RecordingError) {
            guard let now else { return }
            if !isForced, timeline.isSettling(at: now) { return }
            guard isOpen || tracks.values.contains(where: { !$0.held.isEmpty }) else { return }
            if !isOpen { try open() }
            place()
            try writePlaced(at: now, drains: drains)
            // The first frames at once, so that there is something to play from the start.
            if isDirty, lastFlush.map({ now - $0 >= options.flushInterval }) ?? true {
                try container.flush()
                isDirty = false
                lastFlush = now
            }
        } catch {
            fail(error)
            throw error
        }
    }

    /// Fixes the codecs and writes the header.
    private func open() throws(RecordingError) {
        var declared: [RecordedTrack] = []
        for kind in [MediaKind.video, .audio] {
            guard let track = tracks[kind], track.isRecorded else { continue }
            let codec = track.held.first?.frame.codec ?? track.expectation.codec ?? (kind == .audio ? .opus : .vp8)
            tracks[kind]?.codec = codec
            let size = kind == .video ? track.held.first?.size ?? options.videoSize : nil
            declared.append(RecordedTrack(codec: codec, size: size))
        }
        try container.open(declared)
        isOpen = true
    }

    private func place() {
        timeline.settle(first: tracks.compactMapValues { $0.held.first?.time })
        for kind in [MediaKind.audio, .video] where timeline.isPlaced(kind) {
            while var waiting = tracks[kind]?.held.popFirst() {
                guard let time = timeline.place(kind, media: waiting.time) else {
                    heldBytes -= waiting.frame.payload.count
                    _ = drop(kind)
                    continue
                }
                waiting.time = time
                tracks[kind]?.placed.append(waiting)
            }
        }
    }

    private func writePlaced(at now: Instant, drains: Bool) throws(RecordingError) {
        while true {
            let audio = tracks[.audio]?.placed.first
            let video = tracks[.video]?.placed.first
            let isAudio = audio.map { head in video.map { head.time <= $0.time } ?? true } ?? false
            let kind: MediaKind = isAudio ? .audio : .video
            guard let head = isAudio ? audio : video else { return }
            let isAlone = tracks[isAudio ? .video : .audio]?.isRecorded != true
            let isDue =
                drains || isAlone || (audio != nil && video != nil) || now - head.since >= options.interleaving
                || heldBytes > options.heldBytes || (tracks[kind]?.placed.count ?? 0) >= options.heldFrames
            guard isDue else { return }
            _ = tracks[kind]?.placed.popFirst()
            heldBytes -= head.frame.payload.count
            let frame = RecordedFrame(
                codec: head.frame.codec, payload: head.frame.payload, time: head.time, duration: head.duration,
                isKeyframe: head.isKeyframe, followsLoss: head.frame.followsLoss, size: head.size)
            try container.write(frame)
            isDirty = true
            tracks[kind]?.count(frame)
        }
    }

    private func fail(_ error: RecordingError) {
        failure = failure ?? error
        file?.rescue()
        container.repair()
    }

    private func summarize() -> RecordingSummary {
        var summary = RecordingSummary(path: path, format: format)
        for kind in [MediaKind.video, .audio] {
            guard var track = tracks[kind]?.summary else { continue }
            track.timestampJumps = timeline.jumps(kind)
            summary.tracks.append(track)
            for change in track.sizeChanges.prefix(10) {
                note("the picture's size became \(change.size) at \(change.time.seconds) s")
            }
            if track.frames == 0, tracks[kind]?.isRecorded == true {
                note(track.framesBeforeKeyframe > 0 ? "video came, but no keyframe" : "no \(kind.rawValue) came")
            }
        }
        if container.undecodable > 0 { note("\(container.undecodable) frames could not be decoded") }
        if timeline.hasWrongReports { note("sender reports contradicted the arrivals and were not used") }
        summary.duration = summary.tracks.compactMap(\.end).max() ?? .zero
        summary.bytes = file?.size ?? 0
        summary.synchronization = timeline.synchronization
        summary.notes = notes
        summary.failure = failure
        return summary
    }
}

extension Codec {
    /// The RTP clock's ticks a second (RFC 7741 §4.1, RFC 7587 §4.1, RFC 3551 §6).
    fileprivate var clockRate: Int {
        switch self {
        case .vp8: 90_000
        case .opus: 48_000
        case .pcmu, .pcma, .telephoneEvent, .comfortNoise: 8_000
        }
    }
}
