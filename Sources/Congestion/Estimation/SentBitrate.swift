import Primitives

/// The bitrate that leaves, smoothed over about half a second.
struct SentBitrate: Sendable {
    private var bytes = 0
    private var start: Instant?
    /// Bits per second; `nil` before half a second has been seen.
    private(set) var bitrate: Int?

    mutating func noteSent(_ bytes: Int, at now: Instant) {
        let begun = start ?? now
        start = begun
        let elapsed = now - begun
        if elapsed >= .milliseconds(500) {
            let sample = Int(Double(self.bytes * 8) / elapsed.seconds)
            bitrate = bitrate.map { ($0 + sample) / 2 } ?? sample
            self.bytes = 0
            start = now
        }
        self.bytes += bytes
    }
}
