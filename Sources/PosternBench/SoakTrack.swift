import Primitives

/// One kind of media of a soak: synthetic frames that carry their number, sent at a steady rate, and what came of those of
/// the other side.
struct SoakTrack {
    let kind: MediaKind
    let mid: String
    let interval: TimeDelta
    let size: Int
    private(set) var next: Instant?
    private(set) var sent = 0
    /// Frames of the other side.
    private(set) var received = 0
    /// Of those, the ones that came after a later one or with other bytes than were sent.
    private(set) var wrong = 0
    private(set) var longestGap = TimeDelta.zero
    private var lastNumber: UInt32?
    private var lastArrival: Instant?
    private var isKeyframeDue = true

    init(_ kind: MediaKind, mid: String, interval: TimeDelta, bitrate: Int) {
        self.kind = kind
        self.mid = mid
        self.interval = interval
        size = max(16, Int(Double(bitrate) / 8 * interval.seconds))
    }

    mutating func start(at now: Instant) { next = next ?? now }
    mutating func requestKeyframe() { isKeyframeDue = true }

    /// The frame that is due by `now`, if one is.
    mutating func produce(at now: Instant) -> EncodedFrame? {
        guard let due = next, due <= now else { return nil }
        next = due + interval
        let isKeyframe = kind == .audio || isKeyframeDue
        isKeyframeDue = false
        let number = UInt32(truncatingIfNeeded: sent)
        // The lowest bit of a VP8 frame's first byte is "not a keyframe" (RFC 6386 §9.1).
        var payload = [UInt8](repeating: Self.fill(number), count: isKeyframe && kind == .video ? size * 3 : size)
        payload[0] = kind == .audio ? 0x78 : isKeyframe ? 0x10 : 0x11
        for place in 0..<4 { payload[1 + place] = UInt8(truncatingIfNeeded: number >> (24 - 8 * UInt32(place))) }
        let ticks = Double(sent) * interval.seconds * (kind == .video ? 90_000 : 48_000)
        sent += 1
        return EncodedFrame(
            codec: kind == .video ? .vp8 : .opus, payload: payload, timestamp: Int64(ticks.rounded()),
            duration: kind == .audio ? Int64(interval.seconds * 48_000) : 0, isKeyframe: isKeyframe)
    }

    mutating func take(_ frame: EncodedFrame, at now: Instant) {
        received += 1
        if let lastArrival { longestGap = max(longestGap, now - lastArrival) }
        lastArrival = now
        let bytes = frame.payload
        guard bytes.count >= 16 else {
            wrong += 1
            return
        }
        let number = (1...4).reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[$1]) }
        let isInOrder = lastNumber.map { number > $0 } ?? true
        if !isInOrder || bytes[bytes.count - 1] != Self.fill(number) || bytes[bytes.count / 2] != Self.fill(number) {
            wrong += 1
        }
        lastNumber = number
    }

    private static func fill(_ number: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: number &* 37) }
}
