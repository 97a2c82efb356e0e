import FixtureSupport
import Primitives
import Testing

@testable import ICE

@Suite struct STUNMessageTests {
    private static let id = STUNTransactionID(upper: 1, lower: 2)
    private static let key = MessageIntegrityKey(password: "a password of some length")

    private static let everything: [STUNAttribute] = [
        .mappedAddress(address("192.0.2.9:1")), .xorMappedAddress(address("[2001:db8::9]:65535")),
        .alternateServer(address("198.51.100.7:3478")), .username("a:b"), .realm("example.org"), .nonce([1, 2, 3]),
        .software("x"), .errorCode(STUNErrorCode(487, "Role Conflict")), .unknownAttributes([0x7001, 0x7002, 0x7003]),
        .priority(.max), .useCandidate, .iceControlled(.max), .iceControlling(1),
        .unknown(type: 0xC057, value: [0, 1, 2, 3, 4]), .unknown(type: 0x7FFF, value: []),
    ]

    @Test func everyAttributeSurvivesTheWire() throws {
        let message = STUNMessage(.request, transactionID: Self.id, attributes: Self.everything)
        for key in [nil, Self.key] {
            for hasFingerprint in [false, true] {
                let bytes = message.encoded(integrity: key, fingerprint: hasFingerprint)
                #expect(bytes.count % 4 == 0)
                let parsed = try STUNMessage(parsing: bytes)
                #expect(parsed.attributes == Self.everything)
                #expect(parsed.hasIntegrity == (key != nil))
                #expect(parsed.isIntact(under: Self.key) == (key != nil))
                #expect(parsed.fingerprint == (hasFingerprint ? .matches : .absent))
                #expect(parsed.unknownRequiredTypes == [0x7FFF])
            }
        }
    }

    @Test(arguments: [STUNMessage.Class.request, .indication, .success, .error])
    func classAndMethodShareTheTypeField(_ messageClass: STUNMessage.Class) throws {
        for method in [0x001, 0x00F, 0x010, 0x07F, 0x080, 0xFFF] as [UInt16] {
            let method = STUNMessage.Method(rawValue: method)
            let bytes = STUNMessage(messageClass, method: method, transactionID: Self.id).encoded()
            let parsed = try STUNMessage(parsing: bytes)
            #expect(parsed.messageClass == messageClass)
            #expect(parsed.method == method)
            #expect(parsed.transactionID == Self.id)
            #expect(bytes[0] < 64)
        }
    }

    @Test func typesAsTheyAreKnownOnTheWire() {
        for (kind, type) in [
            (STUNMessage.Class.request, 0x0001 as UInt16), (.indication, 0x0011), (.success, 0x0101), (.error, 0x0111),
        ] {
            let bytes = STUNMessage(kind, transactionID: Self.id).encoded()
            #expect(UInt16(bytes[0]) << 8 | UInt16(bytes[1]) == type)
        }
    }

    @Test func whatIsNoSTUNIsRefusedByName() {
        func error(_ bytes: [UInt8]) -> STUNParseError? {
            do throws(STUNParseError) {
                _ = try STUNMessage(parsing: bytes)
                return nil
            } catch { return error }
        }
        let good = STUNMessage(.request, transactionID: Self.id, attributes: [.priority(1)]).encoded(fingerprint: false)
        #expect(error([]) == .tooShort)
        #expect(error(Array(good.prefix(19))) == .tooShort)
        #expect(error([0x80] + good.dropFirst()) == .notSTUN)
        var bytes = good
        bytes[4] = 0
        #expect(error(bytes) == .notSTUN)
        #expect(error(good + [0]) == .lengthMismatch(declared: 8, actual: 9))
        bytes = good
        bytes.overwrite(5 as UInt16, at: 22)
        #expect(error(bytes) == .attributeOverrun(type: 0x0024))
        bytes.overwrite(0xFFFF as UInt16, at: 22)
        #expect(error(bytes) == .attributeOverrun(type: 0x0024))
        let crowd = STUNMessage(
            .request, transactionID: Self.id,
            attributes: Array(repeating: .useCandidate, count: STUNMessage.maximumAttributes + 1))
        #expect(error(crowd.encoded(fingerprint: false)) == .tooManyAttributes)
    }

    @Test func nothingMayFollowTheFingerprint() {
        var bytes = STUNMessage(.request, transactionID: Self.id).encoded()
        bytes += [0x00, 0x25, 0, 0]
        bytes.overwrite(UInt16(bytes.count - 20), at: 2)
        #expect(throws: STUNParseError.malformedTrailer) { try STUNMessage(parsing: bytes) }
    }

