import Primitives

/// .y4m: VP8 decoded to raw 4:2:0 pictures of one size at a constant rate. The format knows no times: a picture is
/// repeated until the next one is due, through a pause too. Pictures of another size than the first are scaled into it,
/// with black bars where the shape differs. Every picture is whole in the file as soon as it is written.
final class Y4MContainer: RecordingContainer {
    private let file: RecordingFile
    private let frameRate: Int64
    private var decoder: VP8Decoder?
    private var size: VideoSize?
    private var picture: VideoFrame?
    /// Pictures written.
    private var count: Int64 = 0
    private(set) var undecodable = 0

    init(_ file: RecordingFile, frameRate: Int) {
        self.file = file
        self.frameRate = Int64(Swift.max(1, Swift.min(frameRate, 1_000)))
    }

    func open(_ tracks: [RecordedTrack]) throws(RecordingError) {
        do {
            decoder = try VP8Decoder()
        } catch {
            throw RecordingError.container(file.path, "no VP8 decoder: \(error)")
        }
        file.begin()
    }

    func write(_ frame: RecordedFrame) throws(RecordingError) {
        let decoded: VideoFrame?
        do {
            decoded = try decoder?.decode(frame.payload)?.turned(quarters: frame.quarterTurns)
        } catch {
            undecodable += 1
            return
        }
        guard let decoded else { return }
        let first = size == nil
        let size = size ?? VideoSize(decoded.width, decoded.height)
        self.size = size
        if first {
            file.write(
                Array("YUV4MPEG2 W\(size.width) H\(size.height) F\(frameRate):1 Ip A1:1 C420jpeg\n".utf8))
        }
        guard let fitting = decoded.fitted(into: size) else {
            undecodable += 1
            return
        }
        let slot = (frame.time.nanoseconds / 1_000 * frameRate + 500_000) / 1_000_000
        while let picture, count < slot, file.failure == nil { put(picture) }
        picture = fitting
        if let failure = file.failure { throw failure }
    }

    func flush() throws(RecordingError) {
        if let failure = file.failure { throw failure }
    }

    func finish(empty: Set<MediaKind>) throws(RecordingError) {
        if let picture { put(picture) }
        try flush()
    }

    private func put(_ picture: VideoFrame) {
        file.write(Array("FRAME\n".utf8))
        file.write(picture.bytes)
        file.noteWhole()
        count += 1
    }
}
