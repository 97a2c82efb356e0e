import Primitives

/// Lays stretches of sound on one line of samples and cuts it into frames of one length.
///
/// Every stretch comes with the time it belongs at. Where that is where the line ends, give or take `tolerance`, the
/// stretch is appended: containers round their timestamps, and a click is worse than a few milliseconds. A later time is
/// a gap, filled with silence (counted, not stored, so that an hour of it costs nothing); an earlier one is an overlap,
/// of which the new sound loses the part already there. A time more than a second back is a clock that was set back
/// (joined files): the sound goes on where the line ends. Where the input begins again, `align` cuts or fills the line to
/// that very sample, and what follows is taken at its word, so that loops do not drift. At the end of the input the last frame is filled up with
/// silence.
struct AudioTimeline {
    let sampleRate: Int
    let channels: Int
    let frameSamples: Int
    private let tolerance: Int64

    private enum Piece {
        case silence(Int64)
        /// Interleaved, with the samples a channel already taken.
        case sound([Float], taken: Int)
    }
    private var pieces: [Piece] = []
    private var firstPiece = 0
    /// The position of the next frame; `nil` before the first sound.
    private var position: Int64?
    /// Samples a channel that wait to be cut.
    private var waiting: Int64 = 0
    private var isFinished = false
    private var isExact = false
    /// Added to the times that come in after the input's clock was set back.
    private var correction: Int64 = 0

    init(sampleRate: Int, channels: Int, frameSamples: Int, tolerance: TimeDelta = .milliseconds(30)) {
        self.sampleRate = sampleRate
        self.channels = channels
        self.frameSamples = frameSamples
        self.tolerance = sample(atNanoseconds: tolerance.nanoseconds, rate: sampleRate)
    }

    /// Whether a frame can be taken, or the line has ended.
    var isReady: Bool { isFinished || waiting >= Int64(frameSamples) }
    var hasSound: Bool { position != nil }

    mutating func append(_ samples: [Float], at time: TimeDelta) {
        let count = channels > 0 ? samples.count / channels : 0
        guard count > 0 else { return }
        let wanted = sample(atNanoseconds: time.nanoseconds, rate: sampleRate) &+ correction
        var skip = 0
        if let position {
            let end = position &+ waiting
            let step = wanted &- end
            let tolerance = isExact ? 0 : tolerance
            isExact = false
            if step < -Int64(sampleRate) {
                correction &-= step
            } else if step > tolerance {
                pieces.append(.silence(step))
                waiting &+= step
            } else if step < -tolerance {
                skip = Int(Swift.min(-step, Int64(count)))
            }
        } else {
            // What is before time zero is not for anyone to hear.
            if wanted < 0 { skip = Int(Swift.min(-wanted, Int64(count))) }
            guard skip < count else { return }
            position = Swift.max(0, wanted)
        }
        guard skip < count else { return }
        pieces.append(.sound(samples, taken: skip))
        waiting &+= Int64(count - skip)
    }

    /// The input begins again at `time`: the line ends there, cut or filled with silence.
    mutating func align(to time: TimeDelta) {
        guard let position else { return }
        let wanted = sample(atNanoseconds: time.nanoseconds, rate: sampleRate) &+ correction
        var surplus = position &+ waiting &- wanted
        if surplus < 0 {
            pieces.append(.silence(0 &- surplus))
            waiting &-= surplus
        }
        while surplus > 0, pieces.count > firstPiece, let last = pieces.popLast() {
            switch last {
            case .silence(let count):
                let cut = Swift.min(count, surplus)
                if cut < count { pieces.append(.silence(count - cut)) }
                surplus -= cut
                waiting -= cut
            case .sound(var samples, let taken):
                let cut = Swift.min(Int64(samples.count / channels - taken), surplus)
                samples.removeLast(Int(cut) * channels)
                if samples.count / channels > taken { pieces.append(.sound(samples, taken: taken)) }
                surplus -= cut
                waiting -= cut
            }
        }
        isExact = true
    }

    /// No more sound comes.
    mutating func finish() { isFinished = true }

    mutating func next() -> (position: Int64, samples: [Float])? {
        guard let position, waiting >= Int64(frameSamples) || (isFinished && waiting > 0) else { return nil }
        var frame: [Float] = []
        frame.reserveCapacity(frameSamples * channels)
        var missing = frameSamples
        while missing > 0, firstPiece < pieces.count {
            switch pieces[firstPiece] {
            case .silence(let count):
                let part = Int(Swift.min(count, Int64(missing)))
                frame.append(contentsOf: repeatElement(0, count: part * channels))
                missing -= part
                waiting -= Int64(part)
                pieces[firstPiece] = .silence(count - Int64(part))
                if Int64(part) == count { dropPiece() }
            case .sound(let samples, let taken):
                let part = Swift.min(samples.count / channels - taken, missing)
                frame.append(contentsOf: samples[taken * channels..<(taken + part) * channels])
                missing -= part
                waiting -= Int64(part)
                if (taken + part) * channels + channels > samples.count {
                    dropPiece()
                } else {
                    pieces[firstPiece] = .sound(samples, taken: taken + part)
                }
            }
        }
        if missing > 0 { frame.append(contentsOf: repeatElement(0, count: missing * channels)) }
        self.position = position &+ Int64(frameSamples)
        return (position, frame)
    }

    private mutating func dropPiece() {
        pieces[firstPiece] = .silence(0)
        firstPiece += 1
        if firstPiece >= 64 || firstPiece == pieces.count {
            pieces.removeFirst(firstPiece)
            firstPiece = 0
        }
    }
}
