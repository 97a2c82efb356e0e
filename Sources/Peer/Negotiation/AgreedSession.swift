import Primitives
import SDP

/// From two texts to what they agree on.
extension Negotiator {
    /// What `local` and `remote`, an offer and its answer in either order, say together.
    func agreedSession(
        local: SessionDescription, remote: SessionDescription, isLocalOfferer: Bool
    ) throws(NegotiationError) -> NegotiatedSession {
        let answer = isLocalOfferer ? remote : local
        var media: [NegotiatedMedia] = []
        for index in answer.media.indices {
            media.append(agreedMedia(index, local: local, remote: remote, isLocalOfferer: isLocalOfferer))
        }
        let anchor = Self.anchor(of: answer) { media[$0].rejection == nil }
        guard let anchor else {
            let isClient = agreement.session?.isDTLSClient ?? !isLocalOfferer
            return NegotiatedSession(
                remoteTransport: nil, isDTLSClient: isClient, isLocalOfferer: isLocalOfferer, isICERestart: false,
                isNewDTLSAssociation: false, media: media)
        }
        let transport =
            if isLocalOfferer {
                try TransportParameters(
                    of: anchor.section, tagged: anchor.tagged, in: remote, maximumCandidates: limits.candidates)
            } else {
                try remoteTransport(of: remote)
            }
        guard let transport else {
            throw NegotiationError(.wrongState, "the offer has no transport", "set the remote offer again")
        }
        if isLocalOfferer { rejectStrangers(&media, in: answer, anchor: anchor.section) }
        try checkMux(of: answer, media)
        let answeredSetup = isLocalOfferer ? transport.setup ?? .active : answer.media[anchor.section].setup ?? .active
        let isClient = (answeredSetup == .active) != isLocalOfferer
        let former = agreement.session
        let isRestart = former?.remoteTransport.map { !$0.hasSameCredentials(as: transport) } ?? false
        let isSameCertificate =
            former?.remoteTransport.map {
                $0.hasSameFingerprints(as: transport) && $0.tlsID == transport.tlsID
            } ?? false
        let isNewAssociation = !isSameCertificate || former?.isDTLSClient != isClient
        if isSameCertificate, isNewAssociation, !isRestart {
            throw NegotiationError(
                .invalidRemoteDescription, at: anchor.section, mid: answer.media[anchor.section].mid,
                "the DTLS roles would swap within one association",
                "the peer must keep its a=setup role, or offer a=setup:actpass")
        }
        let mids = media.filter { $0.rejection == nil }.map { $0.receiveExtension(HeaderExtensionURI.mid) }
        return NegotiatedSession(
            remoteTransport: transport, isDTLSClient: isClient, isLocalOfferer: isLocalOfferer,
            isICERestart: isRestart, isNewDTLSAssociation: isNewAssociation, media: media,
            midExtension: Set(mids).count == 1 ? mids.first ?? nil : nil)
    }

    /// Sections an answer accepts without bundling them with the first would need a second transport.
    private func rejectStrangers(_ media: inout [NegotiatedMedia], in answer: SessionDescription, anchor: Int) {
        let first = answer.media[anchor]
        let group = first.mid.flatMap { answer.bundleGroup(ofMids: [$0]) }
        for index in media.indices where index != anchor && media[index].rejection == nil {
            let section = answer.media[index]
            if let mid = section.mid, group?.mids.contains(mid) == true { continue }
            if section.iceUfrag != nil, section.iceUfrag == first.iceUfrag, section.icePwd == first.icePwd { continue }
            media[index].rejection = .notBundled
            media[index].direction = .inactive
        }
    }

    private func checkMux(of answer: SessionDescription, _ media: [NegotiatedMedia]) throws(NegotiationError) {
        for section in media where section.rejection == nil {
            guard answer.media[section.mediaIndex].isRTCPMux else {
                throw NegotiationError(
                    .unsupported, at: section.mediaIndex, mid: section.mid, "the answer does not multiplex RTCP",
                    "the peer must answer a=rtcp-mux")
            }
        }
    }

    private func agreedMedia(
        _ index: Int, local: SessionDescription, remote: SessionDescription, isLocalOfferer: Bool
    ) -> NegotiatedMedia {
        let slot = agreement.slots[index]
        let ours = local.media[index]
        let theirs = remote.media[index]
        let answer = isLocalOfferer ? theirs : ours
        let remoteDirection = theirs.direction ?? remote.direction ?? .sendReceive
        var media = NegotiatedMedia(
            mediaIndex: index, mid: slot.mid, kind: ours.kind, transceiver: slot.transceiver,
            direction: (ours.direction ?? .sendReceive).intersection(remoteDirection.reversed))
        if answer.port == 0 || (isLocalOfferer && ours.isRejected) {
            media.direction = .inactive
            if !isLocalOfferer, index < verdicts.count, case .reject(let reason) = verdicts[index] {
                media.rejection = reason
            } else {
                media.rejection = isLocalOfferer && !ours.isRejected ? .refusedByPeer : .stopped
            }
            return media
        }
        addCodecs(to: &media, ours: ours, theirs: theirs, answer: answer)
        if !media.sendCodecs.contains(where: \.codec.carriesMedia) {
            media.rejection = .noCommonCodec
            media.direction = .inactive
        }
        addExtensions(to: &media, ours: ours, theirs: theirs)
        media.allowsMixedExtensions =
            (local.allowsMixedExtensions || ours.allowsMixedExtensions)
            && (remote.allowsMixedExtensions || theirs.allowsMixedExtensions)
        media.isRTCPReducedSize = ours.isRTCPReducedSize && theirs.isRTCPReducedSize
        media.usesReceiverReferenceTime = ours.asksForReceiverReferenceTime && theirs.asksForReceiverReferenceTime
        addSources(of: theirs, to: &media)
        media.remoteBandwidthLimit = theirs.bandwidthLimit ?? remote.bandwidthLimit
        media.packetTime = theirs.packetTime
        media.maximumPacketTime = theirs.maximumPacketTime
        return media
    }

