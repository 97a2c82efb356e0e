import ICE
import Primitives
import Testing

/// The text of mapping rules: what is taken, what is refused, and what the refusal says.
@Suite struct MappingRuleTests {
    struct Accepted: Sendable, CustomTestStringConvertible {
        var rule: String
        var given: String
        var results: [String]
        var testDescription: String { rule }
    }

    static let accepted: [Accepted] = [
        Accepted(
            rule: "local 192.0.2.33:30008-30208 = 198.51.100.40:30008-30208", given: "192.0.2.33:30100",
            results: ["198.51.100.40:30100"]),
        Accepted(
            rule: "local 192.0.2.33:30008-30208 = 198.51.100.40:40008-40208", given: "192.0.2.33:30208",
            results: ["198.51.100.40:40208"]),
        Accepted(
            rule: "local 192.0.2.33:30008-30208 = 198.51.100.40:30008-30208", given: "192.0.2.33:30209",
            results: ["192.0.2.33:30209"]),
        Accepted(
            rule: "local any = 198.51.100.40:40008 (port+10000)", given: "192.0.2.33:30008",
            results: ["198.51.100.40:40008"]),
        Accepted(
            rule: "local any = 198.51.100.40 (port+10000)", given: "192.0.2.33:30008", results: ["198.51.100.40:40008"]),
        Accepted(
            rule: "local any:30008 = 198.51.100.40 (port-10000)", given: "192.0.2.33:30008",
            results: ["198.51.100.40:20008"]),
        Accepted(
            rule: "local any = 198.51.100.40:30008", given: "192.0.2.33:30008", results: ["198.51.100.40:30008"]),
        Accepted(
            rule: "local  192.0.2.33 =  198.51.100.40", given: "192.0.2.33:1", results: ["198.51.100.40:1"]),
        Accepted(
            rule: "remote 192.0.2.33:* = 198.51.100.40:*", given: "192.0.2.33:5000", results: ["198.51.100.40:5000"]),
        Accepted(
            rule: "remote [2001:db8::1]:9 = 192.0.2.1:10", given: "[2001:db8::1]:9", results: ["192.0.2.1:10"]),
        Accepted(
            rule: "local 192.0.2.33:30008 = [2001:db8:1::40]:30008 (add-raw)", given: "192.0.2.33:30008",
            results: ["[2001:db8:1::40]:30008", "192.0.2.33:30008"]),
        Accepted(
            rule: "local 192.0.2.33:30008 = 198.51.100.40 (append, port+1)", given: "192.0.2.33:30008",
            results: ["198.51.100.40:30009", "192.0.2.33:30008"]),
        Accepted(
            rule: "local 192.0.2.0/24 = 198.51.100.0/24 (replace)", given: "192.0.2.77:4", results: ["198.51.100.77:4"]),
        Accepted(
            rule: "local 2001:db8::/32 = 2001:db9::/32", given: "[2001:db8:7::8]:4", results: ["[2001:db9:7::8]:4"]),
        Accepted(
            rule: "local any = 198.51.100.40 (in 192.0.2.0/24, ipv4)", given: "192.0.3.1:4", results: ["192.0.3.1:4"]),
        Accepted(
            rule: "local any = 198.51.100.40 (on eth0)", given: "192.0.2.1:4", results: ["192.0.2.1:4"]),
        Accepted(
            rule: "local any = 198.51.100.40 (on test0)", given: "192.0.2.1:4", results: ["198.51.100.40:4"]),
        Accepted(rule: "local any = front.example.org", given: "192.0.2.1:4", results: []),
        Accepted(
            rule: "LOCAL any = 198.51.100.40 (ipv6)", given: "[2001:db8::9]:4", results: ["198.51.100.40:4"]),
    ]

