import CVPX
import Primitives

/// A VP8 decoder that never trusts its input: sizes are read from the keyframe's header (RFC 6386 §9.1) and capped before
/// libvpx sees the frame, and nothing is decoded before the first keyframe. Confine a decoder to one executor.
@safe public final class VP8Decoder {
    /// The most pixels a picture may have.
    public let maximumPixels: Int
    private let context: UnsafeMutablePointer<vpx_codec_ctx_t>
    private var hasKeyframe = false

    public init(threads: Int = 1, maximumPixels: Int = 4_096 * 2_304) throws(CodecError) {
        self.maximumPixels = maximumPixels
        unsafe context = .allocate(capacity: 1)
        unsafe context.initialize(to: vpx_codec_ctx_t())
        let status = unsafe postern_vp8_open_decoder(context, UInt32(Swift.max(1, Swift.min(threads, 8))))
        guard status == VPX_CODEC_OK else {
            throw CodecError(.invalidConfiguration, unsafe String(cString: vpx_codec_err_to_string(status)))
        }
    }

    deinit {
        _ = unsafe vpx_codec_destroy(context)
        unsafe context.deallocate()
    }

    /// Decodes one frame. `nil` where the frame shows nothing (an alternate reference). A picture of odd size is cropped.
    public func decode(_ payload: [UInt8], time: TimeDelta = .zero) throws(CodecError) -> VideoFrame? {
        guard let header = VP8FrameHeader(payload) else {
            throw CodecError(.corruptFrame, "\(payload.count) bytes are no VP8 frame")
        }
        if let size = header.keyframeSize {
            guard size.width > 1, size.height > 1 else {
                throw CodecError(.corruptFrame, "the keyframe says \(size)")
            }
            guard size.width * size.height <= maximumPixels else {
                throw CodecError(.tooLarge, "the keyframe says \(size), at most \(maximumPixels) pixels are allowed")
            }
        } else if !hasKeyframe {
            throw CodecError(.needsKeyframe, "no keyframe yet")
        }
        let status = unsafe vpx_codec_decode(context, payload, UInt32(payload.count), nil, 0)
        guard status == VPX_CODEC_OK else {
            let general = unsafe String(cString: vpx_codec_err_to_string(status))
            let detail = unsafe vpx_codec_error_detail(context).map { unsafe String(cString: $0) } ?? ""
            if header.keyframeSize != nil { hasKeyframe = false }
            throw CodecError(.corruptFrame, general + (detail.isEmpty ? "" : ": " + detail))
        }
        if header.keyframeSize != nil { hasKeyframe = true }
        guard let image = unsafe postern_vp8_decoded(context) else { return nil }
        let width = Int(unsafe image.pointee.d_w) & ~1
        let height = Int(unsafe image.pointee.d_h) & ~1
        guard VideoFrame.fits(width, height) else {
            throw CodecError(.corruptFrame, "a picture of \(width)x\(height)")
        }
        let count = VideoFrame.byteCount(width: width, height: height)
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            guard let base = buffer.baseAddress else { return }
            unsafe postern_vpx_copy(image, base, UInt32(width), UInt32(height))
            used = count
        }
        return VideoFrame(width: width, height: height, bytes: bytes, time: time)
    }
}

/// The uncompressed start of a VP8 frame (RFC 6386 §9.1).
public struct VP8FrameHeader: Sendable, Hashable {
    public var isKeyframe: Bool
    /// Whether the frame is to be shown; an alternate reference frame is not.
    public var isShown: Bool
    /// The picture's size, which only keyframes carry.
    public var keyframeSize: VideoSize?

    /// `nil` where the bytes are too few or the keyframe's start code is missing.
    public init?(_ payload: [UInt8]) {
        guard payload.count >= 3 else { return nil }
        isKeyframe = payload[0] & 1 == 0
        isShown = payload[0] & 0x10 != 0
        guard isKeyframe else { return }
        guard payload.count >= 10, payload[3] == 0x9D, payload[4] == 0x01, payload[5] == 0x2A else { return nil }
        let width = (Int(payload[7]) << 8 | Int(payload[6])) & 0x3FFF
        let height = (Int(payload[9]) << 8 | Int(payload[8])) & 0x3FFF
        keyframeSize = VideoSize(width, height)
    }
}
