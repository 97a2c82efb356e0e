import DTLSSRTP
import FixtureSupport
import Primitives
import Testing

/// Every profile, and each backend as the other's oracle in both directions.
struct SRTPCase: CustomTestStringConvertible, Sendable {
    var profile: SRTPProfile
    var sender: SRTPSession.BackendChoice
    var receiver: SRTPSession.BackendChoice

    static let all: [SRTPCase] = SRTPProfile.allCases.flatMap { profile in
        [SRTPSession.BackendChoice.libsrtp2, .openSSL].flatMap { sender in
            [SRTPSession.BackendChoice.libsrtp2, .openSSL].map {
                SRTPCase(profile: profile, sender: sender, receiver: $0)
            }
        }
    }

    static let own: [SRTPCase] = all.filter { $0.sender == $0.receiver }

    var testDescription: String { "\(profile) \(sender) → \(receiver)" }

    var keying: SRTPKeyingMaterial {
        var random = RandomSource.seeded(UInt64(profile.identifier) + 7)
        let exported = random.bytes(SRTPKeyingMaterial.exportedLength(of: profile))
        guard let keying = SRTPKeyingMaterial(profile: profile, exported: exported) else {
            preconditionFailure("the length is the profile's")
        }
        return keying
    }

    /// The client sends, the server receives.
    func sessions() throws -> (client: SRTPSession, server: SRTPSession) {
        (
            try SRTPSession(keying: keying, localRole: .client, backend: sender),
            try SRTPSession(keying: keying, localRole: .server, backend: receiver)
        )
    }
}

func rtp(_ number: UInt16, ssrc: UInt32 = 0x1234_5678, payload: Int = 100) -> [UInt8] {
    var packet: [UInt8] = [0x80, 96]
    packet.append(number)
    packet.append(UInt32(number) &* 960)
    packet.append(ssrc)
    for index in 0..<payload { packet.append(UInt8(truncatingIfNeeded: index &+ Int(number))) }
    return packet
}

func receiverReport(ssrc: UInt32 = 0x1234_5678) -> [UInt8] {
    var packet: [UInt8] = [0x80, 201, 0, 1]
    packet.append(ssrc)
    packet += [0x81, 202, 0, 3]
    packet.append(ssrc)
    packet += [1, 2, 0x61, 0x62, 0, 0, 0, 0]
    return packet
}

@Suite struct SRTPSessionTests {
    @Test(arguments: SRTPCase.all)
    func packetsComeThrough(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        for number in 100..<150 as Range<UInt16> {
            let plain = rtp(number, payload: Int(number) * 7 % 1_100)
            var packet = plain
            try client.protectRTP(&packet)
            #expect(packet.count == plain.count + example.profile.rtpOverhead)
            #expect(packet.prefix(12) == plain.prefix(12))
            try server.unprotectRTP(&packet)
            #expect(packet == plain)

            var report = receiverReport()
            try client.protectRTCP(&report)
            #expect(report.count == receiverReport().count + example.profile.rtcpOverhead)
            try server.unprotectRTCP(&report)
            #expect(report == receiverReport())
        }
        #expect(server.statistics.rtpUnprotected == 50 && server.statistics.rtcpUnprotected == 50)
        #expect(client.statistics.rtpProtected == 50 && client.statistics.rtcpProtected == 50)
        #expect(server.statistics.inboundFailures.total == 0)
    }

    @Test(arguments: SRTPCase.all)
    func bothDirectionsHaveTheirOwnKeys(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        var packet = rtp(1)
        try server.protectRTP(&packet)
        let fromServer = packet
        try client.unprotectRTP(&packet)
        #expect(packet == rtp(1))
        var fromClient = rtp(1)
        try client.protectRTP(&fromClient)
        #expect(fromClient != fromServer)
        fromClient = rtp(2)
        try client.protectRTP(&fromClient)
        // What one sent itself, it cannot read: a reflected packet is no packet.
        #expect(throws: SRTPError.authenticationFailed) { try client.unprotectRTP(&fromClient) }
    }

