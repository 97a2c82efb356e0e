import Primitives

/// What a sent packet is made of. The payload is a part of the frame it came from, shared with it: keeping a packet
/// copies nothing.
struct SentPacket: Sendable {
    /// Unwrapped.
    var sequence: Int64
    var timestamp: RTPTimestamp
    var payloadType: UInt8
    var marker: Bool
    // Small things here, where they take no room: a history is made of a thousand of these.
    /// Goes into the packet whenever it is sent; `nil`: the header without it.
    var audioLevel: UInt8?
    /// Bytes before the payload that are not in the frame: the VP8 descriptor.
    var descriptor: UInt32?
    /// The picture's, in every packet that is sent again.
    var quarterTurns: UInt8 = 0
    var frame: [UInt8]
    var range: Range<Int>
    var sentAt: Instant
    var sentAgainAt: Instant?
    var timesSentAgain = 0

    var payloadLength: Int { range.count + (descriptor == nil ? 0 : 4) }
}

/// The last packets of a stream, for those who missed them. Bounded by count and by age.
struct SendHistory: Sendable {
    private var slots: [SentPacket?] = []
    private let mask: Int64
    private let maximumAge: TimeDelta
    private(set) var newest: Int64?
    private var oldest: Int64 = 0

    init(capacity: Int, maximumAge: TimeDelta) {
        var size = 1
        while size < clamp(capacity, 1, 16_384) { size *= 2 }
        mask = Int64(size - 1)
        self.maximumAge = maximumAge
    }

    var count: Int { newest.map { Int(clamp($0 - oldest + 1, 0, mask + 1)) } ?? 0 }

    /// Packets come in the order of their numbers, without gaps.
    mutating func append(_ packet: SentPacket) {
        if slots.isEmpty { slots = Array(repeating: nil, count: Int(mask) + 1) }
        if newest == nil { oldest = packet.sequence }
        slots[Int(packet.sequence & mask)] = packet
        newest = packet.sequence
        oldest = Swift.max(oldest, packet.sequence - mask)
        forget(at: packet.sentAt)
    }

    /// Gives up what is too old, so that an idle stream does not keep its frames.
    private mutating func forget(at now: Instant) {
        guard let newest else { return }
        while oldest < newest {
            let slot = Int(oldest & mask)
            if let packet = slots[slot], packet.sequence == oldest, now - packet.sentAt <= maximumAge { return }
            slots[slot] = nil
            oldest += 1
        }
    }

    /// Takes note that a packet is sent again, if it is still here, young enough, and was not sent again within
    /// `interval`.
    mutating func again(_ number: SequenceNumber, at now: Instant, interval: TimeDelta) -> SentPacket? {
        guard let newest else { return nil }
        let step = number.distance(from: SequenceNumber(UInt16(truncatingIfNeeded: newest)))
        let sequence = newest + Int64(step)
        guard step <= 0, sequence >= oldest else { return nil }
        let slot = Int(sequence & mask)
        guard let packet = slots[slot], packet.sequence == sequence, now - packet.sentAt <= maximumAge else {
            return nil
        }
        if let last = packet.sentAgainAt, now - last < interval { return nil }
        slots[slot]?.sentAgainAt = now
        slots[slot]?.timesSentAgain += 1
        return packet
    }

    /// The newest packet with at least `minimum` bytes among the last 16: worth sending again as a probe.
    func probe(minimum: Int) -> SentPacket? {
        guard let newest else { return nil }
        for sequence in stride(from: newest, through: Swift.max(oldest, newest - 15), by: -1) {
            if let packet = slots[Int(sequence & mask)], packet.sequence == sequence, packet.payloadLength >= minimum {
                return packet
            }
        }
        return nil
    }
}
