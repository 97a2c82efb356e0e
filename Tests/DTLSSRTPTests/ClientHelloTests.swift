import DTLSSRTP
import FixtureSupport
import Primitives
import Testing

/// ClientHellos that do not fit a datagram, as browsers with post-quantum key shares send them.
@Suite struct ClientHelloTests {
    @Test(arguments: [2, 3, 7], [false, true])
    func fragmentedHelloCompletesTheHandshake(parts: Int, reversed: Bool) throws {
        var wire = try makePair()
        wire.filter = { side, bytes, number in
            guard side == .client, number == 1 else { return [bytes] }
            let fragments = fragments(of: bytes, parts: parts)
            return reversed ? fragments.reversed() : fragments
        }
        wire.startBoth()
        wire.run()
        #expect(wire.clientAssociation != nil)
        #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial)
        #expect(wire.client.statistics.flightsRepeated == 0, "no HelloVerifyRequest, no repetition")
        #expect(wire.sent.map(\.from) == [.client, .server, .client, .server])
    }

    @Test func lostFragmentIsMadeUpForByTheRepetition() throws {
        for lost in 0..<3 {
            var wire = try makePair()
            wire.filter = { side, bytes, number in
                guard side == .client, number == 1 else { return [bytes] }
                var fragments = fragments(of: bytes, parts: 3)
                fragments.remove(at: lost)
                return fragments
            }
            wire.startBoth()
            wire.run()
            #expect(wire.clientAssociation?.keyingMaterial == wire.serverAssociation?.keyingMaterial)
            #expect(wire.clientAssociation != nil)
        }
    }

    /// DTLS 1.3 first with an X25519MLKEM768 key share, 1.2 as the fallback: about 1,450 bytes in two datagrams.
    @Test(arguments: [false, true])
    func bigHelloIsAnsweredInDTLS12(reversed: Bool) throws {
        var wire = try makePair()
        wire.start(.server)
        let hello = bigClientHello()
        #expect(hello.count > 1_400)
        let fragments = fragments(of: hello, parts: 2)
        #expect(fragments.allSatisfy { $0.count < 1_200 })
        for datagram in reversed ? fragments.reversed() : fragments {
            #expect(wire.sent.isEmpty)
            wire.call(.server) { $0.receive(datagram, at: $1, into: &$2) }
        }
        let answer = try #require(wire.sent.first).bytes
        let messages = records(of: answer).map { $0[13] }
        // ServerHello, Certificate, ServerKeyExchange, CertificateRequest, ServerHelloDone; no HelloVerifyRequest (3).
        #expect(messages == [2, 11, 12, 13, 14])
        let serverHello = records(of: answer)[0]
        #expect(Array(serverHello[25..<27]) == [0xFE, 0xFD])
        #expect(wire.failure(of: .server) == nil)
    }

    @Test func bigHelloCutAnywhereNeverTraps() throws {
        let hello = bigClientHello()
        for length in stride(from: 13, through: hello.count, by: 11) {
            var wire = try makePair()
            wire.start(.server)
            var cut = Array(hello.prefix(length))
            // The record claims what there is of it, the message inside claims more.
            cut.overwrite(UInt16(length - 13), at: 11)
            wire.call(.server) { $0.receive(cut, at: $1, into: &$2) }
            #expect(wire.serverAssociation == nil)
        }
    }
}

/// One handshake message of one record, cut into fragments, a record and a datagram each (RFC 6347 §4.2.3).
func fragments(of datagram: [UInt8], parts: Int) -> [[UInt8]] {
    let body = Array(datagram.dropFirst(25))
    let size = (body.count + parts - 1) / parts
    return (0..<parts).map { part in
        let range = min(part * size, body.count)..<min((part + 1) * size, body.count)
        var record = Array(datagram.prefix(10))
        // Numbers the client will not come to, within the window of those it will (RFC 6347 §4.1.2.6).
        record.append(UInt8(40 + part))
        record.append(UInt16(12 + range.count))
        record += datagram[13..<19]
        record.append24(UInt32(range.lowerBound))
        record.append24(UInt32(range.count))
        return record + body[range]
    }
}

func bigClientHello() -> [UInt8] {
    var random = RandomSource.seeded(77)
    func block16(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.append(UInt16(bytes.count))
        return result + bytes
    }
    func fields(_ values: [UInt16]) -> [UInt8] { values.reduce(into: []) { $0.append($1) } }
    func extensionBlock(_ type: UInt16, _ bytes: [UInt8]) -> [UInt8] { fields([type]) + block16(bytes) }

    var body: [UInt8] = [0xFE, 0xFD]
    body += random.bytes(32)
    body += [0, 0]
    body += block16(fields([0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0xC009, 0xC013]))
    body += [1, 0]
    var extensions: [UInt8] = []
    extensions += extensionBlock(0x0017, [])
    extensions += extensionBlock(0xFF01, [0])
    extensions += extensionBlock(0x000A, block16(fields([0x11EC, 0x001D, 0x0017, 0x0018])))
    extensions += extensionBlock(0x000B, [1, 0])
    extensions += extensionBlock(0x000D, block16(fields([0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501])))
    extensions += extensionBlock(0x000E, block16(fields([0x0008, 0x0007, 0x0001])) + [0])
    extensions += extensionBlock(0x002B, [4, 0xFE, 0xFC, 0xFE, 0xFD])
    let shares = fields([0x11EC]) + block16(random.bytes(1_216)) + fields([0x001D]) + block16(random.bytes(32))
    extensions += extensionBlock(0x0033, block16(shares))
    body += block16(extensions)

    var datagram: [UInt8] = [22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0]
    datagram.append(UInt16(12 + body.count))
    datagram.append(UInt8(1))
    datagram.append24(UInt32(body.count))
    datagram += [0, 0, 0, 0, 0]
    datagram.append24(UInt32(body.count))
    return datagram + body
}
