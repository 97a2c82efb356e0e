import Primitives

/// VP8 frames and Opus packets as they are in the file.
///
/// Opus packets bear the times of the sound that went into them, as an encoder for calls gives them: in the file, a packet's
/// time is that of what comes out of the decoder, which is earlier by the codec's delay. So a recorder that makes good for
/// that delay, as ours does, finds pictures and sound where they were.
final class PassthroughSource: MediaSource {
    private struct Held {
        var time: TimeDelta
        var frame: EncodedFrame
    }

    let description_: SourceDescription
    private let reader: InputReader
    private var held: [MediaKind: Held] = [:]
    private var ended: Set<MediaKind> = []
    private var lastVideo: Int64?
    /// Where the next Opus packet belongs, in samples.
    private var audioEnd: Int64?

    init(reader: InputReader, options: SourceOptions) throws(MediaError) {
        self.reader = reader
        var description = SourceDescription(
            duration: reader.container.duration, container: reader.container.format)
        if let video = reader.video {
            try PassthroughSource.require(.vp8, of: video, in: reader.path)
            description.video = SourceDescription.Video(
                codec: .vp8, width: video.size.width, height: video.size.height, frameRate: video.frameRate,
                duration: video.duration ?? reader.container.duration)
        }
        if let audio = reader.audio {
            guard options.audioCodec == .opus else {
                throw MediaError(
                    .passthroughUnavailable(found: audio.codec), path: reader.path,
                    "only Opus is passed through, not \(options.audioCodec.rawValue).",
                    advice: "Leave out passthrough.")
            }
            try PassthroughSource.require(.opus, of: audio, in: reader.path)
            description.audio = SourceDescription.Audio(
                codec: .opus, channels: audio.channels, duration: audio.duration ?? reader.container.duration)
        }
        for kind in MediaKind.allCases where (kind == .audio ? reader.audio : reader.video) == nil {
            ended.insert(kind)
        }
        description_ = description
    }

    func peekTime() throws(MediaError) -> TimeDelta? {
        try fill()
        return held.values.map(\.time).min()
    }

    func next() throws(MediaError) -> (time: TimeDelta, frame: EncodedFrame)? {
        try fill()
        let kind: MediaKind
        switch (held[.audio], held[.video]) {
        case (nil, nil): return nil
        case (let audio?, let video?): kind = audio.time <= video.time ? .audio : .video
        case (_?, nil): kind = .audio
        case (nil, _?): kind = .video
        }
        guard let taken = held.removeValue(forKey: kind) else { return nil }
        return (taken.time, taken.frame)
    }

    func setTargetBitrate(_ bitsPerSecond: Int, for kind: MediaKind) {}
    func requestKeyframe() {}
    func setExpectedLoss(_ fraction: Double) {}

    func close() {
        held = [:]
        ended = Set(MediaKind.allCases)
        reader.close()
    }

    private static func require(
        _ codec: Codec, of stream: InputContainer.Stream, in path: String
    ) throws(MediaError) {
        guard stream.codec == (codec == .vp8 ? "vp8" : "opus") else {
            throw MediaError(
                .passthroughUnavailable(found: stream.codec), path: path,
                "its \(stream.kind.rawValue) is \(stream.codec), and only \(codec.rawValue) can be passed through.",
                advice: "Leave out passthrough, or convert the file first.")
        }
    }

    private func fill() throws(MediaError) {
        for kind in MediaKind.allCases {
            while held[kind] == nil, !ended.contains(kind) {
                switch try reader.next(kind) {
                case .packet(let packet, let shift, _):
                    let time = packet.time.map { $0 + shift }
                    held[kind] =
                        kind == .audio
                        ? audio(packet.bytes, time.map { $0 + reader.audioDelay }) : video(packet.bytes, time)
                case .endOfPass: continue
                case nil: ended.insert(kind)
                }
            }
        }
    }

    private func video(_ bytes: [UInt8], _ time: TimeDelta?) -> Held? {
        guard let header = VP8FrameHeader(bytes) else { return nil }
        var ticks = time.map(VP8Encoder.ticks) ?? (lastVideo ?? -3_000) + 3_000
        // Frames that are not shown may share a time with the next; on the wire, one timestamp is one frame.
        if let lastVideo, ticks <= lastVideo { ticks = lastVideo + 1 }
        lastVideo = ticks
        return Held(
            time: .nanoseconds(nanoseconds(ofSample: ticks, rate: 90_000)),
            frame: EncodedFrame(codec: .vp8, payload: bytes, timestamp: ticks, isKeyframe: header.isKeyframe))
    }

    private func audio(_ bytes: [UInt8], _ time: TimeDelta?) -> Held? {
        guard let samples = OpusDecoder.samples(in: bytes) else { return nil }
        let wanted = time.map { sample(atNanoseconds: $0.nanoseconds, rate: 48_000) }
        var position = audioEnd ?? wanted ?? 0
        var followsSilence = false
        // Packets follow each other; the container's times, which are rounded, only tell of gaps.
        if let wanted, wanted - position >= 30 * 48 {
            position = wanted
            followsSilence = true
        }
        audioEnd = position + Int64(samples)
        return Held(
            time: .nanoseconds(nanoseconds(ofSample: position, rate: 48_000)),
            frame: EncodedFrame(
                codec: .opus, payload: bytes, timestamp: position, duration: Int64(samples), marker: followsSilence))
    }
}
