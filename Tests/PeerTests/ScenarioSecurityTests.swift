import DTLSSRTP
import ICE
import Peer
import Primitives
import RTP
import SDP
import Testing

/// Each protection, and the attempt that must fail.
@Suite struct ScenarioSecurityTests {
    private func connected(
        seed: UInt64 = 1, _ network: String = "rtt=100ms",
        configure: (Side, inout PeerConfiguration) -> Void = { _, _ in }
    ) throws -> ScenarioCall {
        let call = try ScenarioCall(network, seed: seed, configure: configure)
        try call.addMedia(videoBitrate: 300_000)
        try call.start()
        try call.connect()
        try call.run(for: .seconds(2))
        return call
    }

    /// Every frame sent from now on arrives.
    private func expectUnharmed(_ call: ScenarioCall, _ what: String) throws {
        try call.stopMedia()
        for side in Side.allCases {
            #expect(call[side].isConnected, "\(what): \(call[side].state)")
            for track in call[side].tracks {
                let received = call[side.other].received[track.mid]
                #expect(received?.count == track.sent, "\(what): \(side) \(track.kind)")
                #expect(received?.damaged == 0 && received?.disordered == 0, "\(what)")
            }
        }
    }

    // MARK: Who is there

    @Test(arguments: Side.allCases, Side.allCases)
    func aWrongFingerprintIsRefusedBeforeAnyMedia(refusing: Side, client: Side) throws {
        for seed in Seeds.some(2) {
            let call = try ScenarioCall("rtt=100ms,loss=\(seed == 1 ? 0 : 5)%", seed: seed)
            try call.addMedia()
            let stranger = try SeededRandomness.run(&call.random) { try Certificate.generate(at: 1_700_000_000) }
            call.signalFilter = { signal in
                var signal = signal
                guard case .description(let type, var text) = signal.message else { return signal }
                if type == .offer, client == .left {
                    text = text.replacing("a=setup:actpass", with: "a=setup:active")
                }
                if signal.to == refusing { text = text.replacingFingerprint(by: stranger.fingerprint.value) }
                signal.message = .description(type, text)
                return signal
            }
            try call.start()
            try call.run(for: .seconds(10))
            guard case .failed(.dtls(.fingerprintMismatch(_, let got))) = call[refusing].state else {
                Issue.record("seed \(seed): \(call[refusing].state)")
                continue
            }
            #expect(got == call[refusing.other].engine.configuration.certificate.fingerprint)
            #expect(call.departures(.rtp, from: refusing) == 0)
            #expect(call.departures(.rtcp, from: refusing) == 0)
            #expect(call[refusing].received.isEmpty)
            #expect(!call[refusing.other].isConnected, "the other side hears of it: \(call[refusing.other].state)")
            // The path stays: it is the keys that are refused.
            try call.run(for: .seconds(60))
            guard case .failed(.dtls) = call[refusing].state else {
                Issue.record("the reason gave way to \(call[refusing].state)")
                continue
            }
        }
    }

    @Test func keysInTheDescriptionAreIgnored() throws {
        let call = try ScenarioCall("rtt=100ms", seed: 1)
        try call.addMedia(videoBitrate: 300_000)
        let crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"
        var answer = ""
        call.signalFilter = { signal in
            var signal = signal
            guard case .description(let type, let text) = signal.message else { return signal }
            if type == .answer { answer = text }
            signal.message = .description(type, text.replacing("a=setup:", with: crypto + "a=setup:"))
            return signal
        }
        try call.start()
        try call.connect(within: .seconds(1))
        try call.run(for: .seconds(1))
        #expect(!answer.contains("crypto"))
        #expect(call.departures(.dtls, from: .left) > 0)
        try expectUnharmed(call, "SDES")
    }

