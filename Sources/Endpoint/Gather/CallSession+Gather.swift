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
        let servers = try await resolveServers()
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
        let roundTrips = await exchange(first, journal, second, other, until: loop.now + plan.limit, loop)
        for connection in [first, second] { await connection.close() }
        await loop.shutdown()
        return conclude(plan, journal.facts, roundTrips)
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

    // MARK: Verdicts

    private func conclude(
        _ plan: GatherPlan, _ facts: GatherJournal.Facts, _ trips: [TransportAddress: Double]
    ) -> GatherResult {
        var result = GatherResult()
        result.candidates = facts.candidates
        for url in options.network.iceServers {
            result.servers.append(
                url.uri.service == .stun
                    ? stunVerdict("\(url)", plan, facts) : turnVerdict("\(url)", plan, facts, trips))
        }
        result.missing = plan.required.filter { type in !facts.candidates.contains { $0.type == type } }
        if !plan.required.isEmpty {
            result.status = result.missing.isEmpty ? .success : .expectation
        } else if result.servers.contains(where: { !$0.works }) {
            result.status = .ice
        }
        return result
    }

    private func failure(_ url: String, _ plan: GatherPlan, _ facts: GatherJournal.Facts) -> (text: String, code: Int) {
        var reasons: [String] = []
        for failure in facts.failures where failure.url == url && !reasons.contains(failure.reason) {
            reasons.append(failure.reason)
        }
        // One network of several may be the wrong one; what a server said is worth more than its silence.
        let told = reasons.first { $0.prefix(3).allSatisfy(\.isNumber) }
        let reason = told ?? reasons.first ?? "no answer within \(plan.limit)"
        let code = told.flatMap { Int($0.prefix(3)) } ?? 701
        return (code == 701 ? "701, \(reason)" : reason, code)
    }

    private func stunVerdict(_ url: String, _ plan: GatherPlan, _ facts: GatherJournal.Facts) -> ServerVerdict {
        guard facts.answered.contains(url) else {
            let (text, code) = failure(url, plan, facts)
            return ServerVerdict(url: url, service: "stun", works: false, text: text, errorCode: code)
        }
        let found = facts.candidates.first { $0.url == url && $0.type == "srflx" }
        let time = found.map { oneDecimal($0.after.seconds * 1_000) + " ms" }
        return ServerVerdict(
            url: url, service: "stun", works: true,
            text: time.map { "srflx: STUN works, \($0)" } ?? "STUN works, and sees us at an address known already",
            milliseconds: found.map { $0.after.seconds * 1_000 })
    }

    private func turnVerdict(
        _ url: String, _ plan: GatherPlan, _ facts: GatherJournal.Facts, _ trips: [TransportAddress: Double]
    ) -> ServerVerdict {
        let relayed = facts.relayed.filter { $0.value == url }.keys
        guard !relayed.isEmpty else {
            let (text, code) = failure(url, plan, facts)
            return ServerVerdict(url: url, service: "turn", works: false, text: text, errorCode: code)
        }
        let milliseconds = facts.candidates.first { $0.url == url && $0.type == "relay" }.map {
            $0.after.seconds * 1_000
        }
        var verdict = ServerVerdict(url: url, service: "turn", works: true, text: "", milliseconds: milliseconds)
        let time = milliseconds.map { oneDecimal($0) + " ms" } ?? "late"
        if let trip = relayed.compactMap({ trips[$0] }).min() {
            verdict.text = "relay: TURN works, \(time), data passed through and back (\(oneDecimal(trip)) ms)"
            verdict.dataRoundTripMilliseconds = trip
        } else if let refusal = facts.refusals.first(where: { $0.url == url }) {
            verdict.works = false
            verdict.errorCode = 403
            verdict.text = "relay: an address was given after \(time), but the server does not permit \(refusal.reason)"
        } else {
            verdict.works = false
            verdict.text =
                "relay: an address was given after \(time), but no data came through it: is its port range open?"
        }
        return verdict
    }
}
