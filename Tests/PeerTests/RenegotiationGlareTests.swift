import Primitives
import SDP
import Testing

@testable import Peer

/// Both sides negotiate when they like. `Exchange` carries their descriptions with a delay, in order, as a room does.
@Suite struct RenegotiationGlareTests {
    /// Signalling between the two engines of a call by the rules of perfect negotiation.
    private final class Exchange {
        let call: ScenarioCall
        let polite: Side
        var ignored = 0
        var queue: [(at: Instant, to: Side, type: DescriptionType, text: String)] = []

        init(_ call: ScenarioCall, polite: Side) {
            self.call = call
            self.polite = polite
        }

        func offerIfNeeded(_ side: Side, delay: TimeDelta) throws {
            var text: String?
            try call.turn(side) { text = try $0.offerIfNeeded(at: self.call.now, into: &$1)?.serialized }
            if let text { queue.append((call.now + delay, side.other, .offer, text)) }
        }

        /// Delivers what is due, and lets whoever still needs something offer it.
        func settle(delay: TimeDelta) throws {
            while !queue.isEmpty {
                let message = queue.removeFirst()
                if message.at > call.now { try call.run(until: message.at) }
                var outcome = DescriptionOutcome.set
                try call.turn(message.to) { engine, out in
                    outcome = try engine.takeDescription(
                        try SessionDescription(parsing: message.text), type: message.type,
                        isPolite: message.to == self.polite, at: self.call.now, into: &out)
                }
                switch outcome {
                case .answered(let answer):
                    queue.append((call.now + delay, message.to.other, .answer, answer.serialized))
                case .ignored: ignored += 1
                case .set: break
                }
                for side in Side.allCases { try offerIfNeeded(side, delay: delay) }
            }
        }
    }

    private func expectAgreement(_ call: ScenarioCall, _ comment: Comment) throws {
        let left = try #require(call.left.engine.negotiatedSession)
        let right = try #require(call.right.engine.negotiatedSession)
        for side in Side.allCases {
            #expect(call[side].engine.signalingState == .stable && !call[side].engine.needsNegotiation, comment)
        }
        #expect(left.media.map(\.mid) == right.media.map(\.mid), comment)
        #expect(left.media.map(\.direction) == right.media.map(\.direction.reversed), comment)
        #expect(left.media.map(\.isRejected) == right.media.map(\.isRejected), comment)
        #expect(call.left.engine.ice.remoteCredentials == call.right.engine.ice.localCredentials, comment)
        #expect(call.right.engine.ice.remoteCredentials == call.left.engine.ice.localCredentials, comment)
    }