    @Test func anOfferWithKeysInsteadOfAFingerprintIsNoOffer() throws {
        let call = try ScenarioCall("rtt=100ms", seed: 1)
        try call.addMedia()
        call.signalFilter = { signal in
            var signal = signal
            guard case .description(let type, let text) = signal.message else { return signal }
            let crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
            let lines = text.split(separator: "\r\n").map { $0.hasPrefix("a=fingerprint") ? Substring(crypto) : $0 }
            signal.message = .description(type, lines.joined(separator: "\r\n") + "\r\n")
            return signal
        }
        #expect(throws: ScenarioError.self) {
            try call.start()
            try call.run(for: .seconds(1))
        }
        #expect(call.departures(.rtp, from: .right) == 0)
    }

    // MARK: Media that is not the other side's

    @Test(arguments: Seeds.some(2)) func replayedAndTamperedMediaIsDroppedAndCounted(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=60ms", seed: seed)
        try call.addMedia(videoBitrate: 300_000)
        var random = RandomSource.seeded(seed)
        var recorded: [Datagram] = []
        var (replays, tampered) = (0, 0)
        call.onArrival = { side, datagram in
            let kind = PacketClass(datagram.bytes)
            guard side == .right, kind == .rtp || kind == .rtcp else { return [datagram] }
            var all = [datagram]
            recorded.append(datagram)
            if recorded.count > 40 {
                all.append(recorded.removeFirst())
                replays += 1
            }
            // Anything but the first bytes, which say what it is and whose.
            var bad = datagram
            let at = Int.random(in: 12..<bad.bytes.count, using: &random)
            bad.bytes[at] ^= UInt8.random(in: 1...255, using: &random)
            all.insert(bad, at: 0)
            tampered += 1
            return all
        }
        try call.start()
        try call.connect()
        try call.run(for: .seconds(5))
        #expect(replays > 500 && tampered > replays)
        // A few of the tampered ones are cut off before the keys: a header that says more than there is, an old index.
        let drops = call.right.drops
        #expect(drops[.replayed].map { $0 >= replays && $0 < replays + 10 } ?? false, "seed \(seed): \(drops)")
        #expect((drops[.authenticationFailed] ?? 0) > tampered * 9 / 10, "seed \(seed): \(drops)")
        #expect(drops.values.reduce(0, +) == replays + tampered, "seed \(seed): \(drops)")
        let dropped = call.right.statistic("packetsDropped", of: .transport, at: call.now)
        #expect(dropped == Double(replays + tampered))
        call.onArrival = nil
        try expectUnharmed(call, "replay and tampering, seed \(seed)")
    }

    @Test(arguments: Side.allCases) func whatIsCutShortAtAnyByteHarmsNothing(side: Side) throws {
        let call = try ScenarioCall("rtt=60ms", seed: 1)
        try call.addMedia(videoBitrate: 300_000)
        // One of each kind and size that a call has: STUN requests and answers, flights of DTLS, reports, media.
        var samples: [String: Datagram] = [:]
        call.onArrival = { to, datagram in
            if to == side {
                let kind = PacketClass(datagram.bytes)
                let key = kind == .dtls ? "dtls \(datagram.bytes.count)" : "\(kind) \(datagram.bytes.prefix(2))"
                if samples.count < 60 { samples[key] = datagram }
            }
            return [datagram]
        }
        try call.start()
        try call.connect()
        try call.run(for: .seconds(6))
        #expect(samples.count > 10)
        let drops = call[side].drops.values.reduce(0, +)
        var injected = 0
        for (_, sample) in samples.sorted(by: { $0.key < $1.key }) {
            for length in 0..<sample.bytes.count {
                try call.inject(Datagram(bytes: Array(sample.bytes.prefix(length)), path: sample.path), to: side)
                injected += 1
            }
            try call.run(for: .milliseconds(40))
        }
        print("\(injected) truncated datagrams, \(call[side].drops)")
        #expect(call[side].drops.values.reduce(0, +) > drops + injected / 2)
        try expectUnharmed(call, "truncation")
    }

    @Test(arguments: Seeds.some(2, soak: 40)) func noiseHarmsNothing(seed: UInt64) throws {
        let call = try connected(seed: seed)
        var random = RandomSource.seeded(seed)
        var path: NetworkPath?
        call.onArrival = { side, datagram in
            if side == .right { path = datagram.path }
            return [datagram]
        }
        try call.run(for: .milliseconds(100))
        let valid = try #require(path)
        // The first byte of each class, from the peer's own address and from a stranger's.
        let firsts: [UInt8] = [0, 1, 3, 16, 20, 21, 22, 23, 25, 40, 63, 64, 79, 80, 127, 128, 144, 191, 192, 255]
        for round in 0..<4_000 {
            var bytes = random.bytes(Int.random(in: 0...(round % 50 == 0 ? 1_500 : 90), using: &random))
            if !bytes.isEmpty, round % 5 != 0 { bytes[0] = firsts[round % firsts.count] }
            if bytes.count > 8, bytes[0] < 4 { bytes.replaceSubrange(4..<8, with: [0x21, 0x12, 0xA4, 0x42]) }
            if bytes.count > 13, (20...25).contains(bytes[0]) {
                bytes.replaceSubrange(1..<3, with: [0xFE, 0xFD])
                if round % 2 == 0 { bytes.replaceSubrange(3..<5, with: [0, UInt8(round % 3)]) }
                if round % 4 < 2 {
                    let length = bytes.count - 13
                    bytes.replaceSubrange(11..<13, with: [UInt8(length >> 8), UInt8(length & 255)])
                }
            }
            var from = valid
            if round % 3 == 0 { from.remote = TransportAddress(IPAddress(v4: 0xCB00_7163), 9_999) }
            try call.inject(Datagram(bytes: bytes, path: from), to: .right)
            if round % 100 == 0 { try call.run(for: .milliseconds(20)) }
        }
        call.onArrival = nil
        try expectUnharmed(call, "noise, seed \(seed)")
    }

    /// A record that is not encrypted ends no association (RFC 6347 §4.1.2.7).
    @Test func aForgedAlertOrGoodbyeEndsNothing() throws {
        let call = try connected()
        var path: NetworkPath?
        call.onArrival = { side, datagram in
            if side == .right { path = datagram.path }
            return [datagram]
        }
        try call.run(for: .milliseconds(100))
        let valid = try #require(path)
        for level in [UInt8(1), 2] {
            for code in [UInt8(0), 10, 20, 40, 42, 80, 90, 100] {
                for epoch in [UInt8(0), 1, 2] {
                    let alert: [UInt8] = [21, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 99, 0, 2, level, code]
                    try call.inject(Datagram(bytes: alert, path: valid), to: .right)
                }
            }
        }
        // A goodbye in the clear, for every stream there is.
        var bye = RTCPPacket.bytes(of: [.goodbye(Goodbye(sources: [SSRC(1), SSRC(2)]))])
        try call.inject(Datagram(bytes: bye, path: valid), to: .right)
        bye += [UInt8](repeating: 0, count: 14)
        try call.inject(Datagram(bytes: bye, path: valid), to: .right)
        call.onArrival = nil
        try call.run(for: .seconds(1))
        #expect(call.right.byes == 0)
        try expectUnharmed(call, "forged ends")
    }

    // MARK: Floods

    @Test func aFloodBeforeTheKeysFillsItsCapAndTheCallStands() throws {
        let call = try ScenarioCall("rtt=100ms", seed: 1)
        try call.addMedia(videoBitrate: 300_000)
        try call.start()
        let right = call.bases(of: .right)[0].address
        let stranger = NetworkPath(local: right, remote: TransportAddress(IPAddress(v4: 0xCB00_7163), 9_999))
        let peer = NetworkPath(local: right, remote: call.bases(of: .left)[0].address)
        for round in 0..<2_000 {
            var bytes = call.random.bytes(100)
            bytes[0] = round % 2 == 0 ? 0x80 : 22
            bytes.replaceSubrange(1..<3, with: [0xFE, 0xFD])
            try call.inject(Datagram(bytes: bytes, path: round % 4 < 2 ? stranger : peer), to: .right)
            if round % 20 == 0 { try call.run(for: .milliseconds(1)) }
        }
        #expect((call.right.drops[.earlyBufferFull] ?? 0) > 500, "\(call.right.drops)")
        #expect(structure(of: call.right.engine) < 20_000)
        try call.connect(within: .milliseconds(1_000))
        print("set up in a flood: \(call.now)")
        #expect(call.now < .zero + .milliseconds(700))
        try call.run(for: .seconds(2))
        try expectUnharmed(call, "early flood")
    }

    @Test func forgedStreamsTakeNoRoomFromRealOnes() throws {
        let call = try ScenarioCall("rtt=100ms", seed: 1)
        try call.addMedia(videoBitrate: 300_000)
        call.left.tracks[1].isPaused = true
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        let path = NetworkPath(
            local: call.bases(of: .right)[0].address, remote: call.bases(of: .left)[0].address)
        let before = structure(of: call.right.engine)
        for ssrc in UInt32(1)...5_000 {
            for second in [UInt8(96), 200] {
                var bytes: [UInt8] = [0x80, second, 0, 20]
                if second == 96 { bytes.append(UInt32(0)) }
                bytes.append(ssrc &* 2_654_435_761)
                bytes += call.random.bytes(80)
                try call.inject(Datagram(bytes: bytes, path: path), to: .right)
            }
            if ssrc % 500 == 0 { try call.run(for: .milliseconds(10)) }
        }
        #expect((call.right.drops[.authenticationFailed] ?? 0) > 5_000, "\(call.right.drops)")
        #expect(call.right.drops.values.reduce(0, +) == 10_000, "\(call.right.drops)")
        #expect(structure(of: call.right.engine) < before + 2_000)
        call.left.tracks[1].isPaused = false
        try call.run(for: .seconds(2))
        try expectUnharmed(call, "forged streams")
    }

    @Test func moreStreamsThanTheLimitAreRefusedAndTheOthersGoOn() throws {
        let call = try connected { side, configuration in
            if side == .right { configuration.limits.receiveStreams = 1 }
        }
        let counts = ["0", "1"].map { call.right.received[$0]?.count ?? 0 }
        #expect(counts.contains(0) && counts.contains { $0 > 40 }, "one stream was taken: \(counts)")
        #expect(call.right.refusedStreams > 0)
        try call.run(for: .seconds(1))
        #expect(call.areConnected)
        #expect((call.left.received["0"]?.count ?? 0) > 100)
    }

    @Test func aFloodOfChecksFromStrangersChangesNothing() throws {
        let call = try connected()
        let local = call.bases(of: .right)[0].address
        let sent = call.departures(.stun, from: .right)
        for index in 0..<3_000 {
            var message = STUNMessage(.request, transactionID: STUNTransactionID(using: &call.random))
            message.attributes = [.username("wrong:names"), .priority(1), .iceControlling(1), .useCandidate]
            let bytes = message.encoded(integrity: MessageIntegrityKey(password: "not the password at all"))
            let from = TransportAddress(IPAddress(v4: 0xCB00_7100 + UInt32(index % 200)), UInt16(2_000 + index))
            try call.inject(Datagram(bytes: bytes, path: NetworkPath(local: local, remote: from)), to: .right)
        }
        #expect(call.departures(.stun, from: .right) == sent, "no answer, no check: nothing to be reflected")
        try expectUnharmed(call, "checks of strangers")
    }

    /// In every scenario the rig throws when anything but STUN leaves without consent; here the chance for it is largest.
    @Test(arguments: Seeds.some(3)) func nothingLeavesBeforeConsentHoweverEarlyFramesAreOffered(seed: UInt64) throws {
        let call = try ScenarioCall("rtt=200ms,loss=10%", seed: seed)
        try call.addMedia(videoBitrate: 300_000)
        call.keepsWire = true
        for side in Side.allCases { call[side].startTracks(at: .zero) }
        try call.start()
        try call.connect()
        try call.run(for: .seconds(1))
        for side in Side.allCases {
            let consent = try #require(call.firstSuccess(at: side, since: .zero))
            let first = try #require(call.wire.first { $0.side == side && $0.kind != .stun })
            #expect(first.at >= consent)
            #expect(call[side].track(.audio)?.refusals["notConnected"] ?? 0 > 5)
        }
    }
}

extension String {
    func replacingFingerprint(by value: String) -> String {
        split(separator: "\r\n").map { $0.hasPrefix("a=fingerprint") ? "a=fingerprint:sha-256 \(value)" : String($0) }
            .joined(separator: "\r\n") + "\r\n"
    }
}
