import Primitives

public struct RecordingOptions: Sendable, Hashable {
    public enum ExistingFile: Sendable, Hashable {
        /// The old file goes when the first frame is written; where none comes, it stays as it was.
        case replace
        case refuse
    }

    public var existingFile = ExistingFile.replace
    /// How much of the recording a killed process may lose, beside what still waits to be interleaved.
    public var flushInterval: TimeDelta = .milliseconds(500)
    /// How long a frame waits for earlier ones of the other track.
    public var interleaving: TimeDelta = .milliseconds(300)
    /// The size a file's header says until the first keyframe comes with the true one.
    public var videoSize = VideoSize(640, 480)
    /// Pictures a second in a .y4m file, which knows no other time.
    public var frameRate = 30
    public var timeline = RecordingTimeline.Configuration()

    /// Frames and bytes that may wait before anything is written.
    public var heldFrames = 4_096
    public var heldBytes = 64 << 20
    /// Gaps, changes of size and notes that the summary lists at most, each.
    public var listedEvents = 1_000

    public init() {}
}
