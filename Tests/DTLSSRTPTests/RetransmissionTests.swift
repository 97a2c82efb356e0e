import DTLSSRTP
import FixtureSupport
import Primitives
import Testing

@Suite struct RetransmissionTests {
    /// 100 ms while nothing is known, doubling to 3 s, and the end 30 s after the flight first went out.
    @Test func unansweredHelloIsRepeatedOnScheduleAndGivenUp() throws {
        var wire = try makePair()
        wire.impairment.loss = 1
        wire.startBoth()
        var advances = 0
        while let deadline = wire.client.deadline, advances < 100 {
            advances += 1
            wire.now = deadline
            wire.call(.client) { $0.advance(to: $1, into: &$2) }
            #expect(wire.client.deadline.map { $0 > deadline } ?? true)
        }
        let times = wire.sent.map { ($0.at - .zero).milliseconds }
        #expect(times == [0, 100, 300, 700, 1_500, 3_100] + (1...8).map { 3_100 + 3_000 * Int64($0) })
        #expect(wire.failure(of: .client) == .timeout)
        #expect(wire.now - .zero >= .milliseconds(30_000))
        #expect(wire.client.state == .failed && wire.client.deadline == nil)
        // The same hello each time, only the record numbers differ.
        #expect(Set(wire.sent.map { Array($0.bytes.dropFirst(11)) }).count == 1)
        #expect(Set(wire.sent.map { Array($0.bytes.prefix(11)) }).count == wire.sent.count)
    }

    @Test func roundTripSetsThePace() throws {
        for (rtt, first) in [(10, 50), (25, 50), (30, 60), (400, 800), (5_000, 3_000)] as [(Int64, Int64)] {
            var wire = try makePair { _, configuration in configuration.roundTripTime = .milliseconds(rtt) }
            wire.impairment.loss = 1
            wire.start(.client)
            #expect(wire.client.deadline == .zero + .milliseconds(first))
        }
        // Four times at that pace, then doubling.
        var steady = try makePair { _, configuration in configuration.roundTripTime = .milliseconds(100) }
        steady.impairment.loss = 1
        steady.start(.client)
        for _ in 0..<7 {
            steady.now = try #require(steady.client.deadline)
            steady.call(.client) { $0.advance(to: $1, into: &$2) }
        }
        #expect(steady.sent.map { ($0.at - .zero).milliseconds } == [0, 200, 400, 600, 800, 1_200, 2_000, 3_600])
        var wire = try makePair()
        wire.impairment.loss = 1
        wire.start(.client)
        wire.client.setRTT(.milliseconds(200))
        #expect(wire.client.deadline == .zero + .milliseconds(400), "a measurement moves the deadline that stands")
        wire.client.setRTT(.milliseconds(-5))
        #expect(wire.client.deadline == .zero + .milliseconds(50))
    }

    @Test func advancingEarlyDoesNothing() throws {
        var wire = try makePair()
        wire.start(.client)
        wire.now = .zero + .milliseconds(99)
        wire.call(.client) { $0.advance(to: $1, into: &$2) }
        #expect(wire.sent.count == 1)
        wire.now = .zero + .milliseconds(900)
        wire.call(.client) { $0.advance(to: $1, into: &$2) }
        #expect(wire.sent.count == 2, "a late driver gets one repetition, not all it missed")
        #expect(wire.client.deadline == .zero + .milliseconds(1_100))
    }

