import ICE
import Locks
import Peer
import PeerIO
import Primitives
import SDP

/// Writes down what one of the two peers of a gathering tells, on its loop's thread.
final class GatherJournal: PeerConnectionObserver {
    struct Facts {
        var candidates: [GatheredCandidate] = []
        var attributes: [CandidateAttribute] = []
        /// Outside addresses that STUN told, with the server that did.
        var mapped: [TransportAddress: String] = [:]
        var relayed: [TransportAddress: String] = [:]
        var answered: Set<String> = []
        var failures: [(url: String, reason: String)] = []
        var refusals: [(url: String, reason: String)] = []
        /// Servers that ICMP says cannot be reached.
        var unreachable: [(remote: TransportAddress, reason: String)] = []
        var isComplete = false
    }

    static let maximumFacts = 200
    private let state = Locked(Facts())
    private let began: Instant
    private let told: @Sendable (GatheredCandidate) -> Void

    init(began: Instant, told: @escaping @Sendable (GatheredCandidate) -> Void = { _ in }) {
        self.began = began
        self.told = told
    }

    var facts: Facts { state.withLock { $0 } }

    func observe(events: [PeerEvent], trace: [TraceEvent], at now: Instant) {
        var new: [GatheredCandidate] = []
        state.withLock { facts in
            for case .ice(let entry) in trace.lazy.map(\.detail) { Self.note(entry, in: &facts) }
            for event in events {
                switch event {
                case .gatheringComplete: facts.isComplete = true
                case .localCandidate(let attribute, _, _):
                    guard facts.candidates.count < Self.maximumFacts, case .address(let ip) = attribute.host else {
                        continue
                    }
                    let address = TransportAddress(ip, attribute.port)
                    let candidate = GatheredCandidate(
                        type: "\(attribute.kind)", address: address, priority: attribute.priority,
                        foundation: attribute.foundation, related: Self.related(attribute),
                        url: facts.relayed[address] ?? facts.mapped[address], after: now - began)
                    facts.candidates.append(candidate)
                    facts.attributes.append(attribute)
                    new.append(candidate)
                default: break
                }
            }
        }
        for candidate in new { told(candidate) }
    }

    private static func related(_ attribute: CandidateAttribute) -> TransportAddress? {
        guard case .address(let ip)? = attribute.relatedHost, let port = attribute.relatedPort else { return nil }
        return TransportAddress(ip, port)
    }

    private static func note(_ entry: ICETrace, in facts: inout Facts) {
        switch entry {
        case .serverAnswered(let url, _, let mapped):
            facts.answered.insert(url)
            if facts.mapped.count < maximumFacts { facts.mapped[mapped] = facts.mapped[mapped] ?? url }
        case .relayAllocated(let url, let relayed, _):
            facts.answered.insert(url)
            for address in relayed where facts.relayed.count < maximumFacts { facts.relayed[address] = url }
        case .serverFailed(let url, _, let reason, _):
            if facts.failures.count < maximumFacts { facts.failures.append((url, reason)) }
        case .relayRefused(let url, let peer, let error):
            if facts.refusals.count < maximumFacts { facts.refusals.append((url, "\(peer): \(error)")) }
        case .unreachable(let path, let reason):
            if facts.unreachable.count < maximumFacts { facts.unreachable.append((path.remote, reason)) }
        default: break
        }
    }
}
