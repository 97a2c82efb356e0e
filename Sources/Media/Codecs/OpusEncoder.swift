import COpus
import Primitives

/// An Opus encoder (RFC 6716) at 48 kHz. Confine it to one executor.
@safe public final class OpusEncoder {
    public enum Application: Sendable, Hashable {
        /// Made for speech: the modes that carry in-band FEC.
        case voice
        /// Made for music.
        case audio
    }

    public struct Configuration: Sendable, Hashable {
        /// 1 or 2.
        public var channels: Int
        /// Bits a second, 6,000 to 510,000.
        public var bitrate: Int
        public var application: Application
        /// 2.5, 5, 10, 20, 40, 60, 80, 100 or 120 ms.
        public var frameDuration: TimeDelta = .milliseconds(20)
        /// 0 (cheapest) to 10.
        public var complexity = 9
        /// Repeats each frame at a lower rate in the next packet (LBRR), once the expected loss is above zero and the rate
        /// allows it: mono from about 24 kbit/s, stereo from about 58 kbit/s.
        public var inBandFEC = true
        /// 0 to 1.
        public var expectedLoss = 0.0
        /// Sends nothing in silence: `encode` then gives `nil`.
        public var discontinuous = false
        public var variableBitrate = true
        /// Hz: sound above half of it is not coded. `nil`: all of it is.
        public var maximumPlaybackRate: Int?

        /// Speech tuning for mono and music tuning for stereo, as libwebrtc chooses.
        public init(channels: Int = 1, bitrate: Int? = nil) {
            self.channels = channels
            self.bitrate = bitrate ?? (channels == 1 ? 32_000 : 64_000)
            application = channels == 1 ? .voice : .audio
        }
    }

    public private(set) var configuration: Configuration
    /// Samples a channel in each frame.
    public let frameSamples: Int
    private let encoder: OpaquePointer
    private var packet = [UInt8](repeating: 0, count: 4_000)
    private var isSilent = false

    public init(_ configuration: Configuration) throws(CodecError) {
        self.configuration = configuration
        guard configuration.channels == 1 || configuration.channels == 2 else {
            throw CodecError(.invalidConfiguration, "Opus codes 1 or 2 channels here, not \(configuration.channels)")
        }
        let legal: [Int64] = [2_500, 5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 120_000]
        guard legal.contains(configuration.frameDuration.microseconds) else {
            throw CodecError(.invalidConfiguration, "Opus has no frames of \(configuration.frameDuration)")
        }
        frameSamples = Int(configuration.frameDuration.microseconds * 48 / 1_000)
        var status: Int32 = 0
        let application =
            configuration.application == .voice ? OPUS_APPLICATION_VOIP : OPUS_APPLICATION_AUDIO
        guard
            let encoder = unsafe opus_encoder_create(48_000, Int32(configuration.channels), application, &status)
        else {
            throw CodecError(.invalidConfiguration, unsafe String(cString: opus_strerror(status)))
        }
        unsafe self.encoder = unsafe encoder
        set(OPUS_SET_COMPLEXITY_REQUEST, Swift.max(0, Swift.min(configuration.complexity, 10)))
        set(OPUS_SET_INBAND_FEC_REQUEST, configuration.inBandFEC ? 1 : 0)
        set(OPUS_SET_DTX_REQUEST, configuration.discontinuous ? 1 : 0)
        set(OPUS_SET_VBR_REQUEST, configuration.variableBitrate ? 1 : 0)
        set(OPUS_SET_VBR_CONSTRAINT_REQUEST, 1)
        if let rate = configuration.maximumPlaybackRate { set(OPUS_SET_MAX_BANDWIDTH_REQUEST, Self.bandwidth(rate)) }
        setBitrate(configuration.bitrate)
        setExpectedLoss(configuration.expectedLoss)
    }

    deinit { unsafe opus_encoder_destroy(encoder) }

    /// Encodes one frame of exactly `frameSamples` samples a channel. The timestamp of the result counts 48 kHz ticks of
    /// the frame's time. `nil` in silence with discontinuous transmission; the packet that ends it has the marker set.
    public func encode(_ frame: AudioFrame) throws(CodecError) -> EncodedFrame? {
        guard frame.sampleRate == 48_000, frame.channels == configuration.channels, frame.count == frameSamples else {
            throw CodecError(
                .invalidConfiguration,
                "\(frame.count) samples of \(frame.channels) channels at \(frame.sampleRate) Hz, not \(frameSamples) "
                    + "of \(configuration.channels) at 48000 Hz")
        }
        let room = Int32(packet.count)
        let length =
            switch frame.samples {
            case .int16(let samples): unsafe opus_encode(encoder, samples, Int32(frameSamples), &packet, room)
            case .float(let samples): unsafe opus_encode_float(encoder, samples, Int32(frameSamples), &packet, room)
            }
        guard length > 0 else { throw CodecError(.encodingFailed, unsafe String(cString: opus_strerror(length))) }
        let wasSilent = isSilent
        // One or two bytes are a frame without sound (RFC 6716 §3.1). The first of a silence is sent, so that the far end
        // learns of it.
        isSilent = configuration.discontinuous && length <= 2
        if isSilent && wasSilent { return nil }
        return EncodedFrame(
            codec: .opus, payload: Array(packet.prefix(Int(length))),
            timestamp: Int64((Double(frame.time.nanoseconds) * 4.8e-5).rounded()), duration: Int64(frameSamples),
            marker: wasSilent && !isSilent)
    }

    /// The widest band that fits a playback rate (RFC 7587 §3.1.1).
    private static func bandwidth(_ rate: Int) -> Int {
        switch rate {
        case ..<12_000: Int(OPUS_BANDWIDTH_NARROWBAND)
        case ..<16_000: Int(OPUS_BANDWIDTH_MEDIUMBAND)
        case ..<24_000: Int(OPUS_BANDWIDTH_WIDEBAND)
        case ..<48_000: Int(OPUS_BANDWIDTH_SUPERWIDEBAND)
        default: Int(OPUS_BANDWIDTH_FULLBAND)
        }
    }

    /// Bits a second from the next frame on.
    public func setBitrate(_ bitsPerSecond: Int) {
        configuration.bitrate = Swift.max(6_000, Swift.min(bitsPerSecond, 510_000))
        set(OPUS_SET_BITRATE_REQUEST, configuration.bitrate)
    }

    /// The share of packets, 0 to 1, that the far end loses: what the in-band FEC is dosed by.
    public func setExpectedLoss(_ fraction: Double) {
        configuration.expectedLoss = fraction.isNaN ? 0 : Swift.max(0, Swift.min(fraction, 1))
        set(OPUS_SET_PACKET_LOSS_PERC_REQUEST, Int((configuration.expectedLoss * 100).rounded()))
    }

    /// Samples by which the decoded sound lags the encoded.
    public var lookahead: Int { Int(unsafe postern_opus_get(encoder, OPUS_GET_LOOKAHEAD_REQUEST)) }

    private func set(_ request: Int32, _ value: Int) {
        _ = unsafe postern_opus_set(encoder, request, Int32(value))
    }
}
