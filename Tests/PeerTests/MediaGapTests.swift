import Peer
import Primitives
import SDP
import Testing

/// A sender that sends nothing for a while has nothing wrong with it.
@Suite struct MediaGapTests {
    private struct Troubles: Equatable {
        var freezes: Double
        var plis: Double
        var nacks: Double
        var lost: Double
    }

    private func troubles(_ call: ScenarioCall) -> Troubles {
        func value(_ name: String, _ kind: MediaKind) -> Double {
            call.right.statistic(name, of: .inboundRTP, kind: kind, at: call.now) ?? 0
        }
        return Troubles(
            freezes: value("freezeCount", .video), plis: value("pliCount", .video),
            nacks: value("nackCount", .video) + value("nackCount", .audio),
            lost: value("packetsLost", .video) + value("packetsLost", .audio))
    }

    private func connected(seed: UInt64) throws -> ScenarioCall {
        let call = try ScenarioCall("rtt=60ms,jitter=10ms", seed: seed)
        try call.addMedia(right: [])
        try call.start()
        try call.connect()
        try call.run(for: .seconds(3))
        return call
    }

    /// Muted, camera off, both: for moments and for half a minute.
    @Test(arguments: [[MediaKind.audio], [.video], [.audio, .video]], [700, 3_000, 30_000] as [Int64])
    func whatIsSwitchedOffIsNoTrouble(kinds: [MediaKind], milliseconds: Int64) throws {
        let call = try connected(seed: UInt64(milliseconds))
        let before = troubles(call)
        func pause(_ isPaused: Bool) {
            for index in call.left.tracks.indices where kinds.contains(call.left.tracks[index].kind) {
                call.left.tracks[index].isPaused = isPaused
            }
        }
        pause(true)
        try call.run(for: .milliseconds(milliseconds))
        pause(false)
        try call.run(for: .seconds(3))
        #expect(troubles(call) == before)
        for mid in ["0", "1"] {
            let track = try #require(call.right.received[mid])
            #expect(call.now - (try #require(track.lastAt)) < .milliseconds(200), "it goes on")
            #expect(track.damaged == 0 && track.disordered == 0)
        }
    }

    /// A browser's tab in the background makes one picture a second.
    @Test func onePictureASecondIsNoFreeze() throws {
        let call = try connected(seed: 3)
        let before = troubles(call)
        call.left.tracks[1].interval = .seconds(1)
        try call.run(for: .seconds(20))
        call.left.tracks[1].interval = .microseconds(33_333)
        try call.run(for: .seconds(2))
        #expect(troubles(call) == before)
    }

    /// The check must be able to fail: a network that stalls, and one that loses, freeze the picture.
    @Test(arguments: [true, false]) func aStallOfTheNetworkIsAFreeze(loses: Bool) throws {
        let call = try connected(seed: 4)
        let before = troubles(call)
        if loses {
            call.onDeparture = { side, datagram in
                side == .right || PacketClass(datagram.bytes) != .rtp
            }
            try call.run(for: .seconds(1))
            call.onDeparture = nil
        } else {
            // What was sent meanwhile comes in a burst.
            var held: [Datagram] = []
            call.onArrival = { side, datagram in
                guard side == .right, PacketClass(datagram.bytes) == .rtp else { return [datagram] }
                held.append(datagram)
                return []
            }
            try call.run(for: .seconds(1))
            call.onArrival = nil
            for datagram in held { try call.inject(datagram, to: .right) }
        }
        try call.run(for: .seconds(3))
        #expect(troubles(call).freezes > before.freezes)
    }
}
