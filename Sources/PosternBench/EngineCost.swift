import DTLSSRTP
import Primitives

/// What the engines of a call spend on video from one to the other: 30 frames a second, each 16 packets of 1,200 bytes
/// or a little less, over a wire that loses nothing; or both by a TURN server, whose own work is not counted.
struct EngineCost {
    struct Total {
        var cost = Cost()
        var arrived = 0
        var sent = 0
    }

    /// Of the sender: packetise, pace, stamp, protect.
    private(set) var outbound = Total()
    /// Of the sender: the other's reports and feedback.
    private(set) var outboundFeedback = Total()
    /// Of the receiver: the copy out of the read buffer, unprotect, route, reassemble.
    private(set) var inbound = Total()
    /// Of the receiver: reports and feedback it makes.
    private(set) var inboundFeedback = Total()
    /// Media packets that came.
    private(set) var packets = 0
    private(set) var frames = 0

    init(
        profile: SRTPProfile = .aeadAES128GCM, relay: RelayedBench? = nil, frames: Int = 240, warmUp: Int = 90
    ) throws {
        var pair = try EnginePair(
            profile: profile, server: relay.map { relay in { relay.take($0, at: $1) } },
            configure: { relay?.configure(&$0) })
        let book = Book()
        pair.willWork = { book.meter.start() }
        pair.didWork = { book.note($0, $1, $2, $3) }
        let payload = (0..<16 * 1_150).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for number in 0..<warmUp + frames {
            if number == warmUp {
                book.totals = [:]
                pair.events.removeAll()
            }
            // The payload's bytes are made outside: they are the encoder's.
            var bytes = payload
            bytes[0] = number % 300 == 0 ? 0x10 : 0x11
            let frame = EncodedFrame(
                codec: .vp8, payload: bytes, timestamp: Int64(number) * 3_000, isKeyframe: number % 300 == 0)
            pair.send(frame, mid: "1", from: .left)
            pair.run(until: pair.now + .microseconds(33_333))
        }
        for ((side, work), total) in book.totals.map({ (($0.key.side, $0.key.work), $0.value) }) {
            switch (side, work) {
            case (.left, .sending), (.left, .timers): add(total, to: &outbound)
            case (.left, _): add(total, to: &outboundFeedback)
            case (.right, .receivingMedia): add(total, to: &inbound)
            case (.right, _): add(total, to: &inboundFeedback)
            }
        }
        packets = inbound.arrived
        for case (.right, .frame) in pair.events { self.frames += 1 }
    }

    private func add(_ total: Total, to sum: inout Total) {
        sum.cost = sum.cost + total.cost
        sum.arrived += total.arrived
        sum.sent += total.sent
    }

    func nanoseconds(_ total: Total) -> Double { Double(total.cost.nanoseconds) / Double(max(1, packets)) }
    func allocations(_ total: Total) -> Double { Double(total.cost.allocations) / Double(max(1, packets)) }
    func bytes(_ total: Total) -> Double { Double(total.cost.bytes) / Double(max(1, packets)) }

    private final class Book {
        struct Key: Hashable {
            var side: EnginePair.Side
            var work: EnginePair.Work
        }
        var meter = Meter()
        var totals: [Key: Total] = [:]

        func note(_ side: EnginePair.Side, _ work: EnginePair.Work, _ arrived: Int, _ sent: Int) {
            let cost = meter.stop()
            var total = totals[Key(side: side, work: work)] ?? Total()
            total.cost = total.cost + cost
            total.arrived += arrived
            total.sent += sent
            totals[Key(side: side, work: work)] = total
        }
    }
}
