import Primitives
import SDP

/// What a remote description must hold to before anything is changed for it.
extension Negotiator {
    /// Mids and groups of any remote description (RFC 8843 §7, RFC 5888 §5).
    func checkStructure(_ description: SessionDescription) throws(NegotiationError) {
        guard description.media.count <= limits.mediaSections else {
            throw NegotiationError(
                .limit,
                "the description has \(description.media.count) sections where \(limits.mediaSections) are allowed",
                "ask the peer for fewer or raise Limits.mediaSections")
        }
        var mids: Set<String> = []
        for (index, section) in description.media.enumerated() {
            guard let mid = section.mid else { continue }
            guard mids.insert(mid).inserted else {
                throw NegotiationError(
                    .invalidRemoteDescription, at: index, mid: mid, "another section has the same mid",
                    "the peer must name each section differently")
            }
        }
        var bundled: Set<String> = []
        for group in description.groups where group.semantics == .bundle {
            for mid in group.mids {
                guard mids.contains(mid) else {
                    throw NegotiationError(
                        .invalidRemoteDescription, "the BUNDLE group names mid \(mid), which no section has",
                        "the peer must list mids of its sections only")
                }
                guard bundled.insert(mid).inserted else {
                    throw NegotiationError(
                        .invalidRemoteDescription, "mid \(mid) stands twice in BUNDLE groups",
                        "the peer must put a section into one group, once")
                }
            }
        }
    }

    /// Slots never go away, and keep their kind and name unless they were rejected (RFC 9429 §5.10, RFC 3264 §8).
    func checkSlots(_ offer: SessionDescription) throws(NegotiationError) {
        guard offer.media.count >= agreement.slots.count else {
            throw NegotiationError(
                .invalidRemoteDescription,
                "the offer has \(offer.media.count) m-lines where \(agreement.slots.count) were negotiated before",
                "the peer must keep every m-line and reject with port 0")
        }
        for (index, slot) in agreement.slots.enumerated() where !slot.isRejected {
            let section = offer.media[index]
            guard section.media == slot.media else {
                throw NegotiationError(
                    .invalidRemoteDescription, at: index, mid: slot.mid,
                    "the offer makes \(slot.media) into \(section.media)", "the peer must keep the order of m-lines")
            }
            guard section.mid == nil || slot.isMidSynthetic || section.mid == slot.mid else {
                throw NegotiationError(
                    .invalidRemoteDescription, at: index, mid: slot.mid,
                    "the offer renames it to \(section.mid ?? "")", "the peer must keep the mid of a section in use")
            }
        }
    }

    /// An answer has the offer's sections, no more and no fewer (RFC 3264 §6).
    func checkAnswer(_ answer: SessionDescription, to offer: SessionDescription) throws(NegotiationError) {
        guard answer.media.count == offer.media.count else {
            throw NegotiationError(
                .invalidRemoteDescription,
                "the answer has \(answer.media.count) m-lines where our offer has \(offer.media.count)",
                "the peer must answer every m-line and add none; new ones need an offer")
        }
        for (index, section) in answer.media.enumerated() {
            let offered = offer.media[index]
            func refusal(_ problem: String, _ remedy: String) -> NegotiationError {
                NegotiationError(.invalidRemoteDescription, at: index, mid: offered.mid, problem, remedy)
            }
            guard section.media == offered.media else {
                throw refusal(
                    "the answer has \(section.media) where our offer has \(offered.media)",
                    "the peer must answer in the order of the offer")
            }
            guard section.mid == nil || section.mid == offered.mid else {
                throw refusal(
                    "the answer names it \(section.mid ?? "")", "the peer must answer in the order of the offer")
            }
            guard section.port != 0 else { continue }
            guard !offered.isRejected else {
                throw refusal("the answer accepts a section our offer rejects", "the peer must answer port 0 there")
            }
            guard section.hasRTPProtocol else {
                throw refusal(
                    "the answer changes the protocol to \(section.transportProtocol)",
                    "the peer must answer \(offered.transportProtocol)")
            }
            guard section.setup != .actpass, section.setup != .holdconn else {
                throw refusal(
                    "the answer leaves the DTLS role open (a=setup:\(section.setup?.rawValue ?? ""))",
                    "the peer must answer a=setup:active or passive")
            }
        }
        let offeredMids = Set(offer.groups.filter { $0.semantics == .bundle }.flatMap(\.mids))
        for mid in answer.groups.filter({ $0.semantics == .bundle }).flatMap(\.mids) where !offeredMids.contains(mid) {
            throw NegotiationError(
                .invalidRemoteDescription, "the answer bundles mid \(mid), which our offer does not",
                "the peer must bundle a part of what was offered")
        }
    }

    /// A new certificate without new ICE credentials could be a machine in the middle (RFC 8842 §5.1, RFC 8827 §6.5).
    func checkContinuity(of transport: TransportParameters?) throws(NegotiationError) {
        guard let transport, let former = session?.remoteTransport, former.hasSameCredentials(as: transport),
            !former.hasSameFingerprints(as: transport)
        else { return }
        throw NegotiationError(
            .fingerprintChange, "the certificate fingerprint changed without an ICE restart",
            "the peer must restart ICE when it changes its certificate; hang up if it did not mean to")
    }

    /// The transport of the sections of `offer` that we accept; `nil` when there are none.
    func remoteTransport(of offer: SessionDescription) throws(NegotiationError) -> TransportParameters? {
        guard
            let anchor = Self.anchor(
                of: offer,
                isAccepted: { index in
                    guard index < verdicts.count, case .accept(let id) = verdicts[index] else { return false }
                    return self[id]?.isStopped == false
                })
        else { return nil }
        return try TransportParameters(
            of: anchor.section, tagged: anchor.tagged, in: offer, maximumCandidates: limits.candidates)
    }

    /// The accepted section that stands for the transport, and the first section of its group, which may hold its
    /// attributes. A bundle-only section is taken only when no other is accepted (RFC 8843 §7.3.1).
    static func anchor(
        of description: SessionDescription, isAccepted: (Int) -> Bool
    ) -> (section: Int, tagged: Int)? {
        let accepted = description.media.indices.filter(isAccepted)
        guard let first = accepted.first else { return nil }
        guard let mid = description.media[first].mid, let group = description.bundleGroup(ofMids: [mid]) else {
            return (first, first)
        }
        let members = group.mids.compactMap { mid in description.media.firstIndex { $0.mid == mid } }
        let candidates = members.filter { accepted.contains($0) }
        let chosen = candidates.first { description.media[$0].port != 0 } ?? candidates.first ?? first
        return (chosen, members.first ?? chosen)
    }
}
