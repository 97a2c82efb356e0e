import CFFmpeg
import Primitives

/// A decoded frame of FFmpeg's. Its time is media time.
@safe final class InputFrame {
    let pointer: UnsafeMutablePointer<AVFrame>
    var time: TimeDelta?
    var duration: TimeDelta = .zero
    /// When the pass over the file began that the frame comes from.
    var passStart: TimeDelta = .zero

    /// `nil` without memory.
    init?() {
        guard let frame = unsafe av_frame_alloc() else { return nil }
        unsafe pointer = unsafe frame
    }

    deinit {
        var frame: UnsafeMutablePointer<AVFrame>? = unsafe pointer
        unsafe av_frame_free(&frame)
    }
}

/// Any of FFmpeg's decoders. Damaged packets are passed over; only a pass in which not one frame comes out is an error.
@safe final class InputDecoder {
    private let reader: InputReader
    private let stream: InputContainer.Stream
    private var context: UnsafeMutablePointer<AVCodecContext>?
    private var framesInPass = 0
    private var packetsInPass = 0
    private var isDraining = false
    private var shift: TimeDelta = .zero
    private var passStart: TimeDelta = .zero
    private var lastFailure = ""
    /// Of a picture that a damaged or hostile file can make the decoder allocate.
    private static let mostPixels: Int64 = 8_192 * 8_192

    init(reader: InputReader, stream: InputContainer.Stream, threads: Int) throws(MediaError) {
        self.reader = reader
        self.stream = stream
        let path = reader.path
        var context: UnsafeMutablePointer<AVCodecContext>?
        let opened: Int32? = unsafe reader.container.withStream(stream) { input in
            guard let parameters = unsafe input.pointee.codecpar,
                let decoder = unsafe avcodec_find_decoder(parameters.pointee.codec_id)
            else { return 1 }
            unsafe context = avcodec_alloc_context3(decoder)
            guard let context = unsafe context else { return -ENOMEM }
            let result = unsafe avcodec_parameters_to_context(context, parameters)
            if result < 0 { return result }
            unsafe context.pointee.pkt_timebase = unsafe input.pointee.time_base
            unsafe context.pointee.max_pixels = InputDecoder.mostPixels
            unsafe context.pointee.thread_count = Int32(Swift.max(1, Swift.min(threads, 8)))
            return unsafe avcodec_open2(context, decoder, nil)
        }
        guard opened == 0 else {
            unsafe avcodec_free_context(&context)
            let other = stream.kind == .audio ? "video" : "audio"
            throw MediaError(
                opened == 1 ? .unknownCodec(stream.codec) : .decoderFailed, path: path,
                opened == 1
                    ? "there is no decoder for its \(stream.kind.rawValue): "
                        + (stream.codec == "none" ? "FFmpeg does not know its codec." : "its codec is \(stream.codec).")
                    : "the decoder of \(stream.codec) does not start: \(FFmpegLog.text(opened ?? 0)).",
                advice: "Convert the file, or send its \(other) alone.", details: FFmpegLog.lines())
        }
        unsafe self.context = unsafe context
    }

    deinit { unsafe avcodec_free_context(&context) }

    /// The next frame, `nil` at the end of the track.
    func next() throws(MediaError) -> InputFrame? {
        guard let context = unsafe context, let frame = InputFrame() else { return nil }
        while true {
            let result = unsafe avcodec_receive_frame(context, frame.pointer)
            if result >= 0 {
                framesInPass += 1
                let nanoseconds = postern_av_nanoseconds(
                    unsafe frame.pointer.pointee.best_effort_timestamp, stream.base)
                frame.time = nanoseconds == .min ? nil : .nanoseconds(nanoseconds) + shift
                let length = postern_av_nanoseconds(unsafe postern_av_frame_duration(frame.pointer), stream.base)
                frame.passStart = passStart
                frame.duration = length > 0 ? .nanoseconds(length) : .zero
                return frame
            }
            if result == postern_averror_eof {
                // Drained. Either there is another pass, or this was all.
                try endPass()
                isDraining = false
                unsafe avcodec_flush_buffers(context)
            } else if result != postern_averror_again {
                lastFailure = FFmpegLog.text(result)
                if isDraining {
                    try endPass()
                    isDraining = false
                    unsafe avcodec_flush_buffers(context)
                }
            }
            guard try unsafe feed(context) else { return nil }
        }
    }

    private func feed(_ context: UnsafeMutablePointer<AVCodecContext>) throws(MediaError) -> Bool {
        switch try reader.next(stream.kind) {
        case .packet(let packet, let shift, let passStart):
            self.shift = shift
            self.passStart = passStart
            packetsInPass += 1
            let result = unsafe avcodec_send_packet(context, packet.pointer)
            if result < 0 { lastFailure = FFmpegLog.text(result) }
        case .endOfPass:
            isDraining = true
            _ = unsafe avcodec_send_packet(context, nil)
        case nil:
            return false
        }
        return true
    }

    private func endPass() throws(MediaError) {
        defer {
            framesInPass = 0
            packetsInPass = 0
        }
        guard framesInPass == 0, packetsInPass > 0 else { return }
        throw MediaError(
            .corrupt, path: reader.path,
            "not one frame of its \(stream.kind.rawValue) (\(stream.codec)) can be decoded.",
            advice: lastFailure.isEmpty ? "" : "The decoder says: \(lastFailure).", details: FFmpegLog.lines())
    }
}
