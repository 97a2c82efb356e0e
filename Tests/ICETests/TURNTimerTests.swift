import ICE
import Primitives
import SimulatedTURN
import Testing

/// When each request of an allocation leaves, to the millisecond of virtual time, in good times and in bad ones.
///
/// The way to the server takes 20 ms, so everything that takes a round trip takes 40. The allocation stands at 0.08 s, the
/// channel is asked for at 1 s.
@Suite struct TURNTimerTests {
    private static let peer = TURNBench.peer
    private static let channel = TURNRequest.channelBind(TURNBench.peer, number: 0x4000)
    private static let permission = TURNRequest.createPermission(TURNBench.peer.ip)

    /// One of the three that are renewed, and when it first is.
    struct Renewal: CustomTestStringConvertible, Sendable {
        var request: TURNRequest
        var method: STUNMessage.Method
        var first: Int64
        var interval: Int64

        var testDescription: String { "\(request)" }
    }
    private static let renewals = [
        Renewal(request: .refresh, method: .refresh, first: 540_080, interval: 540_000),
        Renewal(request: permission, method: .createPermission, first: 241_000, interval: 240_000),
        Renewal(request: channel, method: .channelBind, first: 541_000, interval: 540_000),
    ]

    /// With an allocation and a bound channel.
    private func bound(
        client: (inout TURNAllocation.Configuration) -> Void = { _ in },
        server: (inout TURNServer.Configuration) -> Void = { _ in }
    ) throws -> TURNBench {
        let bench = try TURNBench(client: client, server: server).allocated()
        bench.act { $0.bindChannel(to: Self.peer, at: $1, into: &$2) }
        return bench
    }

    private func expectEcho(_ bench: TURNBench, _ text: String) throws {
        bench.send(text)
        try bench.run(for: .seconds(1))
        #expect(bench.echoes.last == "echo \(text)")
    }

    private func isLost(_ bench: TURNBench) -> Bool {
        bench.events.contains { if case .lost = $0.event { true } else { false } }
    }

    // MARK: Good times

    /// The lifetime a server gives, whatever is asked for, and how often it is refreshed: a minute before the end, or at
    /// half a short life. Permissions and channels have times of their own.
    @Test(
        arguments: [
            (60, nil, 30), (300, nil, 240), (600, nil, 540), (3_600, nil, 3_540), (300, 3_600, 240), (3_600, 60, 3_540),
        ] as [(Int64, Int64?, Int64)])
    func everyLifetimeIsRenewedInTimeForFourHours(_ given: Int64, _ asked: Int64?, _ every: Int64) throws {
        let bench = try bound(
            client: { $0.lifetime = asked.map { .seconds(Double($0)) } },
            server: {
                $0.defaultLifetime = .seconds(Double(given))
                $0.maximumLifetime = .seconds(Double(given))
            })
        let end: Int64 = 4 * 3_600 * 1_000
        try bench.run(until: .zero + .milliseconds(end))
        #expect(bench.client.lease?.lifetime == .seconds(Double(given)))
        #expect(bench.sends(of: .refresh) == Array(stride(from: every * 1_000 + 80, to: end, by: Int(every) * 1_000)))
        #expect(bench.sends(of: Self.permission) == Array(stride(from: 1_000, to: end, by: 240_000)))
        #expect(bench.sends(of: Self.channel) == Array(stride(from: 1_000, to: end, by: 540_000)))
        #expect(bench.server.counters.expired == 0 && bench.leases.count == 1)
        try expectEcho(bench, "after four hours")
    }

    @Test func aServerThatShortensLifetimesIsFollowedAtOnce() throws {
        let bench = try bound()
        try bench.run(until: .zero + .seconds(300))
        bench.server.configuration.defaultLifetime = .seconds(120)
        bench.server.configuration.maximumLifetime = .seconds(120)
        try bench.run(until: .zero + .seconds(700))
        bench.server.configuration.defaultLifetime = .seconds(600)
        bench.server.configuration.maximumLifetime = .seconds(600)
        try bench.run(until: .zero + .seconds(2_000))
        // The refresh of 540 s is told of the shorter life, that of 720 s of the longer one.
        #expect(bench.sends(of: .refresh).map { $0 / 1_000 } == [540, 600, 660, 720, 1_260, 1_800])
        #expect(bench.server.counters.expired == 0 && bench.leases.count == 1)
    }

    // MARK: Loss, and nonces that are stale

    @Test(arguments: renewals) func anAnswerThatIsLostCostsARepetitionAndMovesNoTimer(_ renewal: Renewal) throws {
        let bench = try bound()
        try bench.run(until: .zero + .milliseconds(renewal.first - 500))
        var swallowed = 0
        bench.onAnswer = { answer in
            guard answer.method == renewal.method, answer.messageClass == .success, swallowed == 0 else { return true }
            swallowed += 1
            return false
        }
        try bench.run(until: .zero + .milliseconds(renewal.first + renewal.interval + 1_000))
        #expect(swallowed == 1)
        // 100 ms is the shortest wait; the next renewal counts from the first sending, as the server may.
        let sends = bench.sends(of: renewal.request, since: .zero + .milliseconds(renewal.first - 500))
        #expect(sends == [renewal.first, renewal.first + 100, renewal.first + renewal.interval])
        #expect(!isLost(bench) && bench.server.counters.errors == [401: 1])
        try expectEcho(bench, "\(renewal.request)")
    }

