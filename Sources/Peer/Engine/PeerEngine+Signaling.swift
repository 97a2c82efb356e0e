import DTLSSRTP
import ICE
import Primitives
import RTP
import SDP

/// Offers, answers and rollbacks: what the application's signalling carries.
///
/// Credentials of ICE change with descriptions and not before them. An offer that restarts ICE carries *promised*
/// credentials; they come into force when it is set, and the former ones again when it is rolled back. An offer of the
/// other side that restarts ICE changes nothing until our answer is set: up to there it can be taken back or replaced, and
/// the call goes on as it was. Candidates that come in the meantime are kept by ICE under their generation's name.
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

    /// Stops a transceiver for good: the next exchange rejects its section, whose place another may take.
    public mutating func stopTransceiver(_ id: TransceiverDescription.ID) throws(NegotiationError) {
        try negotiator.stop(id)
    }

    /// Asks for new ICE credentials with the next offer, whichever that is (W3C `restartIce`).
    public mutating func restartICE() { credentialsToReplace = ice.localCredentials }

    public var transceivers: [TransceiverDescription] { negotiator.transceivers }
    /// What was agreed last; `nil` before the first answer.
    public var negotiatedSession: NegotiatedSession? { session }

    public var signalingState: SignalingState { negotiator.signalingState }

    /// Whether an offer of ours would change something; `false` in the middle of an exchange.
    public var needsNegotiation: Bool {
        guard !isClosed else { return false }
        return negotiator.needsNegotiation || (signalingState == .stable && session != nil && wantsICERestart)
    }

    private var wantsICERestart: Bool { credentialsToReplace == ice.localCredentials }

    /// Says `.negotiationNeeded` once when that has become so (W3C "update the negotiation-needed flag"). Descriptions do
    /// it themselves; a driver calls it after changes of transceivers.
    public mutating func noteNegotiationNeeded(into out: inout Output) {
        let isNeeded = needsNegotiation
        if isNeeded, !isNegotiationNeededTold { out.events.append(.negotiationNeeded) }
        isNegotiationNeededTold = isNeeded
    }

    // MARK: Descriptions

    /// - Parameter iceRestart: whether to offer new ICE credentials. They are in force from when the offer is set.
    public mutating func createOffer(iceRestart: Bool = false, at now: Instant, into out: inout Output)
        throws(NegotiationError) -> SessionDescription
    {
        try negotiator.createOffer(transport: localTransport(isRenewed: iceRestart || wantsICERestart))
    }

    public mutating func createAnswer() throws(NegotiationError) -> SessionDescription {
        try negotiator.createAnswer(transport: localTransport(isRenewed: negotiator.remoteRestartsICE))
    }

    public mutating func setLocalDescription(
        _ description: SessionDescription, type: DescriptionType, at now: Instant, into out: inout Output
    ) throws(NegotiationError) {
        if type == .rollback { return try rollback(at: now, into: &out) }
        let restart = type == .offer ? nil : deferredRestart
        try negotiator.setLocalDescription(description, type: type)
        trace(.peer(.localDescription(type: type.rawValue)), at: now, into: &out)
        if type == .offer {
            setInitialRole(.controlling, at: now, into: &out)
            if let promised = takePromise(in: description) {
                ice.restart(credentials: promised, at: now, into: &iceOutput)
                drainICE(at: now, into: &out)
            }
        } else if let restart {
            deferredRestart = nil
            applyRemote(restart.transport, localCredentials: takePromise(in: description), at: now, into: &out)
            if restart.hasEnd { endOfRemoteCandidates(at: now, into: &out) }
        }
        noteDescriptionSent(at: now, into: &out)
        applySession(at: now, into: &out)
        noteExchanged(description, type: type, into: &out)
    }

    /// - Parameter rollingBackOwnOffer: whether an offer that meets our own makes us take ours back (the polite side of
    ///   perfect negotiation). Otherwise that is an error, `.glare`.
    public mutating func setRemoteDescription(
        _ description: SessionDescription, type: DescriptionType, rollingBackOwnOffer: Bool = false, at now: Instant,
        into out: inout Output
    ) throws(NegotiationError) {
        if type == .rollback { return try rollback(at: now, into: &out) }
        if type == .offer, rollingBackOwnOffer, signalingState == .haveLocalOffer {
            // An offer that cannot be set must not cost us ours.
            var trial = negotiator
            try trial.rollback()
            try trial.setRemoteDescription(description, type: type)
            try rollback(at: now, into: &out)
        }
        try negotiator.setRemoteDescription(description, type: type)
        trace(.peer(.remoteDescription(type: type.rawValue)), at: now, into: &out)
        deferredRestart = nil
        if type == .offer {
            // A lite agent never controls (RFC 8445 §6.1.1).
            setInitialRole(description.isICELite ? .controlling : .controlled, at: now, into: &out)
        }
        if let remote = negotiator.remoteTransport {
            if negotiator.remoteRestartsICE {
                deferredRestart = DeferredRestart(transport: remote)
            } else {
                // Only an offer may restart: with an answer our own credentials stay what we told them to be.
                applyRemote(
                    remote, localCredentials: type == .offer ? nil : ice.localCredentials, at: now, into: &out)
            }
        }
        applySession(at: now, into: &out)
        noteExchanged(description, type: type, into: &out)
    }

    /// Takes the pending offer back, ours or the other side's (RFC 9429 §4.1.10.2). ICE credentials and everything else
    /// are what they were before it.
    public mutating func rollback(at now: Instant, into out: inout Output) throws(NegotiationError) {
        let isOurs = signalingState == .haveLocalOffer
        try negotiator.rollback()
        deferredRestart = nil
        promisedCredentials = nil
        trace(.peer(.localDescription(type: DescriptionType.rollback.rawValue)), at: now, into: &out)
        if isOurs {
            ice.rollBackRestart(at: now, into: &iceOutput)
            drainICE(at: now, into: &out)
        }
        noteNegotiationNeeded(into: &out)
    }

    // MARK: What follows from them

    /// The first exchange decides who controls; later ones, restarts included, change nothing (RFC 8445 §9).
    private mutating func setInitialRole(_ role: ICERole, at now: Instant, into out: inout Output) {
        guard session == nil, ice.role != role else { return }
        ice.setRole(role, at: now, into: &iceOutput)
        drainICE(at: now, into: &out)
    }

    /// - Parameter isRenewed: with new credentials, promised until a description with them is set. The sockets stay, so
    ///   what was gathered on them is good under the new name too.
    private mutating func localTransport(isRenewed: Bool) -> TransportParameters {
        let former = ice.localCredentials
        let candidates = gatheredCandidates.filter { $0.ufrag == former.ufrag }
        guard isRenewed else {
            promisedCredentials = nil
            return localTransport(former, candidates, isComplete: ice.gatheringState == .complete)
        }
        let promised = promisedCredentials ?? ICECredentials(using: &random)
        promisedCredentials = promised
        let renamed = candidates.map { candidate in
            var candidate = candidate
            for index in candidate.extensions.indices where candidate.extensions[index].name == "ufrag" {
                candidate.extensions[index].value = promised.ufrag
            }
            return candidate
        }
        return localTransport(promised, renamed, isComplete: false)
    }

    private func localTransport(
        _ credentials: ICECredentials, _ candidates: [CandidateAttribute], isComplete: Bool
    ) -> TransportParameters {
        TransportParameters(
            iceUfrag: credentials.ufrag, icePwd: credentials.password,
            fingerprints: [FingerprintAttribute(configuration.certificate.fingerprint)],
            isICELite: configuration.ice.isLite, candidates: candidates, endOfCandidates: isComplete,
            defaultAddress: ice.defaultAddress)
    }

    /// The promised credentials, where this description made the promise.
    private mutating func takePromise(in description: SessionDescription) -> ICECredentials? {
        defer { promisedCredentials = nil }
        guard let promised = promisedCredentials,
            description.media.contains(where: { $0.iceUfrag == promised.ufrag && $0.icePwd == promised.password })
        else { return nil }
        return promised
    }

    private mutating func applyRemote(
        _ remote: TransportParameters, localCredentials: ICECredentials?, at now: Instant, into out: inout Output
    ) {
        ice.setRemoteDescription(
            credentials: ICECredentials(ufrag: remote.iceUfrag, password: remote.icePwd), isLite: remote.isICELite,
            pacing: remote.icePacing.map { .milliseconds(Int64($0)) }, localCredentials: localCredentials, at: now,
            into: &iceOutput)
        drainICE(at: now, into: &out)
        for candidate in remote.candidates { addRemoteCandidate(candidate, at: now, into: &out) }
        if remote.endOfCandidates { endOfRemoteCandidates(at: now, into: &out) }
    }

    /// An exchange is over when an answer is set: what waited for that, and what of the former session is of no use now.
    private mutating func noteExchanged(
        _ description: SessionDescription, type: DescriptionType, into out: inout Output
    ) {
        guard signalingState == .stable, type == .answer else { return }
        if !wantsICERestart { credentialsToReplace = nil }
        let ufrag = ice.localCredentials.ufrag
        gatheredCandidates.removeAll { $0.ufrag != ufrag }
        // Whatever was told before, this exchange has answered.
        isNegotiationNeededTold = false
        noteNegotiationNeeded(into: &out)
    }
}

/// A restart of ICE that the other side has offered and we have not answered yet.
struct DeferredRestart: Sendable {
    var transport: TransportParameters
    /// The end of its candidates was signalled before our answer.
    var hasEnd = false
}

extension FingerprintAttribute {
    init(_ fingerprint: Fingerprint) {
        self.init(hashFunction: fingerprint.algorithm.rawValue, bytes: fingerprint.bytes)
    }
}
