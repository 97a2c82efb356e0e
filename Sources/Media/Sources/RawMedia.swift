import Primitives

/// Raw pictures and sound in order of time within each track: what the encoders of a source draw from.
protocol RawMedia: AnyObject {
    var container: String { get }
    var duration: TimeDelta? { get }
    /// `nil` where there is no such track or it is not wanted.
    var video: (size: VideoSize, frameRate: Double, duration: TimeDelta?)? { get }
    /// The frames have this rate and number of channels and, all of them, this many samples a channel.
    var audio: (sampleRate: Int, channels: Int, frameSamples: Int, duration: TimeDelta?)? { get }

    /// The next picture, `nil` at the end of the track.
    func nextVideo() throws(MediaError) -> VideoFrame?
    /// The next stretch of sound with the index of its first sample at the track's rate, `nil` at the end of the track.
    func nextAudio() throws(MediaError) -> (position: Int64, samples: [Float])?
    func close()
}
