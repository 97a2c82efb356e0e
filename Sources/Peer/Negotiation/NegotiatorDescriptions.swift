import Primitives
import SDP

/// Setting descriptions (RFC 9429 §5.9 to 5.11) and taking them back (§4.1.10.2).
extension Negotiator {
    /// Sets the description created last. Candidates, ports and addresses may have been filled in since.
    public mutating func setLocalDescription(
        _ description: SessionDescription, type: DescriptionType
    ) throws(NegotiationError) {
        try requireOpen()
        if type == .rollback { return try rollback() }
        guard let created, created.type == (type == .offer ? .offer : .answer),
            created.description.withoutCandidates == description.withoutCandidates
        else {
            throw NegotiationError(
                .modifiedDescription, "this is not the \(type.rawValue) that was created last",
                "set what createOffer or createAnswer gave, unchanged, and change transceivers instead of text")
        }
        var next = self
        if type == .offer {
            try next.applyLocalOffer(description, owners: created.owners)
        } else {
            try next.applyLocalAnswer(description, isProvisional: type == .provisionalAnswer)
        }
        next.lastLocal = description
        next.created = nil
        self = next
    }

    /// Sets what the peer sent. A remote offer may replace one not answered yet.
    ///
    /// Throws `.glare` when an offer meets our own: the polite side rolls its own back and sets the offer again, the
    /// other drops it.
    public mutating func setRemoteDescription(
        _ description: SessionDescription, type: DescriptionType
    ) throws(NegotiationError) {
        try requireOpen()
        var next = self
        switch type {
        case .offer: try next.applyRemoteOffer(description)
        case .answer: try next.applyRemoteAnswer(description, isProvisional: false)
        case .provisionalAnswer: try next.applyRemoteAnswer(description, isProvisional: true)
        case .rollback: try next.rollback()
        }
        next.created = nil
        self = next
    }

    /// Takes the pending offer back, ours or the peer's: all is as it was in the stable state before, except that
    /// directions, stops and transceivers the application asked for since then remain asked for.
    public mutating func rollback() throws(NegotiationError) {
        guard signalingState == .haveLocalOffer || signalingState == .haveRemoteOffer, let stable else {
            throw NegotiationError(
                .wrongState, "there is no offer to roll back in state \(signalingState.rawValue)",
                "roll back only between an offer and its answer")
        }
        agreement = stable.agreement
        transceivers = transceivers.compactMap { transceiver in
            if let former = stable.transceivers.first(where: { $0.id == transceiver.id }) {
                var restored = former
                restored.direction = transceiver.direction
                restored.isStopped = transceiver.isStopped
                return restored.isStopped && restored.mediaIndex == nil ? nil : restored
            }
            if transceiver.isFromRemoteOffer || transceiver.isStopped { return nil }
            var kept = transceiver
            kept.mid = nil
            kept.mediaIndex = nil
            return kept
        }
        pendingLocalDescription = nil
        pendingRemoteDescription = nil
        verdicts = []
        created = nil
        self.stable = nil
        signalingState = .stable
    }

    /// The peer's end of the transport as far as it is known: from a pending offer too, so that ICE can begin early.
    public var remoteTransport: TransportParameters? {
        if let offer = pendingRemoteDescription, signalingState == .haveRemoteOffer {
            return try? remoteTransport(of: offer)
        }
        return agreement.session?.remoteTransport
    }

    /// Whether the pending remote offer asks for new ICE credentials, so that our answer must have new ones too.
    public var remoteRestartsICE: Bool {
        guard signalingState == .haveRemoteOffer, let new = remoteTransport,
            let former = agreement.session?.remoteTransport
        else { return false }
        return !former.hasSameCredentials(as: new)
    }

    /// Our verdict on each section of the pending remote offer: `nil` where it will be accepted.
    public var pendingRejections: [SectionRejection?] {
        verdicts.map { if case .reject(let reason) = $0 { reason } else { nil } }
    }

    /// Whether a trickled candidate with this mid or m-line index is for the transport in use. Candidates of sections
    /// that were rejected, and of ports that bundling closed, are not.
    public func isOnTransport(mid: String?, mediaIndex: Int?) -> Bool {
        let index = mid.flatMap { mid in agreement.slots.firstIndex { $0.mid == mid } } ?? mediaIndex
        guard let index, index >= 0, let description = remoteDescription, index < description.media.count else {
            return false
        }
        guard pendingRemoteDescription == nil || signalingState != .haveRemoteOffer else {
            guard index < verdicts.count, case .accept = verdicts[index] else { return false }
            return true
        }
        guard let session = agreement.session, index < session.media.count else { return false }
        return !session.media[index].isRejected
    }

