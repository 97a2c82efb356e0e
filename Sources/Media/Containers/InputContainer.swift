import CFFmpeg
import Glibc
import Primitives

/// A container opened for reading by FFmpeg: its best audio and best video stream, and their packets in file order.
///
/// Only local bytes are read: the path is never taken for a URL, and nothing inside the file can open more than
/// local files. Attached pictures (cover art) are no video.
@safe final class InputContainer {
    struct Stream {
        var index: Int
        var kind: MediaKind
        var codec: String
        var base: AVRational
        /// As coded, not as displayed.
        var size: VideoSize
        /// Width over height of a pixel.
        var pixelAspect: Double
        /// Clockwise degrees to stand upright.
        var rotation: Int
        var frameRate: Double
        var sampleRate: Int
        var channels: Int
        var start: TimeDelta?
        var duration: TimeDelta?
        /// What the decoder leaves out at the start without being told by the packets: Opus's pre-skip (RFC 7845 §5.1).
        var delay: TimeDelta
    }

    let path: String
    let format: String
    let duration: TimeDelta?
    let isSeekable: Bool
    /// Where the media end by the container's own word; `nil` where it says nothing or FFmpeg has guessed.
    private(set) var statedEnd: TimeDelta?
    private(set) var audio: Stream?
    private(set) var video: Stream?
    private var context: UnsafeMutablePointer<AVFormatContext>?

    /// Forms in which FFmpeg would show any text as pictures.
    private static let textArt: Set = ["tty", "bin", "xbin", "idf", "adf"]
    /// Containers whose header says all there is to know, so that a second opening need not read frames.
    private static let selfDescribing: Set = ["mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"]

    init(path: String, format: InputFormat?, mustRepeat: Bool = false, isReopened: Bool = false) throws(MediaError) {
        FFmpegLog.install()
        FFmpegLog.forget()
        self.path = path
        isSeekable = try InputContainer.check(path)
        guard isSeekable || !mustRepeat else {
            throw MediaError(
                .notRepeatable, path: path, "only a file can be played in a loop.", advice: "Leave out the loop.")
        }
        var demuxer: UnsafePointer<AVInputFormat>?
        if let format {
            unsafe demuxer = av_find_input_format(format.demuxer)
            guard unsafe demuxer != nil else {
                throw MediaError(
                    .invalidOption, path: path, "FFmpeg has no container named \(format.demuxer).",
                    advice: "`ffmpeg -demuxers` lists those it has.")
            }
        }
        var options: OpaquePointer?
        defer { unsafe av_dict_free(&options) }
        for (key, value) in format?.options ?? [:] { unsafe av_dict_set(&options, key, value, 0) }
        unsafe av_dict_set(&options, "protocol_whitelist", "file,pipe", 0)
        // A file name with a percent sign is a file name.
        unsafe av_dict_set(&options, "pattern_type", "none", 0)
        let url = path == "-" ? "pipe:0" : "file:" + path
        let opened = unsafe avformat_open_input(&context, url, demuxer, &options)
        guard opened >= 0, let context = unsafe context else {
            throw InputContainer.error(opening: path, opened)
        }
        self.format = unsafe String(cString: context.pointee.iformat.pointee.name)
        let length = unsafe context.pointee.duration
        // The container's duration is in microseconds (AV_TIME_BASE).
        duration = length > 0 ? .microseconds(length) : nil
        do throws(MediaError) {
            guard !InputContainer.textArt.contains(self.format) else {
                throw MediaError(.unknownFormat, path: path, "this is text, not media.")
            }
            if !isReopened || !InputContainer.selfDescribing.contains(self.format) {
                let found = unsafe avformat_find_stream_info(context, nil)
                guard found >= 0 else { throw InputContainer.error(opening: path, found) }
            }
        } catch {
            close()
            throw error
        }
        unsafe chooseStreams(context)
        unsafe statedEnd = findStatedEnd(context)
    }

    deinit { close() }

    func close() { unsafe avformat_close_input(&context) }

