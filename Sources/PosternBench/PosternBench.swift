import DTLSSRTP
import Glibc
import PeerIO
import Primitives

/// Costs per packet on this machine, as a table. `Scripts/bench` runs it; `cost` alone prints allocations and fails when
/// they are over the limits of `CostLimits`; `soak` is the call of a day of `Scripts/soak`.
@main struct PosternBench {
    static func main() async throws {
        // As the postern program does: without it, half of what is measured is the kernel's page faults.
        PacketMemory.keepFreed()
        switch CommandLine.arguments.dropFirst().first {
        case "cost": try cost()
        case "soak": try soak()
        case "packets": try packets()
        case "sockets": try await sockets()
        case nil:
            try packets()
            try await sockets()
        case let other?:
            print("usage: PosternBench [packets|sockets|cost|soak [hours] [leak] [relay]]; not \(other)")
        }
    }

    static let rounds = 5

    static func packets() throws {
        section("RTP header, 1,200-byte packet with three extensions; ns a packet")
        let parses = (0..<rounds).map { _ in ParseCost.header() }
        row("parse", parses.map(\.parse))
        row("parse and find one extension", parses.map(\.parseAndFind))

        section("SRTP, 1,200-byte packets; ns a packet, protect / unprotect")
        for profile in SRTPProfile.preferred {
            var ours: [TransformCost] = []
            var libsrtp: [TransformCost] = []
            var bare: [TransformCost] = []
            var bareLibSRTP: [TransformCost] = []
            // Taken in turns, so that a slow second of the machine hits all of them.
            for _ in 0..<rounds {
                ours.append(try .session(profile, .automatic, packets: 4_000, length: 1_200))
                libsrtp.append(try .session(profile, .libsrtp2, packets: 4_000, length: 1_200))
                bareLibSRTP.append(.bareLibSRTP(profile, packets: 4_000, length: 1_200))
                bare.append(.bareOpenSSL(profile, packets: 4_000, length: 1_200))
            }
            row("\(profile): SRTPSession", ours)
            row("  bare OpenSSL EVP loop in C", bare)
            row("  SRTPSession over libsrtp2", libsrtp)
            row("  bare libsrtp2 loop in C", bareLibSRTP)
        }

        section("the whole engine, 16-packet VP8 frames of 1,200-byte packets, AES-128-GCM; ns a media packet")
        let costs = try (0..<rounds).map { _ in try EngineCost() }
        row("outbound: packetise, pace, stamp, protect", costs.map { $0.nanoseconds($0.outbound) })
        row("  and the other side's feedback", costs.map { $0.nanoseconds($0.outboundFeedback) })
        row("inbound: copy, unprotect, route, reassemble", costs.map { $0.nanoseconds($0.inbound) })
        row("  and the feedback it makes", costs.map { $0.nanoseconds($0.inboundFeedback) })
        allocations(costs[0])

        section("the same through a TURN server, whose own work is not counted; ns a media packet")
        for (form, name) in [
            (RelayedBench.Form.channelData, "ChannelData"), (.indications, "Send and Data indications"),
        ] {
            // Beside the direct path in turns, so that a slow second of the machine hits both.
            var relayed: [EngineCost] = []
            var beside: [EngineCost] = []
            for _ in 0..<rounds {
                relayed.append(try EngineCost(relay: RelayedBench(form)))
                beside.append(try EngineCost())
            }
            row("outbound, \(name)", relayed.map { $0.nanoseconds($0.outbound) })
            row("  direct", beside.map { $0.nanoseconds($0.outbound) })
            row("inbound, \(name)", relayed.map { $0.nanoseconds($0.inbound) })
            row("  direct", beside.map { $0.nanoseconds($0.inbound) })
            allocations(relayed[0], beside: beside[0])
        }
    }

