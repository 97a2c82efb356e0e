import DTLSSRTP
import FixtureSupport
import Primitives
import Testing

@Suite struct HandshakeTests {
    @Test func bothRolesExportTheSameKeys() throws {
        var wire = try makePair()
        wire.startBoth()
        wire.run()
        let client = try #require(wire.clientAssociation)
        let server = try #require(wire.serverAssociation)
        #expect(client.keyingMaterial == server.keyingMaterial)
        #expect(client.keyingMaterial.profile == .aeadAES128GCM)
        #expect(client.keyingMaterial.clientKey != client.keyingMaterial.serverKey)
        #expect(client.version == 0xFEFD)
        #expect(client.cipherSuite == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
        #expect(client.peerCertificate == wire.server.configuration.certificate.encoded)
        #expect(server.peerCertificate == wire.client.configuration.certificate.encoded)
        #expect(wire.client.state == .connected && wire.server.state == .connected)
        #expect(wire.client.deadline == nil && wire.server.deadline == nil)
        #expect(wire.clientEvents.count == 1 && wire.serverEvents.count == 1)
        // Two round trips of 40 ms for the client, one and a half for the server; one datagram a flight.
        #expect(wire.now == .zero + .milliseconds(80))
        #expect(wire.sent.map(\.from) == [.client, .server, .client, .server])
        #expect(wire.client.roundTripTime == .milliseconds(40))
    }

