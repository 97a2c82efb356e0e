import Foundation
import ICE
import Peer
import Primitives
import SimulatedNetwork
import SimulatedTURN
import Testing

/// Relay-only calls that last, and what a TURN server that comes and goes costs them.
@Suite struct RelayLongCallTests {
    private static let server = TransportAddress(IPAddress(v4: 0xCB00_7114), 3_478)

    private func relayed(
        seed: UInt64 = 1, kinds: [MediaKind] = [.audio, .video], audioInterval: TimeDelta = .milliseconds(20),
        server configureServer: (inout TURNServer.Configuration) -> Void = { _ in }
    ) throws -> ScenarioCall {
        let call = try ScenarioCall("rtt=40ms", seed: seed) { _, configuration in
            configuration.relayServers = [
                RelayServer(
                    url: "turn:203.0.113.20", address: Self.server,
                    credential: TURNCredential(username: "alice", password: "a password"))
            ]
            configuration.ice.policy = .relay
        }
        var configuration = TURNServer.Configuration(listening: [Self.server], relayAddresses: [Self.server.ip])
        configureServer(&configuration)
        let link = Link.symmetric(LinkConfiguration(delay: .milliseconds(1)))
        let host = call.simulation.addHost("turn", addresses: [Self.server.ip], link: link)
        call.relay = (host, TURNServer(configuration, seed: seed))
        try call.addMedia(
            left: kinds, right: kinds, videoBitrate: 200_000,
            audioBitrate: audioInterval > .seconds(1) ? 1_000 : 24_000,
            audioInterval: audioInterval)
        return call
    }

