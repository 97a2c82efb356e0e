import DTLSSRTP
import Foundation
import ICE
import Peer
import PeerIO
import Primitives
import SDP

/// What to gather and what to expect of it.
public struct GatherPlan: Sendable {
    /// Candidate types of which there has to be one: `host`, `srflx`, `relay`.
    public var required: [String] = []
    /// When to give up waiting for servers.
    public var limit: TimeDelta = .seconds(10)

    public init() {}
}

/// Gathers as a call would, and tells which servers do what they are there for: the Trickle ICE page without a browser.
///
/// Two peers are made. The first has the servers and gathers; its candidates are the result. The second stands for the
/// other side of a call: it has plain sockets, is told of the first one's relayed addresses and checks them, so that data
/// goes out of one socket of ours, through the relay to the other, and back. For that the relay is asked to permit the
/// address the second peer comes from: its own, and those that STUN and TURN servers see us as.
extension CallSession {
    public func runGather(
        _ plan: GatherPlan, told: @escaping @Sendable (GatheredCandidate) -> Void
    ) async throws -> GatherResult {
        let servers = try await resolveServers(isTolerant: true)
        let loop = try makeLoop()
        let addresses = try hostAddresses()
        let certificate = try makeCertificate()
        let journal = GatherJournal(began: loop.now, told: told)
        let other = GatherJournal(began: loop.now)

        var configuration = peerConfiguration(role: .controlled, certificate: certificate)
        servers.apply(to: &configuration)
        configuration.ice.gatheringLimit = plan.limit
        configuration.ice.limits.relays = 64
        var plain = PeerConfiguration(role: .controlling, certificate: certificate)
        plain.ice.policy = .hostOnly
        // So that every relayed address is checked, and not only until one is chosen.
        plain.ice.nominationPolicy = .never
        let first = PeerConnection(loop: loop, configuration: configuration, observer: journal)
        let second = PeerConnection(loop: loop, configuration: plain, observer: other)
        do {
            try await introduce(second, to: first)
            try await first.gather(on: openSockets(on: loop, addresses: addresses))
            try await second.gather(on: openSockets(on: loop, addresses: addresses))
        } catch {
            for connection in [first, second] { await connection.close() }
            await loop.shutdown()
            throw (error as? CallSetupError) ?? CallSetupError("\(error)", status: .network)
        }
        async let bound = bind(servers.connected, addresses.map(\.ip), plan, loop)
        let roundTrips = await exchange(first, journal, second, other, until: loop.now + plan.limit, loop)
        let bindings = await bound
        for connection in [first, second] { await connection.close() }
        await loop.shutdown()
        let findings = GatherFindings(
            facts: journal.facts, roundTrips: roundTrips, bindings: bindings,
            ownFamilies: Set(addresses.map(\.ip.family)), wantedFamilies: options.network.relayFamilies,
            isProxied: options.network.proxy != nil, unresolved: servers.unresolved,
            login: options.network.login.credential(at: Date()),
            addresses: Dictionary(servers.askedByUDP.map { ($0.url, [$0.address]) }, uniquingKeysWith: +))
        return findings.conclude(plan, options.network.iceServers)
    }

    /// Asks the STUN servers that are reached over TCP and TLS, all at once.
    private func bind(
        _ servers: [RelayServer], _ addresses: [IPAddress], _ plan: GatherPlan, _ loop: IOLoop
    ) async -> [String: StreamBinding.Answer] {
        await withTaskGroup(of: (String, StreamBinding.Answer).self) { group in
            for server in servers {
                guard let local = addresses.first(where: { $0.reaches(server.address.ip) }) else { continue }
                group.addTask {
                    do throws(SocketFailure) {
                        let binding = try StreamBinding(
                            loop: loop, from: local, to: server, trust: self.options.network.relayTrust)
                        return (server.url, await binding.run(within: plan.limit) { self.isInterrupted })
                    } catch {
                        return (server.url, StreamBinding.Answer(reason: "\(error)"))
                    }
                }
            }
            var answers: [String: StreamBinding.Answer] = [:]
            for await (url, answer) in group where answers[url]?.mapped == nil { answers[url] = answer }
            return answers
        }
    }

    /// Descriptions before anything is gathered, so that no candidate is in them.
    private func introduce(_ offerer: PeerConnection, to answerer: PeerConnection) async throws {
        for connection in [offerer, answerer] { try await connection.addTransceiver(.audio, direction: .receiveOnly) }
        let offer = try await offerer.offer()
        try await answerer.setRemoteDescription(offer, type: .offer)
        let answer = try await answerer.answer()
        try await offerer.setRemoteDescription(answer, type: .answer)
    }

    /// Passes on what either side has to know of the other, until all servers have answered or failed, and all relayed
    /// addresses were tried. Gives the round trips through relayed addresses.
    private func exchange(
        _ first: PeerConnection, _ journal: GatherJournal, _ second: PeerConnection, _ other: GatherJournal,
        until end: Instant, _ loop: IOLoop
    ) async -> [TransportAddress: Double] {
        var passed = 0
        var known: Set<IPAddress> = []
        var trips: [TransportAddress: Double] = [:]
        while loop.now < end, !isInterrupted {
            let facts = journal.facts
            for attribute in facts.attributes[passed...] where attribute.kind == .relayed {
                await second.addRemoteCandidate(attribute)
            }
            passed = facts.attributes.count
            // Whoever sends to the relay comes from one of these.
            for address in other.facts.candidates.map(\.address) + facts.mapped.keys
            where known.insert(address.ip).inserted {
                await first.addRemoteCandidate(
                    CandidateAttribute(
                        foundation: "1", priority: 1, host: .address(address.ip), port: address.port, kind: .host))
            }
            trips = await answered(on: second, facts)
            let isTried = facts.relayed.keys.allSatisfy { address in
                trips[address] != nil || facts.refusals.contains { $0.url == facts.relayed[address] }
                    || !other.facts.candidates.contains { $0.address.ip.family == address.ip.family }
            }
            if facts.isComplete, isTried { break }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return trips
    }

    private func answered(
        on connection: PeerConnection, _ facts: GatherJournal.Facts
    ) async -> [TransportAddress: Double] {
        guard !facts.relayed.isEmpty else { return [:] }
        let statistics = await connection.statistics()
        let remotes = statistics.objects(of: .remoteCandidate)
        var trips: [TransportAddress: Double] = [:]
        for pair in statistics.objects(of: .candidatePair) {
            guard (pair["responsesReceived"]?.asDouble ?? 0) > 0, let time = pair["currentRoundTripTime"]?.asDouble,
                case .string(let id)? = pair["remoteCandidateId"], let remote = remotes.first(where: { $0.id == id }),
                case .string(let text)? = remote["address"], let ip = IPAddress(text),
                let port = remote["port"]?.asDouble.flatMap({ UInt16(exactly: $0) })
            else { continue }
            trips[TransportAddress(ip, port)] = time * 1_000
        }
        return trips
    }
}
