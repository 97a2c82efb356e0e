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
        for _ in 0..<100_000 {
            guard let candidate = try? CandidateAttribute(parsing: String(decoding: mutations.next(), as: UTF8.self))
            else { continue }
            #expect((try? CandidateAttribute(parsing: candidate.description)) == candidate)
        }
    }

    @Test func aHundredThousandCandidatesReadWithToleranceNeverTrap() {
        let seeds = [
            "0:0:candidate:4020260996 1 udp 2122260223 192.0.2.9 52652 typ host generation 0 network-cost 50: ",
            "a=candidate:1 1 tcp 5 2001:db8::1 9 typ host tcptype active ufrag",
        ].map { Array($0.utf8) }
        var mutations = Mutations(of: seeds, seed: 8840)
        var accepted = 0
        var tolerated: [CandidateTolerance] = []
        for _ in 0..<100_000 {
            let text = String(decoding: mutations.next(), as: UTF8.self)
            guard let candidate = try? CandidateAttribute(tolerating: text, tolerated: &tolerated) else { continue }
            accepted += 1
            // What was accepted is a candidate by the grammar.
            if accepted % 8 == 0 { #expect((try? CandidateAttribute(parsing: candidate.description)) == candidate) }
        }
        #expect(accepted > 1_000 && accepted < 99_000)
    }

    /// Small ones, so that there can be many: a few lines of each kind, where a browser writes a hundred of one.
    @Test func aHundredThousandMutatedSmallDescriptionsNeverTrap() {
        let head = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 0 111\r\nc=IN IP4 0.0.0.0\r\n"
        let seeds = [
            head + "a=group:BUNDLE 0\r\n" + audio + "a=mid:0\r\na=rtcp-mux\r\n",
            head + "a=ice-lite\r\n" + audio + "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n",
            head + audio + "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtcp-fb:* nack\r\n",
            head + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=rid:h send\r\na=simulcast:send h;~l\r\n",
            head + "m=application 9/2 UDP/DTLS/SCTP x\r\nb=AS:9\r\na=sctp-port:5000\r\na=inactive\r\n",
            head + audio + "a=candidate:1 1 udp 5 192.0.2.1 9 typ host\r\na=ssrc:1 cname:x\r\na=msid:a b\r\n",
            "v=0\no=x 1 1 IN IP6 ::1\ns=\nm=audio 9 RTP/AVP 0\na=extmap:1/sendonly urn:x\na=setup:actpass\n",
        ].map { Array($0.utf8) }
        var mutations = Mutations(of: seeds, seed: 8866)
        var accepted = 0
        for _ in 0..<100_000 {
            let bytes = mutations.next()
            guard let description = try? SessionDescription(parsing: String(decoding: bytes, as: UTF8.self)) else {
                continue
            }
            accepted += 1
            if accepted % 16 == 0 {
                #expect((try? SessionDescription(parsing: description.serialized)) == description)
            }
        }
        #expect(accepted > 1_000 && accepted < 99_000, "\(accepted)")
    }

    @Test func mutatedDescriptionsNeverTrapAndWriteWhatTheyRead() throws {
        let seeds = try ["datachannel-only", "g711-only", "unbundled", "webrtcbin"].map {
            try Fixtures.bytes("sdp/\($0)-style-offer.sdp")
        }
        var mutations = Mutations(of: seeds, seed: 3264)
        for _ in 0..<5_000 { checkRoundTrip(mutations.next()) }
    }
}
