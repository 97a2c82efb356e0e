import Primitives

/// Groups packets that left within 5 ms and compares the distances between groups at the sender and at the receiver.
///
/// Packets that the network let go in one burst belong to one group, too: they say something about the burst, not about the
/// queue (draft-ietf-rmcat-gcc-02 §5.1, §5.2).
struct InterArrival: Sendable {
    struct Deltas {
        var send: TimeDelta
        var arrival: TimeDelta
    }
    private struct Group {
        var firstSent: Instant
        var lastSent: Instant
        var firstArrival: Instant
        var lastArrival: Instant
    }
    private var current: Group?
    private var previous: Group?
    private var reordered = 0

    /// The distances between the two groups before this packet's, when it begins a new one.
    mutating func receive(sent: Instant, arrival: Instant) -> Deltas? {
        guard var group = current else {
            current = Group(firstSent: sent, lastSent: sent, firstArrival: arrival, lastArrival: arrival)
            return nil
        }
        guard sent >= group.firstSent else { return nil }
        guard beginsGroup(sent: sent, arrival: arrival, after: group) else {
            group.lastSent = Swift.max(group.lastSent, sent)
            group.lastArrival = arrival
            current = group
            return nil
        }
        var deltas: Deltas?
        if let previous {
            let candidate = Deltas(
                send: group.lastSent - previous.lastSent, arrival: group.lastArrival - previous.lastArrival)
            if candidate.arrival - candidate.send >= .milliseconds(3_000) || candidate.arrival < .zero && reordered >= 2
            {
                // The receiver's clock was set, or packets were held for seconds: nothing to compare with.
                self = InterArrival()
                return nil
            }
            if candidate.arrival < .zero {
                reordered += 1
            } else {
                reordered = 0
                deltas = candidate
            }
        }
        previous = group
        current = Group(firstSent: sent, lastSent: sent, firstArrival: arrival, lastArrival: arrival)
        return deltas
    }

    private func beginsGroup(sent: Instant, arrival: Instant, after group: Group) -> Bool {
        let sendDelta = sent - group.lastSent
        let arrivalDelta = arrival - group.lastArrival
        if sendDelta == .zero { return false }
        let isBurst =
            arrivalDelta < sendDelta && arrivalDelta <= .milliseconds(5)
            && arrival - group.firstArrival < .milliseconds(100)
        return !isBurst && sent - group.firstSent > .milliseconds(5)
    }
}