    @Test(arguments: accepted) func isTakenAndMaps(_ test: Accepted) throws {
        let rule = try MappingRule(parsing: test.rule)
        #expect("\(rule)" == test.rule)
        let mapping = try AddressMapping(rules: [rule])
        let given = address(test.given)
        let results = rule.scope == .remote ? mapping.admitted(given) : mapping.announced(given, interface: "test0")
        #expect(results.map(\.address) == test.results.map { address($0) })
        #expect(results.first.map { $0.isMapped == ($0.address != given) } ?? true)
    }

    static let refused: [(rule: String, reason: String)] = [
        ("", "write SCOPE FROM = TO"),
        ("local 192.0.2.33", "write SCOPE FROM = TO"),
        ("local a = b = c", "write SCOPE FROM = TO"),
        ("= 198.51.100.40", "it begins with local, remote or server, not with ''"),
        ("inside 192.0.2.33 = 198.51.100.40", "it begins with local, remote or server, not with 'inside'"),
        ("local = 198.51.100.40", "one address or range stands between local and ="),
        ("local 192.0.2.33 30008 = 198.51.100.40", "one address or range stands between local and ="),
        ("local 192.0.2.33 =", "an address is missing beside ="),
        ("local 192.0.2.333 = 198.51.100.40", "'192.0.2.333' is neither an address nor a host name"),
        ("local 192.0.2.33 = 198.51.100", "'198.51.100' is neither an address nor a host name"),
        ("local 192.0.2.33 = exa_mple..org", "neither an address nor a host name"),
        ("local [192.0.2.33]:1 = 198.51.100.40", "'192.0.2.33' in brackets is no IPv6 address"),
        ("local [2001:db8::1 = 198.51.100.40", "lacks its ]"),
        ("local [2001:db8::1]x = 198.51.100.40", "has 'x' after ]"),
        ("local 2001:db8::1:30008 = 198.51.100.40", "with a port it is written [ADDRESS]:PORT"),
        ("local 192.0.2.33:0 = 198.51.100.40", "'0' is no port"),
        ("local 192.0.2.33:70000 = 198.51.100.40", "'70000' is no port"),
        ("local 192.0.2.33:1-2-3 = 198.51.100.40", "'1-2-3' is no port"),
        ("local 192.0.2.33: = 198.51.100.40", "'' is no port"),
        ("local 192.0.2.33:30208-30008 = 198.51.100.40", "the range 30208-30008 ends before it begins"),
        (
            "local 192.0.2.33:30008-30208 = 198.51.100.40:30008-30108",
            "30008-30208 are 201 ports and 30008-30108 are 101; they must be as many"
        ),
        (
            "local 192.0.2.33:30008-30208 = 198.51.100.40:30008", "30008-30208 are 201 ports and 30008 are 1"
        ),
        (
            "local 192.0.2.33:30008 = 198.51.100.40:40008 (port+1)",
            "the ports differ by 10000, the offset says 1; leave one out"
        ),
        ("local 192.0.2.33:60000 = 198.51.100.40 (port+10000)", "the port offset moves 60000 out of 1-65535"),
        ("local any = 198.51.100.40:100 (port+10000)", "the port offset moves 100 out of 1-65535"),
        ("local any = 198.51.100.40 (port+x)", "'port+x' is no port offset"),
        ("local any = 198.51.100.40 (port+1, port+2)", "the port offset stands twice"),
        ("local any = 198.51.100.40 (fast)", "'fast' is no option"),
        ("local any = 198.51.100.40 (on)", "'on' is no option"),
        ("local any = 198.51.100.40 (replace, add-raw)", "the option replace or add-raw stands twice"),
        ("local any = 198.51.100.40 (ipv4,)", "an option is empty"),
        ("local any = 198.51.100.40 (ipv4", "the options' ) is not at the end"),
        ("local any = 198.51.100.40 (in 192.0.2.0/40)", "'192.0.2.0/40' is no network"),
        ("local 192.0.2.0/99 = 198.51.100.40", "'192.0.2.0/99' is no network"),
        ("local 192.0.2.33 = any", "nothing can be mapped to any address"),
        ("local 192.0.2.33 = 0.0.0.0", "nobody can send to 0.0.0.0"),
        ("local 192.0.2.33 = 224.0.0.1", "nobody can send to 224.0.0.1"),
        ("local 192.0.2.33 = 127.0.0.1", "nobody else can send to 127.0.0.1"),
        ("local 192.0.2.33 = 198.51.100.0/24", "a network can only stand for one of the same size"),
        ("local 192.0.2.0/25 = 198.51.100.0/24", "a network can only stand for one of the same size"),
        ("local 0.0.0.0 = 198.51.100.40", "nothing has the address 0.0.0.0; write any for all"),
        ("local 192.0.2.33 = 198.51.100.40 (ipv6)", "192.0.2.33 is not ipv6"),
        ("local 192.0.2.33 = 198.51.100.40 (in 192.0.3.0/24)", "192.0.2.33 is not in 192.0.3.0/24"),
        ("local any = 198.51.100.40 (in 192.0.3.0/24, ipv6)", "192.0.3.0/24 is not ipv6"),
        ("local pc.example.org = 198.51.100.40", "our own addresses have no names"),
        ("remote 192.0.2.33 = 198.51.100.40 (on eth0)", "only a local rule can ask for an interface"),
        ("remote any = 198.51.100.40", "every remote address would become the same"),
        ("server any = 198.51.100.40", "every server address would become the same"),
        ("remote 192.0.2.33 = 192.0.2.33", "it maps everything to itself"),
    ]

