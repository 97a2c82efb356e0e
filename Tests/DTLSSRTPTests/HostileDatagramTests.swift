import FixtureSupport
import Primitives
import Testing

@testable import DTLSSRTP

@Suite struct HostileDatagramTests {
    /// 3,000 and not 100,000: OpenSSL's handshake costs milliseconds where a parser of ours costs nanoseconds. A mutant
    /// may end the handshake (its plain-text part is not authenticated), it must not trap nor connect the wrong peer.
    @Test(arguments: [VirtualWire.Side.client, .server])
    func mutatedHandshakesNeverTrapNorConnectAStranger(victim: VirtualWire.Side) throws {
        var reference = try makePair(seed: 21, seededRandomness: true)
        reference.startBoth()
        reference.run()
        let seeds = reference.sent.filter { $0.from != victim }.map(\.bytes)
        #expect(seeds.count == 2)
        var mutations = Mutations(of: seeds, seed: 5)
        let stranger = try Certificate.generate().fingerprint
        var wire = try makePair()
        var restarts = 0
        for round in 0..<3_000 {
            let state = (victim == .client ? wire.client : wire.server).state
            if round == 0 || state == .failed || state == .closed || round % 20 == 0 {
                restarts += 1
                // The victim waits for the same peer with the same randomness; its peer is another.
                wire = try makePair(seed: 21, seededRandomness: true)
                wire.call(victim) { $0.setRemoteFingerprints([stranger], at: $1, into: &$2) }
                wire.start(victim)
                if round % 40 == 0 { wire.call(victim) { $0.receive(seeds[0], at: $1, into: &$2) } }
            }
            let mutant = mutations.next()
            wire.call(victim) { $0.receive(mutant, at: $1, into: &$2) }
            #expect(wire.clientAssociation == nil && wire.serverAssociation == nil)
        }
        #expect(restarts > 100)
    }

    @Test func forgedDatagramsDoNotDisturbAConnectedAssociation() throws {
        var wire = try makePair()
        wire.startBoth()
        wire.run()
        var mutations = Mutations(of: wire.sent.map(\.bytes), seed: 6)
        let before = wire.sent.count
        for _ in 0..<3_000 {
            let mutant = mutations.next()
            wire.call(.client) { $0.receive(mutant, at: $1, into: &$2) }
            wire.call(.server) { $0.receive(mutant, at: $1, into: &$2) }
        }
        #expect(wire.client.state == .connected && wire.server.state == .connected)
        #expect(wire.sent.count - before < 100, "a forger must not be answered at length")
        #expect(wire.client.statistics.applicationBytesIgnored == 0)
    }

    /// Records of the encrypted epoch that are too short to be encrypted, of every type and length, alone and behind a
    /// real record; and of epochs there are none of. At every point of the handshake and after it.
    @Test(arguments: [0, 1, 2, 3, 4, 5])
    func recordsThatCannotBeEncryptedEndNothing(afterDatagrams: Int) throws {
        var wire = try makePair()
        let forged = (UInt8(20)...24).flatMap { type in
            [(UInt8(1), 0), (1, 1), (1, 2), (1, 7), (1, 8), (1, 15), (1, 16), (1, 23), (1, 24), (2, 40), (255, 60)].map
            {
                [type, 0xFE, 0xFD, 0, $0.0, 0, 0, 0, 0, 0, 99, 0, UInt8($0.1)] + [UInt8](repeating: 1, count: $0.1)
            }
        }
        var passed = 0
        wire.filter = { _, bytes, _ in
            passed += 1
            return passed == afterDatagrams ? forged + forged.map { bytes + $0 } + [bytes] : [bytes]
        }
        wire.startBoth()
        wire.run()
        for bytes in forged where afterDatagrams == 0 {
            wire.call(.client) { $0.receive(bytes, at: $1, into: &$2) }
            wire.call(.server) { $0.receive(bytes, at: $1, into: &$2) }
        }
        wire.run()
        #expect(wire.client.state == .connected && wire.server.state == .connected)
        #expect(wire.clientAssociation != nil && wire.serverAssociation != nil)
    }

    /// What is taken out of a datagram is only what is impossible.
    @Test func realRecordsPassBesideImpossibleOnes() {
        func record(_ epoch: UInt8, _ count: Int) -> [UInt8] {
            [22, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 1, 0, UInt8(count)] + [UInt8](repeating: 7, count: count)
        }
        let plain = record(0, 1)
        #expect(DTLSRecords.readable(plain + record(1, 25), overhead: 24) == plain + record(1, 25))
        #expect(DTLSRecords.readable(plain + record(1, 24) + record(1, 25), overhead: 24) == plain + record(1, 25))
        #expect(DTLSRecords.readable(record(1, 17) + record(2, 60), overhead: 16) == record(1, 17))
        #expect(DTLSRecords.readable(record(1, 24) + record(3, 60), overhead: 24).isEmpty)
    }

    @Test func recordWalkNeverTraps() throws {
        var wire = try makePair()
        wire.startBoth()
        wire.run()
        var mutations = Mutations(of: wire.sent.map(\.bytes), seed: 7)
        var numbering = RecordNumbering(mtu: 300)
        for _ in 0..<100_000 {
            let mutant = mutations.next()
            let ranges = DTLSRecords.ranges(in: mutant)
            #expect((ranges.last?.upperBound ?? 0) <= mutant.count)
            if ranges.count > 3 { _ = numbering.datagrams(for: [mutant]) }
        }
        for length in 0...wire.sent[1].bytes.count {
            _ = DTLSRecords.ranges(in: Array(wire.sent[1].bytes.prefix(length)))
        }
    }

    /// Whatever OpenSSL wrote at once is cut between records and packed anew.
    @Test func writesAreCutBetweenRecords() {
        func record(_ count: Int, epoch: UInt8) -> [UInt8] {
            var bytes: [UInt8] = [22, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, 9]
            bytes.append(UInt16(count))
            return bytes + [UInt8](repeating: 7, count: count)
        }
        var numbering = RecordNumbering(mtu: 100)
        let write = record(60, epoch: 0) + record(20, epoch: 0) + record(30, epoch: 1) + record(80, epoch: 0)
        let datagrams = numbering.datagrams(for: [write])
        #expect(datagrams.map(\.count) == [73, 76, 93])
        #expect(datagrams.flatMap(records).map { $0[10] } == [0, 1, 9, 2], "epoch 0 is numbered anew, epoch 1 is not")
        let small = [record(20, epoch: 0), record(20, epoch: 0), record(30, epoch: 1)]
        #expect(numbering.datagrams(for: small).map(\.count) == [66, 43], "small writes share a datagram")
    }
}
