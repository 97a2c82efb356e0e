import Primitives

/// Raw media encoded just in time.
///
/// One raw frame of each track is held ready, so that its time is known; it is encoded when it is taken, so that bitrates
/// and keyframe requests act at once. The exception is Opus with discontinuous transmission, where only encoding tells
/// whether there is a next packet: then the held frame is an encoded one.
final class EncodingSource: MediaSource {
    private enum Sound {
        case raw(AudioFrame)
        case encoded(TimeDelta, EncodedFrame)
        case ended

        var time: TimeDelta? {
            switch self {
            case .raw(let frame): frame.time
            case .encoded(let time, _): time
            case .ended: nil
            }
        }
    }
    private enum Picture {
        case raw(VideoFrame)
        case ended
    }
    private enum AudioEncoder {
        case opus(OpusEncoder)
        case g711(G711, Codec)
    }

    let description_: SourceDescription
    private let path: String
    private let input: any RawMedia
    private let videoEncoder: VP8Encoder?
    private let audioEncoder: AudioEncoder?
    private let discontinuous: Bool
    private var sound: Sound?
    private var picture: Picture?
    private var isClosed = false

    init(path: String, input: any RawMedia, options: SourceOptions) throws(MediaError) {
        self.path = path
        self.input = input
        discontinuous = options.dtx && options.audioCodec == .opus
        var description = SourceDescription(duration: input.duration, container: input.container)
        do throws(CodecError) {
            if let video = input.video {
                let pixels = video.size.width * video.size.height
                let suggested = Swift.max(150_000, Swift.min(Int(Double(pixels) * video.frameRate / 10), 2_500_000))
                var configuration = VP8Encoder.Configuration(
                    size: video.size, frameRate: video.frameRate, bitrate: options.videoBitrate ?? suggested)
                configuration.cpuUsed = options.cpuUsed
                configuration.threads = options.threads ?? 1
                videoEncoder = try VP8Encoder(configuration)
                description.video = SourceDescription.Video(
                    codec: .vp8, width: video.size.width, height: video.size.height, frameRate: video.frameRate,
                    duration: video.duration)
            } else {
                videoEncoder = nil
            }
            if let audio = input.audio {
                if let law = G711(options.audioCodec) {
                    audioEncoder = .g711(law, options.audioCodec)
                } else {
                    var configuration = OpusEncoder.Configuration(
                        channels: audio.channels, bitrate: options.audioBitrate)
                    configuration.frameDuration = options.opusFrameDuration
                    configuration.discontinuous = options.dtx
                    configuration.variableBitrate = !options.opusConstantBitrate
                    configuration.maximumPlaybackRate = options.opusMaximumPlaybackRate
                    configuration.inBandFEC = options.opusInBandFEC
                    audioEncoder = .opus(try OpusEncoder(configuration))
                }
                description.audio = SourceDescription.Audio(
                    codec: options.audioCodec, channels: audio.channels, duration: audio.duration)
            } else {
                audioEncoder = nil
            }
        } catch {
            throw MediaError(.encoderFailed, path: path, "the encoder refuses: \(error).")
        }
        description_ = description
    }

    func peekTime() throws(MediaError) -> TimeDelta? {
        try fill()
        switch (sound?.time, pictureTime) {
        case (let sound?, let picture?): return Swift.min(sound, picture)
        case (let sound, let picture): return sound ?? picture
        }
    }

    func next() throws(MediaError) -> (time: TimeDelta, frame: EncodedFrame)? {
        try fill()
        if let time = sound?.time, pictureTime.map({ time <= $0 }) ?? true {
            return try takeSound()
        }
        guard case .raw(let frame)? = picture, let videoEncoder else { return nil }
        picture = nil
        do throws(CodecError) {
            let dropped = EncodedFrame(codec: .vp8, payload: [], timestamp: 0, isKeyframe: false)
            return (frame.time, try videoEncoder.encode(frame) ?? dropped)
        } catch {
            throw MediaError(.encoderFailed, path: path, "the picture at \(frame.time) cannot be encoded: \(error).")
        }
    }

    func setTargetBitrate(_ bitsPerSecond: Int, for kind: MediaKind) {
        switch kind {
        case .video: videoEncoder?.setBitrate(bitsPerSecond)
        case .audio: if case .opus(let encoder)? = audioEncoder { encoder.setBitrate(bitsPerSecond) }
        }
    }

    func requestKeyframe() { videoEncoder?.requestKeyframe() }

    func setExpectedLoss(_ fraction: Double) {
        if case .opus(let encoder)? = audioEncoder { encoder.setExpectedLoss(fraction) }
    }

    func close() {
        isClosed = true
        sound = .ended
        picture = .ended
        input.close()
    }

    private var pictureTime: TimeDelta? {
        if case .raw(let frame)? = picture { frame.time } else { nil }
    }

    private func fill() throws(MediaError) {
        guard !isClosed else { return }
        if picture == nil {
            if videoEncoder != nil, let frame = try input.nextVideo() {
                picture = .raw(frame)
            } else {
                picture = .ended
            }
        }
        while sound == nil {
            guard audioEncoder != nil, let audio = input.audio, let (position, samples) = try input.nextAudio() else {
                sound = .ended
                break
            }
            let time = TimeDelta.nanoseconds(nanoseconds(ofSample: position, rate: audio.sampleRate))
            let frame = AudioFrame(
                samples: .float(samples), sampleRate: audio.sampleRate, channels: audio.channels, time: time)
            if !discontinuous {
                sound = .raw(frame)
            } else if let encoded = try encode(frame) {
                sound = .encoded(time, encoded)
            }
        }
    }

    private func takeSound() throws(MediaError) -> (time: TimeDelta, frame: EncodedFrame)? {
        switch sound {
        case .raw(let frame):
            sound = nil
            guard let encoded = try encode(frame) else { return nil }
            return (frame.time, encoded)
        case .encoded(let time, let frame):
            sound = nil
            return (time, frame)
        case .ended, nil:
            return nil
        }
    }

    private func encode(_ frame: AudioFrame) throws(MediaError) -> EncodedFrame? {
        switch audioEncoder {
        case .opus(let encoder):
            do throws(CodecError) {
                var encoded = try encoder.encode(frame)
                encoded?.audioLevel = frame.level
                return encoded
            } catch {
                throw MediaError(.encoderFailed, path: path, "the sound at \(frame.time) cannot be encoded: \(error).")
            }
        case .g711(let law, let codec):
            return EncodedFrame(
                codec: codec, payload: law.encode(frame.int16),
                timestamp: Int64((Double(frame.time.nanoseconds) * 8e-6).rounded()), duration: Int64(frame.count),
                audioLevel: frame.level)
        case nil:
            return nil
        }
    }
}

/// Rounded to the nearest nanosecond, so that the sample is found again from the time.
func nanoseconds(ofSample position: Int64, rate: Int) -> Int64 {
    guard rate > 0 else { return 0 }
    let rate = Int64(rate)
    let (seconds, rest) = position.quotientAndRemainder(dividingBy: rate)
    return seconds &* 1_000_000_000 &+ (rest &* 1_000_000_000 + rate / 2) / rate
}

/// The sample nearest to a time.
func sample(atNanoseconds time: Int64, rate: Int) -> Int64 {
    let (seconds, rest) = time.quotientAndRemainder(dividingBy: 1_000_000_000)
    return seconds &* Int64(rate) &+ Int64((Double(rest) * Double(rate) / 1e9).rounded())
}
