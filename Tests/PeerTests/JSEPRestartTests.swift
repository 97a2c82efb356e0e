import Peer
import Primitives
import SDP
import Testing

/// Restarts of ICE that are asked for: RTCPeerConnection-restartIce of web-platform-tests, on calls that stand.
@Suite struct JSEPRestartTests {
    private func restart(_ call: ScenarioCall, _ side: Side) throws {
        try call.turn(side) { engine, out in
            engine.restartICE()
            engine.noteNegotiationNeeded(into: &out)
        }
    }

    private func needs(_ call: ScenarioCall, _ side: Side) -> Bool { call[side].engine.needsNegotiation }

    @Test func beforeTheFirstExchangeItAsksForNothing() throws {
        let call = try ScenarioCall("rtt=20ms", seed: 1)
        try restart(call, .left)
        #expect(!needs(call, .left))
    }

    @Test(arguments: Side.allCases) func theNextOfferHasNewCredentialsAndTheAnswerToo(side: Side) throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 2)
        let names = Side.allCases.map { call.ufrag($0) }
        try restart(call, side)
        #expect(needs(call, side) && call.ufrag(side) == names[side.rawValue], "not before the offer is set")
        try call.renegotiate(side)
        #expect(!needs(call, side))
        for end in Side.allCases { #expect(call.ufrag(end) != names[end.rawValue]) }
        #expect(try call.frames("0", at: .right) > 95)
        // The next exchange is an ordinary one again.
        let after = Side.allCases.map { call.ufrag($0) }
        try call.renegotiate(side)
        #expect(Side.allCases.map { call.ufrag($0) } == after)
    }

    @Test func aRollbackLeavesItAskedFor() throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 3)
        try restart(call, .left)
        let (former, now) = (call.ufrag(.left), call.now)
        try call.turn(.left) { engine, out in
            let offer = try engine.createOffer(at: now, into: &out)
            try engine.setLocalDescription(offer, type: .offer, at: now, into: &out)
            try engine.rollback(at: now, into: &out)
        }
        #expect(needs(call, .left) && call.ufrag(.left) == former)
        try call.renegotiate(.left)
        #expect(!needs(call, .left) && call.ufrag(.left) != former)
    }

    @Test func aRestartOfTheOtherSideSatisfiesIt() throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 4)
        let former = call.ufrag(.left)
        try restart(call, .left)
        try call.renegotiate(.right, iceRestart: true)
        #expect(!needs(call, .left) && call.ufrag(.left) != former)
        #expect(try call.frames("0", at: .left) > 95)
    }

    @Test func anOrdinaryOfferOfTheOtherSideDoesNot() throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 5)
        let former = call.ufrag(.left)
        try restart(call, .left)
        try call.renegotiate(.right)
        #expect(needs(call, .left) && call.ufrag(.left) == former)
        try call.renegotiate(.left)
        #expect(!needs(call, .left) && call.ufrag(.left) != former)
    }

    @Test func askedForWhileAnOfferIsOutItComesWithTheNext() throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 6)
        call.signalingDelay = .milliseconds(100)
        let former = call.ufrag(.left)
        try call.offer(from: .left)
        try restart(call, .left)
        #expect(!needs(call, .left), "not in the middle of an exchange")
        try call.run(for: .milliseconds(500))
        #expect(needs(call, .left) && call.ufrag(.left) == former)
        try call.renegotiate(.left)
        #expect(!needs(call, .left) && call.ufrag(.left) != former)
    }
}
