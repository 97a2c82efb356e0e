import Primitives

/// Makes VP8 that was sent lying on its side stand upright (3GPP TS 26.114 §7.4.5), for files that copy frames.
///
/// A phone held upright sends its camera's picture as it lies in the camera and says by how much to turn it. No copy can turn
/// pixels, and few players heed what a container says of it, so such pictures are decoded, turned and encoded anew. That
/// costs a decoder and an encoder, and is done for as long as the sender's pictures are not upright, no longer:
///
///     copying ──keyframe, not upright──▶ turning ──keyframe, upright──▶ copying
///
/// A decoder can begin at a keyframe only. Where a camera is turned between two, frames are copied as they are until the
/// next one, which the engine asks for; that is a round trip of pictures on their side. The other way round, upright
/// pictures go on being encoded anew until a keyframe comes. A picture that changes its shape is a new size in the file,
/// as it is when the sender turns the pixels itself.
final class UprightVideo {
    private var decoder: VP8Decoder?
    private var encoder: VP8Encoder?
    private(set) var turnedFrames = 0
    private(set) var sidewaysFrames = 0

    /// Bits a pixel and second: at 30 pictures a second a tenth of a bit a pixel, which costs nothing to be seen.
    private static let bitsPerPixel = 3

    /// The frame as it goes into the file; `nil` where it cannot be decoded.
    func apply(to frame: EncodedFrame) -> EncodedFrame? {
        guard frame.codec == .vp8 else { return frame }
        if frame.isKeyframe {
            if frame.quarterTurns == 0 {
                decoder = nil
                encoder = nil
            } else if decoder == nil {
                decoder = try? VP8Decoder()
            }
        }
        guard let decoder else {
            if frame.quarterTurns != 0 { sidewaysFrames += 1 }
            return frame
        }
        guard let picture = try? decoder.decode(frame.payload) else { return nil }
        return encode(picture.turned(quarters: frame.quarterTurns), of: frame)
    }

    private func encode(_ picture: VideoFrame, of frame: EncodedFrame) -> EncodedFrame? {
        var picture = picture
        // The encoder's clock is that of the frames, from wherever it began.
        picture.time = .nanoseconds((frame.timestamp &- (origin ?? frame.timestamp)) &* 100_000 / 9)
        origin = origin ?? frame.timestamp
        if encoder == nil {
            var configuration = VP8Encoder.Configuration(
                size: VideoSize(picture.width, picture.height),
                bitrate: Swift.max(300_000, picture.width * picture.height * Self.bitsPerPixel))
            configuration.cpuUsed = -8
            encoder = try? VP8Encoder(configuration)
        }
        guard let encoded = try? encoder?.encode(picture) else { return nil }
        turnedFrames += 1
        var result = frame
        result.payload = encoded.payload
        result.isKeyframe = encoded.isKeyframe
        return result
    }

    private var origin: Int64?
}
