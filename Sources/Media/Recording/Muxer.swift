import CFFmpeg
import Glibc
import Primitives

/// libavformat's muxer of one format over a `RecordingFile`. It copies packets and encodes nothing.
@safe final class Muxer {
    private let muxer: UnsafeMutablePointer<PosternMuxer>
    private let file: RecordingFile
    private let isMatroska: Bool
    private static let addsCodecDelay = postern_mux_adds_codec_delay() != 0

    /// - Parameter format: FFmpeg's name of the format: `webm`, `matroska`, `mp4`, `ogg`.
    init(_ format: String, _ file: RecordingFile) throws(RecordingError) {
        self.file = file
        isMatroska = format == "webm" || format == "matroska"
        FFmpegLog.install()
        let owner = unsafe Unmanaged.passUnretained(file).toOpaque()
        let opened = unsafe postern_mux_open(
            format, owner,
            { owner, bytes, count in
                guard let owner = unsafe owner, let bytes = unsafe bytes else { return -EINVAL }
                let file = unsafe Unmanaged<RecordingFile>.fromOpaque(owner).takeUnretainedValue()
                return unsafe file.write(UnsafeRawBufferPointer(start: bytes, count: Int(count))) ? count : -EIO
            },
            file.isRegular
                ? { owner, offset, whence in
                    guard let owner = unsafe owner else { return Int64(-EINVAL) }
                    let file = unsafe Unmanaged<RecordingFile>.fromOpaque(owner).takeUnretainedValue()
                    switch whence {
                    case Int32(postern_mux_seek_size): return file.size
                    case SEEK_SET: return file.seek(to: offset) ?? Int64(-EIO)
                    case SEEK_CUR: return file.seek(to: file.position &+ offset) ?? Int64(-EIO)
                    case SEEK_END: return file.seek(to: file.size &+ offset) ?? Int64(-EIO)
                    default: return Int64(-EINVAL)
                    }
                } : nil)
        guard let opened = unsafe opened else {
            throw RecordingError.container(file.path, "this FFmpeg cannot write the format \(format)")
        }
        unsafe muxer = unsafe opened
    }

    deinit { unsafe postern_mux_close(muxer) }

    /// The index by which frames of the track are written.
    func add(_ track: RecordedTrack) throws(RecordingError) -> Int32 {
        let index: Int32
        switch track.codec {
        case .opus:
            let delay = Int32(OpusPacket.preSkip)
            index = unsafe postern_mux_add_opus(muxer, 2, delay, isMatroska && Muxer.addsCodecDelay ? delay : 0)
        case .pcmu: index = unsafe postern_mux_add_g711(muxer, 0)
        case .pcma: index = unsafe postern_mux_add_g711(muxer, 1)
        default:
            let size = track.size ?? VideoSize(640, 480)
            index = unsafe postern_mux_add_vp8(muxer, Int32(clamping: size.width), Int32(clamping: size.height))
        }
        try check(index)
        return index
    }

    /// The index for H.264 from this encoder.
    func add(_ encoder: H264Encoder) throws(RecordingError) -> Int32 {
        let index = unsafe postern_mux_add_h264(muxer, encoder.context)
        try check(index)
        return index
    }

    /// - Parameter options: of the muxer, such as `movflags=empty_moov`, joined by colons.
    func writeHeader(options: String) throws(RecordingError) { try check(unsafe postern_mux_header(muxer, options)) }

    func write(_ frame: RecordedFrame, to index: Int32) throws(RecordingError) {
        try write(
            frame.payload, to: index, time: frame.time, duration: frame.duration, isKeyframe: frame.isKeyframe)
    }

    func write(
        _ payload: [UInt8], to index: Int32, time: TimeDelta, duration: TimeDelta, isKeyframe: Bool
    ) throws(RecordingError) {
        try check(
            unsafe postern_mux_write(
                muxer, index, payload, Int32(clamping: payload.count), time.nanoseconds, duration.nanoseconds,
                isKeyframe ? 1 : 0))
    }

    func flush() throws(RecordingError) { try check(unsafe postern_mux_flush(muxer)) }

    func writeTrailer() throws(RecordingError) { try check(unsafe postern_mux_trailer(muxer)) }

    private func check(_ status: Int32) throws(RecordingError) {
        if let failure = file.failure { throw failure }
        guard status < 0 else { return }
        let words = ([FFmpegLog.text(status)] + FFmpegLog.lines()).joined(separator: "; ")
        throw RecordingError.container(file.path, "FFmpeg says: \(words)")
    }
}
