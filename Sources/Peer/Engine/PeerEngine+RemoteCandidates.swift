import ICE
import Primitives
import SDP

/// Candidates of the other side.
extension PeerEngine {
    /// A trickled candidate (RFC 8838). One that cannot be used is traced, never an error of the call.
    ///
    /// - Parameters mid, mediaIndex: the section it was signalled for; a candidate of a section whose transport is not in
    ///   use (rejected, or closed by bundling) is passed over.
    public mutating func addRemoteCandidate(
        _ attribute: CandidateAttribute, mid: String? = nil, mediaIndex: Int? = nil, at now: Instant,
        into out: inout Output
    ) {
        guard !perfectNegotiation.isIgnoringOffer else {
            return trace(
                .peer(
                    .remoteCandidateIgnored(
                        candidate: attribute.description, reason: "it belongs to an offer that met ours")),
                at: now, into: &out)
        }
        // Before the description it belongs to nothing is known of its section: ICE keeps it.
        if mid != nil || mediaIndex != nil, negotiator.remoteDescription != nil,
            !negotiator.isOnTransport(mid: mid, mediaIndex: mediaIndex)
        {
            return trace(
                .peer(
                    .remoteCandidateIgnored(
                        candidate: attribute.description, reason: "its section is not on the transport in use")),
                at: now, into: &out)
        }
        var attribute = attribute
        if let restart = deferredRestart, attribute.ufrag == nil {
            // Without a name it belongs to the description that came last, which ICE does not know yet.
            attribute.extensions.append(.init(name: "ufrag", value: restart.transport.iceUfrag))
        }
        if resolvesLater(attribute, at: now, into: &out) { return }
        do {
            ice.addRemoteCandidate(try Candidate(attribute), at: now, into: &iceOutput)
            drainICE(at: now, into: &out)
        } catch {
            trace(
                .peer(.remoteCandidateIgnored(candidate: attribute.description, reason: error.description)), at: now,
                into: &out)
        }
    }

    /// No further candidates will come for the description that came last (RFC 8838 §8.2).
    public mutating func endOfRemoteCandidates(at now: Instant, into out: inout Output) {
        guard !perfectNegotiation.isIgnoringOffer else { return }
        if remoteNames.holdsEnd() { return }
        guard deferredRestart == nil else {
            deferredRestart?.hasEnd = true
            return
        }
        ice.endOfRemoteCandidates(at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }
}

/// Why a candidate in a description is of no use to us.
struct UnusableCandidate: Error, CustomStringConvertible {
    var description: String
}

extension Candidate {
    init(_ attribute: CandidateAttribute) throws(UnusableCandidate) {
        let transport: CandidateTransport
        switch (attribute.transport, attribute.tcpType) {
        case (.udp, _): transport = .udp
        case (.tcp, .active): transport = .tcpActive
        case (.tcp, .passive): transport = .tcpPassive
        case (.tcp, .simultaneousOpen): transport = .tcpSimultaneousOpen
        case (.tcp, nil): throw UnusableCandidate(description: "transport tcp without a tcptype (RFC 6544 §4.5)")
        case (.other, _): throw UnusableCandidate(description: "transport \(attribute.transport) is not supported")
        }
        guard let ip = attribute.host.address else {
            throw UnusableCandidate(description: "the name \(attribute.host) is not resolved")
        }
        guard let type = CandidateType(sdpName: "\(attribute.kind)") else {
            throw UnusableCandidate(description: "unknown candidate type \(attribute.kind)")
        }
        guard attribute.component == 1 else {
            throw UnusableCandidate(description: "component \(attribute.component): RTCP shares component 1")
        }
        self.init(
            foundation: attribute.foundation, component: 1, transport: transport, priority: attribute.priority,
            address: TransportAddress(ip, attribute.port), type: type, ufrag: attribute.ufrag,
            networkID: attribute.networkID, networkCost: attribute.networkCost)
    }
}
