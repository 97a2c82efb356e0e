import Primitives
import SDP

/// Candidates that came under a name, until somebody has looked it up (RFC 8839 §5.1, draft-ietf-mmusic-mdns-ice-candidates).
///
/// Browsers hide their addresses behind random `.local` names, which only multicast DNS on the same link can resolve. The
/// engine has no network but its paths, so it asks its driver by an event and goes on without the candidate; the end of
/// candidates is held back meanwhile, so that ICE does not give up what is about to come. A name nobody can resolve costs its
/// candidate and nothing else: behind proxies and NATs that is the rule.
struct RemoteNames: Sendable {
    private struct Entry: Sendable {
        var name: String
        var candidates: [CandidateAttribute]
    }
    private var entries: [Entry] = []
    private var isEndHeld = false

    /// Names looked up at a time, and candidates that wait for one.
    static let maximumNames = 16
    static let maximumCandidates = 8

    enum Admission: Equatable {
        /// The first candidate of that name: look it up.
        case begun
        case waiting
        case full
    }

    mutating func admit(_ candidate: CandidateAttribute, name: String) -> Admission {
        if let index = entries.firstIndex(where: { $0.name == name }) {
            guard entries[index].candidates.count < Self.maximumCandidates else { return .full }
            entries[index].candidates.append(candidate)
            return .waiting
        }
        guard entries.count < Self.maximumNames else { return .full }
        entries.append(Entry(name: name, candidates: [candidate]))
        return .begun
    }

    /// Whether the end of candidates has to wait for names.
    mutating func holdsEnd() -> Bool {
        if !entries.isEmpty { isEndHeld = true }
        return !entries.isEmpty
    }

    /// The candidates of a name, which are waited for no longer; empty for a name nobody asked for.
    mutating func take(_ name: String) -> [CandidateAttribute] {
        guard let index = entries.firstIndex(where: { $0.name == name }) else { return [] }
        return entries.remove(at: index).candidates
    }

    /// Whether the end of candidates was held back and is due now.
    mutating func releasesEnd() -> Bool {
        guard isEndHeld, entries.isEmpty else { return false }
        isEndHeld = false
        return true
    }
}

extension PeerEngine {
    /// Whether a candidate waits for its name to be looked up.
    mutating func resolvesLater(
        _ attribute: CandidateAttribute, at now: Instant, into out: inout Output
    ) -> Bool {
        guard case .name(let text) = attribute.host, attribute.transport == .udp || attribute.tcpType == .passive,
            attribute.component == 1,
            let name = Self.multicastName(text)
        else { return false }
        switch remoteNames.admit(attribute, name: name) {
        case .begun: out.events.append(.nameResolutionWanted(name))
        case .waiting: break
        case .full:
            trace(
                .peer(
                    .remoteCandidateIgnored(
                        candidate: attribute.description, reason: "too many names wait to be looked up")),
                at: now, into: &out)
        }
        return true
    }

    /// A name under `.local` in lower case and without a final dot; `nil` for any other.
    static func multicastName(_ text: String) -> String? {
        var name = text.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        guard name.hasSuffix(".local"), name.utf8.count > 6, name.utf8.count <= 253 else { return nil }
        return name
    }

    /// What came of looking up a name of `PeerEvent.nameResolutionWanted`. Its candidates are admitted under the first
    /// address of each family; without any they are passed over.
    public mutating func resolveRemoteName(
        _ name: String, addresses: [IPAddress], reason: String = "", at now: Instant, into out: inout Output
    ) {
        let candidates = remoteNames.take(name)
        guard !candidates.isEmpty else { return }
        var chosen: [IPAddress] = []
        for address in addresses where !chosen.contains(where: { $0.family == address.family }) {
            chosen.append(address)
        }
        trace(
            .peer(.remoteNameResolved(name: name, addresses: chosen.map { "\($0)" }, reason: reason)), at: now,
            into: &out)
        for candidate in candidates {
            if chosen.isEmpty {
                trace(
                    .peer(
                        .remoteCandidateIgnored(
                            candidate: candidate.description, reason: reason.isEmpty ? "no address" : reason)),
                    at: now, into: &out)
            }
            for address in chosen {
                var candidate = candidate
                candidate.host = .address(address)
                addRemoteCandidate(candidate, at: now, into: &out)
            }
        }
        if remoteNames.releasesEnd() { endOfRemoteCandidates(at: now, into: &out) }
    }
}
