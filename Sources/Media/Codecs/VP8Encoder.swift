import CVPX
import Primitives

/// A VP8 encoder for calls: constant bitrate, no look-ahead, one frame out for each frame in.
///
/// The rate control is set as libwebrtc sets it: undershoot 100 %, overshoot 15 %, a client buffer of one second of which
/// half is filled at the start and 600 ms kept, quantizers 2 to 56, no denoising, keyframes on request (and by libvpx's
/// scene detection), a keyframe at most about half the optimal buffer. One thing differs: no block that hardly changed
/// is skipped (a static threshold of 0, not 1), which costs a tenth of the time and wins 0.8 dB on slow movements. `cpuUsed` is negative on purpose: a negative value fixes the
/// speed, a positive one lets libvpx choose it from the wall clock, so that the output changes with the machine's load.
///
/// A change of frame size starts the codec anew, which makes that frame a keyframe. Confine an encoder to one executor.
@safe public final class VP8Encoder {
    public struct Configuration: Sendable, Hashable {
        public var size: VideoSize
        /// Frames a second, as a hint for the rate control; the frames' own times are what counts.
        public var frameRate: Double
        /// Bits a second.
        public var bitrate: Int
        /// -16 (fastest) to -1; a positive value is taken as its negative.
        public var cpuUsed = -6
        /// 1 to 8. libvpx's threads wait for each other by spinning, which is dear where cores are shared.
        public var threads = 1
        /// Frames decode, if badly, although one before them was lost; costs some quality.
        public var errorResilient = false
        /// 0 to 63.
        public var minimumQuantizer = 2
        /// 0 to 63.
        public var maximumQuantizer = 56
        /// The most frames from one keyframe to the next that no one asked for.
        public var keyframeInterval = 3_000
        /// Lets the encoder leave out frames to keep the bitrate: `encode` then gives `nil`.
        public var dropsFrames = false

        public init(size: VideoSize, frameRate: Double = 30, bitrate: Int = 1_000_000) {
            self.size = size
            self.frameRate = frameRate
            self.bitrate = bitrate
        }
    }

    public private(set) var configuration: Configuration
    private let context: UnsafeMutablePointer<vpx_codec_ctx_t>
    private let settings: UnsafeMutablePointer<vpx_codec_enc_cfg_t>
    private var isOpen = false
    private var wantsKeyframe = false
    private var lastTicks: Int64?
    /// What it was set up for.
    private let ordinaryBitrate: Int

    public init(_ configuration: Configuration) throws(CodecError) {
        self.configuration = configuration
        ordinaryBitrate = configuration.bitrate
        unsafe context = .allocate(capacity: 1)
        unsafe settings = .allocate(capacity: 1)
        unsafe context.initialize(to: vpx_codec_ctx_t())
        unsafe settings.initialize(to: vpx_codec_enc_cfg_t())
        try open()
    }

    deinit {
        if isOpen { _ = unsafe vpx_codec_destroy(context) }
        unsafe context.deallocate()
        unsafe settings.deallocate()
    }

    /// Encodes one picture; its time must be later than that of the one before, and is moved by a tick where it is not.
    /// The timestamp of the result counts 90 kHz ticks of the picture's time. `nil` where the frame was dropped: where that is
    /// allowed, and while the bitrate is less than half of what the encoder was made for. There the coarsest pictures may be
    /// more than is left for them, and what is too much would stand in a queue.
    public func encode(_ frame: VideoFrame, forceKeyframe: Bool = false) throws(CodecError) -> EncodedFrame? {
        let size = VideoSize(frame.width, frame.height)
        if size != configuration.size {
            configuration.size = size
            try open()
        }
        guard isOpen else { throw CodecError(.encodingFailed, "the encoder is not open") }
        let interval = frameTicks
        var ticks = VP8Encoder.ticks(frame.time)
        if let last = lastTicks, ticks <= last { ticks = last &+ 1 }
        lastTicks = ticks
        if forceKeyframe { wantsKeyframe = true }
        // libvpx wants times that start near zero: what it computes from them is 32 bits wide in places.
        let status = unsafe postern_vp8_encode(
            context, frame.bytes, UInt32(frame.width), UInt32(frame.height), ticks, UInt(interval),
            wantsKeyframe ? 1 : 0)
        guard status == VPX_CODEC_OK else { throw CodecError(.encodingFailed, message(status)) }
        var iterator: vpx_codec_iter_t?
        var count = 0
        var keyframe: Int32 = 0
        guard let data = unsafe postern_vp8_packet(context, &iterator, &count, &keyframe) else {
            if mayDrop { return nil }
            throw CodecError(.encodingFailed, "the encoder gave no frame")
        }
        if keyframe != 0 { wantsKeyframe = false }
        return EncodedFrame(
            codec: .vp8, payload: unsafe Array(UnsafeBufferPointer(start: data, count: count)), timestamp: ticks,
            isKeyframe: keyframe != 0)
    }

    /// The next frame will be a keyframe.
    public func requestKeyframe() { wantsKeyframe = true }

    /// Bits a second from the next frame on.
    public func setBitrate(_ bitsPerSecond: Int) {
        guard bitsPerSecond != configuration.bitrate else { return }
        configuration.bitrate = bitsPerSecond
        applySettings()
    }

