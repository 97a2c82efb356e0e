import Primitives

/// What a scenario sends instead of encoded media: frames that say which they are, so that the far end can check them.
///
/// A payload is `[marks][index, 4 bytes][size, 4 bytes][fill…]`. The lowest bit of the first byte is VP8's "not a keyframe".
struct SyntheticTrack {
    let kind: MediaKind
    let mid: String
    var interval: TimeDelta
    /// Bits per second; the size of an audio frame follows from it too.
    var bitrate: Int
    /// Whether the bitrate follows what congestion control says.
    var obeysTarget = false
    var isPaused = false
    /// Orientation of the picture of an index.
    var quarterTurns: (Int) -> UInt8 = { _ in 0 }
    private(set) var next: Instant?
    private(set) var sent = 0
    private(set) var keyframesSent = 0
    private(set) var isKeyframeDue = true
    private(set) var refusals: [String: Int] = [:]
    private var origin = Instant.zero
    private var random: RandomSource

    init(_ kind: MediaKind, mid: String, interval: TimeDelta, bitrate: Int, random: RandomSource) {
        self.kind = kind
        self.mid = mid
        self.interval = interval
        self.bitrate = bitrate
        self.random = random
    }

    var deadline: Instant? { isPaused ? nil : next }

    mutating func start(at now: Instant) {
        guard next == nil else { return }
        origin = now
        next = now
    }

    mutating func requestKeyframe() { isKeyframeDue = true }
    mutating func refused(because reason: String) { refusals[reason, default: 0] += 1 }

    /// 40 bytes a packet: RTP header, extensions, authentication tag.
    private var headerRate: Int { Int(40 * 8 / interval.seconds) }
    var rateWithHeaders: Int { bitrate + headerRate }

    /// Takes what is left beside audio, as a publisher does.
    mutating func follow(target: Int) {
        if obeysTarget, kind == .video { bitrate = Swift.max(30_000, (target - headerRate) * 9 / 10) }
    }

    /// The frame that is due, if one is. Frames missed while paused are skipped.
    mutating func produce(at now: Instant) -> EncodedFrame? {
        guard let due = deadline, due <= now else { return nil }
        var time = due
        while time + interval <= now { time += interval }
        next = time + interval
        let rate = kind == .video ? 90_000.0 : 48_000.0
        let isKeyframe = kind == .audio || isKeyframeDue
        let mean = Double(bitrate) / 8 * interval.seconds
        var size = kind == .audio ? mean : mean * Double.random(in: 0.7...1.3, using: &random)
        if kind == .video, isKeyframe { size *= 3 }
        if isKeyframe { keyframesSent += 1 }
        isKeyframeDue = false
        defer { sent += 1 }
        return EncodedFrame(
            codec: kind == .video ? .vp8 : .opus,
            payload: Self.payload(index: sent, size: Int(size), kind: kind, isKeyframe: isKeyframe),
            timestamp: Int64(((time - origin).seconds * rate).rounded()),
            duration: kind == .audio ? Int64(interval.seconds * rate) : 0, isKeyframe: isKeyframe,
            quarterTurns: quarterTurns(sent))
    }

    static func payload(index: Int, size: Int, kind: MediaKind, isKeyframe: Bool) -> [UInt8] {
        let size = Swift.max(9, size)
        var bytes = Array(repeating: UInt8(truncatingIfNeeded: index &* 37), count: size)
        bytes[0] = kind == .audio ? 0x78 : isKeyframe ? 0x10 : 0x11
        bytes.overwrite(UInt32(truncatingIfNeeded: index), at: 1)
        bytes.overwrite(UInt32(truncatingIfNeeded: size), at: 5)
        return bytes
    }
}

/// What arrived of a synthetic track: which frames, intact or not, in order or not, and the gaps in time.
struct ReceivedTrack {
    private(set) var count = 0
    private(set) var keyframes = 0
    private(set) var damaged = 0
    private(set) var disordered = 0
    private(set) var first: Int?
    private(set) var last = -1
    private(set) var lastTimestamp: Int64?
    private(set) var firstAt: Instant?
    private(set) var lastAt: Instant?
    private(set) var longestGap = TimeDelta.zero
    /// Times without a frame for longer than a second.
    private(set) var freezes: [(at: Instant, length: TimeDelta)] = []
    /// Every byte is looked at; else a few of each frame.
    var isThorough = false

    mutating func note(_ frame: EncodedFrame, at now: Instant) {
        count += 1
        if frame.isKeyframe { keyframes += 1 }
        if let lastAt {
            longestGap = Swift.max(longestGap, now - lastAt)
            if now - lastAt > .milliseconds(1_000), freezes.count < 100 { freezes.append((lastAt, now - lastAt)) }
        }
        firstAt = firstAt ?? now
        lastAt = now
        guard let index = index(of: frame) else {
            damaged += 1
            return
        }
        if index <= last { disordered += 1 }
        if let lastTimestamp, frame.timestamp <= lastTimestamp { disordered += 1 }
        first = first ?? index
        last = Swift.max(last, index)
        lastTimestamp = frame.timestamp
    }

    /// Forgets the gaps so far, before a part that is measured alone.
    mutating func resetGaps() {
        longestGap = .zero
        freezes = []
    }

    private func index(of frame: EncodedFrame) -> Int? {
        let bytes = frame.payload
        guard bytes.count >= 9 else { return nil }
        func word(_ at: Int) -> Int { (0..<4).reduce(0) { $0 << 8 | Int(bytes[at + $1]) } }
        let index = word(1)
        let isKeyframe = bytes[0] & 1 == 0
        guard word(5) == bytes.count, frame.isKeyframe == isKeyframe else { return nil }
        let fill = UInt8(truncatingIfNeeded: index &* 37)
        if isThorough {
            guard bytes.dropFirst(9).allSatisfy({ $0 == fill }) else { return nil }
        } else if bytes.count > 9 {
            for place in [9, 9 + (bytes.count - 9) / 3, 9 + (bytes.count - 9) / 2, bytes.count - 1]
            where bytes[place] != fill { return nil }
        }
        return index
    }
}
