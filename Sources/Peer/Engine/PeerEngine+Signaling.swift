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
    public mutating func addTransceiver(
        _ kind: MediaKind, direction: MediaDirection
    ) throws(NegotiationError) -> TransceiverDescription.ID {
        try negotiator.addTransceiver(kind, direction: direction)
    }

    public mutating func setDirection(
        _ direction: MediaDirection, of id: TransceiverDescription.ID
    ) throws(NegotiationError) {
        try negotiator.setDirection(direction, of: id)
    }

    public var transceivers: [TransceiverDescription] { negotiator.transceivers }
    /// What was agreed last; `nil` before the first answer.
    public var negotiatedSession: NegotiatedSession? { session }

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
        noteDescriptionSent(at: now, into: &out)
        if type == .offer { setInitialRole(.controlling, at: now, into: &out) }
        applySession(at: now, into: &out)
    }

    public mutating func setRemoteDescription(
        _ description: SessionDescription, type: DescriptionType, at now: Instant, into out: inout Output
    ) throws(NegotiationError) {
        try negotiator.setRemoteDescription(description, type: type)
        trace(.peer(.remoteDescription(type: type.rawValue)), at: now, into: &out)
        if type == .offer {
            // A lite agent never controls (RFC 8445 §6.1.1).
            setInitialRole(description.isICELite ? .controlling : .controlled, at: now, into: &out)
        }
        if let remote = negotiator.remoteTransport { applyRemote(remote, at: now, into: &out) }
        applySession(at: now, into: &out)
    }

    /// Takes the pending offer back, ours or the other side's (RFC 9429 §4.1.10.2).
    public mutating func rollback(at now: Instant, into out: inout Output) throws(NegotiationError) {
        try negotiator.rollback()
        trace(.peer(.localDescription(type: DescriptionType.rollback.rawValue)), at: now, into: &out)
    }

    /// A trickled candidate (RFC 8838). One that cannot be used is traced, never an error of the call.
    ///
    /// - Parameters mid, mediaIndex: the section it was signalled for; a candidate of a section whose transport is not in
    ///   use (rejected, or closed by bundling) is passed over.
    public mutating func addRemoteCandidate(
        _ attribute: CandidateAttribute, mid: String? = nil, mediaIndex: Int? = nil, at now: Instant,
        into out: inout Output
    ) {
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

    public mutating func endOfRemoteCandidates(at now: Instant, into out: inout Output) {
        if remoteNames.holdsEnd() { return }
        ice.endOfRemoteCandidates(at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    // MARK: What follows from them

    /// The first exchange decides who controls; later ones, restarts included, change nothing (RFC 8445 §9).
    private mutating func setInitialRole(_ role: ICERole, at now: Instant, into out: inout Output) {
        guard session == nil, ice.role != role else { return }
        ice.setRole(role, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    private func localTransport() -> TransportParameters {
        TransportParameters(
            iceUfrag: ice.localCredentials.ufrag, icePwd: ice.localCredentials.password,
            fingerprints: [FingerprintAttribute(configuration.certificate.fingerprint)],
            isICELite: configuration.ice.isLite,
            candidates: gatheredCandidates.filter { $0.ufrag == ice.localCredentials.ufrag },
            endOfCandidates: ice.gatheringState == .complete, defaultAddress: ice.defaultAddress)
    }

    private mutating func applyRemote(_ remote: TransportParameters, at now: Instant, into out: inout Output) {
        ice.setRemoteDescription(
            credentials: ICECredentials(ufrag: remote.iceUfrag, password: remote.icePwd), isLite: remote.isICELite,
            pacing: remote.icePacing.map { .milliseconds(Int64($0)) }, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
        for candidate in remote.candidates { addRemoteCandidate(candidate, at: now, into: &out) }
        if remote.endOfCandidates { endOfRemoteCandidates(at: now, into: &out) }
    }

    /// Once both descriptions stand, the streams follow them.
    private mutating func applySession(at now: Instant, into out: inout Output) {
        guard let agreed = negotiator.session, agreed != session else { return }
        note(.bothDescriptionsKnown, at: now, into: &out)
        guard agreed.acceptedMedia.isEmpty || hasUsableFingerprint(agreed) else {
            return setConnectionState(
                .failed(
                    .negotiation("no fingerprint of a hash function that can be checked (sha-256 … sha-512, sha-1)")),
                into: &out)
        }
        let former = session
        session = agreed
        // RFC 8842 §5.2: another certificate or role is another association. The old keys serve until the new are there.
        if former != nil, agreed.isNewDTLSAssociation { dtls = nil }
        for section in agreed.media { applySection(section) }
        extensions = agreed.receivedExtensions
        startDTLSIfReady(at: now, into: &out)
        flushFeedback(at: now, into: &out)
    }

    private mutating func applySection(_ section: NegotiatedMedia) {
        if let id = section.transceiver, section.sends, senders[section.mid] == nil,
            let transceiver = negotiator[id],
            var settings = SendStreamConfiguration(section, transceiver: transceiver, cname: negotiator.cname)
        {
            settings.firstSequenceNumber = configuration.firstSequenceNumber
            settings.firstTimestamp = configuration.firstTimestamp
            senders[section.mid] = SenderState(stream: SendStream(settings, random: &random))
            feedbackSSRC = senders[section.mid]?.stream.configuration.ssrc ?? feedbackSSRC
        }
        senders[section.mid]?.isActive = section.sends
        if section.isRejected { senders[section.mid] = nil }
        for ssrc in receivers.keys(where: { $0.mid == section.mid }) { receivers[ssrc]?.adopt(section) }
        if !section.receives {
            for ssrc in receivers.keys(where: { $0.mid == section.mid }) {
                receivers[ssrc] = nil
                routes.retransmissions = routes.retransmissions.filter { $0.value != ssrc }
            }
        }
    }
}

extension FingerprintAttribute {
    init(_ fingerprint: Fingerprint) {
        self.init(hashFunction: fingerprint.algorithm.rawValue, bytes: fingerprint.bytes)
    }
}

/// Why a candidate in a description is of no use to us.
struct UnusableCandidate: Error, CustomStringConvertible {
    var description: String
}

extension Candidate {
    init(_ attribute: CandidateAttribute) throws(UnusableCandidate) {
        guard attribute.transport == .udp else {
            throw UnusableCandidate(description: "transport \(attribute.transport) is not supported")
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
            foundation: attribute.foundation, component: 1, transport: .udp, priority: attribute.priority,
            address: TransportAddress(ip, attribute.port), type: type, ufrag: attribute.ufrag,
            networkID: attribute.networkID, networkCost: attribute.networkCost)
    }
}