    /// Brings the candidates of the local description in force up to date, for signalling that sends it whole.
    public mutating func updateLocalCandidates(of transport: TransportParameters) {
        if pendingLocalDescription != nil {
            pendingLocalDescription?.setCandidates(of: transport)
        } else {
            currentLocalDescription?.setCandidates(of: transport)
        }
        if let description = localDescription { lastLocal = description }
    }

    // MARK: Offers

    private mutating func applyLocalOffer(
        _ offer: SessionDescription, owners: [TransceiverDescription.ID?]
    ) throws(NegotiationError) {
        guard signalingState == .stable else {
            throw NegotiationError(
                .wrongState, "an offer cannot be set in state \(signalingState.rawValue)", "finish the exchange first")
        }
        stable = (agreement, transceivers)
        for (index, section) in offer.media.enumerated() {
            let owner = index < owners.count ? owners[index] : nil
            setSlot(index, section, mid: section.mid ?? "\(index)", isMidSynthetic: false, owner: owner)
            guard let owner, let place = transceivers.firstIndex(where: { $0.id == owner }) else { continue }
            transceivers[place].mid = section.mid
            transceivers[place].mediaIndex = index
        }
        agreement.numbers.record(offer)
        pendingLocalDescription = offer
        signalingState = .haveLocalOffer
    }

    private mutating func applyRemoteOffer(_ offer: SessionDescription) throws(NegotiationError) {
        if signalingState == .haveRemoteOffer { try rollback() }
        guard signalingState == .stable else {
            if signalingState == .haveLocalOffer {
                throw NegotiationError(
                    .glare, "the peer's offer met our own",
                    "the polite side rolls back and sets the offer again; the other ignores it")
            }
            throw NegotiationError(
                .wrongState, "an offer cannot be set in state \(signalingState.rawValue)", "finish the exchange first")
        }
        try checkStructure(offer)
        try checkSlots(offer)
        stable = (agreement, transceivers)
        let reasons = judge(offer)
        var mids = Set(offer.media.compactMap(\.mid)).union(agreement.slots.map(\.mid))
        verdicts = []
        for (index, section) in offer.media.enumerated() {
            let former = index < agreement.slots.count ? agreement.slots[index] : nil
            let isSame = former.map { !$0.isRejected || $0.mid == section.mid } ?? false
            let mid = section.mid ?? (isSame ? former?.mid : nil) ?? unusedMid(&mids)
            var owner = isSame ? former?.transceiver : nil
            if let reason = reasons[index] {
                verdicts.append(.reject(reason))
            } else if let kind = section.kind {
                let allowed = (section.direction ?? offer.direction ?? .sendReceive).reversed
                let id = owner ?? transceiver(for: kind, allowed: allowed, section)
                owner = id
                verdicts.append(.accept(id))
                if let place = transceivers.firstIndex(where: { $0.id == id }) {
                    transceivers[place].mid = mid
                    transceivers[place].mediaIndex = index
                }
            }
            setSlot(index, section, mid: mid, isMidSynthetic: section.mid == nil, owner: owner)
        }
        let transport = try remoteTransport(of: offer)
        try checkContinuity(of: transport)
        agreement.numbers.record(offer)
        pendingRemoteDescription = offer
        signalingState = .haveRemoteOffer
    }

    private static let farMid = 1_000_000

    private mutating func setSlot(
        _ index: Int, _ section: MediaDescription, mid: String, isMidSynthetic: Bool,
        owner: TransceiverDescription.ID?
    ) {
        let slot = Slot(
            media: section.media, mid: mid, isMidSynthetic: isMidSynthetic,
            transportProtocol: section.transportProtocol, formats: section.formats, transceiver: owner,
            isRejected: section.isRejected)
        if index < agreement.slots.count { agreement.slots[index] = slot } else { agreement.slots.append(slot) }
        // Names as numbers are our way. What is far above any number of sections is somebody else's way.
        if let number = Int(mid), (agreement.nextMid..<Self.farMid).contains(number) { agreement.nextMid = number + 1 }
    }

    /// A transceiver without a place that the offered direction leaves something to do, or a new one to receive.
    private mutating func transceiver(
        for kind: MediaKind, allowed: MediaDirection, _ section: MediaDescription
    ) -> TransceiverDescription.ID {
        let waiting = transceivers.first {
            $0.kind == kind && $0.mediaIndex == nil && !$0.isStopped && $0.direction.intersection(allowed) != .inactive
                && hasMedia(commonFormats(section, for: $0))
        }
        return waiting?.id ?? makeTransceiver(kind, direction: .receiveOnly, isFromRemoteOffer: true)
    }

    private func hasMedia(_ formats: [NegotiatedCodec]) -> Bool { formats.contains { $0.codec.carriesMedia } }