    /// Which flight is lost, and how often; each is recovered by its sender's own timer.
    @Test(arguments: 0..<4, [1, 2, 5, 8])
    func anyFlightMayBeLostRepeatedly(flight: Int, times: Int) throws {
        let from: VirtualWire.Side = flight % 2 == 0 ? .client : .server
        var wire = try makePair()
        // Two flights a side, one datagram each: the first is plain, the last carries Finished.
        var dropped = 0
        wire.filter = { side, bytes, _ in
            let isLast = records(of: bytes).contains { $0[4] == 1 }
            guard side == from, isLast == (flight >= 2), dropped < times else { return [bytes] }
            dropped += 1
            return []
        }
        wire.startBoth()
        wire.run()
        #expect(dropped == times)
        #expect(wire.clientAssociation != nil)
        #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial)
        if flight == 3 {
            // The server has no timer for it: the client repeats its Finished, in new records, and is answered.
            // Repetitions 7 and 9 are recorded bytes, which a server that has them does not answer.
            #expect(wire.client.statistics.flightsRepeated == (times == 8 ? 10 : times))
            #expect(wire.serverTrace.filter { if case .lastFlightRepeated = $0 { true } else { false } }.count == times)
            let finished = wire.sent.filter { $0.from == .client }.flatMap { records(of: $0.bytes) }.filter {
                $0[4] == 1
            }
            #expect(Set(finished.map { Array($0[3..<11]) }).count == times + 1)
        }
        if flight == 0 { #expect(wire.client.statistics.flightsRepeated == times) }
    }

    /// OpenSSL dies of its thirteenth expiry: long before that its timer is taken out of the game.
    @Test func silenceAfterTheLastFlightEndsInOurTimeoutNotOpenSSLs() throws {
        var wire = try makePair()
        wire.filter = { side, bytes, _ in
            side == .server && records(of: bytes).contains { $0[4] == 1 } ? [] : [bytes]
        }
        wire.startBoth()
        wire.run(for: .milliseconds(100_000))
        #expect(wire.failure(of: .client) == .timeout)
        let last = try #require(wire.sent.last { $0.from == .client })
        #expect(last.at - .zero > .milliseconds(27_000))
        // The server is connected and stays so, whatever OpenSSL thinks of so many repetitions.
        #expect(wire.server.state == .connected && wire.serverEvents.count == 1)
    }

    /// OpenSSL's timer runs on the wall clock. A run whose every step takes real time must not look different.
    @Test func theWallClockDoesNotShow() throws {
        func run(slow: Bool, seed: UInt64) throws -> VirtualWire {
            var wire = try makePair(seed: seed, seededRandomness: true)
            wire.impairment = .init(loss: 0.3, duplication: 0.3, reordering: 0.5)
            wire.filter = { _, bytes, _ in
                if slow { burn(.milliseconds(6)) }
                return [bytes]
            }
            wire.startBoth()
            wire.run()
            return wire
        }
        for seed in 1...12 as ClosedRange<UInt64> {
            let quick = try run(slow: false, seed: seed)
            let slow = try run(slow: true, seed: seed)
            #expect(quick.clientAssociation != nil)
            #expect(quick.sent.map(\.at) == slow.sent.map(\.at), "seed \(seed)")
            #expect(quick.sent.map(\.bytes.count) == slow.sent.map(\.bytes.count), "seed \(seed)")
            #expect(quick.clientTrace == slow.clientTrace && quick.serverTrace == slow.serverTrace)
        }
    }

    @Test func equalSeedsGiveEqualBytes() throws {
        func run(_ seed: UInt64) throws -> VirtualWire {
            var wire = try makePair(seed: seed, seededRandomness: true)
            wire.startBoth()
            wire.run()
            return wire
        }
        let first = try run(4)
        let second = try run(4)
        #expect(first.clientAssociation != nil)
        #expect(first.clientAssociation == second.clientAssociation)
        #expect(first.sent.map(\.bytes) == second.sent.map(\.bytes))
        let other = try run(5)
        #expect(first.sent.map(\.bytes) != other.sent.map(\.bytes))
    }

    @Test func seededRandomnessStaysOnItsThreadAndInItsClosure() throws {
        func draw(_ seed: UInt64) throws -> Certificate {
            var source = RandomSource.seeded(seed)
            return try SeededRandomness.run(&source) { () throws(CertificateError) in
                try Certificate.generate(at: 1_700_000_000)
            }
        }
        #expect(try draw(1).encoded == draw(1).encoded)
        #expect(try draw(1).encoded != draw(2).encoded)
        // Outside, and after a nested use, OpenSSL's own generator is back.
        #expect(try Certificate.generate().encoded != Certificate.generate().encoded)
        var outer = RandomSource.seeded(3)
        let (a, b) = try SeededRandomness.run(&outer) { () throws(CertificateError) in
            let inside = try? draw(1)
            return (inside, try Certificate.generate(at: 1_700_000_000))
        }
        #expect(try a?.encoded == draw(1).encoded)
        var again = RandomSource.seeded(3)
        let plain = try SeededRandomness.run(&again) { () throws(CertificateError) in
            try Certificate.generate(at: 1_700_000_000)
        }
        #expect(plain.encoded == b.encoded, "the outer source goes on where it was")
    }

    /// The same transports on a real clock: OpenSSL's timer must have run out when ours has.
    @Test(arguments: [0, 3, 30])
    func realClockRepeatsTheLastFlightInNewRecords(lateness: Int64) throws {
        var wire = try makePair { _, configuration in configuration.clock = .real }
        wire.impairment.delay = .zero
        var dropped = 0
        wire.filter = { side, bytes, _ in
            guard side == .server, records(of: bytes).contains(where: { $0[4] == 1 }), dropped < 2 else {
                return [bytes]
            }
            dropped += 1
            return []
        }
        let clock = ContinuousClock()
        let origin = clock.now
        func elapsed() -> Instant { .zero + .nanoseconds(Int64((clock.now - origin) / .nanoseconds(1))) }
        wire.startBoth()
        wire.run(for: .zero)
        var rounds = 0
        while wire.clientAssociation == nil, rounds < 20, let deadline = wire.nextDeadline {
            rounds += 1
            burn(deadline - elapsed() + .milliseconds(lateness))
            wire.now = elapsed()
            wire.call(.client) { $0.advance(to: $1, into: &$2) }
            wire.run(for: .zero)
        }
        #expect(wire.clientAssociation != nil)
        // Two, where the machine is not so busy that real time runs away from the test.
        #expect((2...5).contains(wire.client.statistics.flightsRepeated))
        #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial)
    }
}

/// Lets real time pass on this thread.
func burn(_ duration: TimeDelta) {
    let clock = ContinuousClock()
    let end = clock.now + .nanoseconds(max(0, duration.nanoseconds))
    while clock.now < end {}
}
