import Primitives
import SDP
import Testing

@Suite struct CandidateAttributeTests {
    @Test func everyFieldIsRead() throws {
        let text =
            "candidate:4089741612 1 udp 1685855999 203.0.113.9 31544 typ srflx raddr 192.0.2.31 rport 41857 "
            + "generation 2 ufrag h8Jd network-id 3 network-cost 10 x-new thing"
        let candidate = try CandidateAttribute(parsing: text)
        #expect(candidate.foundation == "4089741612" && candidate.component == 1 && candidate.transport == .udp)
        #expect(candidate.priority == 1_685_855_999 && candidate.port == 31_544 && candidate.kind == .serverReflexive)
        #expect(candidate.host.address?.description == "203.0.113.9")
        #expect(candidate.relatedHost?.address?.description == "192.0.2.31" && candidate.relatedPort == 41_857)
        #expect(candidate.generation == 2 && candidate.ufrag == "h8Jd")
        #expect(candidate.networkID == 3 && candidate.networkCost == 10 && candidate.value(of: "x-new") == "thing")
        #expect(candidate.description == text)
    }

    @Test(arguments: ["", "candidate:", "a=candidate:", "A=Candidate:", " a=candidate:"])
    func anyPrefixAndLineEndIsAccepted(_ prefix: String) throws {
        let text = "1 2 UDP 5 192.0.2.1 9 typ host"
        let expected = CandidateAttribute(
            foundation: "1", component: 2, priority: 5, host: .address(IPAddress("192.0.2.1")!), port: 9, kind: .host)
        #expect(try CandidateAttribute(parsing: prefix + text) == expected)
        #expect(try CandidateAttribute(parsing: prefix + text + "\r\n") == expected)
    }

