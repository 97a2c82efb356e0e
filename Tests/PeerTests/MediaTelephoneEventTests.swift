import Peer
import Primitives
import RTP
import SDP
import Testing

/// Keys from one end to the other (RFC 4733): pressed here, told there.
@Suite struct MediaTelephoneEventTests {
    private func call(
        _ network: String, seed: UInt64, codecs: [Codec] = [.opus, .telephoneEvent]
    ) throws -> ScenarioCall {
        let call = try ScenarioCall(network, seed: seed) { side, configuration in
            guard side == .right else { return }
            configuration.capabilities.audio.removeAll { !codecs.contains($0.codec) }
        }
        try call.addMedia(left: [.audio], right: [.audio])
        return call
    }

    private func collect(_ call: ScenarioCall, at side: Side = .right) -> Keys {
        let keys = Keys()
        call[side].onEvent = { event, now in
            if case .telephoneEvent(let key, _) = event { keys.told.append((key, now)) }
        }
        return keys
    }

    @Test(arguments: Seeds.some(4, soak: 40)) func everyKeyArrivesOnceThroughLoss(seed: UInt64) throws {
        let call = try call("rtt=80ms,loss=10%,jitter=20ms", seed: seed)
        let keys = collect(call)
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        let pressed = "0123456789*#ABCD"
        let now = call.now
        try call.turn(.left) { try $0.sendTelephoneEvents(pressed, at: now, into: &$1) }
        try call.run(for: .seconds(5))
        #expect(keys.ended.compactMap(\.digit) == Array(pressed), "seed \(seed)")
        #expect(keys.begun.compactMap(\.digit) == Array(pressed), "seed \(seed)")
        // Where all three end packets are lost, the event ends with the next one, as long as it was last told to be.
        #expect(keys.ended.allSatisfy { $0.clockRate == 48_000 && $0.length <= .milliseconds(100) })
        let whole = keys.ended.count { $0.length == .milliseconds(100) }
        #expect(whole >= pressed.count - 2, "seed \(seed): \(whole) of \(pressed.count)")
        // Sound goes on in the gaps and afterwards.
        let audio = try #require(call.right.received["0"])
        #expect(audio.damaged == 0 && audio.disordered == 0)
        #expect(call.now - (try #require(audio.lastAt)) < .milliseconds(200))
    }

    @Test func keysKeepTheirTimesAndPauses() throws {
        let call = try call("rtt=20ms", seed: 1)
        let keys = collect(call)
        try call.start()
        try call.connect()
        let now = call.now
        try call.turn(.left) {
            try $0.sendTelephoneEvents(
                "1,2", duration: .milliseconds(200), gap: .milliseconds(300), at: now, into: &$1)
        }
        try call.run(for: .seconds(4))
        #expect(keys.begun.compactMap(\.digit) == ["1", "2"])
        #expect(keys.ended.allSatisfy { $0.length == .milliseconds(200) })
        let starts = keys.told.filter { !$0.key.isEnd }.map(\.at)
        let distance = try #require(starts.last) - (try #require(starts.first))
        #expect(distance >= .milliseconds(2_480) && distance < .milliseconds(2_540), "\(distance)")
        // The clock of the timestamps says the same (RFC 4733 §2.5.1.2).
        let ticks = keys.begun[1].timestamp - keys.begun[0].timestamp
        #expect(abs(ticks - 48 * 2_500) <= 48 * 30, "\(ticks)")
    }

    /// The events' clock is that of the codec in use: 8 kHz beside G.711.
    @Test func keysBesideG711CountEightThousandASecond() throws {
        let call = try call("rtt=20ms", seed: 2, codecs: [.pcmu, .telephoneEvent])
        let keys = collect(call)
        try call.start()
        try call.connect()
        let now = call.now
        try call.turn(.left) { try $0.sendTelephoneEvents("5", at: now, into: &$1) }
        try call.run(for: .seconds(1))
        #expect(keys.ended.map(\.digit) == ["5"])
        #expect(keys.ended.first?.clockRate == 8_000 && keys.ended.first?.duration == 800)
    }

    /// Firefox takes Opus, and keys at 8 kHz only: durations are counted so, times on the clock of the sound.
    @Test(arguments: [8_000, 48_000] as [UInt32], Side.allCases)
    func keysBesideOpusCountOnTheClockTheOtherSideTakes(clockRate: UInt32, offerer: Side) throws {
        let call = try ScenarioCall("rtt=80ms,loss=3%", seed: 6) { side, configuration in
            guard side == .right else { return }
            configuration.capabilities.audio.removeAll { $0.codec == .telephoneEvent && $0.clockRate != clockRate }
        }
        try call.addMedia(left: [.audio], right: [.audio])
        let keys = [collect(call, at: .left), collect(call, at: .right)]
        try call.start(offerer: offerer)
        try call.connect()
        try call.run(for: .seconds(1))
        for side in Side.allCases {
            let now = call.now
            try call.turn(side) {
                try $0.sendTelephoneEvents("1#,A", duration: .milliseconds(400), at: now, into: &$1)
            }
        }
        try call.run(for: .seconds(6))
        for keys in keys {
            #expect(keys.ended.compactMap(\.digit) == ["1", "#", "A"])
            #expect(keys.ended.allSatisfy { $0.clockRate == Int(clockRate) && $0.length == .milliseconds(400) })
            let ticks = keys.begun[1].timestamp - keys.begun[0].timestamp
            #expect(abs(ticks - 48 * 470) <= 48 * 30, "\(ticks)")
        }
        for side in Side.allCases { call.expectWhole("0", at: side) }
    }

    @Test func whatIsNoKeyIsRefusedWhole() throws {
        let call = try call("rtt=20ms", seed: 3)
        let keys = collect(call)
        try call.start()
        #expect(throws: TelephoneEventRefusal.notSending) { try press("1", on: call) }
        try call.connect()
        #expect(throws: TelephoneEventRefusal.invalidDigit("x")) { try press("12x3", on: call) }
        #expect(throws: TelephoneEventRefusal.queueFull) { try press(String(repeating: "1", count: 257), on: call) }
        try call.run(for: .seconds(2))
        #expect(keys.told.isEmpty)
    }

    @Test func keysTheOtherSideDoesNotTakeAreRefused() throws {
        let call = try call("rtt=20ms", seed: 4, codecs: [.opus])
        let keys = collect(call)
        try call.start()
        try call.connect()
        #expect(throws: TelephoneEventRefusal.notAgreed) { try press("1", on: call) }
        try call.run(for: .seconds(1))
        #expect(keys.told.isEmpty)
    }

    private func press(_ digits: String, on call: ScenarioCall) throws(TelephoneEventRefusal) {
        var out = PeerEngine.Output()
        try call.left.engine.sendTelephoneEvents(digits, at: call.now, into: &out)
    }
}

private final class Keys {
    var told: [(key: ReceivedTelephoneEvent, at: Instant)] = []
    var begun: [ReceivedTelephoneEvent] { told.map(\.key).filter { !$0.isEnd } }
    var ended: [ReceivedTelephoneEvent] { told.map(\.key).filter(\.isEnd) }
}