    @Test func whatFollowsTheIntegrityIsNotBelieved() throws {
        var bytes = STUNMessage(.request, transactionID: Self.id, attributes: [.priority(1)])
            .encoded(integrity: Self.key, fingerprint: false)
        bytes += [0x00, 0x25, 0, 0]  // USE-CANDIDATE smuggled in
        bytes.overwrite(UInt16(bytes.count - 20), at: 2)
        let message = try STUNMessage(parsing: bytes)
        #expect(message.isIntact(under: Self.key))
        #expect(!message.useCandidate)
    }

    @Test func everyChangedByteBreaksTheIntegrityOrTheMessage() throws {
        let bytes = STUNMessage(.request, transactionID: Self.id, attributes: [.username("ab:cd"), .priority(77)])
            .encoded(integrity: Self.key)
        // The last eight bytes are the fingerprint, which the integrity does not cover.
        for index in 0..<(bytes.count - 8) {
            var changed = bytes
            changed[index] ^= 0x04
            let isIntact = (try? STUNMessage(parsing: changed))?.isIntact(under: Self.key) ?? false
            #expect(!isIntact, "byte \(index)")
            if let message = try? STUNMessage(parsing: changed) { #expect(message.fingerprint == .differs) }
        }
    }

    @Test func malformedValuesAreKeptAsSuch() throws {
        func parse(_ type: UInt16, _ value: [UInt8]) throws -> STUNAttribute? {
            let message = STUNMessage(
                .request, transactionID: Self.id, attributes: [.unknown(type: type, value: value)])
            return try STUNMessage(parsing: message.encoded()).attributes.first
        }
        for (type, value) in [
            (0x0020, [0, 3, 0, 0, 1, 2, 3, 4]), (0x0020, [0, 1, 0, 0, 1, 2, 3]), (0x0020, [0, 2, 0, 0, 1, 2, 3, 4]),
            (0x0001, []), (0x0024, [1, 2, 3]), (0x0025, [0]), (0x8029, [1]), (0x0006, [0xFF, 0xFE]),
            (0x0009, [0, 0, 2, 0]), (0x0009, [0, 0, 4, 100]), (0x0009, [0]), (0x000A, [1]),
            (0x0006, [UInt8](repeating: 65, count: 509)), (0x8022, [UInt8](repeating: 65, count: 764)),
        ] as [(UInt16, [UInt8])] {
            #expect(try parse(type, value) == .malformed(type: type, value: value))
        }
    }

    @Test func truncationAtEveryByteIsATypedError() throws {
        let bytes = STUNMessage(.request, transactionID: Self.id, attributes: Self.everything)
            .encoded(integrity: Self.key)
        for count in 0..<bytes.count {
            #expect(throws: STUNParseError.self) { try STUNMessage(parsing: Array(bytes.prefix(count))) }
            // With a length field that agrees, what is left is a message or a typed error.
            var cut = Array(bytes.prefix(count))
            cut.overwrite(UInt16(truncatingIfNeeded: max(0, count - 20)), at: 2)
            if let message = try? STUNMessage(parsing: cut) {
                #expect(!message.isIntact(under: Self.key) || count >= bytes.count - 8)
            }
        }
    }

    @Test func mutationsEndInAValueOrATypedError() throws {
        let seeds = [
            STUNMessage(.request, transactionID: Self.id, attributes: Self.everything).encoded(integrity: Self.key),
            try STUNVectorTests.bytes(STUNVectorTests.request), try STUNVectorTests.bytes(STUNVectorTests.responseV6),
            try STUNVectorTests.bytes(STUNVectorTests.longTerm),
        ]
        var mutations = Mutations(of: seeds, seed: 8489)
        var parsed = 0
        for index in 0..<100_000 {
            guard var message = try? STUNMessage(parsing: mutations.next()) else { continue }
            parsed += 1
            guard index % 64 == 0 else { continue }
            _ = message.fingerprint
            _ = message.isIntact(under: Self.key)
            // What was read can be written and read again.
            message.attributes = message.attributes.map {
                if case .malformed(let type, let value) = $0 { .unknown(type: type, value: value) } else { $0 }
            }
            #expect((try? STUNMessage(parsing: message.encoded())) != nil)
        }
        #expect(parsed > 1_000)
    }

    @Test func agentSurvivesMutatedTraffic() throws {
        var peer = ScriptedPeer.ready(.init(role: .controlled))
        peer.addCandidate("198.51.100.1:5000")
        let check = try #require(peer.out.datagrams.first)
        let seeds = [peer.request(useCandidate: true), try peer.answer(check), peer.request(extra: [.software("x")])]
        var mutations = Mutations(of: seeds, seed: 8445)
        for _ in 0..<10_000 {
            peer.deliver(mutations.next(), from: "198.51.100.1:5000")
        }
        #expect(peer.agent.pairs.count == 1)
        #expect(peer.agent.counters.malformed > 1_000)
    }
}
