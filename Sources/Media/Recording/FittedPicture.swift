import CFFmpeg
import Primitives

extension VideoFrame {
    /// The picture scaled into another size, with black bars where the shape differs. `nil` where FFmpeg cannot do that.
    func fitted(into size: VideoSize) -> VideoFrame? {
        if width == size.width, height == size.height { return self }
        let inner = VideoSize(width, height).stretched(to: size)
        let length = VideoFrame.byteCount(width: inner.width, height: inner.height)
        var isDone = false
        var scaled = unsafe [UInt8](unsafeUninitializedCapacity: length + 64) { buffer, used in
            guard let base = buffer.baseAddress else { return }
            isDone =
                unsafe postern_rec_scale(
                    bytes, Int32(width), Int32(height), base, Int32(inner.width), Int32(inner.height)) > 0
            used = length
        }
        guard isDone else { return nil }
        if inner != size { scaled = Picture(size: inner, bytes: scaled).centred(in: size) }
        return VideoFrame(width: size.width, height: size.height, bytes: scaled, time: time)
    }
}
