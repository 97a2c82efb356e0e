import Primitives
import SDP

/// Creating answers (RFC 9429 §5.3).
extension Negotiator {
    /// The answer to the pending remote offer. It changes nothing until it is set.
    public mutating func createAnswer(transport: TransportParameters) throws(NegotiationError) -> SessionDescription {
        guard signalingState == .haveRemoteOffer || signalingState == .haveLocalProvisionalAnswer,
            let offer = pendingRemoteDescription, offer.media.count == verdicts.count
        else {
            throw NegotiationError(
                .wrongState, "there is no remote offer to answer in state \(signalingState.rawValue)",
                "set the remote offer first")
        }
        let composer = SectionComposer(
            transport: transport, setup: try answeredSetup(to: offer, wanted: transport.setup), cname: cname,
            isOffer: false)
        var description = emptyDescription()
        var bundled: [String] = []
        var owners: [TransceiverDescription.ID?] = []
        for (index, offered) in offer.media.enumerated() {
            guard case .accept(let id) = verdicts[index], let transceiver = self[id], !transceiver.isStopped else {
                owners.append(nil)
                description.media.append(
                    SectionComposer.rejected(
                        media: offered.media, transportProtocol: offered.transportProtocol, formats: offered.formats,
                        mid: offered.mid))
                continue
            }
            owners.append(id)
            let allowed = (offered.direction ?? offer.direction ?? .sendReceive).reversed
            description.media.append(
                composer.accepted(
                    transceiver, mid: offered.mid, direction: transceiver.direction.intersection(allowed),
                    formats: commonFormats(offered, for: transceiver),
                    extensions: commonExtensions(offered, kind: transceiver.kind),
                    transportProtocol: offered.transportProtocol, isReducedSize: offered.isRTCPReducedSize,
                    reportsReceiverTime: capabilities.answersReceiverReferenceTime
                        && offered.asksForReceiverReferenceTime))
            if let mid = offered.mid { bundled.append(mid) }
        }
        let group = offer.bundleGroup(ofMids: bundled)
        // RFC 8843 §7.3: the answer's group is a part of the offer's, in its order.
        let mids = group?.mids.filter { bundled.contains($0) } ?? []
        if !mids.isEmpty { description.append(.group(MediaGroup(.bundle, mids: mids))) }
        if offer.allowsMixedExtensions || offer.media.contains(where: \.allowsMixedExtensions) {
            description.append(.extmapAllowMixed)
        }
        description.append(.other(name: "msid-semantic", value: " WMS *"))
        if transport.isICELite { description.append(.iceLite) }
        if let pacing = transport.icePacing { description.append(.icePacing(pacing)) }
        description.setCandidates(of: transport)
        description = versioned(description)
        created = (.answer, description, owners)
        return description
    }

    /// RFC 8842 §5.3: an answer to `actpass` is `active` unless the role is settled already or wanted otherwise.
    private func answeredSetup(
        to offer: SessionDescription, wanted: SetupRole?
    ) throws(NegotiationError) -> SetupRole {
        guard let transport = try remoteTransport(of: offer) else { return .active }
        switch transport.setup ?? .actpass {
        case .active: return .passive
        case .passive: return .active
        case .holdconn:
            throw NegotiationError(
                .unsupported, "the offer holds the DTLS association back (a=setup:holdconn)",
                "ask the peer to offer a=setup:actpass")
        case .actpass:
            if let session = agreement.session, let former = session.remoteTransport,
                former.hasSameFingerprints(as: transport), former.tlsID == transport.tlsID
            {
                return session.isDTLSClient ? .active : .passive
            }
            return wanted == .passive ? .passive : .active
        }
    }

    /// Codecs of both sides: the offerer's numbers, our parameters, feedback both have. Ours to say is the order:
    /// wanted codecs first where the transceiver names them, else Opus first and the offerer's order for the rest.
    func commonFormats(_ offered: MediaDescription, for transceiver: TransceiverDescription) -> [NegotiatedCodec] {
        commonFormats(
            offered, preferredCapabilities(of: transceiver), isOrderOurs: !transceiver.codecPreferences.isEmpty)
    }

    func commonFormats(
        _ offered: MediaDescription, _ ours: [CodecCapability], isOrderOurs: Bool = false
    ) -> [NegotiatedCodec] {
        var taken: Set<FormatKey> = []
        var common: [(rank: Int, format: NegotiatedCodec)] = []
        for format in offered.sectionFormats {
            guard let index = ours.firstIndex(where: { $0.key == format.key }), taken.insert(format.key).inserted else {
                continue
            }
            let capability = ours[index]
            common.append(
                (
                    isOrderOurs || index == 0 ? index : (capability.codec.carriesMedia ? 1 : 2),
                    NegotiatedCodec(
                        codec: capability.codec, payloadType: format.payloadType, clockRate: format.clockRate,
                        channels: capability.channels,
                        parameters: capability.parameters.map {
                            FormatParameters(payloadType: format.payloadType, text: $0)
                        },
                        feedback: capability.feedback.filter { format.feedback.contains($0) },
                        retransmissionPayloadType: capability.retransmissionPayloadType == nil
                            ? nil : format.retransmissionPayloadType)
                ))
        }
        return common.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
            .map(\.element.format)
    }

    /// Extensions of both sides under the offerer's numbers. Placeholders of RFC 8285 §7.1 (4096 and up) and 15,
    /// which the one-byte form reserves, are left out.
    private func commonExtensions(_ offered: MediaDescription, kind: MediaKind) -> [ExtensionMap] {
        let ours = Set(capabilities.extensions(of: kind).map(\.uri))
        var maps: [ExtensionMap] = []
        for map in offered.extensionMaps.prefix(limits.headerExtensions) where ours.contains(map.uri) {
            let direction = (map.direction ?? .sendReceive).reversed
            guard map.id <= 255, map.id != 15, direction != .inactive,
                !maps.contains(where: { $0.id == map.id || $0.uri == map.uri })
            else { continue }
            maps.append(ExtensionMap(id: map.id, uri: map.uri, direction: map.direction == nil ? nil : direction))
        }
        return maps
    }
}

extension MediaDescription {
    var asksForReceiverReferenceTime: Bool {
        attributes.contains {
            if case .rtcpXR(let formats) = $0 { formats.contains { $0.hasPrefix("rcvr-rtt") } } else { false }
        }
    }
}

extension SessionDescription {
    /// The first BUNDLE group that holds one of these sections.
    func bundleGroup(ofMids mids: [String]) -> MediaGroup? {
        groups.first { $0.semantics == .bundle && $0.mids.contains { mids.contains($0) } }
    }
}
