import DTLSSRTP
import ICE
import Primitives
import RTP
import SDP

/// Offers, answers and candidates: what the application's signalling carries.
extension PeerEngine {
    // MARK: What is wanted

    /// Adds an m-section to the next offer (or matches one of an offer received) and gives its place.
    @discardableResult
    public mutating func addTransceiver(_ kind: MediaKind, direction: MediaDirection) -> Int {
        negotiator.addTransceiver(kind: kind, direction: direction)
    }

    public var signalingState: SignalingState { negotiator.signalingState }

    // MARK: Descriptions

    public mutating func createOffer(iceRestart: Bool = false, at now: Instant, into out: inout Output)
        throws(NegotiationError) -> SessionDescription
    {
        if iceRestart {
            ice.restart(at: now, into: &iceOutput)
            drainICE(at: now, into: &out)
        }
        return try negotiator.createOffer(transport: localTransport())
    }

    public mutating func createAnswer() throws(NegotiationError) -> SessionDescription {
        try negotiator.createAnswer(transport: localTransport())
    }

    public mutating func setLocalDescription(
        _ description: SessionDescription, type: DescriptionType, at now: Instant, into out: inout Output
    ) throws(NegotiationError) {
        try negotiator.setLocalDescription(description, type: type)
        trace(.peer(.localDescription(type: type.rawValue)), at: now, into: &out)
        applySession(at: now, into: &out)
    }

    public mutating func setRemoteDescription(
        _ description: SessionDescription, type: DescriptionType, at now: Instant, into out: inout Output
    ) throws(NegotiationError) {
        try negotiator.setRemoteDescription(description, type: type)
        trace(.peer(.remoteDescription(type: type.rawValue)), at: now, into: &out)
        if let remote = negotiator.remoteTransport { applyRemote(remote, at: now, into: &out) }
        applySession(at: now, into: &out)
    }

    /// A trickled candidate (RFC 8838). One that cannot be used is traced, never an error of the call.
    public mutating func addRemoteCandidate(
        _ attribute: CandidateAttribute, at now: Instant, into out: inout Output
    ) {
        do {
            ice.addRemoteCandidate(try Candidate(attribute), at: now, into: &iceOutput)
            drainICE(at: now, into: &out)
        } catch {
            trace(
                .peer(.remoteCandidateIgnored(candidate: attribute.description, reason: error.description)), at: now,
                into: &out)
        }
    }

    public mutating func endOfRemoteCandidates(at now: Instant, into out: inout Output) {
        ice.endOfRemoteCandidates(at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    // MARK: What follows from them

    private func localTransport() -> TransportParameters {
        let fingerprint = configuration.certificate.fingerprint
        return TransportParameters(
            ufrag: ice.localCredentials.ufrag, password: ice.localCredentials.password,
            fingerprints: [SDP.Fingerprint(hash: fingerprint.algorithm, bytes: fingerprint.bytes)],
            isLite: false, candidates: gatheredCandidates.filter { $0.ufrag == ice.localCredentials.ufrag },
            endOfCandidates: ice.gatheringState == .complete)
    }

    private mutating func applyRemote(_ remote: TransportParameters, at now: Instant, into out: inout Output) {
        ice.setRemoteDescription(
            credentials: ICECredentials(ufrag: remote.ufrag, password: remote.password), isLite: remote.isLite,
            pacing: remote.pacing.map { .milliseconds(Int64($0)) }, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
        for candidate in remote.candidates { addRemoteCandidate(candidate, at: now, into: &out) }
        if remote.endOfCandidates { endOfRemoteCandidates(at: now, into: &out) }
    }

    /// Once both descriptions stand, the streams follow them.
    private mutating func applySession(at now: Instant, into out: inout Output) {
        guard let agreed = negotiator.session else { return }
        note(.bothDescriptionsKnown, at: now, into: &out)
        session = agreed
        for section in agreed.sections { applySection(section) }
        transportFeedback.extensionID = agreed.sections.lazy.compactMap { section in
            section.isRejected ? nil : section.extensionID(.transportSequence)
        }.first
        startDTLSIfReady(at: now, into: &out)
    }

    private mutating func applySection(_ section: NegotiatedMedia) {
        let sends = !section.isRejected && section.sends
        if senders[section.mid] == nil, sends,
            let configuration = SendStream.Configuration(section, cname: negotiator.cname)
        {
            senders[section.mid] = SenderState(stream: SendStream(configuration: configuration, random: random.split()))
        }
        senders[section.mid]?.isActive = sends
        if section.isRejected || !section.receives {
            for (ssrc, receiver) in receivers where receiver.mid == section.mid {
                receivers[ssrc] = nil
                routes.retransmissions = routes.retransmissions.filter { $0.value != ssrc }
            }
        }
    }
}

/// Why a candidate in a description is of no use to us.
struct UnusableCandidate: Error, CustomStringConvertible {
    var description: String
}

extension Candidate {
    init(_ attribute: CandidateAttribute) throws(UnusableCandidate) {
        guard attribute.transport.lowercased() == "udp" else {
            throw UnusableCandidate(description: "transport \(attribute.transport) is not supported")
        }
        guard let address = IPAddress(attribute.host) else {
            throw UnusableCandidate(
                description: attribute.host.hasSuffix(".local")
                    ? "mDNS name \(attribute.host) is not resolved" : "\(attribute.host) is no IP address")
        }
        guard let type = CandidateType(sdpName: attribute.type) else {
            throw UnusableCandidate(description: "unknown candidate type \(attribute.type)")
        }
        guard attribute.component == 1 else {
            throw UnusableCandidate(description: "component \(attribute.component): RTCP is multiplexed on component 1")
        }
        self.init(
            remoteFoundation: attribute.foundation, priority: attribute.priority,
            address: TransportAddress(address, attribute.port), type: type, ufrag: attribute.ufrag)
    }
}
