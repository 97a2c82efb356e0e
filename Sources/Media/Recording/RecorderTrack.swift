import Primitives

/// One track on its way into a file: what waits, what came before, and its part of the summary.
struct RecorderTrack {
    struct Waiting {
        var frame: EncodedFrame
        /// In the track's media time until it is placed, in the file's from then on.
        var time: TimeDelta
        var duration: TimeDelta
        var size: VideoSize?
        var isKeyframe: Bool
        var since: Instant
    }

    let expectation: TrackExpectation
    /// Whether the file can hold it; otherwise its frames are only counted.
    let isRecorded: Bool
    var summary: RecordingSummary.Track
    /// Fixed when the header is written.
    var codec: Codec?
    var hasFrames = false
    var hasKeyframe = false
    var held: BoundedQueue<Waiting>
    var placed: BoundedQueue<Waiting>
    private var lastTime: TimeDelta?
    private var lastWasEmpty = false
    private var spacing: TimeDelta = .milliseconds(33)
    private let listed: Int

    init(_ expectation: TrackExpectation, isRecorded: Bool, options: RecordingOptions) {
        self.expectation = expectation
        self.isRecorded = isRecorded
        summary = RecordingSummary.Track(kind: expectation.kind)
        held = BoundedQueue(capacity: Swift.max(1, options.heldFrames))
        // What is held moves here at once, onto at most as many that wait already.
        placed = BoundedQueue(capacity: Swift.max(1, options.heldFrames) * 2)
        listed = Swift.max(0, options.listedEvents)
    }

    /// Frames that cannot be written yet, for want of a first keyframe.
    var needsKeyframe: Bool { isRecorded && expectation.kind == .video && hasFrames && !hasKeyframe }

    /// Counts a frame that went into the file.
    mutating func count(_ frame: RecordedFrame) {
        if summary.frames == 0 {
            summary.codec = frame.codec
            summary.start = frame.time
            summary.size = frame.size
        } else if let size = frame.size, size != lastSize {
            if summary.sizeChanges.count < listed {
                summary.sizeChanges.append(RecordingSummary.SizeChange(time: frame.time, size: size))
            }
            lastSize = size
        }
        if summary.frames == 0 { lastSize = frame.size }
        summary.frames += 1
        summary.bytes += frame.payload.count
        if frame.kind == .video, frame.isKeyframe { summary.keyframes += 1 }
        if let gap = gap(before: frame) { note(gap) }
        lastTime = frame.time
        lastWasEmpty = frame.codec == .opus && OpusPacket.isEmpty(frame.payload)
        summary.end = Swift.max(summary.end ?? .zero, frame.end)
    }

    private var lastSize: VideoSize?

    private mutating func gap(before frame: RecordedFrame) -> RecordingSummary.Gap? {
        guard let lastTime, let end = summary.end else { return nil }
        let cause: RecordingSummary.Gap.Cause = frame.followsLoss ? .loss : .silence
        if frame.kind == .audio {
            let length = frame.time - end
            guard length > .milliseconds(frame.followsLoss ? 4 : 40) else { return nil }
            return RecordingSummary.Gap(start: end, length: length, cause: cause)
        }
        let step = frame.time - lastTime
        defer { if !frame.followsLoss, step < .milliseconds(200) { spacing = spacing * 0.875 + step * 0.125 } }
        guard step > (frame.followsLoss ? spacing * 1.5 : .milliseconds(500)) else { return nil }
        return RecordingSummary.Gap(start: lastTime + spacing, length: step - spacing, cause: cause)
    }

    private mutating func note(_ gap: RecordingSummary.Gap) {
        // Silence with a sign of life in it is one gap, and so is a camera at a picture a second.
        if lastWasEmpty || expectation.kind == .video, gap.cause == .silence, let last = summary.gaps.last,
            last.cause == .silence, let lastTime,
            lastTime - (last.start + last.length) <= .milliseconds(1)
        {
            summary.gaps[summary.gaps.count - 1].length = gap.start + gap.length - last.start
            return
        }
        summary.gapCount += 1
        if summary.gaps.count < listed { summary.gaps.append(gap) }
    }
}