    @Test(arguments: SRTPCase.all)
    func headersWithSourcesAndExtensionsComeThrough(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        var plain: [UInt8] = [0x92, 0xE0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 1, 1, 2, 2, 2, 2]
        plain += [0xBE, 0xDE, 0, 2, 0x10, 0xFF, 0x21, 1, 2, 0, 0, 0]
        for payload in [0, 1, 15, 16, 17] {
            plain[3] += 1
            let whole = plain + [UInt8](repeating: 0xAA, count: payload)
            var packet = whole
            try client.protectRTP(&packet)
            #expect(packet.prefix(32) == whole.prefix(32))
            if payload > 0 { #expect(packet[32..<32 + payload] != whole[32...]) }
            try server.unprotectRTP(&packet)
            #expect(packet == whole)
        }
    }

    /// 65535 → 0 five times, every packet out of order by up to 40 places.
    @Test(arguments: SRTPCase.all)
    func sequenceNumbersWrapWhilePacketsAreReordered(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        var random = RandomSource.seeded(5)
        var number = UInt16(65_000)
        var wire: [(plain: [UInt8], packet: [UInt8])] = []
        var received = 0
        func deliver(keeping rest: Int) throws {
            while wire.count > rest {
                let index = Int.random(in: 0..<wire.count, using: &random)
                var (plain, packet) = wire.remove(at: index)
                try server.unprotectRTP(&packet)
                #expect(packet == plain)
                received += 1
            }
        }
        for _ in 0..<5 {
            // In order up to the neighbourhood of the wrap, so that the test is quick, by steps the window can take.
            for _ in 0..<200 {
                let plain = rtp(number, payload: 20)
                var packet = plain
                try client.protectRTP(&packet)
                wire.append((plain, packet))
                try deliver(keeping: 40)
                number = number &+ 5
            }
            try deliver(keeping: 0)
            while number < 65_000 {
                number = min(65_000, number &+ 900 < number ? 65_000 : number &+ 900)
                var packet = rtp(number, payload: 20)
                let plain = packet
                try client.protectRTP(&packet)
                try server.unprotectRTP(&packet)
                #expect(packet == plain)
                received += 1
            }
            number = number &+ 1
        }
        #expect(received == server.statistics.rtpUnprotected)
        #expect(server.statistics.inboundFailures.total == 0)
    }

    @Test(arguments: SRTPCase.all)
    func streamMayStartLateInTheCall(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        for ssrc in 1...5 as ClosedRange<UInt32> {
            for number in [UInt16(40_000), 40_001, 39_990] {
                var packet = rtp(number, ssrc: ssrc)
                try client.protectRTP(&packet)
                try server.unprotectRTP(&packet)
                #expect(packet == rtp(number, ssrc: ssrc))
            }
        }
    }

    @Test(arguments: SRTPCase.all)
    func replaysAreRefused(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        var sent: [[UInt8]] = []
        for number in 1...1_200 as ClosedRange<UInt16> {
            var packet = rtp(number, payload: 4)
            try client.protectRTP(&packet)
            sent.append(packet)
        }
        // Every second packet arrives.
        for index in stride(from: 1, to: 1_200, by: 2) {
            var packet = sent[index]
            try server.unprotectRTP(&packet)
        }
        for index in stride(from: 1, to: 1_200, by: 2) {
            var packet = sent[index]
            #expect(throws: SRTPError.replayed) { try server.unprotectRTP(&packet) }
        }
        // The others come late: inside a window of 1,024 they are good, beyond it too old to tell. Newest is 1,200.
        for index in stride(from: 0, to: 1_200, by: 2) {
            var packet = sent[index]
            if index + 1 <= 1_200 - 1_024 {
                #expect(throws: SRTPError.replayed) { try server.unprotectRTP(&packet) }
            } else {
                try server.unprotectRTP(&packet)
                #expect(packet == rtp(UInt16(index + 1), payload: 4))
            }
        }
        var report = receiverReport()
        try client.protectRTCP(&report)
        let copy = report
        try server.unprotectRTCP(&report)
        var replay = copy
        #expect(throws: SRTPError.replayed) { try server.unprotectRTCP(&replay) }
        #expect(server.statistics.inboundFailures.replayed == 600 + 88 + 1)
    }

    /// A packet repeated without RTX is protected again: the same bytes come out, and the receiver takes one of them.
    @Test(arguments: SRTPCase.all)
    func sendingTheSamePacketAgainIsAllowed(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        var first = rtp(7)
        try client.protectRTP(&first)
        var later = rtp(9)
        try client.protectRTP(&later)
        var again = rtp(7)
        try client.protectRTP(&again)
        #expect(again == first)
        try server.unprotectRTP(&later)
        try server.unprotectRTP(&again)
        #expect(again == rtp(7))
    }

    @Test(arguments: SRTPCase.own)
    func everyFlippedByteIsRefused(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        for number in 1...3 as ClosedRange<UInt16> {
            var packet = rtp(number)
            try client.protectRTP(&packet)
            try server.unprotectRTP(&packet)
        }
        var genuine = rtp(4, payload: 24)
        try client.protectRTP(&genuine)
        for index in genuine.indices {
            for bit in 0..<8 {
                var packet = genuine
                packet[index] ^= 1 << UInt8(bit)
                #expect(throws: SRTPError.self, "byte \(index) bit \(bit)") { try server.unprotectRTP(&packet) }
            }
        }
        // None of them left a trace.
        try server.unprotectRTP(&genuine)
        #expect(genuine == rtp(4, payload: 24))

        var report = receiverReport()
        try client.protectRTCP(&report)
        for index in report.indices {
            for bit in 0..<8 {
                var packet = report
                packet[index] ^= 1 << UInt8(bit)
                #expect(throws: SRTPError.self, "byte \(index) bit \(bit)") { try server.unprotectRTCP(&packet) }
            }
        }
        try server.unprotectRTCP(&report)
        #expect(report == receiverReport())
    }

    @Test(arguments: SRTPCase.own)
    func wrongKeysAreRefused(example: SRTPCase) throws {
        let (client, _) = try example.sessions()
        var random = RandomSource.seeded(99)
        let other = try #require(
            SRTPKeyingMaterial(
                profile: example.profile,
                exported: random.bytes(SRTPKeyingMaterial.exportedLength(of: example.profile))))
        let stranger = try SRTPSession(keying: other, localRole: .server, backend: example.receiver)
        var packet = rtp(1)
        try client.protectRTP(&packet)
        #expect(throws: SRTPError.authenticationFailed) { try stranger.unprotectRTP(&packet) }
        var report = receiverReport()
        try client.protectRTCP(&report)
        #expect(throws: SRTPError.authenticationFailed) { try stranger.unprotectRTCP(&report) }
        #expect(stranger.statistics.inboundFailures.authentication == 2)
    }