    static func sockets() async throws {
        section("UDP over loopback, 1,200 bytes, bursts of 16; ns of processor a datagram, send / receive")
        for segmenting in [true, false] {
            var costs: [SocketCost] = []
            for _ in 0..<3 { costs.append(try await SocketCost.measure(segmenting: segmenting)) }
            row(
                segmenting ? "with GSO and GRO" : "without",
                costs.map { TransformCost(protect: $0.send, unprotect: $0.receive) })
            print("    datagrams a system call: \(short(costs[0].perSend)) / \(short(costs[0].perReceive))")
        }

        section("two peer connections over loopback, frames of 16 packets each 4 ms; a packet, sender / receiver")
        var costs: [ConnectionCost] = []
        for _ in 0..<3 { costs.append(try await ConnectionCost.measure()) }
        row(
            "ns of processor of the loop's thread",
            costs.map { TransformCost(protect: $0.sendNanoseconds, unprotect: $0.receiveNanoseconds) })
        row(
            "allocations of the loop's thread",
            costs.map { TransformCost(protect: $0.sendAllocations, unprotect: $0.receiveAllocations) })
        print("    packets \(costs[0].packets), frames that did not come \(costs.map(\.framesLost))")
    }

    private static func soak() throws {
        let arguments = CommandLine.arguments.dropFirst(2)
        let hours = arguments.lazy.compactMap { Int($0) }.first ?? 24
        let soak = Soak(
            hours: max(1, hours), leaks: arguments.contains("leak"), isRelayed: arguments.contains("relay"), seed: 1)
        if try !soak.run() { exit(1) }
    }

    static func cost() throws {
        let cost = try EngineCost()
        allocations(cost)
        var problems = CostLimits.current.breaches(of: cost)
        for form in RelayedBench.Form.allCases {
            let relayed = try EngineCost(relay: RelayedBench(form))
            print("\nthrough a TURN server, \(form)")
            allocations(relayed)
            problems += CostLimits.relayed(form).breaches(of: relayed).map { "\(form), \($0)" }
        }
        for problem in problems { print("over the limit: \(problem)") }
        if !problems.isEmpty { exit(1) }
    }

    private static func allocations(_ cost: EngineCost, beside direct: EngineCost) {
        let ours = [cost.allocations(cost.outbound), cost.allocations(cost.inbound)].map(short)
        let theirs = [direct.allocations(direct.outbound), direct.allocations(direct.inbound)].map(short)
        print("    allocations a packet, out / in: \(ours[0]) / \(ours[1]); direct \(theirs[0]) / \(theirs[1])")
    }

    private static func allocations(_ cost: EngineCost) {
        section("allocations a media packet, \(cost.packets) packets, \(cost.frames) frames")
        print("    outbound \(short(cost.allocations(cost.outbound))), \(short(cost.bytes(cost.outbound))) bytes")
        print("      and the other side's feedback \(short(cost.allocations(cost.outboundFeedback)))")
        print(
            "    inbound \(short(cost.allocations(cost.inbound))), \(short(cost.bytes(cost.inbound))) bytes;"
                + " 1 allocation is the read's")
        print("      and the feedback it makes \(short(cost.allocations(cost.inboundFeedback)))")
    }
}

private func section(_ title: String) { print("\n\(title)") }

private func row(_ name: String, _ values: [Double]) {
    print(
        "  \(padded(name, 46)) \(padded(short(values.median), 8)) (\(short(values.min() ?? 0))–\(short(values.max() ?? 0)))"
    )
}

private func row(_ name: String, _ costs: [TransformCost]) {
    let (protect, unprotect) = (costs.map(\.protect), costs.map(\.unprotect))
    print(
        "  \(padded(name, 46)) \(padded(short(protect.median) + " / " + short(unprotect.median), 14))"
            + " (\(short(protect.min() ?? 0))–\(short(protect.max() ?? 0))"
            + " / \(short(unprotect.min() ?? 0))–\(short(unprotect.max() ?? 0)))")
}

private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

/// Two decimals below 10, one below 100, none above.
private func short(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    if abs(value) >= 100 { return "\(Int(value.rounded()))" }
    if abs(value) >= 10 { return "\((value * 10).rounded() / 10)" }
    return "\((value * 100).rounded() / 100)"
}
