import Primitives

/// A frame with its place in the file.
struct RecordedFrame {
    var codec: Codec
    var payload: [UInt8]
    var time: TimeDelta
    /// Zero where it is not known (video).
    var duration: TimeDelta
    var isKeyframe: Bool
    var followsLoss: Bool
    /// Keyframes only.
    var size: VideoSize?
    /// Clockwise quarter turns that whoever decodes it is to make.
    var quarterTurns: UInt8 = 0

    var kind: MediaKind { codec.kind }
    var end: TimeDelta { time + duration }
}

/// A track as the file's header declares it.
struct RecordedTrack: Hashable {
    var codec: Codec
    /// Video: the size, which is a guess until the first keyframe.
    var size: VideoSize?
}

/// Something that writes placed frames as a file. Frames come in the order of their times, near enough.
protocol RecordingContainer: AnyObject {
    /// Writes what must stand before the first frame.
    func open(_ tracks: [RecordedTrack]) throws(RecordingError)
    func write(_ frame: RecordedFrame) throws(RecordingError)
    /// Makes all that was written playable, should nothing follow.
    func flush() throws(RecordingError)
    /// Ends the file. `empty` are declared tracks that got no frame.
    func finish(empty: Set<MediaKind>) throws(RecordingError)
    /// After a failure, when the file has been cut back: puts right what the header says of it.
    func repair()
    /// Frames that a container which decodes could make nothing of.
    var undecodable: Int { get }
}

extension RecordingContainer {
    func repair() {}
    var undecodable: Int { 0 }
}

extension RecordingFormat {
    func container(_ file: RecordingFile?, _ options: RecordingOptions) -> any RecordingContainer {
        guard let file else { return NullContainer() }
        switch self {
        case .webm, .matroska: return MatroskaContainer(self, file)
        case .mp4: return MP4Container(file)
        case .ogg: return OggOpusContainer(file)
        case .wave: return WaveContainer(file)
        case .y4m: return Y4MContainer(file, frameRate: options.frameRate)
        case .null: return NullContainer()
        }
    }
}

/// Takes everything and keeps nothing: the recorder counts.
final class NullContainer: RecordingContainer {
    func open(_ tracks: [RecordedTrack]) throws(RecordingError) {}
    func write(_ frame: RecordedFrame) throws(RecordingError) {}
    func flush() throws(RecordingError) {}
    func finish(empty: Set<MediaKind>) throws(RecordingError) {}
}
