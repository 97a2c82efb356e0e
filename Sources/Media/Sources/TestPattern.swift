import Primitives

/// A synthetic input to see and measure with: moving stripes and a bouncing box, the frame number and the time written into
/// the picture, and at each whole second a white flash with a beep of 1 kHz.
///
/// Flash and beep both last 100 ms and begin at the same media time (the flash with the first frame at or after it),
/// so that what is left between them at the far end is the error of synchronisation. The flash is white all over:
/// a frame's mean luma tells it from any other. Sound is the same in all channels, at half of full scale.
final class TestPattern: RawMedia {
    let container = "test"
    let duration: TimeDelta? = nil
    let video: (size: VideoSize, frameRate: Double, duration: TimeDelta?)?
    let audio: (sampleRate: Int, channels: Int, frameSamples: Int, duration: TimeDelta?)?

    static let defaultSize = VideoSize(640, 480)
    static let flashDuration = TimeDelta.milliseconds(100)
    static let beepFrequency = 1_000
    static let white: UInt8 = 235

    private let stripes: Stripes
    private let tone: [Float]
    private var picture: Int64 = 0
    private var position: Int64 = 0

    init(options: SourceOptions) {
        let wanted = options.videoSize ?? TestPattern.defaultSize
        let size = VideoSize(wanted.width & ~1, wanted.height & ~1)
        stripes = Stripes(size: size)
        if options.tracks.contains(.video) {
            video = (size, options.fps ?? 30, nil)
        } else {
            video = nil
        }
        let shape = options.audioShape
        let channels = options.audioCodec == .opus ? options.audioChannels ?? 1 : 1
        if options.tracks.contains(.audio) {
            audio = (shape.sampleRate, channels, shape.frameSamples, nil)
        } else {
            audio = nil
        }
        tone = Tone.period(frequency: TestPattern.beepFrequency, sampleRate: shape.sampleRate, amplitude: 0.5)
    }

    func nextVideo() -> VideoFrame? {
        guard let video else { return nil }
        let number = picture
        picture += 1
        let time = TimeDelta.seconds(Double(number) / video.frameRate)
        // Half a microsecond, for times that are rounded to just under the second.
        let intoSecond = (time.nanoseconds + 500) % 1_000_000_000
        if intoSecond < TestPattern.flashDuration.nanoseconds {
            return VideoFrame(
                width: video.size.width, height: video.size.height, luma: TestPattern.white, time: time)
        }
        return stripes.frame(number: number, time: time)
    }

    func nextAudio() -> (position: Int64, samples: [Float])? {
        guard let audio else { return nil }
        let start = position
        position += Int64(audio.frameSamples)
        let rate = Int64(audio.sampleRate)
        let beep = rate * TestPattern.flashDuration.milliseconds / 1_000
        var samples: [Float] = []
        samples.reserveCapacity(audio.frameSamples * audio.channels)
        if start % rate >= beep, start % rate + Int64(audio.frameSamples) <= rate {
            samples.append(contentsOf: repeatElement(0, count: audio.frameSamples * audio.channels))
            return (start, samples)
        }
        for index in start..<position {
            let value = index % rate < beep ? tone[Int(index % rate) % tone.count] : 0
            for _ in 0..<audio.channels { samples.append(value) }
        }
        return (start, samples)
    }

    func close() {}
}

/// One period of a sine whose frequency divides the sample rate.
enum Tone {
    static func period(frequency: Int, sampleRate: Int, amplitude: Float) -> [Float] {
        let count = Swift.max(1, sampleRate / Swift.max(1, frequency))
        // A rotation in place of a sine function, which would need a C library.
        let (step, _) = rotation(of: 2 * Double.pi / Double(count))
        var (x, y) = (1.0, 0.0)
        return (0..<count).map { _ in
            defer { (x, y) = (x * step.x - y * step.y, x * step.y + y * step.x) }
            return amplitude * Float(y)
        }
    }

    /// Cosine and sine of a small angle, by their series.
    private static func rotation(of angle: Double) -> (step: (x: Double, y: Double), terms: Int) {
        var (x, y, term) = (0.0, 0.0, 1.0)
        var index = 0
        while abs(term) > 1e-18, index < 60 {
            switch index % 4 {
            case 0: x += term
            case 1: y += term
            case 2: x -= term
            default: y -= term
            }
            index += 1
            term *= angle / Double(index)
        }
        return ((x, y), index)
    }
}
