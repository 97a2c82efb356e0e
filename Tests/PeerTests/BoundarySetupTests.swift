import ICE
import Peer
import Primitives
import SDP
import SimulatedNetwork
import Testing

/// Scenarios of Docs/boundary.md that set a call up through the proxy.
@Suite struct BoundarySetupTests {
    static let roles = [true, false]

    private static func who(_ phoneOffers: Bool) -> String { phoneOffers ? "phone offers" : "inside offers" }

    /// Connects within the limit, media both ways, nothing sent to the phone's own address once a pair is selected.
    private func expectCall(
        _ bench: BoundaryBench, _ scenario: String, _ what: String, within limit: TimeDelta = .seconds(1),
        from start: Instant? = nil, straySends: Int = 0, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let start = start ?? bench.now
        _ = try bench.run(until: start + limit + .seconds(5), stop: { $0.areConnected })
        guard let connected = bench.connectedAt() else {
            let states = "\(bench.calls[0].phone.state), \(bench.calls[0].inside.state)"
            return BoundaryTable.row(
                scenario, what, "never connected: \(states)", passes: false, sourceLocation: sourceLocation)
        }
        try bench.run(for: .seconds(1))
        let flows = try bench.hasMediaBothWays()
        let stray = bench.calls.map(\.straySends).reduce(0, +)
        let took = connected - start
        BoundaryTable.row(
            scenario, what,
            "connected after \(took.short), media \(flows ? "both ways" : "missing")"
                + (stray > 0 ? ", \(stray) sends to the phone's own address" : ""),
            passes: took < limit && flows && stray <= straySends, sourceLocation: sourceLocation)
    }

    // MARK: S1

    @Test(arguments: BoundaryOptions.Kind.allCases.filter { $0 != .none }, roles)
    func s01_throughTheProxyACallStandsWithinASecond(kind: BoundaryOptions.Kind, phoneOffers: Bool) throws {
        for isLite in [false, true] {
            var options = BoundaryOptions()
            options.kind = kind
            options.phoneOffers = phoneOffers
            options.configureInside = { $0.ice.isLite = isLite }
            let bench = try BoundaryBench(options)
            try bench.start()
            try expectCall(
                bench, "S1", "\(kind.rawValue), \(Self.who(phoneOffers))\(isLite ? ", inside is ice-lite" : "")")
            #expect(bench.calls[0].inside.localCandidates.allSatisfy { "\($0.host)" == "203.0.113.40" })
        }
    }

