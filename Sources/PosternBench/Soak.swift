import CMeasure
import Glibc
import ICE
import Primitives

/// `PosternBench soak`: a call of many virtual hours whose memory must not know how long it is.
///
/// Memory is read after each virtual hour, twice: what the process holds resident, and what of it the allocator has given
/// out, which a small leak cannot hide in. The first hours fill rings, windows and tables; from then on it may move by a
/// bound, and no more. `relay` holds the call through a TURN server. `leak` is the negative twin: it keeps one datagram in so many, and the run must fail.
struct Soak {
    /// Rings and windows are full by then.
    static let warmUpHours = 2
    /// Several times what is seen to come and go, and less than one datagram kept in two hundred grows to in an hour.
    static let residentBound = 4 << 20
    static let allocatedBound = 1 << 20
    static let leakedEach = 200

    var hours: Int
    var leaks: Bool
    /// Through a TURN server alone, whose nonces last a minute.
    var isRelayed: Bool
    var seed: UInt64

    private struct Memory {
        var resident: Int
        var allocated: Int

        init() {
            resident = Int(measure_resident_bytes())
            allocated = Int(measure_bytes_in_use())
        }
    }

    /// Whether it held.
    func run() throws -> Bool {
        let network = "rtt=60ms,loss=1%,jitter=10ms"
        print(
            "\(hours) virtual hours of audio (50 packets/s) and video (30 frames/s) both ways over \(network), seed \(seed)"
                + (isRelayed ? ", both through a TURN server whose nonces last a minute" : "")
                + (leaks ? "; one datagram in \(Self.leakedEach) is leaked on purpose" : ""))
        print("  hour   processor s   datagrams   resident KiB   allocated KiB   frames received")
        let began = measure_thread_nanoseconds()
        var call = try SoakCall(network: network, isRelayed: isRelayed, seed: seed)
        call.leaksEach = leaks ? Self.leakedEach : nil
        var first: Memory?
        var worst = (resident: 0, allocated: 0)
        for hour in 1...hours {
            call.run(until: .zero + .seconds(3_600) * Int64(hour))
            let memory = Memory()
            let frames = call.sides.flatMap(\.tracks).reduce(0) { $0 + $1.received }
            print(
                [
                    column(hour, 6), column(Int((measure_thread_nanoseconds() - began) / 1_000_000_000), 14),
                    column(call.datagrams, 12), column(memory.resident >> 10, 15), column(memory.allocated >> 10, 16),
                    column(frames, 18),
                ].joined())
            fflush(nil)
            if hour == min(Self.warmUpHours, hours) { first = memory }
            if let first {
                worst.resident = max(worst.resident, memory.resident - first.resident)
                worst.allocated = max(worst.allocated, memory.allocated - first.allocated)
            }
        }
        print(
            "since hour \(min(Self.warmUpHours, hours)) resident grew by \(worst.resident >> 10) KiB at most"
                + " (bound \(Self.residentBound >> 10)), allocated by \(worst.allocated >> 10) KiB"
                + " (bound \(Self.allocatedBound >> 10))")
        let problems = problems(of: call, grown: worst)
        for problem in problems { print("FAILED: \(problem)") }
        if problems.isEmpty { print("memory is flat, the call stood, the media came") }
        return problems.isEmpty
    }

    private func problems(of call: SoakCall, grown: (resident: Int, allocated: Int)) -> [String] {
        var problems: [String] = []
        if grown.resident > Self.residentBound {
            problems.append("resident memory grew by \(grown.resident >> 10) KiB")
        }
        if grown.allocated > Self.allocatedBound {
            problems.append("allocated memory grew by \(grown.allocated >> 10) KiB")
        }
        for (index, side) in call.sides.enumerated() {
            let name = index == 0 ? "the offerer" : "the answerer"
            if side.wasEverLost { problems.append("\(name)'s connection was interrupted") }
            for (mine, theirs) in zip(side.tracks, call.sides[1 - index].tracks) {
                let share = Double(mine.received) / Double(max(1, theirs.sent))
                print(
                    "  \(name) received \(mine.received) of \(theirs.sent) \(mine.kind) frames, longest gap"
                        + " \(Int(mine.longestGap.seconds * 1_000)) ms")
                if share < 0.995 { problems.append("\(name) received \(share * 100) % of the \(mine.kind)") }
                if mine.wrong > 0 {
                    problems.append("\(name): \(mine.wrong) \(mine.kind) frames damaged or out of order")
                }
                if mine.longestGap > .seconds(2) { problems.append("\(name)'s \(mine.kind) stalled") }
            }
        }
        if let counters = call.relay?.server.counters {
            func requests(_ method: STUNMessage.Method) -> Int { counters.requests[method.rawValue] ?? 0 }
            print(
                "  the server answered \(requests(.refresh)) Refresh, \(requests(.createPermission)) CreatePermission,"
                    + " \(requests(.channelBind)) ChannelBind, \(counters.errors[438] ?? 0) of them with 438; relayed"
                    + " \(counters.channelData) ChannelData, \(counters.sendIndications) Send indications")
            // Set-up may send a check before its permission is there; a permission that ran out would cost thousands.
            if counters.expired > 0 || counters.droppedFromClients > 20 || requests(.allocate) > 8 {
                problems.append("an allocation, a permission or a channel was not kept: \(counters)")
            }
        }
        return problems
    }

    private func column(_ value: Int, _ width: Int) -> String {
        let text = "\(value)"
        return String(repeating: " ", count: max(1, width - text.count)) + text
    }
}
