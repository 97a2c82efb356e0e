import Primitives

/// What became of one packet, from the feedback about it.
public struct PacketResult: Hashable, Sendable {
    /// The transport-wide sequence number, unwrapped.
    public var sequence: Int64
    public var bytes: Int
    public var sentAt: Instant
    /// On the receiver's clock, unwrapped; `nil` for a packet that did not come. Only differences mean something.
    public var arrival: Instant?
    /// The probe it was part of.
    public var probe: Int?

    public init(sequence: Int64, bytes: Int, sentAt: Instant, arrival: Instant?, probe: Int? = nil) {
        self.sequence = sequence
        self.bytes = bytes
        self.sentAt = sentAt
        self.arrival = arrival
        self.probe = probe
    }
}

/// The packets sent with a transport-wide sequence number, until feedback tells of them.
///
/// A ring: a packet older than `capacity` packets is forgotten, and feedback about it is passed over.
public struct SendHistory: Sendable {
    private enum State: UInt8 {
        case empty, inFlight, lost, received
    }
    private struct Entry {
        var sequence: Int64 = -1
        var sentAt = Instant.zero
        var bytes: Int32 = 0
        var probe: Int32 = -1
        var state = State.empty
    }

    private var ring: [Entry] = []
    private let mask: Int64
    private var next: Int64 = 1
    private var lastArrival: Int64?
    /// Bytes of packets that no feedback has told of.
    public private(set) var bytesInFlight = 0

    /// - Parameter capacity: rounded up to a power of two, at most 32,768 (half the sequence space).
    public init(capacity: Int = 8_192) {
        var size = 16
        while size < capacity, size < 32_768 { size *= 2 }
        mask = Int64(size - 1)
    }

    public var capacity: Int { Int(mask) + 1 }

    /// Enters a packet that leaves now and gives it its number.
    public mutating func noteSent(bytes: Int, probe: Int? = nil, at now: Instant) -> SequenceNumber {
        if ring.isEmpty { ring = Array(repeating: Entry(), count: capacity) }
        let sequence = next
        next += 1
        let index = Int(sequence & mask)
        if ring[index].state == .inFlight { bytesInFlight -= Int(ring[index].bytes) }
        ring[index] = Entry(
            sequence: sequence, sentAt: now, bytes: Int32(clamping: bytes), probe: Int32(clamping: probe ?? -1),
            state: .inFlight)
        bytesInFlight += Int(ring[index].bytes)
        return SequenceNumber(UInt16(truncatingIfNeeded: sequence))
    }

    /// Takes one packet of a feedback. Appends a result the first time it is said to be lost and the first time it is
    /// said to have come; what is unknown or was said before is passed over.
    ///
    /// - Parameter arrival: on the receiver's clock, modulo 2²⁴ × 64 ms, as transport-wide feedback carries it.
    public mutating func acknowledge(
        _ number: SequenceNumber, arrival: TimeDelta?, into results: inout [PacketResult]
    ) {
        guard !ring.isEmpty else { return }
        let sequence = next + Int64(number.distance(from: SequenceNumber(UInt16(truncatingIfNeeded: next))))
        guard sequence >= 0 else { return }
        let index = Int(sequence & mask)
        let entry = ring[index]
        guard entry.sequence == sequence, entry.state != .received, arrival != nil || entry.state == .inFlight else {
            return
        }
        if entry.state == .inFlight { bytesInFlight -= Int(entry.bytes) }
        ring[index].state = arrival == nil ? .lost : .received
        results.append(
            PacketResult(
                sequence: sequence, bytes: Int(entry.bytes), sentAt: entry.sentAt, arrival: arrival.map { unwrap($0) },
                probe: entry.probe < 0 ? nil : Int(entry.probe)))
    }

    /// Puts a wrapped arrival next to the last one, the shorter way round.
    private mutating func unwrap(_ arrival: TimeDelta) -> Instant {
        let period: Int64 = (1 << 24) * 64_000_000
        guard let last = lastArrival else {
            lastArrival = arrival.nanoseconds
            return Instant(nanoseconds: arrival.nanoseconds)
        }
        var step = (arrival.nanoseconds &- last) % period
        if step >= period / 2 { step -= period }
        if step < -period / 2 { step += period }
        let value = last &+ step
        lastArrival = value
        return Instant(nanoseconds: value)
    }
}
