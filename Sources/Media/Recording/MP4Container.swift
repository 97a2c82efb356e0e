import Primitives

/// .mp4 in fragments, playable after a kill at any moment: an index without samples at the start, then a fragment of half
/// a second at each flush.
///
/// No FFmpeg writes VP8 into MP4, and few players would read it. So video is decoded and encoded as H.264, where this
/// FFmpeg has an encoder for it, in the size of the first keyframe; other sizes are scaled into that. It costs what a
/// decoder and an encoder cost; .webm costs nothing. Opus is copied. The index must name all tracks before the
/// first frame: video that comes later than the start gets the size of the options.
final class MP4Container: RecordingContainer {
    private let file: RecordingFile
    private var muxer: Muxer?
    private var indices: [MediaKind: Int32] = [:]
    private var decoder: VP8Decoder?
    private var encoder: H264Encoder?
    private(set) var undecodable = 0
    /// Waits for the next one, which says how long it lasts: a fragment must know that of its last picture.
    private var waiting: H264Encoder.Packet?

    init(_ file: RecordingFile) { self.file = file }

    func open(_ tracks: [RecordedTrack]) throws(RecordingError) {
        file.begin()
        let muxer = try Muxer("mp4", file)
        for track in tracks {
            if var size = track.size {
                decoder = try? VP8Decoder()
                // What the decoder will not take sets no size.
                if size.width * size.height > decoder?.maximumPixels ?? 0 { size = VideoSize(640, 480) }
                encoder = H264Encoder(size: size)
                guard decoder != nil, let encoder else {
                    throw RecordingError.container(file.path, "this FFmpeg has no encoder of H.264, which .mp4 needs")
                }
                indices[.video] = try muxer.add(encoder)
            } else {
                indices[.audio] = try muxer.add(track)
            }
        }
        // frag_discont and no edit list: a track that starts late keeps its distance.
        try muxer.writeHeader(
            options: "movflags=empty_moov+default_base_moof+frag_custom+frag_discont:use_editlist=0:write_tmcd=0")
        self.muxer = muxer
        file.noteWhole()
    }

    func write(_ frame: RecordedFrame) throws(RecordingError) {
        guard let muxer, let index = indices[frame.kind] else { return }
        guard frame.kind == .video else { return try muxer.write(frame, to: index) }
        guard let encoder else { return }
        var picture: VideoFrame?
        do {
            picture = try decoder?.decode(frame.payload, time: frame.time)?.turned(quarters: frame.quarterTurns)
        } catch {
            undecodable += 1
        }
        if let fitted = picture?.fitted(into: encoder.size) { try write(encoder.encode(fitted)) }
    }

    func flush() throws(RecordingError) {
        try muxer?.flush()
        file.noteWhole()
    }

    func finish(empty: Set<MediaKind>) throws(RecordingError) {
        if let encoder, !empty.contains(.video) { try write(encoder.encode(nil)) }
        if let waiting { try write(waiting, duration: .milliseconds(33)) }
        try muxer?.writeTrailer()
        file.noteWhole()
    }

    private func write(_ packets: [H264Encoder.Packet]) throws(RecordingError) {
        for packet in packets {
            if let waiting { try write(waiting, duration: packet.time - waiting.time) }
            waiting = packet
        }
    }

    private func write(_ packet: H264Encoder.Packet, duration: TimeDelta) throws(RecordingError) {
        guard let index = indices[.video] else { return }
        try muxer?.write(
            packet.payload, to: index, time: packet.time, duration: duration, isKeyframe: packet.isKeyframe)
    }
}
