import Primitives

/// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1): which packets came, and when.
///
/// Times are in ticks of 250 µs: the first received packet counts from `referenceTime`, each later one from the one
/// before it.
public struct TransportFeedback: Hashable, Sendable {
    public var senderSSRC: SSRC
    public var mediaSSRC: SSRC
    /// Number of the first packet in `deltas`.
    public var baseSequence: SequenceNumber
    /// In units of 64 ms; 24 bits, signed.
    public var referenceTime: Int32
    /// Counts the feedback packets, modulo 256.
    public var feedbackCount: UInt8
    /// One a packet from `baseSequence` on: ticks of 250 µs, or `nil` for a packet that did not come.
    public var deltas: [Int16?]

    /// The most packets one feedback may speak of; more is refused (invariant 5).
    public static let maximumPackets = 8_192

    public init(
        senderSSRC: SSRC, mediaSSRC: SSRC, baseSequence: SequenceNumber, referenceTime: Int32, feedbackCount: UInt8,
        deltas: [Int16?]
    ) {
        self.senderSSRC = senderSSRC
        self.mediaSSRC = mediaSSRC
        self.baseSequence = baseSequence
        self.referenceTime = referenceTime
        self.feedbackCount = feedbackCount
        self.deltas = deltas
    }

    /// Every packet with its arrival on the receiver's clock, modulo 2²⁴ × 64 ms, or `nil` if it did not come.
    @inlinable public func forEachPacket(_ body: (SequenceNumber, TimeDelta?) -> Void) {
        var ticks = Int64(referenceTime) * 256
        var number = baseSequence
        for delta in deltas {
            if let delta {
                ticks += Int64(delta)
                body(number, .microseconds(ticks * 250))
            } else {
                body(number, nil)
            }
            number = number.next
        }
    }
}

/// A packet with a transport-wide sequence number that came.
public struct TransportArrival: Hashable, Sendable {
    /// Unwrapped.
    public var sequence: Int64
    public var at: Instant

    @inlinable public init(sequence: Int64, at: Instant) {
        self.sequence = sequence
        self.at = at
    }
}

extension TransportFeedback {
    /// A feedback for as many arrivals as fit one packet.
    ///
    /// - Parameters:
    ///   - base: the first sequence number to speak of: the one after the last feedback's last, so that losses between
    ///     are reported. Arrivals before it are passed over.
    ///   - arrivals: in order of their sequence numbers, without duplicates.
    ///   - maximumPackets: the most packets to speak of.
    /// - Returns: the feedback, how many arrivals it took, and the base of the next one; `nil` without arrivals.
    public static func make(
        senderSSRC: SSRC, mediaSSRC: SSRC, feedbackCount: UInt8, base: Int64, arrivals: ArraySlice<TransportArrival>,
        maximumPackets: Int = 1_024
    ) -> (feedback: TransportFeedback, taken: Int, nextBase: Int64)? {
        guard let firstIndex = arrivals.firstIndex(where: { $0.sequence >= base }) else { return nil }
        let limit = Int64(clamp(maximumPackets, 1, Self.maximumPackets))
        let first = arrivals[firstIndex]
        // A hole wider than a feedback can hold is not worth a report of its own: begin at what came.
        let start = first.sequence - base < limit ? base : first.sequence
        let firstTicks = floorDivide(first.at.nanoseconds, 250_000)
        let reference = floorDivide(firstTicks, 256)
        var ticks = reference * 256
        var deltas: [Int16?] = []
        deltas.reserveCapacity(arrivals.count)
        var taken = firstIndex - arrivals.startIndex
        var next = start
        for arrival in arrivals[firstIndex...] {
            guard arrival.sequence >= next else {
                taken += 1
                continue
            }
            let now = floorDivide(arrival.at.nanoseconds, 250_000)
            guard arrival.sequence - start < limit, let delta = Int16(exactly: now - ticks) else { break }
            while next < arrival.sequence {
                deltas.append(nil)
                next += 1
            }
            deltas.append(delta)
            ticks = now
            next += 1
            taken += 1
        }
        let feedback = TransportFeedback(
            senderSSRC: senderSSRC, mediaSSRC: mediaSSRC,
            baseSequence: SequenceNumber(UInt16(truncatingIfNeeded: start)),
            referenceTime: Int32(truncatingIfNeeded: (reference << 40) >> 40), feedbackCount: feedbackCount,
            deltas: deltas)
        return (feedback, taken, next)
    }
}

private func floorDivide(_ value: Int64, _ by: Int64) -> Int64 {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: by)
    return remainder < 0 ? quotient - 1 : quotient
}