    @Test func keysOfOneCallFitItsSRTP() throws {
        var wire = try makePair()
        wire.startBoth()
        wire.run()
        let client = try SRTPSession(
            keying: try #require(wire.clientAssociation).keyingMaterial, localRole: .client)
        let server = try SRTPSession(
            keying: try #require(wire.serverAssociation).keyingMaterial, localRole: .server)
        var packet = rtp(1)
        try client.protectRTP(&packet)
        try server.unprotectRTP(&packet)
        #expect(packet == rtp(1))
    }

    @Test(arguments: [0.0, 0.02, 0.05, 0.1, 0.3])
    func completesUnderLossReorderingAndDuplication(loss: Double) throws {
        var slowest = Instant.zero
        for seed in 1...25 as ClosedRange<UInt64> {
            var wire = try makePair(seed: seed)
            wire.impairment = .init(loss: loss, duplication: 0.2, reordering: 0.5)
            wire.startBoth()
            let steps = wire.run()
            #expect(steps < 1_000, "seed \(seed)")
            #expect(wire.clientAssociation != nil, "seed \(seed)")
            #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial, "seed \(seed)")
            slowest = max(slowest, wire.now)
            expectNoPlainRecordNumberTwice(wire)
        }
        // With 30 % loss each way a flight of one datagram needs a handful of tries; the third one comes after 0.3 s.
        #expect(slowest <= .zero + .milliseconds(loss < 0.2 ? 2_000 : 20_000))
    }

    @Test(arguments: [1_200, 576, 300])
    func noDatagramExceedsTheMTU(mtu: Int) throws {
        for (rsaClient, rsaServer) in [(false, false), (true, false), (false, true), (true, true)] {
            for seed in 1...3 as ClosedRange<UInt64> {
                let rsa = try rsaCertificate()
                var wire = try makePair(seed: seed) { side, configuration in
                    configuration.mtu = mtu
                    if side == .client ? rsaClient : rsaServer { configuration.certificate = rsa }
                }
                wire.impairment = .init(loss: seed == 1 ? 0 : 0.1, reordering: 0.5)
                wire.startBoth()
                wire.run()
                #expect(wire.clientAssociation != nil)
                #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial)
                let largest = wire.sent.map(\.bytes.count).max() ?? 0
                #expect(largest <= mtu)
                if rsaServer { #expect(largest > mtu - 60, "the flight should fill its datagrams") }
                if rsaServer { #expect(wire.serverAssociation?.cipherSuite.contains("ECDHE_RSA") == true) }
                expectNoPlainRecordNumberTwice(wire)
            }
        }
    }

    @Test func tooSmallAnMTUIsAnErrorOfSetup() throws {
        var wire = try makePair { _, configuration in configuration.mtu = 100 }
        wire.start(.client)
        guard case .setup = wire.failure(of: .client) else {
            Issue.record("no .setup failure: \(wire.clientEvents)")
            return
        }
    }

    @Test func firstProfileOfTheServerWins() throws {
        var wire = try makePair { side, configuration in
            configuration.profiles = side == .server ? [.aeadAES256GCM, .aeadAES128GCM] : SRTPProfile.preferred
        }
        wire.startBoth()
        wire.run()
        #expect(wire.clientAssociation?.keyingMaterial.profile == .aeadAES256GCM)
        #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial)
    }

    @Test(arguments: SRTPProfile.allCases)
    func eachProfileCanBeAgreed(profile: SRTPProfile) throws {
        var wire = try makePair { side, configuration in
            if side == .client { configuration.profiles = [profile] }
        }
        wire.startBoth()
        wire.run()
        let keying = try #require(wire.serverAssociation).keyingMaterial
        #expect(keying == wire.clientAssociation?.keyingMaterial)
        #expect(keying.profile == profile)
        #expect(keying.clientKey.count == profile.keyLength && keying.clientSalt.count == profile.saltLength)
    }

    @Test func noCommonProfileIsAFailureOfBoth() throws {
        var wire = try makePair { side, configuration in
            configuration.profiles = side == .server ? [.aeadAES256GCM] : [.aes128CMHMACSHA1_80]
        }
        wire.startBoth()
        wire.run()
        #expect(wire.clientAssociation == nil && wire.serverAssociation == nil)
        #expect(wire.failure(of: .client) == .noCommonProfile)
        #expect(wire.failure(of: .server) == .noCommonProfile)
    }

    @Test func peerWithoutUseSRTPIsAFailure() throws {
        var wire = try makePair { side, configuration in
            if side == .client { configuration.profiles = [] }
        }
        wire.startBoth()
        wire.run()
        #expect(wire.failure(of: .server) == .noCommonProfile)
        #expect(wire.serverAssociation == nil)
    }

    /// The peer may know our address before we know our role: what comes early is kept and used.
    @Test func datagramsBeforeTheStartAreKept() throws {
        var wire = try makePair()
        wire.start(.client)
        wire.run(for: .milliseconds(50))
        #expect(wire.server.state == .new && wire.server.role == nil)
        #expect(wire.serverTrace.contains { if case .earlyDatagramKept = $0 { true } else { false } })
        wire.start(.server)
        #expect(wire.sent.contains { $0.from == .server }, "the ClientHello that was kept is answered at once")
        wire.run()
        #expect(wire.clientAssociation != nil && wire.serverAssociation != nil)
    }

    @Test func earlyDatagramsAreBounded() throws {
        var wire = try makePair { _, configuration in configuration.earlyDatagramLimit = 4 }
        let hello = try clientHello()
        for _ in 0..<7 { wire.call(.server) { $0.receive(hello, at: $1, into: &$2) } }
        #expect(wire.serverTrace.filter { $0 == .earlyDatagramKept(bytes: hello.count) }.count == 4)
        #expect(
            wire.serverTrace.filter { $0 == .datagramDropped(.tooManyEarly, bytes: hello.count) }.count == 3)
        wire.start(.server)
        #expect(wire.sent.count == 1, "one flight answers four copies of one hello")
    }

    @Test func datagramsThatAreNotDTLSAreDropped() throws {
        var wire = try makePair { _, configuration in configuration.datagramSizeLimit = 2_000 }
        wire.start(.server)
        let hello = try clientHello()
        let strangers: [[UInt8]] = [
            [], [22], Array(hello.prefix(12)), Array(hello.dropLast()), [0x80] + hello.dropFirst(),
            [0x16, 3, 1, 0, 5, 1],
            [0x2C] + hello.dropFirst(),
        ]
        for bytes in strangers { wire.call(.server) { $0.receive(bytes, at: $1, into: &$2) } }
        let long = hello + [UInt8](repeating: 0, count: 2_000)
        wire.call(.server) { $0.receive(long, at: $1, into: &$2) }
        #expect(wire.server.statistics.datagramsDropped == strangers.count + 1)
        #expect(wire.serverTrace.contains(.datagramDropped(.tooLong, bytes: long.count)))
        #expect(wire.sent.isEmpty)
        wire.call(.server) { $0.receive(hello, at: $1, into: &$2) }
        #expect(wire.sent.count == 1)
    }

    @Test func keyLogLinesComeOnlyWhereTheyAreWanted() throws {
        var wire = try makePair { side, configuration in configuration.logsKeys = side == .client }
        wire.startBoth()
        wire.run()
        let lines = wire.clientEvents.compactMap { if case .keyLogLine(let line) = $0 { line } else { nil } }
        #expect(lines.count == 1)
        let parts = try #require(lines.first).split(separator: " ")
        #expect(parts.map(\.count) == ["CLIENT_RANDOM".count, 64, 96])
        #expect(parts[0] == "CLIENT_RANDOM")
        #expect(!wire.serverEvents.contains { if case .keyLogLine = $0 { true } else { false } })
    }

    @Test func keysDoNotPrint() throws {
        var wire = try makePair()
        wire.startBoth()
        wire.run()
        let keying = try #require(wire.clientAssociation).keyingMaterial
        var dumped = ""
        dump(wire.clientAssociation, to: &dumped)
        for text in ["\(keying)", String(reflecting: keying), dumped, "\(wire.clientEvents)"] {
            #expect(!text.contains("\(keying.clientKey)"))
            // Four bytes: two in a row stand in a certificate by chance, now and then.
            #expect(!text.contains(keying.clientKey.prefix(4).map(String.init).joined(separator: ", ")))
        }
    }

    @Test func closeIsHeardByThePeer() throws {
        var wire = try makePair()
        wire.startBoth()
        wire.run()
        wire.call(.client) { $0.close(at: $1, into: &$2) }
        #expect(wire.client.state == .closed)
        wire.run()
        #expect(wire.serverEvents.last == .closedByPeer)
        #expect(wire.server.state == .closed)
        let count = wire.sent.count
        wire.call(.client) { $0.close(at: $1, into: &$2) }
        wire.call(.server) { $0.close(at: $1, into: &$2) }
        let stray = try clientHello()
        wire.call(.server) { $0.receive(stray, at: $1, into: &$2) }
        #expect(wire.sent.count == count, "nothing is said after the end")
        #expect(wire.serverTrace.last == .datagramDropped(.closed, bytes: stray.count))
    }

    @Test func closeBeforeTheEndOfTheHandshakeIsSilent() throws {
        var wire = try makePair()
        wire.start(.client)
        wire.call(.client) { $0.close(at: $1, into: &$2) }
        #expect(wire.client.deadline == nil && wire.client.state == .closed)
        #expect(wire.sent.count == 1 && wire.clientEvents.isEmpty)
    }

    private func expectNoPlainRecordNumberTwice(_ wire: VirtualWire) {
        for side in [VirtualWire.Side.client, .server] {
            var seen: Set<[UInt8]> = []
            for (_, from, bytes) in wire.sent where from == side {
                for record in records(of: bytes) where record[3] == 0 && record[4] == 0 {
                    #expect(seen.insert(Array(record[3..<11])).inserted, "record number used twice")
                }
            }
        }
    }
}

/// The records of a datagram, header included.
func records(of datagram: [UInt8]) -> [[UInt8]] {
    var rest = datagram[...]
    var result: [[UInt8]] = []
    while rest.count >= 13 {
        let start = rest.startIndex
        let length = 13 + Int(rest[start + 11]) << 8 + Int(rest[start + 12])
        guard rest.count >= length else { break }
        result.append(Array(rest.prefix(length)))
        rest = rest.dropFirst(length)
    }
    return result
}

/// The first datagram of a client of ours.
func clientHello() throws -> [UInt8] {
    var wire = try makePair()
    wire.start(.client)
    return try #require(wire.sent.first).bytes
}

func rsaCertificate() throws -> Certificate {
    try Certificate(
        pemCertificate: try Fixtures.text("dtls/rsa4096-certificate.pem"),
        pemKey: try Fixtures.text("dtls/rsa4096-key.pem"))
}
