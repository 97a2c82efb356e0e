import ICE
import Primitives
import Testing

/// The mapping at the two places where it is applied.
@Suite struct MappingAgentTests {
    private static func agent(_ rules: String, interface: String = "", base: String = "192.0.2.33:30008") throws
        -> (ICEAgent, ICEAgent.Output)
    {
        var configuration = ICEAgent.Configuration(role: .controlled)
        configuration.mapping = try AddressMapping(parsing: rules)
        var agent = ICEAgent(configuration: configuration, random: .seeded(3))
        var out = ICEAgent.Output()
        agent.gather(
            bases: [LocalBase(address: address(base), interfaceName: interface)], at: .zero, into: &out)
        return (agent, out)
    }

    private static func announced(_ out: ICEAgent.Output) -> [Candidate] {
        out.events.compactMap { if case .localCandidate(let candidate) = $0 { candidate } else { nil } }
    }

    @Test func theMappedAddressIsAnnouncedInPlaceOfTheRealOne() throws {
        let (agent, out) = try Self.agent("local 192.0.2.33:30008-30208 = 198.51.100.40:40008-40208")
        let candidates = Self.announced(out)
        #expect(candidates.map(\.address) == [address("198.51.100.40:40008")])
        #expect(candidates[0].base == address("192.0.2.33:30008"))
        #expect(candidates[0].type == .host && candidates[0].relatedAddress == nil)
        #expect(agent.defaultAddress == address("198.51.100.40:40008"))
        #expect("\(candidates[0])" == "host 198.51.100.40:40008 for 192.0.2.33:30008")
        #expect(
            out.trace.contains {
                if case .localMapped(address("192.0.2.33:30008"), address("198.51.100.40:40008"), _) = $0 {
                    true
                } else {
                    false
                }
            })
    }

    @Test func withoutARuleThatHoldsNothingChanges() throws {
        for (rules, interface) in [
            ("local 192.0.2.33:30009 = 198.51.100.40", ""), ("local any = 198.51.100.40 (on eth1)", "eth0"),
            ("local any = 198.51.100.40 (ipv6)", ""), ("remote 192.0.2.33 = 198.51.100.40", ""),
        ] {
            let (agent, out) = try Self.agent(rules, interface: interface)
            #expect(Self.announced(out).map(\.address) == [address("192.0.2.33:30008")])
            #expect(agent.defaultAddress == nil)
        }
    }

    @Test func addRawAnnouncesBothTheMappedOneFirst() throws {
        let (_, out) = try Self.agent("local any = 198.51.100.40 (add-raw)")
        let candidates = Self.announced(out)
        #expect(candidates.map(\.address) == [address("198.51.100.40:30008"), address("192.0.2.33:30008")])
        #expect(candidates[0].priority > candidates[1].priority)
        #expect(candidates[0].foundation != candidates[1].foundation)
        #expect(Set(candidates.map(\.base)) == [address("192.0.2.33:30008")])
    }

    @Test func theInsideAddressStaysOutOfRelatedAddresses() throws {
        for (rules, related) in [
            ("local any = 198.51.100.40", "198.51.100.40:4000"),
            ("local any = 198.51.100.40 (add-raw)", "192.0.2.1:4000"),
            ("local any = front.example.org", "0.0.0.0:9"), ("", "192.0.2.1:4000"),
        ] {
            var configuration = ICEAgent.Configuration(role: .controlled)
            configuration.mapping = try AddressMapping(parsing: rules)
            configuration.stunServers = [STUNServer(url: "stun:s", address: address("203.0.113.1:3478"))]
            var peer = ScriptedPeer(configuration)
            peer.gather()
            let request = try #require(requests(peer.out.datagrams).first)
            let id = try STUNMessage(parsing: request.bytes).transactionID
            peer.out.removeAll()
            peer.deliver(
                STUNMessage(
                    .success, transactionID: id, attributes: [.xorMappedAddress(address("203.0.113.77:6000"))]
                ).encoded(), from: "203.0.113.1:3478")
            let reflexive = peer.agent.localCandidates.filter { $0.type == .serverReflexive }
            #expect(reflexive.map(\.relatedAddress) == [address(related)], "\(rules)")
        }
    }

    @Test func serversAreAskedWhereTheMappingSays() throws {
        var configuration = ICEAgent.Configuration(role: .controlled)
        configuration.mapping = try AddressMapping(parsing: "server 203.0.113.40:3478 = 192.0.2.133:3479")
        configuration.stunServers = [STUNServer(url: "stun:front", address: address("203.0.113.40:3478"))]
        var peer = ScriptedPeer(configuration)
        peer.gather()
        #expect(peer.out.datagrams.map(\.path.remote) == [address("192.0.2.133:3479")])
    }

    @Test func aRemoteCandidateIsAdmittedAsTheAddressToSendTo() throws {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.mapping = try AddressMapping(parsing: "remote 198.51.100.33:* = 203.0.113.40:*")
        var peer = ScriptedPeer(configuration)
        peer.gather()
        peer.describe()
        peer.out.removeAll()
        peer.addCandidate("198.51.100.33:5000")
        #expect(requests(peer.out.datagrams).map(\.path.remote) == [address("203.0.113.40:5000")])
        let candidate = try #require(peer.agent.remoteCandidates.first)
        #expect(candidate.signaledAddress == address("198.51.100.33:5000"))
        #expect(
            peer.out.trace.contains {
                if case .remoteMapped(address("198.51.100.33:5000"), address("203.0.113.40:5000"), _) = $0 {
                    true
                } else {
                    false
                }
            })
        // Of a check that reveals an address nothing is mapped: it is real.
        let sent = peer.check(from: "198.51.100.33:5000")
        #expect(requests(sent).map(\.path.remote) == [address("198.51.100.33:5000")])
    }

    @Test func candidatesOfAGenerationToComeAreMappedOnce() throws {
        var configuration = ICEAgent.Configuration(role: .controlling)
        configuration.mapping = try AddressMapping(
            parsing: "remote 198.51.100.33:* = 203.0.113.40:* (port+1)\nremote 203.0.113.40:* = 203.0.113.41:*")
        var peer = ScriptedPeer(configuration)
        peer.gather()
        peer.addCandidate("198.51.100.33:5000")
        peer.describe()
        #expect(peer.agent.remoteCandidates.map(\.address) == [address("203.0.113.40:5001")])
    }

    /// A name without addresses announces nothing, loses nothing that comes in, and announces when it is known.
    @Test func aNameIsAnnouncedOnceItIsKnownAndAnewWhenItChanges() throws {
        var configuration = ICEAgent.Configuration(role: .controlled)
        configuration.mapping = try AddressMapping(parsing: "local any = front.example.org")
        var peer = ScriptedPeer(configuration)
        peer.gather()
        #expect(Self.announced(peer.out).isEmpty)
        peer.describe()
        try peer.answerAll(peer.check(from: "198.51.100.1:5000", useCandidate: true))
        #expect(peer.agent.sendingPath != nil)
        for ip in ["203.0.113.40", "203.0.113.41"] {
            peer.out.removeAll()
            var mapping = peer.agent.mapping
            mapping.setAddresses([address(ip + ":0").ip], of: "front.example.org")
            peer.agent.setMapping(mapping, at: peer.now, into: &peer.out)
            #expect(Self.announced(peer.out).map(\.address) == [address(ip + ":4000")])
        }
        #expect(peer.agent.sendingPath == peer.path("198.51.100.1:5000"))
    }

    @Test func twoSocketsAnnouncedAlikeAreAnnouncedOnceAndBothHeard() throws {
        var configuration = ICEAgent.Configuration(role: .controlled)
        configuration.mapping = try AddressMapping(parsing: "local any = 198.51.100.40")
        var agent = ICEAgent(configuration: configuration, random: .seeded(3))
        var out = ICEAgent.Output()
        agent.gather(
            bases: [LocalBase(address: address("192.0.2.33:1")), LocalBase(address: address("192.0.2.34:1"))],
            at: .zero, into: &out)
        #expect(Self.announced(out).map(\.address) == [address("198.51.100.40:1")])
        #expect(agent.localCandidates.map(\.base) == [address("192.0.2.33:1"), address("192.0.2.34:1")])
    }

    @Test func aRestartAnnouncesTheMappedAddressesAgain() throws {
        var (agent, out) = try Self.agent("local any = 198.51.100.40 (add-raw)")
        let first = Self.announced(out).map(\.address)
        out.removeAll()
        agent.restart(at: .zero, into: &out)
        #expect(Self.announced(out).map(\.address) == first)
    }
}