    /// Runs `body` with the parameters of a stream; `nil` once closed.
    func withStream<Result>(
        _ stream: Stream, _ body: (UnsafeMutablePointer<AVStream>) -> Result
    ) -> Result? {
        guard let context = unsafe context, stream.index < Int(unsafe context.pointee.nb_streams),
            let pointer = unsafe context.pointee.streams[stream.index]
        else { return nil }
        return unsafe body(pointer)
    }

    /// The next packet of the two streams, `nil` at the end.
    func read() throws(MediaError) -> InputPacket? {
        guard let context = unsafe context else { throw MediaError(.closed, path: path, "the file is closed.") }
        var damaged = 0
        while true {
            var packet = unsafe av_packet_alloc()
            guard let fresh = unsafe packet else { throw MediaError(.unreadable, path: path, "out of memory.") }
            let result = unsafe av_read_frame(context, fresh)
            if result < 0 {
                unsafe av_packet_free(&packet)
                if result == postern_averror_eof { return nil }
                if result == postern_averror_again { continue }
                damaged += 1
                if result == postern_averror_invalid, damaged < 100,
                    unsafe context.pointee.pb != nil && context.pointee.pb.pointee.eof_reached == 0
                {
                    continue
                }
                throw MediaError(
                    .truncated, path: path, "the file breaks off: \(FFmpegLog.text(result)).",
                    advice: "It is damaged or was not copied to its end.", details: FFmpegLog.lines())
            }
            let index = Int(unsafe fresh.pointee.stream_index)
            guard let stream = index == audio?.index ? audio : index == video?.index ? video : nil,
                unsafe fresh.pointee.size > 0
            else {
                unsafe av_packet_free(&packet)
                continue
            }
            return unsafe InputPacket(fresh, kind: stream.kind, base: stream.base, sampleRate: stream.sampleRate)
        }
    }

    private func chooseStreams(_ context: UnsafeMutablePointer<AVFormatContext>) {
        for index in 0..<Int(unsafe context.pointee.nb_streams) {
            unsafe context.pointee.streams[index]?.pointee.discard = AVDISCARD_ALL
        }
        for (kind, type) in [(MediaKind.video, AVMEDIA_TYPE_VIDEO), (.audio, AVMEDIA_TYPE_AUDIO)] {
            let index = unsafe av_find_best_stream(context, type, -1, -1, nil, 0)
            guard index >= 0, let stream = unsafe context.pointee.streams[Int(index)],
                unsafe stream.pointee.disposition & AV_DISPOSITION_ATTACHED_PIC == 0
            else { continue }
            unsafe stream.pointee.discard = AVDISCARD_DEFAULT
            let found = unsafe InputContainer.describe(stream, context, kind)
            if kind == .audio { audio = found } else { video = found }
        }
    }

    private func findStatedEnd(_ context: UnsafeMutablePointer<AVFormatContext>) -> TimeDelta? {
        guard unsafe context.pointee.duration_estimation_method != AVFMT_DURATION_FROM_BITRATE else { return nil }
        let streams = [audio, video].compactMap { $0 }
        let ends = streams.compactMap { stream in stream.duration.map { (stream.start ?? .zero) + $0 } }
        if ends.count == streams.count { return ends.max() }
        // The container's duration counts subtitles too, so it is believed only where there are none.
        guard Int(unsafe context.pointee.nb_streams) == streams.count, let duration else { return nil }
        let start = unsafe context.pointee.start_time
        return duration + (start == postern_av_nopts ? .zero : .microseconds(start))
    }

