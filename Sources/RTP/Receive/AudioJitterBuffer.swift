import Primitives

/// Puts audio packets in order. One packet is one frame, so a packet in its turn leaves at once: the buffer adds no
/// delay of its own, and playing out evenly is the sink's affair.
///
/// The buffer is stuck when the packet in turn is missing and a later one is here. How long it stays so is its owner's
/// decision; `skip()` goes on with the next packet there is, and the frame says that it follows a loss. A timestamp that
/// jumps while the numbers do not is silence (DTX), and passes.
struct AudioJitterBuffer: Sendable {
    enum Insertion: Hashable { case stored, late, overflow }

    struct Frame: Hashable, Sendable {
        var entry: PacketRing.Entry
        var payload: [UInt8]
        var followsLoss: Bool
    }

    private var ring: PacketRing
    private(set) var next: Int64?
    private var newest: Int64 = .min
    private var followsLoss = false

    init(capacity: Int, maximumBytes: Int) { ring = PacketRing(capacity: capacity, maximumBytes: maximumBytes) }

    var count: Int { ring.count }

    /// The number the buffer is stuck at.
    var missing: Int64? {
        guard let next, newest >= next, ring.count > 0, ring[next] == nil else { return nil }
        return next
    }

    mutating func insert(_ entry: PacketRing.Entry, packet: [UInt8]) -> Insertion {
        let next = next ?? entry.sequence
        self.next = next
        if entry.sequence < next { return .late }
        guard entry.sequence - next < ring.capacity else { return .overflow }
        guard ring.insert(entry, packet: packet) else { return .overflow }
        newest = Swift.max(newest, entry.sequence)
        return .stored
    }

    /// The packet in turn, if it is here. Call until `nil`.
    mutating func nextFrame() -> Frame? {
        while let next, let entry = ring[next] {
            self.next = next + 1
            defer { ring.remove(next) }
            if !entry.flags.isDisjoint(with: [.filler, .malformed]) { continue }
            var payload: [UInt8] = []
            payload.reserveCapacity(entry.data.count)
            ring.append(next, to: &payload)
            defer { followsLoss = false }
            return Frame(entry: entry, payload: payload, followsLoss: followsLoss)
        }
        return nil
    }

    /// Gives up what is missing up to the next packet there is.
    /// - Returns: how many numbers were skipped.
    mutating func skip() -> Int {
        guard let missing else { return 0 }
        var sequence = missing
        while sequence < newest, ring[sequence] == nil { sequence += 1 }
        next = sequence
        followsLoss = true
        return Int(sequence - missing)
    }

    /// Goes on at a number, whatever is held.
    mutating func restart(at sequence: Int64) {
        ring.removeAll()
        next = sequence
        newest = .min
        followsLoss = true
    }
}
