import ICE
import Primitives
import Testing

/// Everything at once: whatever the network and signalling do, agents keep their promises and find each other again.
@Suite struct ChaosTests {
    @Test(arguments: 1...100 as ClosedRange<UInt64>)
    func afterAnyTroubleTheyConnectAgain(_ seed: UInt64) throws {
        var random = RandomSource.seeded(seed)
        let roles = ICERole.allCases
        let a = try #require(roles.randomElement(using: &random))
        let b = try #require(roles.randomElement(using: &random))
        let hasProxy = Bool.random(using: &random)
        let server = "192.0.2.133:30008"
        var wire = Wire(
            a: .init(role: a), b: .init(role: b),
            aBases: hasProxy ? ["203.0.113.10:5000"] : ["203.0.113.10:5000", "203.0.113.11:5000"], bBases: [server],
            oneWay: .milliseconds(Int64.random(in: 1...150, using: &random)), seed: seed)
        let proxy = PortProxy(front: "203.0.113.40:30008", back: "192.0.2.131", inside: server)
        let filter = Filter { packet, _ in packet }
        wire.middlebox = hasProxy ? proxy : filter

        func describe(_ wire: inout Wire) {
            wire.exchangeCredentials()
            if hasProxy {
                let candidate = Candidate(
                    remoteFoundation: "1", priority: 2_000_000, address: proxy.front, type: .host)
                wire.drive(\.a) { agent, _, now, out in agent.addRemoteCandidate(candidate, at: now, into: &out) }
            } else {
                wire.exchangeCandidates()
            }
        }
        wire.gather()
        describe(&wire)

        for _ in 0..<25 {
            wire.run(for: .milliseconds(Int64.random(in: 0...6_000, using: &random)))
            switch Int.random(in: 0..<8, using: &random) {
            case 0: proxy.flush()
            case 1:
                proxy.isDown = true
                filter.rule = { _, _ in nil }
                wire.run(for: .milliseconds(Int64.random(in: 0...40_000, using: &random)))
                proxy.isDown = false
                filter.rule = { packet, _ in packet }
            case 2: wire.loss = Double.random(in: 0...0.3, using: &random)
            case 3:
                wire.drive(\.a) { agent, _, now, out in agent.restart(at: now, into: &out) }
                wire.run(for: .milliseconds(Int64.random(in: 0...3_000, using: &random)))
                wire.describe(to: \.b, from: \.a)
                wire.run(for: .milliseconds(Int64.random(in: 0...3_000, using: &random)))
                describe(&wire)
            case 4:
                wire.drive(\.b) { agent, _, now, out in agent.restart(at: now, into: &out) }
                wire.describe(to: \.a, from: \.b)
                wire.run(for: .milliseconds(Int64.random(in: 0...3_000, using: &random)))
                describe(&wire)
            case 5:
                guard let path = wire.b.agent.sendingPath else { break }
                wire.drive(\.b) { agent, _, now, out in
                    agent.noteUnreachable(path, reason: "port unreachable", at: now, into: &out)
                }
            case 6: wire.a.isDeaf.toggle()
            default: break
            }
            for node in [wire.a, wire.b] {
                if let path = node.agent.sendingPath { #expect(node.agent.isValidated(path)) }
                #expect(node.agent.pairs.count <= 40)
            }
        }

        wire.a.isDeaf = false
        wire.loss = 0
        wire.run(for: .seconds(10))
        if wire.a.agent.sendingPath == nil || wire.b.agent.sendingPath == nil {
            // Both fell silent: that is what restarts are for.
            wire.drive(\.a) { agent, _, now, out in agent.restart(at: now, into: &out) }
            wire.describe(to: \.b, from: \.a)
            describe(&wire)
            wire.run(for: .seconds(3))
        }
        for node in [wire.a, wire.b] {
            #expect(node.agent.sendingPath != nil, "seed \(seed)")
            #expect([.connected, .completed].contains(node.agent.connectionState), "seed \(seed)")
        }
        #expect(wire.a.agent.role != wire.b.agent.role)
        // What either sends arrives at the other: nobody sends into the void.
        wire.run(for: .seconds(30))
        let received = (wire.a.agent.selectedPair?.lastRequestReceived, wire.b.agent.selectedPair?.lastRequestReceived)
        #expect(received.0.map { wire.now - $0 < .seconds(10) } ?? false, "seed \(seed)")
        #expect(received.1.map { wire.now - $0 < .seconds(10) } ?? false, "seed \(seed)")
    }
}