    /// Hours with a nonce that lasts a minute: a frame now and then each way, every one of which arrives. One in the normal
    /// run, twelve with POSTERN_SOAK; `Scripts/soak relay` holds twelve at full density.
    @Test func hoursThroughARelayWhoseNonceLastsAMinute() throws {
        let call = try relayed(
            kinds: [.audio], audioInterval: .seconds(2), server: { $0.nonceLifetime = .seconds(60) })
        try call.start()
        try call.connect()
        try call.run(until: .zero + .seconds(900))
        let began = (counters: try #require(call.relay?.server.counters), structure: structure(of: call.left.engine))
        let held = footprint(of: try #require(call.relay?.server))
        for side in Side.allCases {
            for key in call[side].received.keys { call[side].received[key]?.resetGaps() }
        }
        let hours = Seeds.isSoak ? 12 : 1
        try call.run(until: .zero + .seconds(Double(hours) * 3_600))

        for side in Side.allCases {
            #expect(call[side].states.map(\.state) == [.connecting, .connected], "\(call[side].states)")
            #expect(call[side].selectedPairs.count == 1)
            let track = try #require(call[side].received["0"])
            let sent = call[side.other].tracks[0].sent
            #expect(track.count >= sent - 1 && track.damaged == 0 && track.disordered == 0, "\(track.count) of \(sent)")
            #expect(track.longestGap < .milliseconds(2_250), "no gap: \(track.longestGap)")
        }

        // What was asked since the first quarter of an hour, twice: most requests meet a stale nonce first.
        let counters = try #require(call.relay?.server.counters)
        func requests(_ method: STUNMessage.Method) -> Int {
            (counters.requests[method.rawValue] ?? 0) - (began.counters.requests[method.rawValue] ?? 0)
        }
        let span = hours * 3_600 - 900
        let renewals = (refresh: span / 540, permission: span / 240, channel: span / 540)
        let stale = (counters.errors[438] ?? 0) - (began.counters.errors[438] ?? 0)
        let asked = requests(.refresh) + requests(.createPermission) + requests(.channelBind)
        print(
            "\(hours) h: \(requests(.refresh)) Refresh, \(requests(.createPermission)) CreatePermission, "
                + "\(requests(.channelBind)) ChannelBind, of which \(stale) met a stale nonce; "
                + "\(counters.channelData) ChannelData and \(counters.sendIndications) Send indications")
        #expect(requests(.allocate) == 0)
        #expect((2 * renewals.refresh...4 * renewals.refresh + 4).contains(requests(.refresh)))
        #expect((2 * renewals.permission...4 * renewals.permission + 4).contains(requests(.createPermission)))
        #expect((2 * renewals.channel...4 * renewals.channel + 4).contains(requests(.channelBind)))
        // Each renewal was answered once; the rest of the requests are those with a nonce that had gone stale.
        let answered = 2 * (renewals.refresh + renewals.permission + renewals.channel)
        #expect(abs(asked - stale - answered) <= 6, "\(asked) asked, \(stale) stale, \(answered) renewals")
        #expect(counters.errors.keys.sorted() == [401, 438])
        #expect(counters.expired + counters.refusedPeers == 0, "\(counters)")
        #expect(counters.droppedFromClients == began.counters.droppedFromClients)
        #expect(counters.sendIndications == began.counters.sendIndications, "all data goes by channels")

        // Nothing knows how long the call is, at either end.
        let grown = structure(of: call.left.engine)
        #expect(grown <= began.structure * 5 / 4 + 64, "\(began.structure) elements, then \(grown)")
        let kept = footprint(of: try #require(call.relay?.server))
        #expect(kept.allSatisfy { $0.value <= (held[$0.key] ?? 0) + 2 }, "\(held) \(kept)")
    }

    /// The server's process is killed and started again after a while; whatever it knew is gone.
    @Test(
        arguments: [(0, 7.0), (3, 5.0), (10, 12.0), (25, 12.0), (45, 15.0), (120, 65.0)] as [(Double, Double)])
    func aServerThatIsAwayForAWhileCostsThatWhileAndALittleMore(_ away: Double, _ more: Double) throws {
        let call = try relayed(seed: 7)
        for side in Side.allCases {
            call[side].onEvent = { [weak call] event, now in
                // The offerer brings the call back, as the program does.
                guard case .restartWanted = event, side == .left, let call else { return }
                call.at(now) {
                    if $0.left.engine.signalingState == .stable { try $0.offer(from: .left, iceRestart: true) }
                }
            }
        }
        try call.start()
        try call.connect()
        try call.run(for: .seconds(5))
        let cut = call.now
        call.relay?.server.isSilent = true
        call.relay?.server.restart()
        for side in Side.allCases { call[side].received["0"]?.resetGaps() }
        call.at(cut + .seconds(away)) { $0.relay?.server.isSilent = false }
        let isBack = try call.run(until: cut + .seconds(away + more + 30)) { call in
            call.relay?.server.isSilent == false && call.areConnected
                && Side.allCases.allSatisfy {
                    call[$0].received["0"]?.lastAt.map { $0 > cut + .seconds(away) + .milliseconds(100) } ?? false
                }
        }
        #expect(isBack, "\(call.left.states) \(call.right.states)")
        let gaps = Side.allCases.map { call[$0].received["0"]?.longestGap.seconds ?? .infinity }
        #expect(gaps.allSatisfy { $0 < away + more }, "\(gaps)")
        let before = Side.allCases.map { call[$0].received["0"]?.count ?? 0 }
        try call.run(for: .seconds(3))
        for (side, count) in zip(Side.allCases, before) {
            #expect((call[side].received["0"]?.count ?? 0) - count > 120)
        }
        #expect(call.relay?.server.clients.count == 2)
    }

    /// ALTERNATE-SERVER (RFC 8489 §10): the call is held through the server that was named.
    @Test func aServerThatSendsUsToAnotherOneIsFollowedThere() throws {
        let other = TransportAddress(Self.server.ip, 3_479)
        let call = try relayed(server: {
            $0.listening.append(other)
            $0.alternate = other
        })
        try call.start()
        try call.connect()
        try call.run(for: .seconds(2))
        let server = try #require(call.relay?.server)
        #expect(server.clients.map(\.client.local) == [other, other])
        #expect(server.counters.errors[300] == 2)
        #expect(call.left.received["0"]?.count ?? 0 > 80)
        // One that sends on for ever is not followed for ever.
        let endless = try relayed(server: { $0.alternate = TransportAddress(Self.server.ip, 3_480) })
        try endless.start()
        try endless.run(for: .seconds(30))
        #expect(!endless.areConnected && endless.left.isGatheringComplete)
        #expect((endless.relay?.server.counters.errors[300] ?? 0) <= 2)
    }
}
