import Primitives

/// Puts VP8 frames together from packets and gives them out in decoding order (RFC 7741 §4).
///
/// A frame is the packets from one that begins a frame to the one with the marker, all of one timestamp; where a marker
/// is missing, the next beginning ends it. Frames follow each other without a gap in the sequence numbers, so a frame
/// whose packets are all here is decodable as soon as it is complete, and leaves at once.
///
///     awaitingKeyframe ──keyframe complete──▶ flowing ──gap given up, malformed, restart──▶ awaitingKeyframe
///
/// While a keyframe is awaited the ring holds what comes, since the packets of a keyframe may overtake its first one.
/// `head` is the first packet of the frame in work: while awaiting, of the keyframe that is hoped for (`nil` without
/// one); while flowing, always set. `scan` runs over the packets that are here; each packet is looked at once.
///
/// The assembler is stuck when the packet at `scan` is missing and a later one is here. How long it stays so is its
/// owner's decision; `giveUp()` goes on with the next keyframe.
struct VideoFrameAssembler: Sendable {
    enum Insertion: Hashable { case stored, late, overflow }
    enum Phase: Hashable { case awaitingKeyframe, flowing }

    struct Frame: Hashable, Sendable {
        var payload: [UInt8]
        var codec: Codec
        var timestamp: Int64
        var isKeyframe: Bool
        var firstArrival: Instant
        var lastArrival: Instant
        var followsLoss: Bool
        /// What its packets said of its orientation; `nil` leaves it as it was.
        var quarterTurns: UInt8?
        var header: VP8FrameHeader?
    }

    private(set) var phase = Phase.awaitingKeyframe
    private(set) var head: Int64?
    private var scan: Int64 = 0
    /// Numbers below are of no use any more.
    private var floor: Int64 = .min
    private var newest: Int64 = .min
    private var ring: PacketRing
    private var followsLoss = false
    /// Frames of which packets came and that were not given out.
    private(set) var framesDropped: UInt64 = 0
    /// Set when a packet made no sense; the owner takes it.
    var sawMalformed = false

    init(capacity: Int, maximumBytes: Int) { ring = PacketRing(capacity: capacity, maximumBytes: maximumBytes) }

    var count: Int { ring.count }

    /// The number the assembler is stuck at.
    var missing: Int64? { head != nil && newest > scan && ring[scan] == nil ? scan : nil }

    mutating func insert(_ entry: PacketRing.Entry, packet: [UInt8]) -> Insertion {
        let sequence = entry.sequence
        if sequence < Swift.max(floor, head ?? .min) { return .late }
        if let head, sequence - head >= ring.capacity { return .overflow }
        guard ring.insert(entry, packet: packet) else { return .overflow }
        newest = Swift.max(newest, sequence)
        if head == nil { floor = Swift.max(floor, newest - ring.capacity + 1) }
        if head == nil, entry.flags.contains([.startsFrame, .keyframe]) { advance(to: sequence) }
        return .stored
    }

    /// The next frame, if it is complete. Call until `nil`.
    mutating func nextFrame() -> Frame? {
        while let head, let entry = ring[scan] {
            if entry.flags.contains(.malformed) {
                sawMalformed = true
                giveUp()
                continue
            }
            if scan == head {
                if entry.flags.contains(.filler) {
                    ring.remove(scan)
                    advance(to: scan + 1)
                    continue
                }
                guard entry.flags.contains(.startsFrame) else {
                    sawMalformed = true
                    giveUp()
                    continue
                }
            } else if !entry.flags.contains(.filler), let first = ring[head], entry.timestamp != first.timestamp {
                return take(head..<scan)
            }
            if entry.flags.contains(.marker), !entry.flags.contains(.filler) { return take(head..<scan + 1) }
            scan += 1
        }
        return nil
    }

    /// Gives up the frame in work and all before the next keyframe there is.
    /// - Returns: how many missing packets were given up.
    @discardableResult
    mutating func giveUp() -> Int {
        phase = .awaitingKeyframe
        followsLoss = true
        guard let head else { return 0 }
        var missing = 0
        var sequence = scan
        self.head = nil
        while sequence < newest {
            if ring[sequence] == nil { missing += 1 }
            sequence += 1
            if sequence > head, let entry = ring[sequence], entry.flags.contains([.startsFrame, .keyframe]) {
                purge(from: head, below: sequence)
                advance(to: sequence)
                return missing
            }
        }
        // Nothing to go on with yet. What came behind the gap may belong to a keyframe whose beginning is on its way.
        purge(from: head, below: scan + 1)
        floor = scan + 1
        return missing
    }

    /// Drops everything; the next keyframe from `sequence` on begins anew.
    mutating func restart(at sequence: Int64) {
        if ring.count > 0 { framesDropped += 1 }
        ring.removeAll()
        phase = .awaitingKeyframe
        head = nil
        floor = sequence
        newest = .min
        followsLoss = true
    }

    private mutating func advance(to sequence: Int64) {
        head = sequence
        scan = sequence
        floor = sequence
    }

    private mutating func purge(from first: Int64, below end: Int64) {
        var last: Int64?
        for sequence in first..<Swift.max(first, end) {
            guard let entry = ring[sequence] else { continue }
            if !entry.flags.contains(.filler), entry.timestamp != last {
                framesDropped += 1
                last = entry.timestamp
            }
            ring.remove(sequence)
        }
    }

    private mutating func take(_ range: Range<Int64>) -> Frame? {
        guard let first = ring[range.lowerBound] else { return nil }
        var size = 0
        var firstArrival = first.arrival
        var lastArrival = first.arrival
        var quarterTurns: UInt8?
        for sequence in range {
            guard let entry = ring[sequence] else { continue }
            firstArrival = Swift.min(firstArrival, entry.arrival)
            lastArrival = Swift.max(lastArrival, entry.arrival)
            quarterTurns = entry.quarterTurns ?? quarterTurns
            if !entry.flags.contains(.filler) { size += entry.data.count }
        }
        let isKeyframe = first.flags.contains(.keyframe)
        let header = isKeyframe ? VP8FrameHeader(parsing: ring.packet(range.lowerBound), in: first.data) : nil
        var payload: [UInt8] = []
        payload.reserveCapacity(size)
        for sequence in range {
            if let entry = ring[sequence], !entry.flags.contains(.filler) { ring.append(sequence, to: &payload) }
            ring.remove(sequence)
        }
        defer { followsLoss = false }
        phase = .flowing
        advance(to: range.upperBound)
        return Frame(
            payload: payload, codec: first.codec, timestamp: first.timestamp, isKeyframe: isKeyframe,
            firstArrival: firstArrival, lastArrival: lastArrival, followsLoss: followsLoss,
            quarterTurns: quarterTurns, header: header)
    }
}
