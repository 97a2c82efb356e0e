import COpus
import Primitives

/// An Opus decoder (RFC 6716) at 48 kHz, with concealment and in-band FEC. Confine it to one executor.
@safe public final class OpusDecoder {
    public let channels: Int
    private let decoder: OpaquePointer
    private var lastSamples = 960
    /// Room for the longest packet, 120 ms.
    private static let longest = 5_760

    /// - Parameter channels: 1 or 2; packets of the other kind are mixed down or doubled.
    public init(channels: Int = 1) throws(CodecError) {
        guard channels == 1 || channels == 2 else {
            throw CodecError(.invalidConfiguration, "Opus decodes to 1 or 2 channels here, not \(channels)")
        }
        self.channels = channels
        var status: Int32 = 0
        guard let decoder = unsafe opus_decoder_create(48_000, Int32(channels), &status) else {
            throw CodecError(.invalidConfiguration, unsafe String(cString: opus_strerror(status)))
        }
        unsafe self.decoder = unsafe decoder
    }

    deinit { unsafe opus_decoder_destroy(decoder) }

    /// Decodes a packet, or with `nil` conceals one that is lost: `duration` of it, by default as long as the last.
    public func decode(
        _ packet: [UInt8]?, duration: TimeDelta? = nil, time: TimeDelta = .zero
    ) throws(CodecError) -> AudioFrame {
        guard let packet else { return try decode(nil, samples: concealed(duration), fec: false, time: time) }
        guard !packet.isEmpty else { throw CodecError(.corruptFrame, "an empty packet") }
        let frame = try decode(packet, samples: OpusDecoder.longest, fec: false, time: time)
        lastSamples = frame.count
        return frame
    }

    /// Rebuilds the packet before `next` from the copy that `next` carries, or conceals it where there is none.
    /// Decode `next` itself afterwards.
    public func decodeLost(
        before next: [UInt8], duration: TimeDelta? = nil, time: TimeDelta = .zero
    ) throws(CodecError) -> AudioFrame {
        guard !next.isEmpty else { throw CodecError(.corruptFrame, "an empty packet") }
        return try decode(next, samples: concealed(duration), fec: true, time: time)
    }

    /// Forgets the sound so far.
    public func reset() { _ = unsafe postern_opus_reset_decoder(decoder) }

    /// Samples a channel at 48 kHz in a packet, read from its first bytes (RFC 6716 §3.1); `nil` for a malformed packet.
    public static func samples(in packet: [UInt8]) -> Int? {
        guard !packet.isEmpty else { return nil }
        let count = unsafe opus_packet_get_nb_samples(packet, Int32(clamping: packet.count), 48_000)
        return count > 0 ? Int(count) : nil
    }

    /// A legal length for concealment: whole 2.5 ms, at most 120 ms.
    private func concealed(_ duration: TimeDelta?) -> Int {
        guard let duration else { return lastSamples }
        let units = Swift.max(1, Swift.min(duration.microseconds / 2_500, 48))
        return Int(units) * 120
    }

    private func decode(_ packet: [UInt8]?, samples: Int, fec: Bool, time: TimeDelta) throws(CodecError) -> AudioFrame {
        var status: Int32 = 0
        let decoded = unsafe [Int16](unsafeUninitializedCapacity: samples * channels) { buffer, used in
            guard let base = buffer.baseAddress else { return }
            if let packet {
                status = unsafe opus_decode(
                    decoder, packet, Int32(clamping: packet.count), base, Int32(samples), fec ? 1 : 0)
            } else {
                status = unsafe opus_decode(decoder, nil, 0, base, Int32(samples), 0)
            }
            used = Swift.max(0, Int(status)) * channels
        }
        guard status > 0 else { throw CodecError(.corruptFrame, unsafe String(cString: opus_strerror(status))) }
        return AudioFrame(samples: .int16(decoded), sampleRate: 48_000, channels: channels, time: time)
    }
}
