import Primitives

/// Extends the sequence numbers of one source and says what each packet is (RFC 3550 A.1).
///
/// The first packet is taken at once: what reaches us passed SRTP, so there is no need to see two in order before
/// believing it. A number far from the sequence is believed when the next packet follows it: then the sender began
/// anew. Numbers go on growing over such a restart.
struct SequenceTracker: Hashable, Sendable {
    enum Verdict: Hashable, Sendable {
        /// In the sequence, ahead or behind.
        case fresh(Int64)
        case duplicate(Int64)
        /// The second packet of a new sequence; the first one is lost.
        case restarted(Int64)
        /// Too far away to be believed yet.
        case jump
    }

    private(set) var newest: Int64?
    private var expectedAfterJump: SequenceNumber?
    /// One bit a packet for the last `window`.
    private var seen: [UInt64]

    /// RFC 3550 A.1: MAX_DROPOUT, and the same backward, since retransmissions come late.
    private static let farthest = 3_000
    private static let window: Int64 = 4_096

    init() { seen = Array(repeating: 0, count: Int(Self.window / 64)) }

    /// - Parameter mayRestart: whether a jump can begin a new sequence; a retransmission cannot.
    mutating func receive(_ number: SequenceNumber, mayRestart: Bool) -> Verdict {
        guard let newest else {
            let sequence = Int64(number.rawValue)
            self.newest = sequence
            mark(sequence)
            return .fresh(sequence)
        }
        let step = number.distance(from: SequenceNumber(UInt16(truncatingIfNeeded: newest)))
        guard step < Self.farthest, step > -Self.farthest else {
            guard mayRestart else { return .jump }
            guard number == expectedAfterJump else {
                expectedAfterJump = number.next
                return .jump
            }
            expectedAfterJump = nil
            let sequence = ((newest >> 16) + 1) << 16 | Int64(number.rawValue)
            self.newest = sequence
            for index in seen.indices { seen[index] = 0 }
            mark(sequence)
            return .restarted(sequence)
        }
        if mayRestart { expectedAfterJump = nil }
        let sequence = newest + Int64(step)
        if step > 0 {
            for passed in (newest + 1)...sequence { clear(passed) }
            self.newest = sequence
        } else if isSeen(sequence) {
            return .duplicate(sequence)
        }
        mark(sequence)
        return .fresh(sequence)
    }

    private mutating func mark(_ sequence: Int64) { seen[word(sequence)] |= 1 << UInt64(sequence & 63) }
    private mutating func clear(_ sequence: Int64) { seen[word(sequence)] &= ~(1 << UInt64(sequence & 63)) }
    private func isSeen(_ sequence: Int64) -> Bool { seen[word(sequence)] & (1 << UInt64(sequence & 63)) != 0 }
    private func word(_ sequence: Int64) -> Int { Int((sequence & (Self.window - 1)) >> 6) }
}
