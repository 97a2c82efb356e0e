import DTLSSRTP
import ICE
import Peer
import Primitives
import SimulatedNetwork
import Testing

/// The mapping moves in the middle of the DTLS handshake, when the other side has nothing to send but its flight.
@Suite struct HandshakeMoveTests {
    /// A phone that checks every 5 s: only its repeated flight tells that it is elsewhere.
    private func bench(phoneControls: Bool) throws -> BoundaryBench {
        var options = BoundaryOptions()
        options.phoneOffers = phoneControls
        options.isChromium = false
        return try BoundaryBench(options)
    }

    @Test(arguments: [true, false], [1, 2])
    func aFlightFromElsewhereIsCheckedAndOursGoesThere(phoneControls: Bool, nth: Int) throws {
        let bench = try bench(phoneControls: phoneControls)
        var seen = 0
        var flushed: Instant?
        bench.onInsideArrival = { datagram in
            if let first = datagram.bytes.first, (20...63).contains(first) {
                seen += 1
                if seen == nth {
                    flushed = bench.now
                    bench.at(bench.now) { $0.flush() }
                }
            }
            return datagram
        }
        try bench.start()
        _ = try bench.run(until: .zero + .seconds(10)) { $0.areConnected }
        let took = try #require(bench.connectedAt()) - #require(flushed)
        // A repetition of the phone's (100 ms), a check (50 ms), our flight (50 ms), and once more for the last flights.
        #expect(took < .seconds(1), "\(took.short) after the flush")
        try bench.run(for: .seconds(2))
        #expect(try bench.hasMediaBothWays())
    }

    /// The twin: whoever sends DTLS from elsewhere and answers no check gets checks, a few, and nothing else.
    @Test(arguments: [true, false]) func aStrangersHandshakeMovesNothing(phoneControls: Bool) throws {
        let bench = try bench(phoneControls: phoneControls)
        bench[0, .right].keepsTrace = true
        var strangers = 0
        let inside = bench.base(of: 0, .right)
        let stranger = NetworkPath(local: inside, remote: TransportAddress(BoundaryBench.back, 9))
        bench.onInsideArrival = { datagram in
            // With the phone's first flight come a hundred of a stranger's.
            if let first = datagram.bytes.first, (20...63).contains(first), strangers == 0 {
                strangers = 100
                bench.at(bench.now) { bench in
                    let now = bench.now
                    for _ in 0..<100 {
                        try bench.turn(0, .right) {
                            $0.receive(
                                Datagram(bytes: [22, 254, 253] + [UInt8](repeating: 0, count: 60), path: stranger),
                                at: now, into: &$1)
                        }
                    }
                }
            }
            return datagram
        }
        try bench.start()
        _ = try bench.run(until: .zero + .seconds(10)) { $0.areConnected }
        #expect(strangers == 100)
        #expect(bench.areConnected)
        let took = try #require(bench.connectedAt()) - Instant.zero
        #expect(took < .seconds(1), "\(took.short)")
        try bench.run(for: .seconds(5))
        #expect(try bench.hasMediaBothWays())
        let trace = bench[0, .right].trace.map(\.detail)
        let checks = trace.count { if case .ice(.checkSent(stranger, _, _)) = $0 { true } else { false } }
        #expect((1...10).contains(checks), "\(checks) checks for a hundred datagrams")
        #expect(!trace.contains { if case .ice(.moved(_, stranger)) = $0 { true } else { false } })
    }
}