    @Test(arguments: SRTPCase.own)
    func streamsAreCappedAndForgeriesTakeNoPlace(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        var genuine = rtp(1, ssrc: 1)
        try client.protectRTP(&genuine)
        for ssrc in 10_000..<12_000 as Range<UInt32> {
            var forged = genuine
            forged.overwrite(ssrc, at: 8)
            #expect(throws: SRTPError.authenticationFailed) { try server.unprotectRTP(&forged) }
        }
        try server.unprotectRTP(&genuine)
        for ssrc in 2...256 as ClosedRange<UInt32> {
            var packet = rtp(1, ssrc: ssrc)
            try client.protectRTP(&packet)
            try server.unprotectRTP(&packet)
        }
        var packet = rtp(1, ssrc: 257)
        #expect(throws: SRTPError.tooManyStreams) { try client.protectRTP(&packet) }
        var report = receiverReport(ssrc: 258)
        #expect(throws: SRTPError.tooManyStreams) { try client.protectRTCP(&report) }
        // A sender without our cap.
        let (generous, _) = try example.sessions()
        packet = rtp(1, ssrc: 257)
        try generous.protectRTP(&packet)
        #expect(throws: SRTPError.tooManyStreams) { try server.unprotectRTP(&packet) }
        report = receiverReport(ssrc: 258)
        try generous.protectRTCP(&report)
        #expect(throws: SRTPError.tooManyStreams) { try server.unprotectRTCP(&report) }
        // The known ones go on.
        packet = rtp(2, ssrc: 256)
        try client.protectRTP(&packet)
        try server.unprotectRTP(&packet)
        #expect(packet == rtp(2, ssrc: 256))
    }

    @Test(arguments: SRTPCase.own)
    func truncationAtEveryByteIsRefused(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        var packet = rtp(1, payload: 30)
        try client.protectRTP(&packet)
        var report = receiverReport()
        try client.protectRTCP(&report)
        for length in 0..<packet.count {
            var cut = Array(packet.prefix(length))
            #expect(throws: SRTPError.self) { try server.unprotectRTP(&cut) }
        }
        for length in 0..<report.count {
            var cut = Array(report.prefix(length))
            #expect(throws: SRTPError.self) { try server.unprotectRTCP(&cut) }
        }
        for length in 0..<12 {
            var short = Array(rtp(2).prefix(length))
            #expect(throws: SRTPError.malformed) { try client.protectRTP(&short) }
        }
        for length in 0..<8 {
            var short = Array(receiverReport().prefix(length))
            #expect(throws: SRTPError.malformed) { try client.protectRTCP(&short) }
        }
        var overlong = rtp(2, payload: 4)
        overlong[0] |= 0x10
        overlong[14] = 0xFF
        #expect(throws: SRTPError.malformed) { try client.protectRTP(&overlong) }
    }

    /// 100,000 mutants for our own backend over the three profiles; libsrtp2 is not ours, and slow, and gets fewer.
    @Test(arguments: SRTPCase.own)
    func mutationsNeverTrap(example: SRTPCase) throws {
        let (client, server) = try example.sessions()
        var seeds: [[UInt8]] = []
        for number in 1...8 as ClosedRange<UInt16> {
            var packet = rtp(number, payload: Int(number) * 5)
            if number > 4 {
                packet[0] |= 0x11
                packet.insert(contentsOf: [1, 2, 3, 4, 0xBE, 0xDE, 0, 1, 0x10, 1, 0, 0], at: 12)
            }
            try client.protectRTP(&packet)
            seeds.append(packet)
            var report = receiverReport(ssrc: UInt32(number))
            try client.protectRTCP(&report)
            seeds.append(report)
        }
        var mutations = Mutations(of: seeds, seed: 11)
        let rounds = example.sender == .openSSL ? 100_002 / SRTPProfile.allCases.count : 3_000
        var accepted = 0
        for _ in 0..<rounds {
            let mutant = mutations.next()
            var packet = mutant
            do throws(SRTPError) {
                try server.unprotectRTP(&packet)
                accepted += 1
                #expect(seeds.contains(mutant))
            } catch {}
            packet = mutant
            do throws(SRTPError) {
                try server.unprotectRTCP(&packet)
                accepted += 1
                #expect(seeds.contains(mutant))
            } catch {}
            packet = mutant
            do throws(SRTPError) { try client.protectRTP(&packet) } catch {}
        }
        #expect(accepted <= seeds.count)
    }
}
