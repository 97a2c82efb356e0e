import CFFmpeg
import Primitives

/// One packet of a container. Its times are in nanoseconds of the container's own clock.
@safe final class InputPacket {
    let pointer: UnsafeMutablePointer<AVPacket>
    let kind: MediaKind
    /// Presentation time, else decoding time; `nil` where the container gives neither.
    let time: TimeDelta?
    let duration: TimeDelta
    /// Needed to decode what follows, but not to be presented (it lies before an edit).
    let isHidden: Bool
    /// How much of what is decoded from this packet is to be left out at its start.
    let skipped: TimeDelta

    /// Takes the packet over.
    init(_ packet: UnsafeMutablePointer<AVPacket>, kind: MediaKind, base: AVRational, sampleRate: Int) {
        unsafe pointer = unsafe packet
        self.kind = kind
        let presented = unsafe packet.pointee.pts != postern_av_nopts ? packet.pointee.pts : packet.pointee.dts
        let nanoseconds = postern_av_nanoseconds(presented, base)
        time = nanoseconds == .min ? nil : .nanoseconds(nanoseconds)
        let length = postern_av_nanoseconds(unsafe packet.pointee.duration, base)
        duration = length > 0 ? .nanoseconds(length) : .zero
        isHidden = unsafe packet.pointee.flags & AV_PKT_FLAG_DISCARD != 0
        let samples = Int64(unsafe postern_av_skipped_samples(packet))
        skipped = sampleRate > 0 ? .nanoseconds(samples * 1_000_000_000 / Int64(sampleRate)) : .zero
    }

    deinit {
        var packet: UnsafeMutablePointer<AVPacket>? = unsafe pointer
        unsafe av_packet_free(&packet)
    }

    var count: Int { Int(unsafe pointer.pointee.size) }

    var bytes: [UInt8] {
        guard let data = unsafe pointer.pointee.data, count > 0 else { return [] }
        return unsafe Array(UnsafeBufferPointer(start: data, count: count))
    }
}