    @Test func namesStayNames() throws {
        let candidate = try CandidateAttribute(
            parsing: "candidate:1 1 udp 5 6d2c9f0e-3a41-4b6e-9f55-20f1f6b7c0aa.local 50211 typ host")
        #expect(candidate.host == .name("6d2c9f0e-3a41-4b6e-9f55-20f1f6b7c0aa.local"))
        #expect(candidate.host.address == nil)
        #expect(
            try CandidateAttribute(parsing: "1 1 udp 5 x_1.example.com 1 typ host").host == .name("x_1.example.com"))
    }

    @Test func addressesOfBothFamiliesAndAllKindsAreRead() throws {
        #expect(
            try CandidateAttribute(parsing: "1 1 udp 5 2001:DB8::1 1 typ relay").host
                == .address(IPAddress("2001:db8::1")!))
        #expect(
            try CandidateAttribute(parsing: "1 1 tcp 5 192.0.2.1 9 typ prflx tcptype so").tcpType == .simultaneousOpen)
        let strange = try CandidateAttribute(parsing: "1 1 ssltcp 5 192.0.2.1 9 typ weird")
        #expect(strange.transport == .other("ssltcp") && strange.kind == .other("weird"))
    }

    @Test(arguments: [
        ("", "is empty"), ("candidate:", "is empty"), ("abc", "component"),
        ("a-b 1 udp 5 192.0.2.1 1 typ host", "foundation"),
        ("123456789012345678901234567890123 1 udp 5 192.0.2.1 1 typ host", "foundation"),
        ("1 0 udp 5 192.0.2.1 1 typ host", "component"), ("1 257 udp 5 192.0.2.1 1 typ host", "component"),
        ("1 -1 udp 5 192.0.2.1 1 typ host", "component"), ("1 1", "transport"),
        ("1 1 udp 4294967296 192.0.2.1 1 typ host", "priority"),
        ("1 1 udp 99999999999999999999999 192.0.2.1 1 typ host", "priority"), ("1 1 udp 5", "address is missing"),
        ("1 1 udp 5 fe80::1%eth0 1 typ host", "zone"), ("1 1 udp 5 fe80::1%25eth0 1 typ host", "zone"),
        ("1 1 udp 5 192.0.2.1 1 typ srflx raddr fe80::1%2 rport 1", "zone"),
        ("1 1 udp 5 [2001:db8::1] 1 typ host", "neither"), ("1 1 udp 5 999.0.2.1 1 typ host", "neither"),
        ("1 1 udp 5 192.0.2.1 65536 typ host", "port"), ("1 1 udp 5 192.0.2.1 1", "typ"),
        ("1 1 udp 5 192.0.2.1 1 host typ", "typ"), ("1 1 udp 5 192.0.2.1 1 typ", "typ"),
        ("1 1 udp 5 192.0.2.1 1 typ host generation", "generation"),
        ("1 1 udp 5 192.0.2.1 1 typ srflx raddr 192.0.2.2 rport x", "rport"),
        ("1 1 udp 5 192.0.2.1 1 typ host generation 0\r ", "control character"),
        ("1 1 udp 5 192.0.2.1 1 typ host a\u{1}b 0", "control character"),
        ("1 1 tcp 5 192.0.2.1 1 typ host tcptype maybe", "tcptype"),
    ])
    func malformedCandidateSaysWhatIsWrong(_ text: String, _ expected: String) {
        let error = #expect(throws: SDPError.self) { try CandidateAttribute(parsing: text) }
        #expect(error?.problem.contains(expected) == true, "\(String(describing: error))")
        #expect(error?.remedy.isEmpty == false)
    }

    private func tolerant(_ text: String) throws -> (CandidateAttribute, [CandidateTolerance]) {
        var tolerated: [CandidateTolerance] = []
        return (try CandidateAttribute(tolerating: text, tolerated: &tolerated), tolerated)
    }

    @Test func candidatesOfOldAndroidClientsAreReadAndTold() throws {
        let text =
            "0:0:candidate:4020260996 1 udp 2122260223 10.0.0.9 52652 typ host generation 0 ufrag 7CB0 network-id 3 "
            + "network-cost 50: "
        let (candidate, tolerated) = try tolerant(text)
        #expect(tolerated == [.prefix("0:0:"), .suffix(":")])
        #expect(candidate.foundation == "4020260996" && candidate.port == 52_652 && candidate.networkCost == 50)
        #expect(candidate.ufrag == "7CB0" && candidate.networkID == 3)
        #expect(throws: SDPError.self) { try CandidateAttribute(parsing: text) }
    }

    @Test(
        arguments: [
            ("candidate:1 1 udp 5 192.0.2.1 9 typ host", []), ("a=candidate:1 1 udp 5 192.0.2.1 9 typ host\r\n", []),
            ("1 1 udp 5 192.0.2.1 9 typ host", []), ("CANDIDATE:1 1 udp 5 192.0.2.1 9 typ host ", []),
            ("candidate:1 1 udp 5 192.0.2.1 9 typ host ufrag", [.suffix("ufrag")]),
            ("candidate:1 1 udp 5 192.0.2.1 9 typ host;", [.suffix(";")]),
            ("\"candidate:1 1 udp 5 192.0.2.1 9 typ host\",", [.prefix("\""), .suffix("\",")]),
            ("audio 0 candidate:1 1 udp 5 192.0.2.1 9 typ host", [.prefix("audio 0")]),
        ] as [(String, [CandidateTolerance])])
    func whatIsPassedOverIsTold(_ text: String, _ expected: [CandidateTolerance]) throws {
        let (candidate, tolerated) = try tolerant(text)
        #expect(tolerated == expected)
        #expect(candidate.description == "candidate:1 1 udp 5 192.0.2.1 9 typ host")
    }

    @Test(arguments: [
        "", ":", "0:0:", "0:0:candidate:", "candidate:1 1 udp 5 192.0.2.1 99999 typ host:",
        "candidate:1 1 udp 5 fe80::1%eth0 9 typ host", "candidate:1 1 udp 5 192.0.2.1 9 typ",
        "candidate:" + String(repeating: "1", count: 3_000),
    ])
    func fieldsThatAreWrongAreNotTolerated(_ text: String) {
        #expect(throws: SDPError.self) { try self.tolerant(text) }
    }

    @Test func oneBadCandidateInADescriptionIsAWarning() throws {
        let description = try SessionDescription(
            parsing: """
                v=0
                o=- 1 1 IN IP4 0.0.0.0
                s=-
                t=0 0
                m=audio 9 UDP/TLS/RTP/SAVPF 0
                a=candidate:1 1 udp 5 fe80::1%eth0 1 typ host
                a=candidate:2 1 udp 5 192.0.2.1 1 typ host
                """)
        #expect(description.media[0].candidates.map(\.foundation) == ["2"])
        #expect(description.warnings.map(\.line) == [6])
        #expect(description.warnings[0].problem.contains("zone"))
        #expect(description.serialized.contains("a=candidate:1 1 udp 5 fe80::1%eth0 1 typ host\r\n"))
    }
}