    private static func describe(
        _ stream: UnsafeMutablePointer<AVStream>, _ context: UnsafeMutablePointer<AVFormatContext>, _ kind: MediaKind
    ) -> Stream {
        let parameters = unsafe stream.pointee.codecpar.pointee
        let base = unsafe stream.pointee.time_base
        let aspect = unsafe av_guess_sample_aspect_ratio(context, stream, nil)
        let rate = unsafe av_guess_frame_rate(context, stream, nil)
        let start = postern_av_nanoseconds(unsafe stream.pointee.start_time, base)
        let length = postern_av_nanoseconds(unsafe stream.pointee.duration, base)
        return Stream(
            index: Int(unsafe stream.pointee.index), kind: kind,
            codec: unsafe String(cString: avcodec_get_name(parameters.codec_id)), base: base,
            size: VideoSize(Int(unsafe parameters.width), Int(unsafe parameters.height)),
            pixelAspect: aspect.num > 0 && aspect.den > 0 ? Double(aspect.num) / Double(aspect.den) : 1,
            rotation: Int(unsafe postern_av_rotation(stream)),
            frameRate: rate.num > 0 && rate.den > 0 ? Double(rate.num) / Double(rate.den) : 0,
            sampleRate: Int(unsafe parameters.sample_rate), channels: Int(unsafe parameters.ch_layout.nb_channels),
            start: start == .min ? nil : .nanoseconds(start), duration: length > 0 ? .nanoseconds(length) : nil,
            delay: unsafe preSkip(parameters))
    }

    private static func preSkip(_ parameters: AVCodecParameters) -> TimeDelta {
        guard unsafe parameters.codec_id == AV_CODEC_ID_OPUS, unsafe parameters.extradata_size >= 19,
            let header = unsafe parameters.extradata
        else { return .zero }
        let samples = Int64(unsafe header[10]) | Int64(unsafe header[11]) << 8
        return .nanoseconds(nanoseconds(ofSample: samples, rate: 48_000))
    }

    /// Looks at the file before FFmpeg does, because its words for what is wrong are few. Whether it can be read twice.
    private static func check(_ path: String) throws(MediaError) -> Bool {
        if path == "-" { return false }
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw MediaError(.notFound, path: path, "no file is named.")
        }
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            switch errno {
            case ENOENT, ENOTDIR: throw MediaError(.notFound, path: path, "there is no such file.")
            default: throw MediaError(.unreadable, path: path, "\(unsafe String(cString: strerror(errno))).")
            }
        }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            throw MediaError(.isDirectory, path: path, "this is a directory.", advice: "Name a file in it.")
        case S_IFREG:
            guard status.st_size > 0 else { throw MediaError(.empty, path: path, "the file is empty.") }
            guard unsafe access(path, R_OK) == 0 else {
                throw MediaError(.unreadable, path: path, "\(unsafe String(cString: strerror(errno))).")
            }
            return true
        default: return false
        }
    }

    private static func error(opening path: String, _ code: Int32) -> MediaError {
        let details = FFmpegLog.lines()
        if code == postern_averror_invalid, path != "-", startsWithText(path) {
            return MediaError(.unknownFormat, path: path, "this is text, not media.", details: details)
        }
        switch code {
        case -ENOENT: return MediaError(.notFound, path: path, "there is no such file.", details: details)
        case -EACCES: return MediaError(.unreadable, path: path, "no permission to read it.", details: details)
        case postern_averror_eof:
            return MediaError(.empty, path: path, "it ends before any media.", details: details)
        case postern_averror_invalid where details.contains { $0.contains("moov atom not found") }:
            return MediaError(
                .truncated, path: path, "the file's index is missing: it was not copied or recorded to its end.",
                advice: "Copy it again, or mend it with a tool for that.", details: details)
        case postern_averror_invalid:
            return MediaError(
                details.isEmpty ? .unknownFormat : .corrupt, path: path, "this is no media file that FFmpeg knows.",
                advice: path == "-" ? "Say what comes through the pipe with an input format." : "", details: details)
        default:
            return MediaError(
                .unreadable, path: path, "FFmpeg cannot open it: \(FFmpegLog.text(code)).", details: details)
        }
    }

    /// Whether the file's first bytes are nothing but text. FFmpeg goes by the name's ending and finds a broken video.
    private static func startsWithText(_ path: String) -> Bool {
        guard let file = unsafe fopen(path, "rb") else { return false }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = unsafe fread(&bytes, 1, bytes.count, file)
        return count > 0 && bytes.prefix(count).allSatisfy { $0 >= 32 && $0 != 127 || (9...13).contains($0) }
    }
}