    /// Why each section of the offer cannot be accepted; `nil` where it can.
    private func judge(_ offer: SessionDescription) -> [SectionRejection?] {
        var anchor: Int?
        return offer.media.enumerated().map { index, section in
            if section.isRejected { return .refusedByPeer }
            guard let kind = section.kind else { return .unsupportedMedia }
            guard section.hasRTPProtocol else { return .unsupportedProtocol }
            var ours = capabilities.codecs(of: kind)
            if index < agreement.slots.count, !agreement.slots[index].isRejected,
                let id = agreement.slots[index].transceiver
            {
                guard let transceiver = self[id], !transceiver.isStopped else { return .stopped }
                ours = preferredCapabilities(of: transceiver)
            }
            guard hasMedia(commonFormats(section, ours)) else { return .noCommonCodec }
            let group = section.mid.flatMap { offer.bundleGroup(ofMids: [$0]) }
            let tagged = group?.mids.first.flatMap { mid in offer.media.first { $0.mid == mid } }
            guard section.isRTCPMux || tagged?.isRTCPMux == true else { return .noRTCPMux }
            guard let first = anchor.map({ offer.media[$0] }) else {
                anchor = index
                return nil
            }
            if let mid = first.mid, group?.mids.contains(mid) == true { return nil }
            let isSameTransport =
                section.iceUfrag != nil && section.iceUfrag == first.iceUfrag && section.icePwd == first.icePwd
            return isSameTransport ? nil : .notBundled
        }
    }

    // MARK: Answers

    private mutating func applyLocalAnswer(
        _ answer: SessionDescription, isProvisional: Bool
    ) throws(NegotiationError) {
        guard signalingState == .haveRemoteOffer || signalingState == .haveLocalProvisionalAnswer,
            let offer = pendingRemoteDescription
        else {
            throw NegotiationError(
                .wrongState, "an answer cannot be set in state \(signalingState.rawValue)",
                "set the remote offer first")
        }
        agreement.session = try agreedSession(local: answer, remote: offer, isLocalOfferer: false)
        settle(local: answer, remote: offer, isLocalOfferer: false, isProvisional: isProvisional)
    }

    private mutating func applyRemoteAnswer(
        _ answer: SessionDescription, isProvisional: Bool
    ) throws(NegotiationError) {
        guard signalingState == .haveLocalOffer || signalingState == .haveRemoteProvisionalAnswer,
            let offer = pendingLocalDescription
        else {
            throw NegotiationError(
                .wrongState, "the peer's answer came in state \(signalingState.rawValue), without an offer of ours",
                "drop it")
        }
        try checkStructure(answer)
        try checkAnswer(answer, to: offer)
        let session = try agreedSession(local: offer, remote: answer, isLocalOfferer: true)
        try checkContinuity(of: session.remoteTransport)
        agreement.session = session
        settle(local: offer, remote: answer, isLocalOfferer: true, isProvisional: isProvisional)
    }

    /// Enters what `agreement.session` says into slots and transceivers. Final answers drop what was rejected.
    private mutating func settle(
        local: SessionDescription, remote: SessionDescription, isLocalOfferer: Bool, isProvisional: Bool
    ) {
        guard let session = agreement.session else { return }
        for section in session.media {
            guard let id = section.transceiver, let place = transceivers.firstIndex(where: { $0.id == id }),
                !section.isRejected
            else { continue }
            let offered = remote.media[section.mediaIndex].direction ?? remote.direction ?? .sendReceive
            transceivers[place].negotiated = section
            transceivers[place].currentDirection = section.direction
            let written = local.media[section.mediaIndex].direction ?? .sendReceive
            transceivers[place].writtenDirection = written
            if written.sends { transceivers[place].isAnnounced = true }
            transceivers[place].offeredDirection = isLocalOfferer ? nil : offered.reversed
        }
        if isProvisional {
            if isLocalOfferer { pendingRemoteDescription = remote } else { pendingLocalDescription = local }
            signalingState = isLocalOfferer ? .haveRemoteProvisionalAnswer : .haveLocalProvisionalAnswer
            return
        }
        for section in session.media where section.isRejected {
            agreement.slots[section.mediaIndex].isRejected = true
            agreement.slots[section.mediaIndex].transceiver = nil
        }
        transceivers.removeAll { transceiver in
            guard let index = transceiver.mediaIndex, index < session.media.count else { return transceiver.isStopped }
            return session.media[index].isRejected
        }
        agreement.numbers.record(isLocalOfferer ? remote : local)
        currentLocalDescription = local
        currentRemoteDescription = remote
        pendingLocalDescription = nil
        pendingRemoteDescription = nil
        verdicts = []
        stable = nil
        signalingState = .stable
    }
}
