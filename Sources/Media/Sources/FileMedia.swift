import Primitives

/// The raw media of a file or pipe: decoded, brought to the wanted size and rates, laid on the common media time.
final class FileMedia: RawMedia {
    let container: String
    let duration: TimeDelta?
    let video: (size: VideoSize, frameRate: Double, duration: TimeDelta?)?
    let audio: (sampleRate: Int, channels: Int, frameSamples: Int, duration: TimeDelta?)?

    private let reader: InputReader
    private let videoDecoder: InputDecoder?
    private let scaler: InputScaler?
    private var conformer: FrameRateConformer<InputFrame>
    private let usualInterval: TimeDelta
    private var lastPictureTime: TimeDelta?
    private var correction: TimeDelta = .zero
    private var lastScaled: (source: InputFrame, frame: VideoFrame)?

    private let audioDecoder: InputDecoder?
    private let resampler: InputResampler
    private var timeline: AudioTimeline
    private var audioPassStart: TimeDelta = .zero

    init(reader: InputReader, options: SourceOptions) throws(MediaError) {
        self.reader = reader
        container = reader.container.format
        duration = reader.container.duration
        if let stream = reader.video {
            let displayed = InputScaler.displaySize(of: stream)
            guard displayed.width > 0, displayed.height > 0, stream.size.width > 0, stream.size.height > 0 else {
                throw MediaError(.corrupt, path: reader.path, "its pictures have no size.", details: FFmpegLog.lines())
            }
            let size = FileMedia.outputSize(of: displayed, wanted: options.videoSize)
            let own = stream.frameRate > 0 ? stream.frameRate : 25
            let rate = options.fps ?? Swift.min(own, SourceOptions.highestDefaultRate)
            usualInterval = .seconds(1 / own)
            video = (size, rate, stream.duration ?? reader.container.duration)
            let isLarge = stream.size.width * stream.size.height > 640 * 480
            videoDecoder = try InputDecoder(
                reader: reader, stream: stream, threads: options.threads ?? (isLarge ? 2 : 1))
            scaler = InputScaler(size: size, rotation: stream.rotation, pixelAspect: stream.pixelAspect)
        } else {
            video = nil
            videoDecoder = nil
            scaler = nil
            usualInterval = .zero
        }
        conformer = FrameRateConformer(
            options.fps.map { .grid($0) } ?? .own(most: SourceOptions.highestDefaultRate))
        let shape = options.audioShape
        let found = Swift.max(1, Swift.min(reader.audio?.channels ?? 1, 2))
        let channels = options.audioCodec == .opus ? options.audioChannels ?? found : 1
        if let stream = reader.audio {
            guard stream.sampleRate == 0 || InputResampler.rates.contains(stream.sampleRate) else {
                throw MediaError(
                    .corrupt, path: reader.path, "its sound has \(stream.sampleRate) samples a second.")
            }
            audioDecoder = try InputDecoder(reader: reader, stream: stream, threads: 1)
            audio = (shape.sampleRate, channels, shape.frameSamples, stream.duration ?? reader.container.duration)
        } else {
            audioDecoder = nil
            audio = nil
        }
        resampler = InputResampler(sampleRate: shape.sampleRate, channels: channels)
        timeline = AudioTimeline(
            sampleRate: shape.sampleRate, channels: channels, frameSamples: shape.frameSamples)
    }

    func nextVideo() throws(MediaError) -> VideoFrame? {
        guard let scaler, let shown = try conformer.next({ () throws(MediaError) in try self.pullPicture() }) else {
            return nil
        }
        if var again = lastScaled, again.source === shown.picture {
            again.frame.time = shown.time
            return again.frame
        }
        guard let frame = scaler.convert(shown.picture, time: shown.time) else {
            throw MediaError(
                .decoderFailed, path: reader.path, "its pictures cannot be converted for encoding.",
                advice: "Convert the file first.", details: FFmpegLog.lines())
        }
        lastScaled = (shown.picture, frame)
        return frame
    }

    func nextAudio() throws(MediaError) -> (position: Int64, samples: [Float])? {
        while !timeline.isReady {
            if let frame = try audioDecoder?.next() {
                if frame.passStart != audioPassStart {
                    for (time, samples) in resampler.drain() { timeline.append(samples, at: time) }
                    timeline.align(to: frame.passStart)
                    audioPassStart = frame.passStart
                }
                for (time, samples) in resampler.convert(frame) { timeline.append(samples, at: time) }
            } else {
                for (time, samples) in resampler.drain() { timeline.append(samples, at: time) }
                timeline.finish()
            }
        }
        return timeline.next()
    }

    func close() {
        lastScaled = nil
        reader.close()
    }

    /// The size asked for, or the one displayed, reduced where it is larger than a call needs.
    static func outputSize(of displayed: VideoSize, wanted: VideoSize?) -> VideoSize {
        if let wanted { return VideoSize(wanted.width & ~1, wanted.height & ~1) }
        let most = SourceOptions.largestDefaultSize
        let bounds = displayed.width >= displayed.height ? most : VideoSize(most.height, most.width)
        return displayed.fitted(inside: bounds)
    }

    private func pullPicture() throws(MediaError) -> FrameRateConformer<InputFrame>.Input? {
        while let frame = try videoDecoder?.next() {
            let last = lastPictureTime
            var time = frame.time.map { $0 + correction } ?? last.map { $0 + usualInterval } ?? .zero
            if let last, time <= last {
                // A clock set back (joined files) goes on from here; a picture out of order is left out.
                guard last - time > .milliseconds(1_000) else { continue }
                correction += last + usualInterval - time
                time = last + usualInterval
            }
            // Before time zero by more than rounding: the container's own start says not to show it.
            guard time > .milliseconds(-2) else { continue }
            time = Swift.max(time, .zero)
            lastPictureTime = time
            let duration = frame.duration > .zero ? frame.duration : usualInterval
            return FrameRateConformer.Input(picture: frame, time: time, duration: duration)
        }
        return nil
    }
}
