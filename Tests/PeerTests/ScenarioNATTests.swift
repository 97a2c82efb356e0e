import ICE
import Peer
import Primitives
import SimulatedNetwork
import Testing

/// Every pairing of NATs, with a STUN server and without a relay.
@Suite struct ScenarioNATTests {
    static let pairings = NATKind.allCases.flatMap { left in NATKind.allCases.map { (left, $0) } }

    /// A mapping of its own for each destination cannot be known before it is used, so the side whose filter looks at
    /// ports never lets it in, and neither side can begin.
    static func canConnect(_ left: NATKind, _ right: NATKind) -> Bool {
        switch (left, right) {
        case (.symmetric, .symmetric), (.symmetric, .portRestricted), (.portRestricted, .symmetric): false
        default: true
        }
    }

    @Test(arguments: pairings) func aPairOfNATsIsCrossedExactlyWhereItCanBe(left: NATKind, right: NATKind) throws {
        for seed in Seeds.some(1, soak: 20) {
            let call = try ScenarioCall("rtt=80ms,nat=\(left.rawValue)/\(right.rawValue)", seed: seed)
            try call.addMedia(videoBitrate: 300_000)
            try call.start()
            if Self.canConnect(left, right) {
                try call.connect(within: .milliseconds(3_000))
                try call.run(for: .seconds(2))
                try call.stopMedia()
                for side in Side.allCases {
                    for track in call[side].tracks {
                        #expect(
                            call[side.other].received[track.mid]?.count == track.sent,
                            "seed \(seed), \(left) to \(right), from \(side)")
                    }
                }
            } else {
                try call.run(until: .zero + .milliseconds(80_000)) { $0.left.failure != nil && $0.right.failure != nil }
                for side in Side.allCases {
                    let failed = try #require(call[side].states.last)
                    guard case .failed(.ice(let why)) = failed.state else {
                        Issue.record("seed \(seed), \(side) ended in \(failed.state)")
                        continue
                    }
                    #expect(failed.at >= .zero + .milliseconds(60_000) && failed.at < .zero + .milliseconds(66_000))
                    #expect(why.contains("no datagram of the other side arrived"), "seed \(seed): \(why)")
                    #expect(why.contains("sent "), "the pairs tried are told: \(why)")
                    #expect(call.departures(.dtls, from: side) == 0)
                }
            }
        }
    }

    @Test func withoutASTUNServerTwoConesCannotMeet() throws {
        let call = try ScenarioCall("rtt=80ms,nat=fullcone,stun=off", seed: 1)
        try call.addMedia()
        try call.start()
        try call.run(until: .zero + .milliseconds(80_000)) { $0.left.failure != nil && $0.right.failure != nil }
        #expect(call.left.failure != nil && call.right.failure != nil)
    }

    @Test func aFailedSideStillAnswersWhoeverComesLate() throws {
        let call = try ScenarioCall("rtt=80ms", seed: 1)
        try call.addMedia()
        call.setCut(true)
        try call.start()
        try call.run(for: .seconds(70))
        #expect(call.left.failure != nil && call.right.failure != nil)
        call.setCut(false)
        try call.offer(from: .right, iceRestart: true)
        try call.connect(within: .milliseconds(2_000))
        #expect(call.areConnected)
    }
}
