import CFFmpeg
import Primitives

/// An H.264 encoder of libavcodec (x264, else OpenH264) for .mp4: one size, constant quality, no reordering.
@safe final class H264Encoder {
    struct Packet {
        var payload: [UInt8]
        var time: TimeDelta
        var isKeyframe: Bool
    }

    let size: VideoSize
    let context: UnsafeMutablePointer<AVCodecContext>

    /// `nil` where this FFmpeg has no such encoder, or not for this size.
    init?(size: VideoSize) {
        FFmpegLog.install()
        self.size = VideoSize(size.width & ~1, size.height & ~1)
        guard
            let opened = unsafe postern_rec_open_h264(
                Int32(clamping: self.size.width), Int32(clamping: self.size.height))
        else { return nil }
        unsafe context = unsafe opened
    }

    deinit { unsafe postern_rec_close_h264(context) }

    /// Encodes a picture of this size, or with `nil` says that none follows. The packets that are done.
    func encode(_ picture: VideoFrame?) -> [Packet] {
        let sent: Int32
        if let picture {
            guard VideoSize(picture.width, picture.height) == size else { return [] }
            sent = unsafe postern_rec_send_h264(context, picture.bytes, picture.time.nanoseconds / 1_000 * 9 / 100)
        } else {
            sent = unsafe postern_rec_send_h264(context, nil, 0)
        }
        guard sent >= 0 else { return [] }
        var packets: [Packet] = []
        while packets.count < 64 {
            var received: UnsafeMutablePointer<AVPacket>?
            guard unsafe postern_rec_receive_h264(context, &received) > 0, let packet = unsafe received else { break }
            let count = Int(unsafe packet.pointee.size)
            let payload = unsafe Array(UnsafeBufferPointer(start: packet.pointee.data, count: count))
            let ticks = unsafe packet.pointee.pts
            packets.append(
                Packet(
                    payload: payload, time: .nanoseconds(ticks * 100_000 / 9),
                    isKeyframe: unsafe packet.pointee.flags & AV_PKT_FLAG_KEY != 0))
            unsafe av_packet_free(&received)
        }
        return packets
    }
}
