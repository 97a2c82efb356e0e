import Primitives

/// .ogg with Opus. A position in Ogg counts samples, so gaps are filled with empty packets (RFC 7845 §4.1), and a page is
/// ended at every flush.
final class OggOpusContainer: RecordingContainer {
    private let file: RecordingFile
    private var muxer: Muxer?
    private var index: Int32 = 0
    /// Samples at 48 kHz written, and the first byte of the last packet.
    private var position: Int64 = 0
    private var last: UInt8?

    init(_ file: RecordingFile) { self.file = file }

    func open(_ tracks: [RecordedTrack]) throws(RecordingError) {
        file.begin()
        let muxer = try Muxer("ogg", file)
        index = try muxer.add(RecordedTrack(codec: .opus))
        try muxer.writeHeader(options: "page_duration=1000000")
        self.muxer = muxer
        try flush()
    }

    func write(_ frame: RecordedFrame) throws(RecordingError) {
        guard let first = frame.payload.first, let samples = OpusDecoder.samples(in: frame.payload) else { return }
        let target = frame.time.nanoseconds / 1_000 * 48 / 1_000
        if let last {
            let length = Int64(OpusPacket.frameSamples(last))
            for _ in 0..<Swift.max(0, (target - position + length / 2) / length) {
                try put(OpusPacket.empty(like: last), samples: length)
            }
        }
        last = first
        try put(frame.payload, samples: Int64(samples))
    }

    private func put(_ payload: [UInt8], samples: Int64) throws(RecordingError) {
        let frame = RecordedFrame(
            codec: .opus, payload: payload, time: time(position), duration: time(samples), isKeyframe: true,
            followsLoss: false)
        try muxer?.write(frame, to: index)
        position += samples
    }

    private func time(_ samples: Int64) -> TimeDelta { .nanoseconds(samples * 62_500 / 3) }

    func flush() throws(RecordingError) {
        try muxer?.flush()
        file.noteWhole()
    }

    func finish(empty: Set<MediaKind>) throws(RecordingError) {
        try muxer?.writeTrailer()
        file.noteWhole()
    }
}
