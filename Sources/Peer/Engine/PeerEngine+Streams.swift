import Primitives
import RTP
import SDP

/// What the streams do when both descriptions stand.
///
/// A section that goes on keeps its stream: numbers and timestamps continue whatever the exchange changed, so that the far
/// end's jitter buffer, and SRTP's count of packets under one key (RFC 3711 §9.1), never see a step back. What the other
/// side no longer names is forgotten, and packets of it that are still under way are passed over.
extension PeerEngine {
    /// Frames of a section come from another source from now on, which counts from a zero of its own: another file, say.
    /// No exchange is needed; the far end sees one stream that goes on. The first frame should be a keyframe.
    public mutating func replaceSource(mid: String) { senders[mid]?.stream.beginSource() }

    /// Once both descriptions stand, the streams follow them.
    mutating func applySession(at now: Instant, into out: inout Output) {
        guard let agreed = negotiator.session, agreed != session || hasNewSources(agreed) else { return }
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
        if former != nil, agreed != former, agreed.isNewDTLSAssociation { dtls = nil }
        dropFormerSections(of: former, for: agreed)
        for section in agreed.media { applySection(section) }
        extensions = agreed.receivedExtensions
        startDTLSIfReady(at: now, into: &out)
        flushFeedback(at: now, into: &out)
    }

    /// Whether a section sends under another SSRC than its stream has: no part of the agreement, for it is ours to choose.
    private func hasNewSources(_ agreed: NegotiatedSession) -> Bool {
        agreed.media.contains { section in
            guard section.sends, let id = section.transceiver, let former = senders[section.mid]?.ssrc else {
                return false
            }
            return negotiator[id].map { $0.ssrc != former } ?? false
        }
    }

    /// What the other side sent under names it has given up.
    private mutating func dropFormerSections(of former: NegotiatedSession?, for agreed: NegotiatedSession) {
        let named = Set(agreed.acceptedMedia.flatMap(\.remoteSSRCs))
        routes.retired.removeAll { named.contains($0) }
        let mids = Set(agreed.acceptedMedia.map(\.mid))
        for ssrc in receivers.keys {
            guard let mid = receivers[ssrc]?.mid else { continue }
            let old = former?.media.first { $0.mid == mid }
            let new = agreed.acceptedMedia.first { $0.mid == mid }
            // A source that was named and is not any more is gone; one that never was is known by its packets alone.
            let isGivenUp =
                old?.remoteSSRCs.contains(ssrc) == true && new?.remoteSSRCs.isEmpty == false && !named.contains(ssrc)
            if !mids.contains(mid) || isGivenUp {
                routes.retire(ssrc, except: named)
                forgetReceiver(ssrc)
            }
        }
        for mid in senders.keys where !mids.contains(mid) { senders[mid] = nil }
        timelines.keep(mids)
    }

    private mutating func applySection(_ section: NegotiatedMedia) {
        if let id = section.transceiver, section.sends, let transceiver = negotiator[id],
            var settings = SendStreamConfiguration(section, transceiver: transceiver, cname: negotiator.cname)
        {
            if senders[section.mid]?.ssrc == settings.ssrc {
                senders[section.mid]?.adopt(settings)
            } else {
                settings.firstSequenceNumber = configuration.firstSequenceNumber
                settings.firstTimestamp = configuration.firstTimestamp
                senders[section.mid] = SenderState(stream: SendStream(settings, random: &random))
            }
            feedbackSSRC = senders[section.mid]?.ssrc ?? feedbackSSRC
        }
        senders[section.mid]?.isActive = section.sends
        for ssrc in receivers.keys(where: { $0.mid == section.mid }) {
            if section.receives { receivers[ssrc]?.adopt(section) } else { forgetReceiver(ssrc) }
        }
    }

    private mutating func forgetReceiver(_ ssrc: SSRC) {
        receivers[ssrc] = nil
        routes.forget(ssrc)
    }
}
