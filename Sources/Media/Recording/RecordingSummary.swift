import Primitives

/// What came of a recording. Times are those of the file: from zero, its first frame.
public struct RecordingSummary: Sendable, Hashable {
    public struct Gap: Sendable, Hashable {
        public enum Cause: String, Sendable, Hashable {
            /// Packets were lost.
            case loss
            /// The sender sent nothing: discontinuous transmission, mute, a pause.
            case silence
        }
        public var start: TimeDelta
        public var length: TimeDelta
        public var cause: Cause

        public init(start: TimeDelta, length: TimeDelta, cause: Cause) {
            self.start = start
            self.length = length
            self.cause = cause
        }
    }

    public struct SizeChange: Sendable, Hashable {
        public var time: TimeDelta
        public var size: VideoSize

        public init(time: TimeDelta, size: VideoSize) {
            self.time = time
            self.size = size
        }
    }

    public struct Track: Sendable, Hashable {
        public var kind: MediaKind
        /// `nil` where no frame came.
        public var codec: Codec?
        /// Frames and payload bytes in the file.
        public var frames = 0
        public var bytes = 0
        public var keyframes = 0
        /// When the first frame starts, and the last one ends.
        public var start: TimeDelta?
        public var end: TimeDelta?
        public var gaps: [Gap] = []
        /// All gaps, the unlisted ones too.
        public var gapCount = 0
        /// Video: the size of the first keyframe, and each change after it.
        public var size: VideoSize?
        public var sizeChanges: [SizeChange] = []
        /// Video frames that came before the first keyframe and were not written.
        public var framesBeforeKeyframe = 0
        /// Frames not written for another reason: out of order, malformed, of a codec the file does not hold.
        public var framesDropped = 0
        /// Times the sender's timestamps jumped or started anew.
        public var timestampJumps = 0

        public init(kind: MediaKind) { self.kind = kind }

        public var duration: TimeDelta {
            guard let start, let end else { return .zero }
            return end - start
        }
    }

    /// What audio and video were aligned by.
    public enum Synchronization: String, Sendable, Hashable {
        case senderReports = "sender reports"
        case arrival
        /// There was one track only.
        case none
    }

    public var path: String
    public var format: RecordingFormat
    public var duration: TimeDelta = .zero
    /// The file's size.
    public var bytes: Int64 = 0
    public var tracks: [Track] = []
    public var synchronization = Synchronization.none
    /// Sentences for the user: what was left out, and why.
    public var notes: [String] = []
    /// What ended the recording early.
    public var failure: RecordingError?

    public init(path: String, format: RecordingFormat) {
        self.path = path
        self.format = format
    }

    public subscript(kind: MediaKind) -> Track? { tracks.first { $0.kind == kind } }
    /// Whether no frame was written. There is no file then, unless one was there before.
    public var isEmpty: Bool { tracks.allSatisfy { $0.frames == 0 } }
}

/// How far a recording is.
public struct RecordingProgress: Sendable, Hashable {
    public var duration: TimeDelta
    public var bytes: Int64
    public var audioFrames: Int
    public var videoFrames: Int
    /// Video is awaited and cannot begin: ask its sender for a keyframe.
    public var needsKeyframe: Bool
}