    /// Formats of both, in the order of the answer. Each side receives under the numbers it wrote itself.
    private func addCodecs(
        to media: inout NegotiatedMedia, ours: MediaDescription, theirs: MediaDescription, answer: MediaDescription
    ) {
        let local = ours.sectionFormats
        let remote = theirs.sectionFormats
        var taken: Set<FormatKey> = []
        for format in answer.sectionFormats {
            guard let codec = format.codec, taken.insert(format.key).inserted,
                let mine = local.first(where: { $0.key == format.key && $0.payloadType == format.payloadType })
                    ?? local.first(where: { $0.key == format.key }),
                let other = remote.first(where: { $0.key == format.key && $0.payloadType == mine.payloadType })
                    ?? remote.first(where: { $0.key == format.key })
            else { continue }
            let feedback = mine.feedback.filter { other.feedback.contains($0) }
            func agreed(_ side: SectionFormat, parameters: FormatParameters?, repair: UInt8?) -> NegotiatedCodec {
                NegotiatedCodec(
                    codec: codec, payloadType: side.payloadType, clockRate: side.clockRate, channels: side.key.channels,
                    parameters: parameters, feedback: feedback, retransmissionPayloadType: repair)
            }
            let isRepaired = mine.retransmissionPayloadType != nil && other.retransmissionPayloadType != nil
            media.sendCodecs.append(
                agreed(other, parameters: other.parameters, repair: isRepaired ? other.retransmissionPayloadType : nil))
            let received = agreed(
                mine, parameters: mine.parameters, repair: isRepaired ? mine.retransmissionPayloadType : nil)
            media.receiveCodecs.append(received)
            media.receivePayloadTypes[mine.payloadType] = .media(received)
            if let repair = received.retransmissionPayloadType {
                media.receivePayloadTypes[repair] = .retransmission(of: mine.payloadType)
            }
        }
        // What we offered may come even where the answer left it out: before the answer is here (RFC 3264 §5.1), and from
        // peers whose sender does not follow their own answer (Chromium with codec preferences set while answering).
        for format in local where media.receivePayloadTypes[format.payloadType] == nil {
            guard let codec = format.codec else { continue }
            media.receivePayloadTypes[format.payloadType] = .media(
                NegotiatedCodec(
                    codec: codec, payloadType: format.payloadType, clockRate: format.clockRate,
                    channels: format.key.channels, parameters: format.parameters, feedback: [],
                    retransmissionPayloadType: nil))
        }
    }

    private func addExtensions(to media: inout NegotiatedMedia, ours: MediaDescription, theirs: MediaDescription) {
        let remote = theirs.extensionMaps.prefix(limits.headerExtensions)
        for map in ours.extensionMaps {
            guard let other = remote.first(where: { $0.uri == map.uri && $0.id == map.id }) else { continue }
            let direction = (map.direction ?? .sendReceive).intersection((other.direction ?? .sendReceive).reversed)
            if direction == .inactive { continue }
            media.headerExtensions.append(NegotiatedExtension(id: map.id, uri: map.uri, direction: direction))
        }
    }

    private func addSources(of theirs: MediaDescription, to media: inout NegotiatedMedia) {
        var streams = theirs.streams
        for source in theirs.sourceAttributes {
            if !media.remoteSSRCs.contains(source.ssrc), media.remoteSSRCs.count < limits.sources {
                media.remoteSSRCs.append(source.ssrc)
            }
            if source.name == "cname", media.remoteCNAME == nil { media.remoteCNAME = source.value }
            if source.name == "msid", theirs.streams.isEmpty, streams.isEmpty,
                case .msid(let msid)? = source.value.flatMap({ try? Attribute(parsing: "msid:" + $0) })
            {
                streams.append(msid)
            }
        }
        for group in theirs.sourceGroups where group.semantics == "FID" && group.ssrcs.count == 2 {
            guard media.remoteSSRCs.contains(group.ssrcs[0]), media.remoteSSRCs.contains(group.ssrcs[1]) else {
                continue
            }
            media.remoteRetransmissionSSRCs[group.ssrcs[0]] = group.ssrcs[1]
        }
        media.remoteStreams = Array(streams.prefix(limits.sources))
    }
}

extension DescriptionSection {
    /// `b=TIAS` (RFC 3890) before `b=AS`, in bits a second.
    fileprivate var bandwidthLimit: Int? {
        var limits: [Substring: Int] = [:]
        for line in lines {
            guard case .other("b", let value) = line, let colon = value.firstIndex(of: ":"),
                let number = Int(value[value.index(after: colon)...]), number >= 0
            else { continue }
            limits[value[..<colon]] = number
        }
        if let bits = limits["TIAS"] { return bits }
        return limits["AS"].flatMap { $0 <= Int.max / 1000 ? $0 * 1000 : nil }
    }
}
