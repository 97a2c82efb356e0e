import Primitives

/// .wav: 16-bit PCM, Opus decoded to 48 kHz stereo, G.711 to 8 kHz mono. Gaps are silence, short ones after loss are
/// concealed by the decoder. Each flush brings the header's sizes up to date, so a killed recording is a valid file.
/// Beyond 4 GiB (6 hours of stereo) the sizes stay at their greatest value, which players take as "until the end".
final class WaveContainer: RecordingContainer {
    private let file: RecordingFile
    private var opus: OpusDecoder?
    private var law: G711?
    private var rate: Int64 = 48_000
    private var channels = 2
    /// Samples a channel written.
    private var position: Int64 = 0
    private(set) var undecodable = 0

    /// What the clocks may differ before sound is moved, in milliseconds.
    private static let tolerance: Int64 = 15

    init(_ file: RecordingFile) { self.file = file }

    func open(_ tracks: [RecordedTrack]) throws(RecordingError) {
        guard let track = tracks.first else { return }
        law = G711(track.codec)
        if law != nil {
            rate = 8_000
            channels = 1
        } else {
            do {
                opus = try OpusDecoder(channels: channels)
            } catch {
                throw RecordingError.container(file.path, "no Opus decoder: \(error)")
            }
        }
        file.begin()
        file.write(header())
        file.noteWhole()
        try flush()
    }

    func write(_ frame: RecordedFrame) throws(RecordingError) {
        let target = frame.time.nanoseconds / 1_000 * rate / 1_000_000 - (opus == nil ? 0 : Int64(OpusPacket.preSkip))
        var missing = target - position
        let tolerance = WaveContainer.tolerance * rate / 1_000
        if position == 0 ? missing > 0 : missing > tolerance {
            missing -= frame.followsLoss ? conceal(missing) : 0
            pad(missing)
            missing = 0
        }
        var samples = decode(frame.payload)
        if missing < (position == 0 ? 0 : -tolerance) {
            samples.removeFirst(Swift.min(samples.count, Int(-missing) * channels))
        }
        put(samples)
        if let failure = file.failure { throw failure }
    }

    func flush() throws(RecordingError) {
        patchSizes()
        if let failure = file.failure { throw failure }
    }

    func repair() { patchSizes() }

    private func patchSizes() {
        let header = header()
        file.patch(Array(header[4..<8]), at: 4)
        file.patch(Array(header[40..<44]), at: 40)
    }

    func finish(empty: Set<MediaKind>) throws(RecordingError) { try flush() }

    private func decode(_ payload: [UInt8]) -> [Int16] {
        if let law { return law.decode(payload) }
        do {
            return try opus?.decode(payload).int16 ?? []
        } catch {
            undecodable += 1
            return []
        }
    }

    /// Lets the decoder make up for at most 120 ms. Returns the samples a channel that it made.
    private func conceal(_ missing: Int64) -> Int64 {
        guard let opus else { return 0 }
        let length = TimeDelta.nanoseconds(Swift.min(missing, 5_760) * 62_500 / 3)
        guard let made = try? opus.decode(nil, duration: length).int16 else { return 0 }
        put(made)
        return Int64(made.count / channels)
    }

    private func put(_ samples: [Int16]) {
        guard !samples.isEmpty else { return }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(samples.count * 2)
        for sample in samples {
            bytes.append(UInt8(truncatingIfNeeded: sample))
            bytes.append(UInt8(truncatingIfNeeded: sample >> 8))
        }
        file.write(bytes)
        file.noteWhole()
        position += Int64(samples.count / channels)
    }

    private func pad(_ samples: Int64) {
        var rest = samples
        while rest > 0, file.failure == nil {
            let count = Swift.min(rest, rate)
            file.write([UInt8](repeating: 0, count: Int(count) * channels * 2))
            file.noteWhole()
            position += count
            rest -= count
        }
    }

    /// RIFF, the `fmt ` chunk of plain PCM, and the start of the `data` chunk: 44 bytes, little-endian.
    private func header() -> [UInt8] {
        let data = UInt64(Swift.max(44, file.size) - 44)
        var bytes = Array("RIFF".utf8)
        func append(_ value: UInt64, _ count: Int) {
            for shift in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * shift))) }
        }
        append(Swift.min(data + 36, 0xFFFF_FFFF), 4)
        bytes += Array("WAVEfmt ".utf8)
        append(16, 4)
        append(1, 2)
        append(UInt64(channels), 2)
        append(UInt64(rate), 4)
        append(UInt64(rate) * UInt64(channels) * 2, 4)
        append(UInt64(channels) * 2, 2)
        append(16, 2)
        bytes += Array("data".utf8)
        append(Swift.min(data, 0xFFFF_FFFF), 4)
        return bytes
    }
}