    @Test(arguments: refused) func isRefusedWithItsReason(_ test: (rule: String, reason: String)) {
        do throws(MappingError) {
            _ = try MappingRule(parsing: test.rule)
            Issue.record("'\(test.rule)' was taken")
        } catch {
            #expect(error.reason.contains(test.reason), "\(error)")
            #expect("\(error)".hasPrefix("'\(test.rule)': "))
        }
    }

    static let conflicts: [(first: String, second: String, reason: String)] = [
        (
            "local 192.0.2.33:30008-30208 = 198.51.100.40", "local 192.0.2.33:30200-30300 = 198.51.100.41",
            "it overlaps rule 1, 'local 192.0.2.33:30008-30208 = 198.51.100.40': 192.0.2.33:30200-30208 is in both"
        ),
        (
            "local any:30008 = 198.51.100.40", "local 192.0.2.0/24 = 198.51.101.0/24",
            "192.0.2.0/24:30008 is in both"
        ),
        ("local any = 198.51.100.40 (ipv4)", "local any = 198.51.100.41 (in 192.0.2.0/24)", "192.0.2.0/24:1-65535"),
        ("local any = 198.51.100.40", "local any = 198.51.100.41", "any:1-65535 is in both"),
        (
            "local any:30008 = 198.51.100.40 (on eth0)", "local [2001:db8::1]:30008 = 2001:db8:1::40",
            "[2001:db8::1]:30008 is in both"
        ),
        (
            "remote 192.0.2.0/24 = 198.51.100.40", "remote 192.0.2.7:80 = 198.51.100.41",
            "192.0.2.7:80 is in both"
        ),
        ("server turn.example.org = 192.0.2.1", "server TURN.example.org:3478 = 192.0.2.2", "turn.example.org:3478"),
        (
            "local 192.0.2.33:30008 = 198.51.100.40:40008", "local 192.0.2.34:30008 = 198.51.100.40:40008",
            "announces 198.51.100.40:40008 too"
        ),
        (
            "local 192.0.2.33 = front.example.org", "local 192.0.2.34 = front.example.org",
            "announces front.example.org:1-65535 too"
        ),
        (
            "local 192.0.2.0/24 = 198.51.100.0/24", "local 192.0.3.1 = 198.51.100.9",
            "announces 198.51.100.9:1-65535 too"
        ),
    ]