    @Test(arguments: renewals) func aStaleNonceAtAnyRenewalCostsOneRoundTrip(_ renewal: Renewal) throws {
        // Shorter than the time between any two renewals: each of them finds it stale.
        let bench = try bound(server: { $0.nonceLifetime = .milliseconds(500) })
        try bench.run(until: .zero + .seconds(3_600))
        let sends = bench.sends(of: renewal.request, since: .zero + .milliseconds(2_000))
        // Twice each, a round trip apart; the next renewal counts from the one that was answered.
        var due = (sends.first ?? 0)
        #expect(due == renewal.first || due == renewal.first + 40)
        var rest = sends[...]
        while let first = rest.popFirst() {
            #expect(first == due)
            // Where another request was challenged in the same moment, its nonce does for this one too.
            let last = rest.first == first + 40 ? rest.removeFirst() : first
            due = last + renewal.interval
        }
        #expect(due > 3_600_000 && sends.count > 3_600_000 / Int(renewal.interval) + 1)
        #expect(!isLost(bench) && bench.server.counters.expired == 0 && bench.server.counters.droppedFromClients == 0)
        try expectEcho(bench, "\(renewal.request)")
    }

    // MARK: The server has forgotten

    @Test(arguments: renewals) func aRestartIsNoticedByWhicheverComesFirst(_ renewal: Renewal) throws {
        let bench = try bound()
        try bench.run(until: .zero + .milliseconds(renewal.first - 500))
        bench.server.restart()
        try bench.run(until: .zero + .milliseconds(renewal.first + 2_000))
        let lost = bench.events.first { $0.event == .lost(.unknownToServer) }?.time
        // 438, for a restarted server knows no nonce; then 437. The new allocation takes two round trips more.
        #expect(lost == .zero + .milliseconds(renewal.first + 80))
        #expect(bench.sends(of: .allocate).suffix(2) == [renewal.first + 80, renewal.first + 120])
        let again = bench.events.last { if case .allocated = $0.event { true } else { false } }?.time
        #expect(again == .zero + .milliseconds(renewal.first + 160))
        #expect(bench.sends(of: Self.permission).last == renewal.first + 160)
        #expect(bench.sends(of: .channelBind(Self.peer, number: 0x4000)).last == renewal.first + 160)
        #expect(bench.leases.count == 2 && bench.client.channel(to: Self.peer) == 0x4000)
        try expectEcho(bench, "\(renewal.request)")
    }

    @Test(arguments: renewals) func credentialsOfSomebodyElseEndItByName(_ renewal: Renewal) throws {
        let bench = try bound()
        try bench.run(until: .zero + .milliseconds(renewal.first - 500))
        bench.server.forcedErrors[renewal.method] = .wrongCredentials
        try bench.run(until: .zero + .milliseconds(renewal.first + 1_000))
        #expect(bench.failure == .wrongCredentials && bench.client.deadline == nil)
        #expect(bench.events.last?.time == .zero + .milliseconds(renewal.first + 40))
    }

    // MARK: The server is full

    /// 486 and 508 when a lost allocation is to be replaced: asked again after 5 s and doubling to 60, twenty times.
    @Test(arguments: [486, 508]) func aServerWithoutRoomIsAskedAgainMoreAndMoreSeldom(_ code: Int) throws {
        for comesBack in [true, false] {
            let bench = try bound()
            try bench.run(until: .zero + .seconds(10))
            bench.server.restart()
            if code == 486 {
                bench.server.configuration.quota = 0
            } else {
                bench.server.configuration.capacity = 0
            }
            let start = bench.now
            bench.act { $0.verify(at: $1, into: &$2) }
            try bench.run(until: start + .seconds(200))
            // Each attempt is two requests and 80 ms; the first is 80 ms after the doubt, which met a 438 and a 437.
            #expect(
                bench.sends(of: .allocate, since: start).map { $0 - 10_000 } == [
                    80, 120, 5_160, 5_200, 15_240, 15_280, 35_320, 35_360, 75_400, 75_440, 135_480, 135_520, 195_560,
                    195_600,
                ])
            guard comesBack else {
                try bench.run(until: start + .seconds(3_600))
                #expect(bench.failure == (code == 486 ? .quotaReached : .insufficientCapacity))
                #expect(bench.sends(of: .allocate, since: start).count == 2 * 21)
                continue
            }
            bench.server.configuration.quota = nil
            bench.server.configuration.capacity = nil
            try bench.run(until: start + .seconds(300))
            #expect(bench.leases.count == 2)
            try expectEcho(bench, "room again")
        }
    }

    /// 508 and the like to a Refresh pass: asked each 5 s for as long as the allocation may live.
    @Test(arguments: [486, 508, 500]) func aRefreshThatIsRefusedForNowIsAskedAgainUntilTheEnd(_ code: Int) throws {
        for passes in [true, false] {
            let bench = try bound()
            bench.server.forcedErrors[.refresh] = STUNErrorCode(code, "for now")
            try bench.run(until: .zero + .milliseconds(562_000))
            if passes { bench.server.forcedErrors = [:] }
            try bench.run(until: .zero + .milliseconds(598_000))
            let last: Int64 = passes ? 565_000 : 595_000
            let expected = Array(stride(from: 540_000, through: last, by: 5_000)) as [Int64]
            #expect(bench.sends(of: .refresh).map { $0 / 1_000 * 1_000 } == expected)
            try bench.run(until: .zero + .seconds(700))
            #expect(bench.events.contains { $0.event == .lost(.expired) } == !passes)
            #expect(bench.leases.count == (passes ? 1 : 2))
            try expectEcho(bench, "\(code)")
        }
    }
}
