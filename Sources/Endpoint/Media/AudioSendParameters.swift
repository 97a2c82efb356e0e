import Media
import Peer
import Primitives
import SDP

/// How the other side wants its audio, from the parameters it wrote for what it receives (RFC 7587 §6.1, RFC 8866 §6.4).
/// What it did not say is left to the encoder, but for stereo: without its word it gets mono (`stereo` is 0 by default).
public struct AudioSendParameters: Hashable, Sendable {
    public var codec: Codec
    public var isStereo = false
    /// Bits a second (`maxaveragebitrate`).
    public var maximumBitrate: Int?
    /// Hz (`maxplaybackrate`).
    public var maximumPlaybackRate: Int?
    public var usesDiscontinuousTransmission = false
    public var isConstantBitrate = false
    public var usesInBandFEC = false
    /// Milliseconds of sound in a packet: the longest of those usual that it likes and takes.
    public var packetTime = 20

    /// `nil` where the section sends no audio.
    public init?(_ section: NegotiatedMedia) {
        guard section.kind == .audio, let codec = section.sendCodecs.first(where: { $0.codec.isMedia }) else {
            return nil
        }
        self.codec = codec.codec
        packetTime = Self.packetTime(
            wanted: section.packetTime, longest: section.maximumPacketTime, isOpus: codec.codec == .opus)
        guard codec.codec == .opus else { return }
        func number(_ name: String) -> Int? { codec.parameters?.value(of: name).flatMap { Int($0) } }
        isStereo = number("stereo") == 1
        maximumBitrate = number("maxaveragebitrate").map { max(6_000, min($0, 510_000)) }
        maximumPlaybackRate = number("maxplaybackrate").map { max(8_000, min($0, 48_000)) }
        usesDiscontinuousTransmission = number("usedtx") == 1
        isConstantBitrate = number("cbr") == 1
        usesInBandFEC = number("useinbandfec") == 1
    }

    private static func packetTime(wanted: Int?, longest: Int?, isOpus: Bool) -> Int {
        let legal = isOpus ? [10, 20, 40, 60] : [10, 20, 30, 40, 60]
        let longest = max(10, longest ?? 60)
        return legal.last { $0 <= min(wanted ?? 20, longest) } ?? 10
    }

    /// Narrows what the user asked for to what the other side takes.
    public func apply(to options: inout SourceOptions) {
        options.audioCodec = codec
        let duration = TimeDelta.milliseconds(Int64(packetTime))
        guard codec == .opus else {
            options.g711FrameDuration = duration
            return
        }
        options.opusFrameDuration = duration
        if !isStereo { options.audioChannels = 1 }
        if let maximumBitrate {
            options.audioBitrate = min(options.audioBitrate ?? (isStereo ? 64_000 : 32_000), maximumBitrate)
        }
        options.dtx = options.dtx || usesDiscontinuousTransmission
        options.opusMaximumPlaybackRate = maximumPlaybackRate
        options.opusConstantBitrate = isConstantBitrate
        options.opusInBandFEC = usesInBandFEC
    }
}