    @Test(arguments: conflicts)
    func rulesThatMeetAreRefusedByWhatIsInBoth(_ test: (first: String, second: String, reason: String)) throws {
        for (first, second) in [(test.first, test.second)] {
            var mapping = try AddressMapping(rules: [MappingRule(parsing: first)])
            let rule = try MappingRule(parsing: second)
            do throws(MappingError) {
                try mapping.add(rule)
                Issue.record("'\(second)' was taken beside '\(first)'")
            } catch {
                #expect(error.reason.contains(test.reason), "\(error)")
                #expect(mapping.rules.count == 1)
            }
        }
    }

    @Test func rulesThatCannotMeetStandBesideEachOther() throws {
        let mapping = try AddressMapping(
            parsing: """
                # the pool, two interfaces, two families
                local any:30008 = 198.51.100.40 (on eth0, ipv4)
                local any:30008 = 198.51.100.41 (on eth1, ipv4)   # another box
                local 192.0.2.33:30009 = 198.51.100.40

                local [2001:db8::1]:30008 = 2001:db8:1::40
                remote 192.0.2.33:30008 = 198.51.100.40
                server 192.0.2.33:30008 = 198.51.100.40
                """)
        #expect(mapping.rules.count == 6)
    }

    @Test func aFilesErrorNamesTheLine() {
        #expect(
            throws: MappingError(
                rule: "lokal x = y", reason: "it begins with local, remote or server, not with 'lokal' (line 3)")
        ) {
            try AddressMapping(parsing: "# rules\nlocal 192.0.2.1 = 192.0.2.2\nlokal x = y\n")
        }
    }

    @Test func thereAreSoManyRulesAndNoMore() throws {
        var mapping = AddressMapping.identity
        for port in 1...AddressMapping.maximumRules {
            try mapping.add(MappingRule(parsing: "local 192.0.2.1:\(port) = 198.51.100.1"))
        }
        let more = try MappingRule(parsing: "local 192.0.2.1:9999 = 198.51.100.1")
        #expect(throws: MappingError.self) { try mapping.add(more) }
    }

    // MARK: Names and servers

    @Test func namesAreLookedUpOutsideAndAnEmptyAnswerUndoesNothing() throws {
        var mapping = try AddressMapping(
            parsing: "local any = Front.Example.org\nserver turn.example.org:3478 = inner.example.org:3479")
        #expect(mapping.names == ["front.example.org", "turn.example.org", "inner.example.org"])
        mapping.setAddresses([address("198.51.100.40:0").ip, address("[2001:db8::40]:0").ip], of: "front.example.org")
        let announced = mapping.announced(address("192.0.2.1:30008")).map { "\($0.address)" }
        #expect(announced == ["198.51.100.40:30008", "[2001:db8::40]:30008"])
        let before = mapping
        mapping.setAddresses([], of: "front.example.org")
        mapping.setAddresses([address("192.0.2.9:0").ip], of: "other.example.org")
        #expect(mapping == before)
        #expect(mapping.server(name: "turn.example.org", port: 3478)?.isEmpty == true)
        #expect(mapping.server(name: "stun.example.org", port: 3478) == nil)
        mapping.setAddresses([address("192.0.2.133:0").ip], of: "inner.example.org")
        #expect(mapping.server(name: "TURN.example.org", port: 3478)?.map(\.address) == [address("192.0.2.133:3479")])
    }

    @Test func portsThatNoRuleAnnouncesAreFound() throws {
        let mapping = try AddressMapping(
            parsing: "local 192.0.2.33:30008-30100 = 198.51.100.40\nlocal 192.0.2.33:30110-30208 = 198.51.100.40")
        let ip = address("192.0.2.33:0").ip
        #expect(mapping.unannounced(30_008...30_100, on: ip).isEmpty)
        #expect(mapping.unannounced(30_000...30_300, on: ip) == [30_000...30_007, 30_101...30_109, 30_209...30_300])
        #expect(mapping.unannounced(1...1, on: ip) == [1...1])
        // Another address, of which no rule speaks, is announced as it is.
        #expect(mapping.unannounced(1...1, on: address("192.0.2.34:0").ip).isEmpty)
    }

    // MARK: Inverse

    /// Announcing and admitting are inverse: what one side announces under any set of rules that do not overlap, the other
    /// admits under the reversed set as the address it is; and the other way about.
    @Test func announcingAndAdmittingAreInverse() throws {
        var random = RandomSource.seeded(20_26)
        var sets = 0
        var rules = 0
        var probes = 0
        while sets < 2_000 {
            var mapping = AddressMapping.identity
            var from: [TransportAddress] = []
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let (text, samples) = Self.rule(using: &random)
                // What overlaps is refused, which is what makes the rest invertible.
                guard let rule = try? MappingRule(parsing: text), (try? mapping.add(rule)) != nil else { continue }
                from += samples
                rules += 1
            }
            guard !mapping.isEmpty else { continue }
            sets += 1
            let reversed = mapping.reversed
            for real in from {
                guard let announced = mapping.announced(real).first, announced.isMapped else { continue }
                probes += 1
                #expect(reversed.admitted(announced.address).map(\.address) == [real], "\(mapping.rules)")
                let back = reversed.reversed
                #expect(back.announced(real).map(\.address) == [announced.address])
            }
            for _ in 0..<4 {
                // Of what no rule names, nothing is changed either way.
                let other = TransportAddress(IPAddress(v4: 0x0A00_0000 | UInt32(random.next() & 0xFFFF)), 7)
                #expect(mapping.announced(other).map(\.address) == [other])
                #expect(reversed.admitted(other).map(\.address) == [other])
            }
        }
        #expect(rules > 4_000 && probes > 10_000, "\(rules) rules, \(probes) probes")
    }

    /// A one-to-one rule, with addresses it holds for.
    private static func rule(using random: inout RandomSource) -> (String, [TransportAddress]) {
        let a = Int.random(in: 0...3, using: &random)
        let b = Int.random(in: 0...3, using: &random)
        let first = Int.random(in: 30_000...30_020, using: &random)
        let count = Int.random(in: 1...12, using: &random)
        let offset = Int.random(in: -5...5, using: &random)
        let ports = "\(first)-\(first + count - 1)"
        let samples = (0..<3).map { _ in UInt16(first + Int.random(in: 0..<count, using: &random)) }
        switch Int.random(in: 0...2, using: &random) {
        case 0:
            let v6 = "2001:db8::\(a + 1)"
            return (
                "local [\(v6)]:\(ports) = 198.51.100.\(b) (port\(offset < 0 ? "-" : "+")\(abs(offset)))",
                samples.map { address("[\(v6)]:\($0)") }
            )
        case 1:
            return (
                "local 192.0.2.\(a * 16)/28:\(ports) = 198.51.100.\(b * 16)/28",
                samples.map { address("192.0.2.\(a * 16 + Int($0) % 16):\($0)") }
            )
        default:
            return (
                "local 192.0.2.\(a):\(ports) = 198.51.100.\(b) (port\(offset < 0 ? "-" : "+")\(abs(offset)))",
                samples.map { address("192.0.2.\(a):\($0)") }
            )
        }
    }

    @Test func mutatedRulesEndInARuleOrAReason() {
        var random = RandomSource.seeded(7)
        let texts = Self.accepted.map(\.rule) + Self.refused.map(\.rule)
        let alphabet = Array("local remotesrv=()/:.-+*,0123456789[]anyport \u{e9}\t".utf8)
        for _ in 0..<100_000 {
            var bytes = Array(texts[Int.random(in: 0..<texts.count, using: &random)].utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let byte = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                switch bytes.isEmpty ? 0 : Int.random(in: 0...2, using: &random) {
                case 0: bytes.insert(byte, at: Int.random(in: 0...bytes.count, using: &random))
                case 1: bytes[Int.random(in: 0..<bytes.count, using: &random)] = byte
                default: bytes.remove(at: Int.random(in: 0..<bytes.count, using: &random))
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            if let mapping = try? AddressMapping(parsing: text) {
                _ = mapping.announced(TransportAddress(IPAddress(v4: 0xC000_0221), 30_008))
                _ = mapping.reversed
            }
        }
    }
}
