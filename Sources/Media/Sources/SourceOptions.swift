import Primitives

/// How a file, pipe or synthetic source is read and encoded.
public struct SourceOptions: Sendable, Hashable {
    /// The kinds of media wanted. A kind the input lacks is left out; an input with none of them is an error.
    public var tracks: Set<MediaKind> = Set(MediaKind.allCases)
    /// Pictures have exactly this size (made even), scaled to fit inside with black bars where the shape differs.
    /// `nil`: the input's own size as displayed, made even, reduced to fit 1280x720 (or 720x1280).
    public var videoSize: VideoSize?
    /// Pictures come at exactly this rate, repeated or left out. `nil`: at the input's own times, thinned to 30 a second,
    /// the last repeated after each second without a new one.
    public var fps: Double?
    /// Bits a second at the start. `nil`: a tenth of a bit a pixel, within 150,000 and 2,500,000.
    public var videoBitrate: Int?
    /// Bits a second at the start. `nil`: 32,000 mono, 64,000 stereo. No meaning for G.711.
    public var audioBitrate: Int?
    /// 1 or 2. `nil`: as the input, at most 2. G.711 is always mono.
    public var audioChannels: Int?
    /// Frames as they are in the file, which must hold VP8 and Opus. Sizes, rates and bitrates mean nothing then.
    public var passthrough = false
    /// From the start again at the end, without a gap in time.
    public var loop = false
    /// What the input is, where its first bytes cannot tell (see `InputFormat`). `nil`: found out by FFmpeg.
    public var inputFormat: String?
    /// Opus sends nothing in silence.
    public var dtx = false
    public var opusFrameDuration: TimeDelta = .milliseconds(20)
    /// A packet of G.711: 10, 20, 30, 40 or 60 ms.
    public var g711FrameDuration: TimeDelta = .milliseconds(20)
    public var opusConstantBitrate = false
    /// Hz: what is above half of it is not coded. `nil`: everything is.
    public var opusMaximumPlaybackRate: Int?
    public var opusInBandFEC = true
    /// VP8's speed: -16 (fastest) to -1.
    public var cpuUsed = -6
    /// Threads of the VP8 encoder and of the file's decoder. `nil`: 1 for the encoder, whose threads wait for each other by
    /// spinning (on two busy cores, 1280x720 with 2 threads costs several times what it costs with 1); for the decoder 1,
    /// above 640x480 pixels 2.
    public var threads: Int?
    /// `.opus`, `.pcmu` or `.pcma`.
    public var audioCodec: Codec = .opus
    /// `.vp8`.
    public var videoCodec: Codec = .vp8

    public init() {}

    /// The size that pictures of the input are reduced to where no size is asked for.
    public static let largestDefaultSize = VideoSize(1_280, 720)
    /// The rate that pictures are thinned to where none is asked for.
    public static let highestDefaultRate = 30.0
}

/// What a source gives.
public struct SourceDescription: Sendable, Hashable {
    public struct Audio: Sendable, Hashable {
        public var codec: Codec
        public var channels: Int
        /// `nil` where the input does not say, and for what never ends.
        public var duration: TimeDelta?

        public init(codec: Codec, channels: Int, duration: TimeDelta? = nil) {
            self.codec = codec
            self.channels = channels
            self.duration = duration
        }
    }

    public struct Video: Sendable, Hashable {
        public var codec: Codec
        public var width: Int
        public var height: Int
        /// Pictures a second; an estimate where they come at irregular times.
        public var frameRate: Double
        public var duration: TimeDelta?

        public init(codec: Codec, width: Int, height: Int, frameRate: Double, duration: TimeDelta? = nil) {
            self.codec = codec
            self.width = width
            self.height = height
            self.frameRate = frameRate
            self.duration = duration
        }
    }

    public var audio: Audio?
    public var video: Video?
    /// Of one pass over the input, as its container says.
    public var duration: TimeDelta?
    /// FFmpeg's name of the container; `test` for the test pattern.
    public var container: String

    public init(audio: Audio? = nil, video: Video? = nil, duration: TimeDelta? = nil, container: String) {
        self.audio = audio
        self.video = video
        self.duration = duration
        self.container = container
    }
}
