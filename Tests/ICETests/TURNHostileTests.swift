import FixtureSupport
import ICE
import Primitives
import SimulatedTURN
import Testing

/// What a server, or someone who pretends to be one, can send; and the caps.
@Suite struct TURNHostileTests {
    private static let peer = TURNBench.peer

    /// A client in mid-life, with a request of each kind under way, and what a server may say to it.
    private func prepared() throws -> (TURNAllocation, seeds: [[UInt8]]) {
        let bench = try TURNBench(client: { $0.families = .both }).allocated()
        bench.act { $0.bindChannel(to: Self.peer, at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        var client = bench.client
        var out = TURNOutput()
        client.permit(address("203.0.113.31:0").ip, at: bench.now, into: &out)
        client.verify(at: bench.now, into: &out)
        let key = MessageIntegrityKey(
            bytes: TURNCredential(username: "alice", password: "a password").key(realm: "example.org", .md5))
        var seeds: [[UInt8]] = [
            [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0],
            STUNMessage(
                .indication, method: .data, transactionID: try id(),
                attributes: [.xorPeerAddress(Self.peer), .data([1, 2, 3])]
            ).encoded(),
            STUNMessage(
                .indication, method: .data, transactionID: try id(),
                attributes: [.xorPeerAddress(Self.peer), .icmp(STUNICMPError(type: 3, code: 3))]
            ).encoded(),
        ]
        for message in out.messages {
            let request = try STUNMessage(parsing: message)
            let answers: [(STUNMessage.Class, [STUNAttribute])] = [
                (.success, [.lifetime(600)]),
                (.error, [.errorCode(.staleNonce), .realm("example.org"), .nonce([1, 2])]),
                (.error, [.errorCode(.allocationMismatch)]),
                (
                    .error,
                    [
                        .errorCode(.unauthenticated), .realm("other"), .nonce(Array("obMatJos2AAAB".utf8)),
                        .passwordAlgorithms([.sha256]),
                    ]
                ),
            ]
            for (kind, attributes) in answers {
                seeds.append(
                    STUNMessage(
                        kind, method: request.method, transactionID: request.transactionID, attributes: attributes
                    )
                    .encoded(integrity: key, fingerprint: false))
            }
        }
        return (client, seeds)
    }

    @Test func mutatedAnswersNeverTrapAndNothingGrows() throws {
        let (prepared, seeds) = try prepared()
        var mutations = Mutations(of: seeds, seed: 8656)
        var client = prepared
        var out = TURNOutput()
        let now = Instant.zero + .seconds(3)
        for index in 0..<100_000 {
            if index % 20 == 0 { client = prepared }
            client.receive(mutations.next(), at: now, into: &out)
            #expect(out.messages.count <= 16)
            if index % 1_000 == 0 {
                client.advance(to: now + .seconds(10), into: &out)
                if let deadline = client.deadline { #expect(deadline > now + .seconds(10)) }
            }
            out.removeAll()
        }
    }

    @Test func truncationAtEveryByteIsDropped() throws {
        let (prepared, seeds) = try prepared()
        for seed in seeds {
            for count in 0..<seed.count {
                var client = prepared
                var out = TURNOutput()
                client.receive(Array(seed.prefix(count)), at: .zero + .seconds(3), into: &out)
                // ChannelData may lack its padding, nothing else may lack anything.
                let isPadding = seed[0] == 0x40 && count >= 9
                #expect(out.arrivals.count == (isPadding ? 1 : 0), "\(count) of \(seed.count)")
                #expect(out.messages.isEmpty && out.events.isEmpty)
            }
        }
    }

    @Test func dataOfStrangersIsDropped() throws {
        let (prepared, _) = try prepared()
        var client = prepared
        var out = TURNOutput()
        let stranger = STUNMessage(
            .indication, method: .data, transactionID: try id(),
            attributes: [.xorPeerAddress(address("203.0.113.77:1")), .data([1])])
        client.receive(stranger.encoded(), at: .zero, into: &out)
        client.receive([0x40, 9, 0, 1, 1], at: .zero, into: &out)
        #expect(out.arrivals.isEmpty)
        #expect(out.trace == [.dropped(.unknownPeer), .dropped(.unknownPeer)])
    }

    private func id() throws -> STUNTransactionID {
        var random = RandomSource.seeded(5)
        return STUNTransactionID(using: &random)
    }

    @Test func anAnswerUnderAWrongKeyChangesNothing() throws {
        var client = try TURNBench().allocated().client
        var out = TURNOutput()
        client.permit(Self.peer.ip, at: .zero + .seconds(2), into: &out)
        let request = try STUNMessage(parsing: #require(out.messages.first))
        out.removeAll()
        for kind in [STUNMessage.Class.success, .error] {
            let answer = STUNMessage(
                kind, method: .createPermission, transactionID: request.transactionID,
                attributes: kind == .error ? [.errorCode(.allocationMismatch)] : [])
            client.receive(
                answer.encoded(integrity: MessageIntegrityKey(password: "guess")), at: .zero + .seconds(2), into: &out)
            client.receive(answer.encoded(), at: .zero + .seconds(2), into: &out)
        }
        #expect(out.events.isEmpty && out.messages.isEmpty && !client.isPermitted(Self.peer.ip))
        #expect(client.lease != nil)
    }

    @Test(
        arguments: [
            [.lifetime(600)], [.xorRelayedAddress(address("198.51.100.20:0")), .lifetime(600)],
            [.xorRelayedAddress(address("0.0.0.0:9")), .lifetime(600)],
            [.xorRelayedAddress(address("[2001:db8::1]:9")), .lifetime(600)],
            [.xorRelayedAddress(address("198.51.100.20:9")), .lifetime(0)],
        ] as [[STUNAttribute]])
    func anAllocationWithoutUsableAddressIsNone(_ attributes: [STUNAttribute]) throws {
        var client = TURNAllocation(configuration: .init(), random: .seeded(1))
        var out = TURNOutput()
        client.start(at: .zero, into: &out)
        let request = try STUNMessage(parsing: #require(out.messages.first))
        let answer = STUNMessage(
            .success, method: .allocate, transactionID: request.transactionID, attributes: attributes)
        client.receive(answer.encoded(), at: .zero, into: &out)
        guard case .unusableAnswer = client.failure else {
            Issue.record("\(String(describing: client.failure))")
            return
        }
    }

    @Test func permissionsChannelsAndRequestsHaveCaps() throws {
        let bench = try TURNBench(client: {
            $0.limits.permissions = 5
            $0.limits.channels = 2
            $0.limits.transactions = 3
        }).allocated()
        bench.act { client, now, out in
            for host in 1...8 as ClosedRange<UInt32> {
                client.permit(IPAddress(v4: 0xCB00_7100 + host), at: now, into: &out)
            }
            #expect(out.messages.count == 3)
            let outcome = client.send([1], to: Self.peer, at: now, into: &out)
            #expect(outcome == .permissionLimit)
            for port in 1...4 as ClosedRange<UInt16> {
                client.bindChannel(to: TransportAddress(IPAddress(v4: 0xCB00_7101), port), at: now, into: &out)
            }
        }
        #expect(bench.count { if case .permissionLimitReached = $0 { true } else { false } } == 4)
        #expect(bench.count { if case .channelLimitReached = $0 { true } else { false } } == 2)
        try bench.run(for: .seconds(2))
        #expect(bench.server.clients.first?.permissions.count == 5)
        #expect(bench.server.clients.first?.channels.count == 2)
        bench.act { client, now, out in
            let outcome = client.send(Array(repeating: 0, count: 65_508), to: Self.peer, at: now, into: &out)
            #expect(outcome == .tooLong)
        }
    }

    // MARK: Streams

    @Test func aStreamIsCutWhereverItsPiecesEnd() throws {
        let (_, seeds) = try prepared()
        let stream = seeds.flatMap { $0 }
        let expected = seeds.map { $0[0] == 0x40 ? Array($0.prefix(9)) : $0 }
        for size in [1, 2, 3, 7, 64, stream.count] {
            var framing = TURNStreamFraming()
            var messages: [[UInt8]] = []
            for start in stride(from: 0, to: stream.count, by: size) {
                try framing.append(stream[start..<min(start + size, stream.count)])
                while let message = try framing.next() { messages.append(message) }
            }
            #expect(messages == expected, "pieces of \(size)")
            #expect(framing.bufferedBytes == 0)
        }
    }

    @Test func aStreamOfSomethingElseIsRefused() throws {
        for first in [0x04, 0x16, 0x3F, 0x50, 0x80, 0xFF] as [UInt8] {
            var framing = TURNStreamFraming()
            try framing.append([first, 0, 0, 0])
            #expect(throws: TURNStreamFraming.Failure.notTURN(firstByte: first)) { try framing.next() }
        }
        var framing = TURNStreamFraming(maximumChunk: 10)
        #expect(throws: TURNStreamFraming.Failure.tooLong(11)) { try framing.append(Array(repeating: 0, count: 11)) }
    }

    @Test func mutatedStreamsNeverTrap() throws {
        let (_, seeds) = try prepared()
        var mutations = Mutations(of: seeds, seed: 4571)
        var framing = TURNStreamFraming()
        for _ in 0..<20_000 {
            do {
                try framing.append(mutations.next())
                while try framing.next() != nil {}
                #expect(framing.bufferedBytes < 66_000)
            } catch { framing = TURNStreamFraming() }
        }
    }
}