    /// The hint for the rate control, from the next frame on.
    public func setFrameRate(_ framesPerSecond: Double) {
        guard framesPerSecond != configuration.frameRate else { return }
        configuration.frameRate = framesPerSecond
        applySettings()
        setMaximumIntraBitrate()
    }

    static func ticks(_ time: TimeDelta) -> Int64 { Int64((Double(time.nanoseconds) * 9e-5).rounded()) }

    private var frameRate: Double { Swift.max(1, Swift.min(configuration.frameRate, 240)) }
    private var frameTicks: Int64 { Int64((90_000 / frameRate).rounded()) }

    private func open() throws(CodecError) {
        guard VideoFrame.fits(configuration.size.width, configuration.size.height) else {
            throw CodecError(.invalidConfiguration, "VP8 codes even sizes up to 16382, not \(configuration.size)")
        }
        if isOpen { _ = unsafe vpx_codec_destroy(context) }
        isOpen = false
        unsafe context.pointee = vpx_codec_ctx_t()
        var status = unsafe postern_vp8_default_config(settings)
        guard status == VPX_CODEC_OK else { throw CodecError(.encodingFailed, message(status)) }
        unsafe settings.pointee.g_w = UInt32(configuration.size.width)
        unsafe settings.pointee.g_h = UInt32(configuration.size.height)
        unsafe settings.pointee.g_timebase = vpx_rational_t(num: 1, den: 90_000)
        unsafe settings.pointee.g_threads = UInt32(Swift.max(1, Swift.min(configuration.threads, 8)))
        unsafe settings.pointee.g_pass = VPX_RC_ONE_PASS
        unsafe settings.pointee.g_lag_in_frames = 0
        unsafe settings.pointee.g_error_resilient =
            configuration.errorResilient ? UInt32(VPX_ERROR_RESILIENT_DEFAULT) : 0
        unsafe settings.pointee.rc_end_usage = VPX_CBR
        unsafe settings.pointee.rc_resize_allowed = 0
        unsafe settings.pointee.rc_dropframe_thresh = dropThreshold
        unsafe settings.pointee.rc_min_quantizer = UInt32(Swift.max(0, Swift.min(configuration.minimumQuantizer, 63)))
        unsafe settings.pointee.rc_max_quantizer = UInt32(
            Swift.max(configuration.minimumQuantizer, Swift.min(configuration.maximumQuantizer, 63)))
        unsafe settings.pointee.rc_undershoot_pct = 100
        unsafe settings.pointee.rc_overshoot_pct = 15
        unsafe settings.pointee.rc_buf_initial_sz = 500
        unsafe settings.pointee.rc_buf_optimal_sz = 600
        unsafe settings.pointee.rc_buf_sz = 1_000
        unsafe settings.pointee.rc_target_bitrate = kilobits
        unsafe settings.pointee.kf_mode = VPX_KF_AUTO
        unsafe settings.pointee.kf_min_dist = 0
        unsafe settings.pointee.kf_max_dist = UInt32(Swift.max(1, Swift.min(configuration.keyframeInterval, 1_000_000)))
        status = unsafe postern_vp8_open_encoder(context, settings)
        guard status == VPX_CODEC_OK else { throw CodecError(.invalidConfiguration, message(status)) }
        isOpen = true
        lastTicks = nil
        let speed = Swift.max(-16, -abs(Swift.max(-16, Swift.min(configuration.cpuUsed, 16))))
        set(VP8E_SET_CPUUSED, speed)
        set(VP8E_SET_STATIC_THRESHOLD, 0)
        set(VP8E_SET_NOISE_SENSITIVITY, 0)
        set(VP8E_SET_TOKEN_PARTITIONS, 0)
        setMaximumIntraBitrate()
    }

    /// As libwebrtc: half the optimal buffer, and never under three frames' worth.
    private func setMaximumIntraBitrate() {
        set(VP8E_SET_MAX_INTRA_BITRATE_PCT, Swift.max(300, Int(600 * 0.5 * frameRate / 10)))
    }

    private var kilobits: UInt32 { UInt32(Swift.max(1, Swift.min(configuration.bitrate / 1_000, 1_000_000))) }

    private var mayDrop: Bool { configuration.dropsFrames || configuration.bitrate < ordinaryBitrate / 2 }
    private var dropThreshold: UInt32 { mayDrop ? 30 : 0 }

    private func applySettings() {
        guard isOpen else { return }
        unsafe settings.pointee.rc_dropframe_thresh = dropThreshold
        unsafe settings.pointee.rc_target_bitrate = kilobits
        _ = unsafe vpx_codec_enc_config_set(context, settings)
    }

    private func set(_ control: vp8e_enc_control_id, _ value: Int) {
        _ = unsafe postern_vpx_set(context, Int32(bitPattern: control.rawValue), Int32(value))
    }

    private func message(_ status: vpx_codec_err_t) -> String {
        let general = unsafe String(cString: vpx_codec_err_to_string(status))
        guard let detail = unsafe vpx_codec_error_detail(context) else { return general }
        return general + ": " + (unsafe String(cString: detail))
    }
}
