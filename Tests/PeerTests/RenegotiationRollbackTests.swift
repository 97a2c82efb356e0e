import ICE
import Primitives
import SDP
import Testing

@testable import Peer

/// Offers that are taken back leave no trace: neither in the streams nor in ICE.
@Suite struct RenegotiationRollbackTests {
    /// Ufrags and passwords in force are those of before, and the peer's checks with them are answered.
    @Test(arguments: Side.allCases) func aRestartTakenBackLeavesTheFormerCredentialsInForce(side: Side) throws {
        let call = try ScenarioCall.standing(seed: 1)
        let credentials = Side.allCases.map { call[$0].engine.ice.localCredentials }
        let candidates = call[side].engine.ice.localCandidates.map(\.ufrag)
        call.signalFilter = { _ in nil }
        try call.offer(from: side, iceRestart: true)
        #expect(call[side].engine.ice.localCredentials != credentials[side.rawValue])
        try call.run(for: .seconds(8))
        let now = call.now
        try call.turn(side) { try $0.rollback(at: now, into: &$1) }
        #expect(call[side].engine.ice.localCredentials == credentials[side.rawValue])
        #expect(call[side].engine.ice.localCandidates.map(\.ufrag) == candidates)
        // Nothing but the former names is on the wire from here on, and consent is given by them.
        var names: Set<String> = []
        call.onDeparture = { _, datagram in
            if let message = try? STUNMessage(parsing: datagram.bytes), message.messageClass == .request,
                let name = message.username
            {
                names.formUnion(name.split(separator: ":").map(String.init))
            }
            return true
        }
        try call.run(for: .seconds(60))
        #expect(names == Set(credentials.map(\.ufrag)))
        #expect(call.areConnected)
        call.signalFilter = { $0 }
        // The next offer says what is in force, and the other side sees no restart in it.
        try call.renegotiate(side)
        #expect(Side.allCases.map { call[$0].engine.ice.localCredentials } == credentials)
        #expect(try call.frames("1", at: side.other) > 55)
        // And a restart that is meant goes through.
        try call.renegotiate(side, iceRestart: true)
        #expect(Side.allCases.allSatisfy { call[$0].engine.ice.localCredentials != credentials[$0.rawValue] })
        #expect(try call.frames("1", at: side.other, for: .seconds(40)) > 1_000)
    }

    @Test func aRestartOfTheOtherSideTakenBackLeavesEverythingInForce() throws {
        let call = try ScenarioCall.standing(seed: 2)
        let credentials = Side.allCases.map { call[$0].engine.ice.localCredentials }
        let now = call.now
        var text = ""
        call.signalFilter = { _ in nil }
        try call.turn(.left) { engine, out in
            let offer = try engine.createOffer(iceRestart: true, at: now, into: &out)
            try engine.setLocalDescription(offer, type: .offer, at: now, into: &out)
            text = offer.serialized
        }
        try call.turn(.right) { engine, out in
            try engine.setRemoteDescription(try SessionDescription(parsing: text), type: .offer, at: now, into: &out)
            #expect(engine.ice.localCredentials == credentials[1], "nothing changes before the answer")
            let answer = try engine.createAnswer()
            #expect(answer.media[0].iceUfrag != credentials[1].ufrag, "and the answer would have changed it")
        }
        try call.run(for: .seconds(5))
        for side in Side.allCases { try call.turn(side) { try $0.rollback(at: call.now, into: &$1) } }
        #expect(Side.allCases.map { call[$0].engine.ice.localCredentials } == credentials)
        try call.run(for: .seconds(45))
        #expect(call.areConnected)
        call.signalFilter = { $0 }
        try call.renegotiate(.right, iceRestart: true)
        #expect(try call.frames("0", at: .left, for: .seconds(40)) > 1_900)
    }

    @Test func twoRestartsInARowAreTakenBackAsOne() throws {
        let call = try ScenarioCall.standing(seed: 3)
        let credentials = call.left.engine.ice.localCredentials
        call.signalFilter = { _ in nil }
        for _ in 0..<2 {
            try call.offer(from: .left, iceRestart: true)
            try call.run(for: .seconds(1))
            try call.turn(.left) { try $0.rollback(at: call.now, into: &$1) }
            #expect(call.left.engine.ice.localCredentials == credentials)
        }
        // Created and never set: nothing happened.
        try call.turn(.left) { engine, out in
            let offer = try engine.createOffer(iceRestart: true, at: call.now, into: &out)
            #expect(offer.media[0].iceUfrag != credentials.ufrag)
            #expect(engine.ice.localCredentials == credentials)
        }
        try call.run(for: .seconds(45))
        #expect(call.areConnected)
    }

    @Test func mediaOfAnOfferTakenBackNeverFlows() throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 4)
        call.signalFilter = { _ in nil }
        try call.turn(.left) { engine, _ in try engine.addTransceiver(.video, direction: .sendReceive) }
        try call.offer(from: .left)
        call.addTrack(.video, mid: "1", to: .left)
        try call.run(for: .seconds(1))
        try call.turn(.left) { engine, out in
            try engine.rollback(at: call.now, into: &out)
            #expect(
                out.events.contains { if case .negotiationNeeded = $0 { true } else { false } }, "it is still wanted")
        }
        #expect(call.right.received["1"] == nil)
        #expect(call.left.tracks.last?.refusals["directionInactive"] ?? 0 > 20)
        call.signalFilter = { $0 }
        try call.renegotiate(.left)
        #expect(try call.frames("1", at: .right) > 55)
    }
}
