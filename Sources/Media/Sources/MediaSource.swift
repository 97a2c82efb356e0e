import Primitives

/// Encoded media at the pace of the one who pulls: peek, wait until the media clock reaches that time, take, send.
///
/// A source is confined to one executor and works when it is called: reading, decoding and encoding happen in `peekTime`
/// and `next`, on the caller's thread, and block it where the input is a pipe with nothing in it.
/// Time zero is the common start of all the input's tracks, chosen or not, so that two sources opened with
/// different tracks of one file stay in step.
public protocol MediaSource: AnyObject {
    var description_: SourceDescription { get }

    /// The media time of the next frame over all tracks, `nil` at the end. Costs nothing to ask again.
    func peekTime() throws(MediaError) -> TimeDelta?

    /// Encodes the next frame in the order of time over the tracks and gives it, `nil` at the end. The frame's timestamp
    /// counts ticks from time zero: 48 kHz for Opus, 90 kHz for video, 8 kHz for G.711. One without payload was dropped by
    /// the encoder, to keep a bitrate that is much less than it was made for: its time passes, and nothing is sent.
    func next() throws(MediaError) -> (time: TimeDelta, frame: EncodedFrame)?

    /// Bits a second from the next frame on. No effect on frames passed through and on G.711.
    func setTargetBitrate(_ bitsPerSecond: Int, for kind: MediaKind)

    /// Makes the next picture a keyframe. No effect on frames passed through.
    func requestKeyframe()

    /// The share of packets, 0 to 1, that get lost on the way: Opus doses its in-band FEC by it.
    func setExpectedLoss(_ fraction: Double)

    /// Lets go of files and codecs. From then on the source is at its end.
    func close()
}

public enum MediaSources {
    /// Opens an input.
    ///
    /// - Parameter path: a file; `-` for standard input; `test` for the test pattern (see `TestPattern`); a file of
    ///   that name is `./test`.
    public static func open(_ path: String, options: SourceOptions = SourceOptions()) throws(MediaError)
        -> any MediaSource
    {
        try options.validate(path: path)
        if path == "test" {
            return try EncodingSource(path: path, input: TestPattern(options: options), options: options)
        }
        let reader = try InputReader(path: path, options: options)
        if options.passthrough { return try PassthroughSource(reader: reader, options: options) }
        return try EncodingSource(path: path, input: FileMedia(reader: reader, options: options), options: options)
    }
}

extension SourceOptions {
    /// The rate the audio encoder wants, and the samples in each of its frames.
    var audioShape: (sampleRate: Int, frameSamples: Int) {
        audioCodec == .opus
            ? (48_000, Int(opusFrameDuration.microseconds * 48 / 1_000))
            : (8_000, Int(g711FrameDuration.microseconds * 8 / 1_000))
    }

    func validate(path: String) throws(MediaError) {
        func refuse(_ message: String) -> MediaError { MediaError(.invalidOption, path: path, message) }
        if tracks.isEmpty { throw refuse("neither audio nor video is wanted.") }
        if videoCodec != .vp8 { throw refuse("video is encoded as VP8, not \(videoCodec.rawValue).") }
        if audioCodec != .opus && G711(audioCodec) == nil {
            throw refuse("audio is encoded as opus, PCMU or PCMA, not \(audioCodec.rawValue).")
        }
        if let fps, !(fps >= 1 && fps <= 120) { throw refuse("\(fps) frames a second is not within 1 and 120.") }
        if let size = videoSize, !(16...4_096).contains(size.width) || !(16...4_096).contains(size.height) {
            throw refuse("\(size) is not within 16x16 and 4096x4096.")
        }
        if let channels = audioChannels, channels != 1 && channels != 2 {
            throw refuse("\(channels) audio channels is not 1 or 2.")
        }
        if ![2_500, 5_000, 10_000, 20_000, 40_000, 60_000].contains(opusFrameDuration.microseconds) {
            throw refuse("Opus frames last 2.5, 5, 10, 20, 40 or 60 ms, not \(opusFrameDuration).")
        }
        if ![10_000, 20_000, 30_000, 40_000, 60_000].contains(g711FrameDuration.microseconds) {
            throw refuse("G.711 goes in packets of 10, 20, 30, 40 or 60 ms, not \(g711FrameDuration).")
        }
        if passthrough && path == "test" {
            throw MediaError(
                .passthroughUnavailable(found: "raw"), path: path, "the test pattern is made, not read from a file.",
                advice: "Leave out passthrough.")
        }
    }
}
