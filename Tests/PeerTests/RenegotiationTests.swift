import Primitives
import RTP
import SDP
import Testing

@testable import Peer

/// Exchanges in the middle of a call, by either side. What counts is frames at the far end.
@Suite struct RenegotiationTests {
    @Test(arguments: Side.allCases) func videoIsAddedRemovedAndAddedAgain(side: Side) throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 1)
        let other = side.other
        for round in 0..<3 {
            let mid = "\(round + 1)"
            try call.renegotiate(side) { try $0.addTransceiver(.video, direction: .sendReceive) }
            #expect(call[side].engine.transceivers.last?.mid == mid)
            #expect(
                call[side].engine.transceivers.last?.mediaIndex == 1, "the place of the rejected one is taken again")
            call.addTrack(.video, mid: mid, to: side)
            #expect(try call.frames(mid, at: other) > 55)
            call.expectWhole(mid, at: other)
            try call.renegotiate(side) { engine in
                let id = try #require(engine.transceivers.last?.id)
                try engine.stopTransceiver(id)
            }
            #expect(call[side].engine.transceivers.count == 1 && call[other].engine.transceivers.count == 1)
            #expect(call[side].engine.negotiatedSession?.media[1].isRejected == true)
            #expect(try call.frames(mid, at: other) == 0, "nothing of a stopped section arrives")
            call.removeTrack(mid: mid, from: side)
        }
        #expect(try call.frames("0", at: .left) > 95)
        #expect(try call.frames("0", at: .right) > 95)
        for side in Side.allCases { call.expectWhole("0", at: side) }
        #expect(call.left.engine.receivers.count == 1 && call.right.engine.senders.count == 1)
    }

    /// Hold as telephones do it, by either side, and as both at once.
    @Test(arguments: Side.allCases, [MediaDirection.sendOnly, .receiveOnly, .inactive])
    func aCallIsHeldAndResumed(side: Side, direction: MediaDirection) throws {
        let call = try ScenarioCall.standing(seed: 2)
        try call.renegotiate(side) { engine in
            for transceiver in engine.transceivers { try engine.setDirection(direction, of: transceiver.id) }
        }
        try call.run(for: .milliseconds(200))
        let there = try call.frames("1", at: side.other)
        let here = try call.frames("1", at: side)
        #expect(direction.sends ? there > 50 : there == 0, "\(there)")
        #expect(direction.receives ? here > 50 : here == 0, "\(here)")
        // Longer than consent would last without being renewed.
        let checks = call.departures(.stun, from: side)
        try call.run(for: .seconds(40))
        #expect(call.areConnected && call.departures(.stun, from: side) > checks + 6, "consent goes on")
        try call.renegotiate(side) { engine in
            for transceiver in engine.transceivers { try engine.setDirection(.sendReceive, of: transceiver.id) }
        }
        for end in Side.allCases {
            #expect(try call.frames("0", at: end) > 95, "\(end)")
            #expect(try call.frames("1", at: end) > 55, "\(end)")
            for mid in ["0", "1"] { call.expectWhole(mid, at: end, "\(end) \(mid): time goes on where it stood") }
        }
    }

    @Test func anotherSourceInTheSameSectionGoesOnInTimeAndNumber() throws {
        let call = try ScenarioCall.standing(seed: 3)
        let sequence = try #require(call.left.engine.senders["1"]?.stream.nextSequenceNumber)
        for mid in ["0", "1"] {
            call.removeTrack(mid: mid, from: .left)
            call.left.engine.replaceSource(mid: mid)
        }
        try call.run(for: .milliseconds(100))
        let before = try #require(call.right.received["1"]?.lastTimestamp)
        // Its media time begins at zero again, as that of another file does.
        call.addTrack(.audio, mid: "0", to: .left)
        call.addTrack(.video, mid: "1", to: .left)
        var steps: [Int64] = []
        var last = before
        _ = try call.run(until: call.now + .seconds(2)) { call in
            if let time = call.right.received["1"]?.lastTimestamp, time != last {
                steps.append(time - last)
                last = time
            }
            return false
        }
        #expect(steps.count > 55 && steps.allSatisfy { (1...20_000).contains($0) }, "\(steps.prefix(5))")
        let later = try #require(call.left.engine.senders["1"]?.stream.nextSequenceNumber)
        #expect(later.distance(from: sequence) > 50, "numbers go on")
        #expect(call.right.drops.isEmpty, "\(call.right.drops)")
    }

    /// The negative twin: unannounced, the new source's clock starts over and time jumps at the far end.
    @Test func anotherSourceThatIsNotAnnouncedJumpsInTime() throws {
        let call = try ScenarioCall.standing(seed: 3)
        try call.run(for: .seconds(4))
        call.removeTrack(mid: "1", from: .left)
        call.addTrack(.video, mid: "1", to: .left)
        try call.run(for: .seconds(1))
        #expect(call.right.received["1"]?.disordered ?? 0 > 0)
    }

    @Test func theOtherSideChangesItsPayloadTypes() throws {
        let call = try ScenarioCall("rtt=60ms", seed: 4)
        try call.addMedia(left: [.audio, .video], right: [.audio], videoBitrate: 300_000)
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        let sequence = try #require(call.left.engine.senders["1"]?.stream.nextSequenceNumber)
        // As if the other side had answered with numbers of its own: what we send must follow them.
        call.signalFilter = { signal in
            guard case .description(let type, let text) = signal.message else { return signal }
            var signal = signal
            signal.message = .description(
                type,
                text.mappingLines(ofSection: 1) { line in
                    var line = String(line)
                    if line.hasPrefix("m=") { line = line.replacing(" 96 97", with: " 120 121") }
                    for name in ["rtpmap", "fmtp", "rtcp-fb"] {
                        line = line.replacing("a=\(name):96 ", with: "a=\(name):120 ")
                            .replacing("a=\(name):97 ", with: "a=\(name):121 ")
                    }
                    return line.replacing("apt=96", with: "apt=120")
                })
            return signal
        }
        try call.renegotiate(.left)
        #expect(call.left.engine.negotiatedSession?.media[1].sendCodecs.map(\.payloadType) == [120])
        #expect(call.left.engine.senders["1"]?.stream.configuration.retransmission?.payloadType == 121)
        #expect(call.right.engine.negotiatedSession?.media[1].receivePayloadTypes.keys.sorted() == [120, 121])
        #expect(try call.frames("1", at: .right) > 55)
        call.expectWhole("1", at: .right)
        try call.stopMedia()
        #expect(
            call.right.received["1"]?.count == call.left.track(.video)?.sent, "those under way under the old one too")
        let later = try #require(call.left.engine.senders["1"]?.stream.nextSequenceNumber)
        #expect(later.distance(from: sequence) > 50, "numbers go on")
    }

    @Test func theOtherSideChangesItsSourceWithinTheSection() throws {
        let call = try ScenarioCall.standing(seed: 5)
        for round in 0..<12 {
            let former = call.left.engine.transceivers[1].ssrc
            try call.renegotiate(.left) { engine in
                engine.negotiator.transceivers[1].ssrc = SSRC(UInt32(0x5000_0000 + round))
            }
            #expect(try call.frames("1", at: .right, for: .seconds(1)) > 20, "round \(round)")
            #expect(!call.right.engine.receivers.contains(former), "what is not named any more is forgotten")
            #expect(call.right.engine.receivers.count == 2)
        }
        call.expectWhole("1", at: .right, "one timeline whatever the source")
        #expect((12...24).contains(call.right.engine.routes.retired.count))
        #expect(call.areConnected)
    }

    @Test func theOtherSideChangesNumbersOfHeaderExtensions() throws {
        let call = try ScenarioCall.standing(seed: 6)
        func renumbered(_ text: String) -> String {
            text.replacing("a=extmap:3 ", with: "a=extmap:7 ").replacing("a=extmap:4 ", with: "a=extmap:8 ")
        }
        let now = call.now
        // Both ends are told the same new numbers, as by a peer that renumbers.
        var offer = ""
        try call.turn(.right) { engine, out in
            let description = try engine.createOffer(at: now, into: &out)
            try engine.setLocalDescription(description, type: .offer, at: now, into: &out)
            offer = renumbered(description.serialized)
        }
        try call.turn(.left) { engine, out in
            try engine.setRemoteDescription(try SessionDescription(parsing: offer), type: .offer, at: now, into: &out)
            try engine.setLocalDescription(try engine.createAnswer(), type: .answer, at: now, into: &out)
        }
        let video = try #require(call.left.engine.senders["1"]?.stream.configuration)
        #expect(video.extensions[.transportSequenceNumber] == 7 && video.extensions[.mid] == 8)
        #expect(call.left.engine.session?.midExtension == 8)
    }

    @Test(arguments: Side.allCases) func iceRestartsAndNewMediaComeInOneExchange(side: Side) throws {
        let call = try ScenarioCall.standing(kinds: [.audio], seed: 7)
        call.signalingDelay = .milliseconds(100)
        let names = Side.allCases.map { call.ufrag($0) }
        let handshakes = Side.allCases.map { call.departures(.dtls, from: $0) }
        let addresses = Side.allCases.map { call[$0].selectedPairs.last?.local.base }
        try call.renegotiate(side, iceRestart: true) { try $0.addTransceiver(.video, direction: .sendReceive) }
        call.addTrack(.video, mid: "1", to: side)
        #expect(try call.frames("1", at: side.other) > 55)
        for end in Side.allCases {
            #expect(call.ufrag(end) != names[end.rawValue])
            #expect(call.departures(.dtls, from: end) == handshakes[end.rawValue], "the same association")
            #expect(call[end].selectedPairs.last?.local.base == addresses[end.rawValue], "the same sockets")
            #expect(try call.frames("0", at: end) > 95)
            call.expectWhole("0", at: end)
            #expect(call[end].states.map(\.state).filter { $0 != .connecting && $0 != .connected } == [])
        }
    }

    /// libwebrtc takes a new ufrag alone, with the old password, for a restart; and so do we.
    @Test func aNewUfragAloneIsARestart() throws {
        let call = try ScenarioCall.standing(seed: 8)
        let password = call.left.engine.ice.localCredentials.password
        let mine = try #require(call.ufrag(.right))
        call.left.engine.promisedCredentials = .init(ufrag: "fresh+name", password: password)
        try call.renegotiate(.left, iceRestart: true)
        #expect(call.ufrag(.left) == "fresh+name" && call.ufrag(.right) != mine)
        try call.run(for: .seconds(40))
        #expect(call.areConnected)
        #expect(try call.frames("1", at: .right) > 55)
    }
}
