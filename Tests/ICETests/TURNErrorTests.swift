import ICE
import Primitives
import SimulatedTURN
import Testing

/// Each way not to get an allocation, by its name.
@Suite struct TURNErrorTests {
    private static let peer = TURNBench.peer

    private func fail(
        client: (inout TURNAllocation.Configuration) -> Void = { _ in },
        server: (inout TURNServer.Configuration) -> Void = { _ in }, forced: STUNErrorCode? = nil
    ) throws -> (TURNFailure?, TURNBench) {
        let bench = TURNBench(client: client, server: server)
        if let forced { bench.server.forcedErrors[.allocate] = forced }
        bench.start()
        try bench.run(until: .zero + .seconds(60))
        #expect(bench.client.hasEnded && bench.client.deadline == nil)
        if let failure = bench.failure { #expect(bench.events.map(\.event) == [.failed(failure)]) }
        return (bench.failure, bench)
    }

    @Test func aWrongPasswordIsTriedOnce() throws {
        let (failure, bench) = try fail(client: { $0.credential?.password = "wrong" })
        #expect(failure == .credentialsRejected(realm: "example.org"))
        #expect(bench.server.counters.errors == [401: 2])
        #expect(failure?.code == 401)
    }

    @Test func anUnknownUserIsNamedAlike() throws {
        #expect(try fail(client: { $0.credential?.username = "bob" }).0 == .credentialsRejected(realm: "example.org"))
    }

    @Test func withoutCredentialsTheyAreAskedFor() throws {
        #expect(try fail(client: { $0.credential = nil }).0 == .credentialsRequired(realm: "example.org"))
    }

    @Test func credentialsFromASharedSecretAreGoodUntilTheyExpire() throws {
        for (expires, isGood) in [(1_700_003_600, true), (1_699_999_999, false)] as [(Int64, Bool)] {
            let bench = TURNBench(
                client: { $0.credential = .timeLimited(secret: "north", name: "bob", expires: expires) },
                server: { $0.sharedSecret = "north" })
            bench.start()
            try bench.run(until: .zero + .seconds(1))
            #expect((bench.client.lease != nil) == isGood)
            #expect((bench.failure == .credentialsRejected(realm: "example.org")) == !isGood)
        }
    }

    @Test(
        arguments: [
            (STUNErrorCode.forbidden, TURNFailure.forbidden), (.addressFamilyNotSupported, .familyUnsupported),
            (.wrongCredentials, .wrongCredentials), (.unsupportedTransportProtocol, .transportUnsupported),
            (.allocationQuotaReached, .quotaReached), (.insufficientCapacity, .insufficientCapacity),
            (.allocationMismatch, .allocationMismatch), (.badRequest, .refused(.badRequest)),
            (.serverError, .refused(.serverError)),
        ] as [(STUNErrorCode, TURNFailure)])
    func everyErrorOfAllocateHasItsName(_ error: STUNErrorCode, _ failure: TURNFailure) throws {
        let (actual, _) = try fail(forced: error)
        #expect(actual == failure)
        #expect(actual?.code == error.code)
        #expect(actual.map { "\($0)".hasPrefix("\(error.code)") } == true)
    }

    @Test func quotaCapacityAndFamilyAsServersHaveThem() throws {
        #expect(try fail(server: { $0.quota = 0 }).0 == .quotaReached)
        #expect(try fail(server: { $0.capacity = 0 }).0 == .insufficientCapacity)
        #expect(try fail(client: { $0.families = .ipv6 }).0 == .familyUnsupported)
    }

    @Test func anotherServerIsNamed() throws {
        let other = address("198.51.100.21:3478")
        let (failure, _) = try fail(server: { $0.alternate = other })
        #expect(failure == .tryAlternate(other, domain: nil))
    }

    @Test func aServerThatIsSilentIsGivenUp() throws {
        let bench = TURNBench()
        bench.server.isSilent = true
        bench.start()
        try bench.run(until: .zero + .seconds(60))
        #expect(bench.failure == .noAnswer(requests: 7, problem: nil))
        #expect(bench.events.first?.time == .zero + .milliseconds(19_750))
    }

    @Test func overAConnectionNothingIsRepeated() throws {
        let bench = TURNBench(client: { $0.isReliable = true })
        bench.server.isSilent = true
        bench.start()
        try bench.run(until: .zero + .seconds(60))
        #expect(bench.failure == .noAnswer(requests: 1, problem: nil))
        #expect(bench.messagesSent == 1 && bench.events.first?.time == .zero + .milliseconds(39_500))
    }

    @Test func aRefusalThatNobodySignedIsOnlyAnExplanation() throws {
        let (failure, bench) = try fail(server: { $0.signsErrors = false }, forced: .allocationQuotaReached)
        guard case .noAnswer(let requests, let problem) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(requests == 7 && problem?.contains("486") == true)
        #expect(bench.count { if case .dropped(.unauthenticated) = $0 { true } else { false } } == 7)
    }

    @Test func anAllocationOfAnEarlierLifeIsFreedFirst() throws {
        let bench = try TURNBench().allocated()
        let configuration = bench.client.configuration
        // The same port, a new program.
        bench.client = TURNAllocation(configuration: configuration, random: .seeded(99))
        bench.start()
        try bench.run(for: .seconds(1))
        #expect(bench.client.lease != nil)
        #expect(bench.server.counters.errors[437] == 1 && bench.server.counters.released == 1)
        #expect(bench.server.clients.count == 1)
    }

    @Test func nonceAfterNonceIsNotFollowedForEver() throws {
        let (failure, bench) = try fail(server: { $0.nonceLifetime = .nanoseconds(1) })
        #expect(failure == .nonceNeverFresh)
        #expect(bench.messagesSent < 10)
    }

    // MARK: Password algorithms (RFC 8489 §9.2)

    @Test func offeredAlgorithmsAreUsedAndTheUserIsHidden() throws {
        for (offered, hides) in [
            ([.sha256, .md5], true), ([.md5, .sha256], false), ([STUNPasswordAlgorithm(number: 77), .sha256], true),
        ] as [([STUNPasswordAlgorithm], Bool)] {
            let bench = try TURNBench(server: {
                $0.passwordAlgorithms = offered
                $0.hidesUsers = hides
                $0.nonceLifetime = .seconds(60)
            }).allocated()
            try bench.run(until: .zero + .seconds(100))
            bench.send("hello")
            try bench.run(for: .seconds(1))
            #expect(bench.echoes.count <= 1 && bench.client.isPermitted(Self.peer.ip))
            #expect(bench.leases.count == 1)
        }
    }

    @Test func noKnownAlgorithmIsNamed() throws {
        let (failure, _) = try fail(server: { $0.passwordAlgorithms = [STUNPasswordAlgorithm(number: 77)] })
        #expect(failure == .passwordAlgorithmsUnsupported)
    }

    @Test func anOfferTakenOutOnTheWayIsNoticed() throws {
        // A nonce that tells of algorithms, and no algorithms: bid down.
        var client = TURNAllocation(
            configuration: .init(credential: TURNCredential(username: "alice", password: "x")), random: .seeded(1))
        var out = TURNOutput()
        client.start(at: .zero, into: &out)
        let request = try STUNMessage(parsing: #require(out.messages.first))
        out.removeAll()
        func challenge(_ more: [STUNAttribute]) -> [UInt8] {
            STUNMessage(
                .error, method: .allocate, transactionID: request.transactionID,
                attributes: [.errorCode(.unauthenticated), .realm("r"), .nonce(Array("obMatJos2AAABxyz".utf8))] + more
            ).encoded()
        }
        client.receive(challenge([]), at: .zero, into: &out)
        #expect(out.messages.isEmpty && out.trace == [.dropped(.securityDowngrade)])
        // The true answer is still good.
        client.receive(challenge([.passwordAlgorithms([.sha256])]), at: .zero, into: &out)
        let second = try STUNMessage(parsing: #require(out.messages.first))
        #expect(second.hasSHA256Integrity && !second.hasIntegrity)
        #expect(second.passwordAlgorithm == .sha256 && second.passwordAlgorithms == [.sha256])
    }

    // MARK: Permissions and channels

    @Test func aForbiddenPeerIsNamedAndTheOthersGoOn() throws {
        let denied = address("203.0.113.66:0").ip
        let bench = try TURNBench(server: { $0.deniedPeers = [denied] }).allocated()
        bench.act {
            $0.permit(denied, at: $1, into: &$2)
            $0.permit(Self.peer.ip, at: $1, into: &$2)
            $0.bindChannel(to: TransportAddress(denied, 9), at: $1, into: &$2)
        }
        try bench.run(for: .seconds(600))
        #expect(bench.events.contains { $0.event == .permissionRefused(denied, .forbidden) })
        #expect(bench.events.contains { $0.event == .channelRefused(TransportAddress(denied, 9), .forbidden) })
        #expect(bench.client.isPermitted(Self.peer.ip) && !bench.client.isPermitted(denied))
        // Refused is refused: it is not asked for again and again.
        #expect(bench.times(of: .createPermission(denied)).count <= 2)
    }

    @Test func aFullServerIsAskedAgainForAPermission() throws {
        let bench = try TURNBench().allocated()
        bench.server.forcedErrors[.createPermission] = .insufficientCapacity
        bench.act { $0.permit(Self.peer.ip, at: $1, into: &$2) }
        try bench.run(for: .seconds(10))
        #expect(!bench.client.isPermitted(Self.peer.ip))
        bench.server.forcedErrors = [:]
        try bench.run(for: .seconds(30))
        #expect(bench.client.isPermitted(Self.peer.ip))
    }

    @Test func otherPeoplesAllocationIsNamed() throws {
        let bench = try TURNBench().allocated()
        bench.server.forcedErrors[.refresh] = .wrongCredentials
        bench.act { $0.verify(at: $1, into: &$2) }
        try bench.run(for: .seconds(1))
        #expect(bench.failure == .wrongCredentials)
    }

    @Test func aServerThatForgetsAtOnceIsNotAskedAsFast() throws {
        let bench = TURNBench()
        bench.server.forcedErrors[.createPermission] = .allocationMismatch
        bench.act { $0.permit(Self.peer.ip, at: $1, into: &$2) }
        bench.start()
        try bench.run(until: .zero + .seconds(3_600))
        #expect(bench.messagesSent < 400)
        #expect(bench.server.counters.requests[STUNMessage.Method.allocate.rawValue].map { $0 < 100 } == true)
    }
}
