import Primitives

/// .webm and .mkv by FFmpeg's muxer, playable after a kill at any moment.
///
/// The muxer writes a cluster as a whole when it ends, so the file is always header, whole clusters, and perhaps one cut
/// off, in a segment of unknown size: what every player takes. `flush` ends the cluster. At a regular finish the muxer
/// adds cues, duration and the segment's size.
///
/// The header must name all tracks before the first frame. A video track may start minutes later, when a camera is turned
/// on, so an expected track is always declared: video with a guessed size, put right in place by the first keyframe. A
/// track that never came is made void in place at the end.
final class MatroskaContainer: RecordingContainer {
    private let format: RecordingFormat
    private let file: RecordingFile
    private var muxer: Muxer?
    private var indices: [MediaKind: Int32] = [:]
    private var declaredSize: VideoSize?
    private var trueSize: VideoSize?

    init(_ format: RecordingFormat, _ file: RecordingFile) {
        self.format = format
        self.file = file
    }

    func open(_ tracks: [RecordedTrack]) throws(RecordingError) {
        file.begin()
        let muxer = try Muxer(format == .webm ? "webm" : "matroska", file)
        for track in tracks {
            indices[track.codec.kind] = try muxer.add(track)
            if let size = track.size { declaredSize = size }
        }
        // The checksum of mkv would forbid patches. Our own flush ends clusters; these limits are for frames in a burst.
        try muxer.writeHeader(options: "cluster_time_limit=5000:write_crc32=0")
        self.muxer = muxer
        file.noteWhole()
    }

    func write(_ frame: RecordedFrame) throws(RecordingError) {
        guard let muxer, let index = indices[frame.kind] else { return }
        if trueSize == nil, let size = frame.size {
            trueSize = size
            if size != declaredSize { patchHeader(empty: []) }
        }
        try muxer.write(frame, to: index)
    }

    func flush() throws(RecordingError) {
        try muxer?.flush()
        file.noteWhole()
    }

    func finish(empty: Set<MediaKind>) throws(RecordingError) {
        try muxer?.writeTrailer()
        file.noteWhole()
        // The trailer writes the header's tracks once more, as they were.
        if !empty.isEmpty || trueSize != declaredSize { patchHeader(empty: empty) }
        if let failure = file.failure { throw failure }
    }

    private func patchHeader(empty: Set<MediaKind>) {
        for entry in MatroskaTracks(header: file.head(16_384)).entries {
            guard let kind = entry.kind else { continue }
            if empty.contains(kind) {
                for patch in entry.voided() { file.patch(patch.bytes, at: Int64(patch.offset)) }
            } else if kind == .video, let size = trueSize {
                for patch in entry.resized(to: size) { file.patch(patch.bytes, at: Int64(patch.offset)) }
            }
        }
    }
}