    @Test(arguments: Side.allCases) func offersThatMeetAreBothCarriedOut(polite: Side) throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 1)
        let exchange = Exchange(call, polite: polite)
        for side in Side.allCases {
            try call.turn(side) { engine, _ in try engine.addTransceiver(.video, direction: .sendOnly) }
        }
        for side in Side.allCases { try exchange.offerIfNeeded(side, delay: .milliseconds(80)) }
        try exchange.settle(delay: .milliseconds(80))
        #expect(exchange.ignored == 1)
        try expectAgreement(call, "polite \(polite)")
        for side in Side.allCases {
            let mid = try #require(
                call[side].engine.transceivers.first { $0.kind == .video && $0.direction.sends }?.mid)
            call.addTrack(.video, mid: mid, to: side)
            #expect(try call.frames(mid, at: side.other) > 55, "what \(side) wanted flows")
        }
    }

    @Test(arguments: Side.allCases) func restartsThatMeetEndInOneGeneration(polite: Side) throws {
        let call = try ScenarioCall.standing(seed: 2)
        let former = Side.allCases.map { call[$0].engine.ice.localCredentials }
        let exchange = Exchange(call, polite: polite)
        for side in Side.allCases {
            try call.turn(side) { engine, _ in engine.restartICE() }
            try exchange.offerIfNeeded(side, delay: .milliseconds(80))
        }
        try exchange.settle(delay: .milliseconds(80))
        try expectAgreement(call, "polite \(polite)")
        #expect(Side.allCases.allSatisfy { call[$0].engine.ice.localCredentials != former[$0.rawValue] })
        for side in Side.allCases {
            #expect(try call.frames("1", at: side, for: .seconds(40)) > 1_000)
            call.expectWhole("1", at: side)
        }
        #expect(call.areConnected)
    }

    /// The negative twin: with nobody polite, both offers are ignored and nothing is ever agreed.
    @Test func withoutAPoliteSideOffersThatMeetAreLost() throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 3)
        var offers: [String] = []
        for side in Side.allCases {
            try call.turn(side) { engine, out in
                try engine.addTransceiver(.video, direction: .sendOnly)
                offers.append(try #require(try engine.offerIfNeeded(at: call.now, into: &out)).serialized)
            }
        }
        for side in Side.allCases {
            try call.turn(side) { engine, out in
                let outcome = try engine.takeDescription(
                    try SessionDescription(parsing: offers[side.other.rawValue]), type: .offer, isPolite: false,
                    at: call.now, into: &out)
                guard case .ignored = outcome else {
                    Issue.record("taken")
                    return
                }
                #expect(try engine.offerIfNeeded(at: call.now, into: &out) == nil)
            }
            #expect(call[side].engine.signalingState == .haveLocalOffer)
        }
        #expect(try call.frames("0", at: .left) > 95, "the call itself goes on")
    }

    @Test func candidatesOfAnIgnoredOfferAreIgnoredToo() throws {
        let call = try ScenarioCall.standing(seed: 4)
        call.signalFilter = { signal in
            if case .description = signal.message { return nil }
            return signal
        }
        var offer = ""
        try call.turn(.left) { engine, out in
            offer = try engine.createOffer(iceRestart: true, at: call.now, into: &out).serialized
        }
        try call.offer(from: .right)
        call.right.keepsTrace = true
        try call.turn(.right) { engine, out in
            _ = try engine.takeDescription(
                try SessionDescription(parsing: offer), type: .offer, isPolite: false, at: call.now, into: &out)
            let candidate = try CandidateAttribute(parsing: "candidate:1 1 udp 5 192.0.2.77 9 typ host ufrag new")
            engine.addRemoteCandidate(candidate, mid: "0", at: call.now, into: &out)
        }
        #expect(
            call.right.trace.contains {
                if case .peer(.remoteCandidateIgnored(_, let reason)) = $0.detail {
                    reason.contains("met ours")
                } else {
                    false
                }
            })
        #expect(!call.right.engine.ice.remoteCandidates.contains { $0.address.port == 9 })
    }

    /// Whatever both sides want and whenever they say so, they end up agreed and with media.
    @Test(arguments: Seeds.some(3, soak: 60)) func anyOrderOfWishesEndsInAgreement(seed: UInt64) throws {
        let call = try ScenarioCall.standing(seed: seed)
        let exchange = Exchange(call, polite: seed % 2 == 0 ? .left : .right)
        for round in 0..<12 {
            for side in Side.allCases where Bool.random(using: &call.random) {
                let choice = Int.random(in: 0..<5, using: &call.random)
                let direction = MediaDirection.allCases.randomElement(using: &call.random) ?? .sendReceive
                try call.turn(side) { engine, _ in
                    let video = engine.transceivers.last { $0.kind == .video && !$0.isStopped }
                    switch choice {
                    case 0: engine.restartICE()
                    case 1 where engine.transceivers.count < 6:
                        try engine.addTransceiver(.video, direction: .sendReceive)
                    case 2 where video != nil: if let id = video?.id { try engine.stopTransceiver(id) }
                    default: if let id = video?.id { try engine.setDirection(direction, of: id) }
                    }
                }
                try exchange.offerIfNeeded(side, delay: .milliseconds(60))
            }
            try exchange.settle(delay: .milliseconds(60))
            try expectAgreement(call, "seed \(seed), round \(round)")
            try call.run(for: .milliseconds(300))
        }
        #expect(call.areConnected)
        for side in Side.allCases { #expect(try call.frames("0", at: side) > 90, "seed \(seed)") }
    }
}
