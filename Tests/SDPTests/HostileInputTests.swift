import FixtureSupport
import Primitives
import SDP
import Testing

/// Held to: a value or a typed error, never a trap; what was accepted is accepted again once written.
@Suite struct HostileInputTests {
    private func checkRoundTrip(_ bytes: [UInt8]) {
        guard let description = try? SessionDescription(parsing: String(decoding: bytes, as: UTF8.self)) else { return }
        let text = description.serialized
        do {
            let again = try SessionDescription(parsing: text)
            #expect(again == description)
        } catch { Issue.record("written text is refused: \(error)\n\(text)") }
    }

    @Test(arguments: try offerFixtures())
    func aFixtureCutAtEveryByteNeverTraps(_ name: String) throws {
        let bytes = try Fixtures.bytes(name)
        // The grammar works line by line, so it is enough to keep the text's head once and cut inside it at a stride,
        // and to cut its single lines at every byte.
        for end in stride(from: 0, through: bytes.count, by: 97) {
            _ = try? SessionDescription(parsing: String(decoding: bytes[..<end], as: UTF8.self))
        }
        for line in Set(bytes.split(whereSeparator: { $0 == 10 || $0 == 13 })) where line.starts(with: "a=".utf8) {
            for end in line.indices {
                _ = try? Attribute(parsing: String(decoding: line[..<end], as: UTF8.self))
            }
        }
    }

    @Test func aSmallDescriptionCutAtEveryByteNeverTraps() throws {
        let bytes = try Fixtures.bytes("sdp/datachannel-only-style-offer.sdp")
        for end in 0...bytes.count { checkRoundTrip(Array(bytes[..<end])) }
    }

    @Test func aHundredThousandMutatedAttributesNeverTrap() throws {
        var lines: Set<[UInt8]> = []
        for name in try offerFixtures() {
            for line in try Fixtures.bytes(name).split(whereSeparator: { $0 == 10 || $0 == 13 })
            where line.starts(with: "a=".utf8) { lines.insert(Array(line.dropFirst(2))) }
        }
        // A few of each name, so that the many codecs of a browser do not crowd out the rest.
        var seeds: [[UInt8]] = []
        var count: [ArraySlice<UInt8>: Int] = [:]
        for line in lines.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let name = line.prefix { $0 != 58 }
            count[name, default: 0] += 1
            if count[name, default: 0] <= 3 { seeds.append(line) }
        }
        var mutations = Mutations(of: seeds, seed: 8866)
        var accepted = 0
        for _ in 0..<100_000 {
            if (try? Attribute(parsing: String(decoding: mutations.next(), as: UTF8.self))) != nil { accepted += 1 }
        }
        #expect(accepted > 1_000 && accepted < 99_000)
    }

    @Test func mutatedCandidatesNeverTrap() {
        let seeds = [
            "candidate:4089741612 1 udp 1685855999 203.0.113.9 31544 typ srflx raddr 192.0.2.31 rport 41857 generation 2",
            "a=candidate:1 1 tcp 5 2001:db8::1 9 typ host tcptype active ufrag abcd network-cost 999",
        ].map { Array($0.utf8) }
        var mutations = Mutations(of: seeds, seed: 8839)
        for _ in 0..<10_000 {
            guard let candidate = try? CandidateAttribute(parsing: String(decoding: mutations.next(), as: UTF8.self))
            else { continue }
            #expect((try? CandidateAttribute(parsing: candidate.description)) == candidate)
        }
    }

    @Test func mutatedDescriptionsNeverTrapAndWriteWhatTheyRead() throws {
        let seeds = try ["datachannel-only", "g711-only", "unbundled", "webrtcbin"].map {
            try Fixtures.bytes("sdp/\($0)-style-offer.sdp")
        }
        var mutations = Mutations(of: seeds, seed: 3264)
        for _ in 0..<5_000 { checkRoundTrip(mutations.next()) }
    }
}