    /// The description names the front in its default lines too, and the inside address nowhere.
    @Test func s01_theInsideAddressIsNowhereInTheDescription() throws {
        let bench = try BoundaryBench()
        var answers: [String] = []
        bench.filter = { _, side, text in
            if side == .left { answers.append(text) }
            return text
        }
        try bench.start()
        try bench.connect()
        let answer = try #require(answers.first { $0.hasPrefix("v=0") })
        #expect(answer.contains("c=IN IP4 203.0.113.40\r\n") && answer.contains(" 30008 UDP/TLS/RTP/SAVPF"))
        #expect(!answers.contains { $0.contains("192.0.2.133") })
        let inside = bench.calls[0].inside.engine.statistics(at: bench.now)
        let candidate = try #require(
            inside.objects(of: .localCandidate).first { $0["candidateType"] == .string("host") })
        #expect(candidate["address"] == .string("203.0.113.40"))
        #expect(candidate["baseAddress"] == .string("192.0.2.133:30008"))
    }

    // MARK: S2

    @Test func s02_rawCandidatesReachNobodyAndARuleMendsItOnTheSamePort() throws {
        var options = BoundaryOptions()
        options.rules = ""
        let bench = try BoundaryBench(options)
        try bench.start()
        try bench.run(for: .seconds(20))
        let muted = bench.calls[0].mutedAt
        #expect(bench.calls[0].inside.engine.statistics(at: bench.now).objects(of: .candidatePair).isEmpty == false)
        let nothingIn = bench.proxy.map { bench.simulation.statistics(of: $0).flowsCreated } == 0
        BoundaryTable.row(
            "S2", "raw inside candidates", "phone gives up after \(muted.map { ($0 - .zero).short } ?? "never")",
            passes: !bench.areConnected && muted != nil && nothingIn)
        // The rule comes, and a restart: the same sockets serve.
        let mapping = try AddressMapping(parsing: BoundaryOptions().rules)
        let now = bench.now
        try bench.turn(0, .right) { $0.setAddressMapping(mapping, at: now, into: &$1) }
        try bench.offer(0, from: .right, iceRestart: true)
        try expectCall(bench, "S2", "the same call, a rule and a restart later", from: now, straySends: 0)
    }

    // MARK: S3

    @Test(arguments: roles) func s03_whatThePhoneAnnouncesDoesNotMatter(phoneOffers: Bool) throws {
        func rewriting(_ body: @escaping (String) -> String?) -> (Int, Side, String) -> String? {
            { _, side, text in
                guard side == .right else { return text }
                guard text.hasPrefix("v=0") else { return text == "end" ? text : body(text) }
                return text.split(separator: "\r\n", omittingEmptySubsequences: false).compactMap { line in
                    line.hasPrefix("a=candidate:") ? body(String(line)) : String(line)
                }.joined(separator: "\r\n")
            }
        }
        let cases: [(String, (Int, Side, String) -> String?)] = [
            ("no candidate of the phone", rewriting { _ in nil }),
            (
                "mDNS candidates only",
                rewriting {
                    $0.replacing("203.0.113.128", with: "5a1a2b3c-0000-4000-8000-123456789abc.local")
                }
            ),
            ("phone announced at the back's address", rewriting { $0.replacing("203.0.113.128", with: "192.0.2.131") }),
        ]
        for (what, filter) in cases {
            var options = BoundaryOptions()
            options.phoneOffers = phoneOffers
            let bench = try BoundaryBench(options)
            bench.filter = filter
            try bench.start()
            try expectCall(bench, "S3", "\(what), \(Self.who(phoneOffers))")
        }
    }

    // MARK: S4

    @Test(arguments: [10.0, 40, 90], roles) func s04_aLateAnswerConnects(seconds: Double, phoneOffers: Bool) throws {
        var options = BoundaryOptions()
        options.phoneOffers = phoneOffers
        let bench = try BoundaryBench(options)
        bench.lateness = { _, to, _ in
            to == (phoneOffers ? .left : .right) ? .seconds(seconds) : .zero
        }
        try bench.start()
        try bench.run(until: .zero + .seconds(seconds))
        try expectCall(bench, "S4", "answer \(Int(seconds)) s late, \(Self.who(phoneOffers))", from: bench.now)
    }

    @Test(arguments: roles) func s04_lateCandidatesAndTricklingWithoutEndConnect(phoneOffers: Bool) throws {
        var options = BoundaryOptions()
        options.phoneOffers = phoneOffers
        let bench = try BoundaryBench(options)
        bench.filter = { _, _, text in text == "end" || text.hasPrefix("a=end") ? nil : text }
        bench.lateness = { _, side, isDescription in side == .right && !isDescription ? .seconds(30) : .zero }
        try bench.start()
        try expectCall(bench, "S4", "phone's candidates 30 s late, trickle never ends, \(Self.who(phoneOffers))")
    }

    // MARK: S5

    @Test(arguments: roles) func s05_whateverTheWayOutSaysTheCallStands(phoneOffers: Bool) throws {
        let policies: [(String, Refusal)] = [
            ("host unreachable", .report(.hostUnreachable)), ("prohibited", .report(.administrativelyProhibited)),
            ("dropped", .silent), ("no route", .report(.networkUnreachable)),
        ]
        for (what, policy) in policies {
            var options = BoundaryOptions()
            options.phoneOffers = phoneOffers
            options.egress = policy
            let bench = try BoundaryBench(options)
            try bench.start()
            try expectCall(bench, "S5", "way out: \(what), \(Self.who(phoneOffers))")
        }
    }

    // MARK: S6

    @Test(arguments: ["0.0.0.0:0", "[2001:db8::9]:9", "192.0.2.133:30008", "203.0.113.40:1", "absent"], roles)
    func s06_whateverTheMappedAddressSaysTheCallStands(mapped: String, phoneOffers: Bool) throws {
        var options = BoundaryOptions()
        options.phoneOffers = phoneOffers
        let bench = try BoundaryBench(options)
        var password = ""
        bench.filter = { _, side, text in
            if side == .right, let line = text.split(separator: "\r\n").first(where: { $0.hasPrefix("a=ice-pwd:") }) {
                password = String(line.dropFirst(10))
            }
            return text
        }
        bench.onInsideArrival = { datagram in
            guard datagram.bytes.prefix(2) == [1, 1], var message = try? STUNMessage(parsing: datagram.bytes) else {
                return datagram
            }
            message = STUNMessage(.success, transactionID: message.transactionID)
            if let address = TransportAddress(mapped) { message.attributes = [.xorMappedAddress(address)] }
            let bytes = message.encoded(integrity: MessageIntegrityKey(password: password))
            return Datagram(bytes: bytes, path: datagram.path)
        }
        try bench.start()
        try expectCall(bench, "S6", "mapped address \(mapped), \(Self.who(phoneOffers))")
    }

    // MARK: S12, S13

    @Test func s12_offsetPoolsNeedTheirRule() throws {
        for (what, rules, works) in [
            (
                "offset by rule", "local 192.0.2.133:30008-30208 = 203.0.113.40 (port+10000)", true
            ),
            ("explicit ranges", "local 192.0.2.133:30008-30208 = 203.0.113.40:40008-40208", true),
            ("any address", "local any = 203.0.113.40:40008-40208 (port+10000)", true),
            ("by name", "local any:30008-30208 = front.example.org (port+10000)", true),
            ("wrong: the inside's port announced", "local 192.0.2.133 = 203.0.113.40", false),
        ] {
            var options = BoundaryOptions()
            options.offset = 10_000
            options.rules = rules
            options.configureInside = { $0.ice.mapping.setAddresses([BoundaryBench.front], of: "front.example.org") }
            let bench = try BoundaryBench(options)
            try bench.start()
            if works {
                try expectCall(bench, "S12", what)
            } else {
                try bench.run(for: .seconds(20))
                BoundaryTable.row(
                    "S12", what,
                    "no call, and no crash: \(bench.calls[0].inside.engine.statistics(at: bench.now).objects(of: .candidatePair).count) pairs told",
                    passes: !bench.areConnected)
            }
        }
    }

    @Test(arguments: roles) func s13_IPv6OutsideAndIPv4InsideMeet(phoneOffers: Bool) throws {
        for (what, rules, isDual) in [
            ("IPv6 outside", "local any = 2001:db8:1::40", false),
            ("IPv6 outside, raw too", "local any = 2001:db8:1::40 (add-raw)", false),
            ("both outside, IPv6 announced", "local any = 2001:db8:1::40", true),
            ("both outside, IPv4 announced", "local any = 203.0.113.40", true),
        ] {
            var options = BoundaryOptions()
            options.phoneOffers = phoneOffers
            options.hasIPv6Outside = true
            options.hasIPv4Outside = isDual
            options.rules = rules
            let bench = try BoundaryBench(options)
            try bench.start()
            try expectCall(bench, "S13", "\(what), \(Self.who(phoneOffers))")
        }
    }

    // MARK: S16, S17

    @Test(arguments: [5, 20], roles) func s16_lossDelayAndJitter(percent: Int, phoneOffers: Bool) throws {
        for seed in Seeds.some(8) {
            var options = BoundaryOptions()
            options.phoneOffers = phoneOffers
            options.hasVideo = false
            options.link = LinkConfiguration(
                delay: .milliseconds(75), jitter: .milliseconds(40), loss: .independent(Double(percent) / 100))
            let bench = try BoundaryBench(options, seed: seed)
            try bench.start()
            try bench.connect()
            let took = try #require(bench.connectedAt()) - Instant.zero
            // From signalling's own two ways on; the worst of the seeds is what counts.
            BoundaryTable.row(
                "S16", "\(percent) % loss, 150+40 ms, \(Self.who(phoneOffers)), seed \(seed)",
                "connected after \(took.short)", passes: took < .seconds(3))
        }
    }

    @Test(arguments: [400_000, 150_000]) func s16_aNarrowLinkKeepsItsQueueShort(rate: Int) throws {
        var options = BoundaryOptions()
        options.link = LinkConfiguration(delay: .milliseconds(25), rate: rate, queue: .time(.milliseconds(2_000)))
        options.configurePhone = { $0.bitrates.start = 150_000 }
        options.configureInside = { $0.bitrates.start = 150_000 }
        options.videoBitrate = 100_000
        let bench = try BoundaryBench(options)
        for side in Side.allCases {
            for index in bench[0, side].tracks.indices { bench[0, side].tracks[index].obeysTarget = true }
        }
        try bench.start()
        try bench.connect()
        try bench.run(for: .seconds(15))
        bench.resetGaps()
        var longest = TimeDelta.zero
        let link = bench.simulation.link(of: bench.calls[0].phone.host)
        for _ in 0..<150 {
            try bench.run(for: .milliseconds(100))
            let delays = bench.simulation.queueDelay(of: link)
            longest = Swift.max(longest, Swift.max(delays.up, delays.down))
        }
        let gap = bench.gap()
        BoundaryTable.row(
            "S16", "\(rate / 1000) kbit/s", "longest queue \(longest.short), longest gap of audio \(gap.short)",
            passes: longest < .milliseconds(500) && gap < .milliseconds(700))
    }

    @Test(arguments: [NATKind.portRestricted, .fullCone, .symmetric], roles)
    func s17_phonesBehindNATs(nat: NATKind, phoneOffers: Bool) throws {
        for phones in [1, 2] {
            var options = BoundaryOptions()
            options.nat = nat
            options.phones = phones
            options.phoneOffers = phoneOffers
            let bench = try BoundaryBench(options)
            try bench.startAll()
            try expectCall(
                bench, "S17",
                "\(phones == 1 ? "phone" : "two phones") behind \(nat.rawValue), \(Self.who(phoneOffers))")
        }
    }

    // MARK: S18

    @Test func s18_oddPeersConnect() throws {
        let cases: [(String, Bool, (inout PeerConfiguration) -> Void)] = [
            ("regular nomination", true, { $0.ice.nominationPolicy = .firstValidated }),
            ("never nominates", true, { $0.ice.nominationPolicy = .never }),
            ("ice-lite phone", true, { $0.ice.isLite = true }),
            ("ice-lite phone, inside offers", false, { $0.ice.isLite = true }),
            ("both controlled at first", false, { $0.ice.role = .controlled }),
            ("answers from elsewhere are its proxy's doing", true, { _ in }),
        ]
        for (what, phoneOffers, configure) in cases where !what.hasPrefix("ice-lite") {
            var options = BoundaryOptions()
            options.phoneOffers = phoneOffers
            options.configurePhone = configure
            let bench = try BoundaryBench(options)
            try bench.start()
            // Until something is nominated, the checks of the phone's own address go on to their end.
            try expectCall(bench, "S18", what, straySends: what == "never nominates" ? 7 : 0)
        }
        // A lite phone makes no flow through the proxy, so it is met where the inside can reach it.
        for phoneOffers in Self.roles {
            var options = BoundaryOptions()
            options.kind = .none
            options.phoneOffers = phoneOffers
            options.configurePhone = { $0.ice.isLite = true }
            let bench = try BoundaryBench(options)
            try bench.start()
            try expectCall(bench, "S18", "ice-lite remote, no proxy, \(Self.who(phoneOffers))")
        }
    }

    // MARK: Round trips

    /// The measure is a path without a proxy to a phone behind an ordinary NAT, as phones are. A phone that anybody can
    /// send to is a round trip better off where it offers, and no proxy can match that: the inside's check is already there
    /// when the answer comes, while nothing reaches a phone outside before it has spoken itself (RFC 7675 forbids DTLS
    /// towards whoever has not answered a check). That round trip and no more is allowed.
    @Test(arguments: roles) func setupThroughTheProxyCostsNoMoreRoundTripsThanWithoutOne(phoneOffers: Bool) throws {
        func measure(
            _ kind: BoundaryOptions.Kind, _ nat: NATKind, _ policy: ICEAgent.NominationPolicy, lite: Bool
        ) throws -> [Double] {
            var options = BoundaryOptions()
            options.kind = kind
            options.nat = nat
            options.phoneOffers = phoneOffers
            options.link = LinkConfiguration(delay: .milliseconds(50))
            options.signalingDelay = .milliseconds(50)
            options.configurePhone = { $0.ice.nominationPolicy = policy }
            options.configureInside = { $0.ice.isLite = lite }
            let bench = try BoundaryBench(options)
            try bench.start()
            try bench.connect()
            try bench.run(for: .seconds(2))
            // From the moment the answer is there, in round trips of 100 ms.
            let offerer = phoneOffers ? bench.calls[0].phone : bench.calls[0].inside
            let origin = try #require(offerer.milestones[.bothDescriptionsKnown])
            return try [bench.calls[0].phone, bench.calls[0].inside].flatMap { peer in
                try [
                    #require(peer.connectedAt),
                    #require(peer.received["0"]?.firstAt),
                ].map { ($0 - origin).seconds * 10 }
            }
        }
        for (what, policy, lite) in [
            ("phone nominates every check", ICEAgent.NominationPolicy.everyCheck, false),
            ("phone nominates once", .firstValidated, false), ("inside is ice-lite", .everyCheck, true),
        ] {
            let plain = try measure(.none, .portRestricted, policy, lite: lite)
            let open = try measure(.none, .none, policy, lite: lite)
            let headStart = phoneOffers && !lite ? 1.0 : 0
            for kind in [BoundaryOptions.Kind.relay, .nft] {
                let through = try measure(kind, .none, policy, lite: lite)
                func text(_ values: [Double]) -> String {
                    values.map { oneDecimal($0) }.joined(separator: " / ")
                }
                BoundaryTable.row(
                    "RTT", "\(Self.who(phoneOffers)), \(what), \(kind.rawValue)",
                    "keys / audio at phone / keys / audio inside: \(text(through)) RTT; "
                        + "without proxy, phone behind a NAT \(text(plain)), phone in the open \(text(open))",
                    passes: zip(through, plain).allSatisfy { $0 <= $1 + 0.11 }
                        && zip(through, open).allSatisfy { $0 <= $1 + headStart + 0.11 })
            }
        }
    }
}

private func oneDecimal(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
