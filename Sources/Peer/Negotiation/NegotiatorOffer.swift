import Primitives
import SDP

/// Creating offers (RFC 9429 §5.2).
extension Negotiator {
    /// The offer that says what the transceivers want. It changes nothing until it is set.
    ///
    /// Other ICE credentials than those of the local description in force make it an ICE restart.
    public mutating func createOffer(transport: TransportParameters) throws(NegotiationError) -> SessionDescription {
        guard signalingState == .stable else {
            throw NegotiationError(
                .wrongState, "an offer can be created in the stable state only, not in \(signalingState.rawValue)",
                "finish the exchange or roll it back")
        }
        let plans = try plannedSections()
        var numbers = agreement.numbers
        let composer = SectionComposer(
            transport: transport, setup: transport.setup ?? .actpass, cname: cname, isOffer: true)
        var description = emptyDescription()
        var bundled: [String] = []
        var owners: [TransceiverDescription.ID?] = []
        for plan in plans {
            switch plan {
            case .media(let transceiver, let mid, let transportProtocol):
                bundled.append(mid)
                owners.append(transceiver.id)
                var section = composer.accepted(
                    transceiver, mid: mid, direction: transceiver.direction,
                    formats: offeredFormats(for: transceiver, &numbers),
                    extensions: offeredExtensions(for: transceiver, &numbers), transportProtocol: transportProtocol,
                    isReducedSize: true, reportsReceiverTime: capabilities.answersReceiverReferenceTime)
                if bundlePolicy == .maxBundle, bundled.count > 1, transceiver.mid == nil {
                    section.port = 0
                    section.append(.bundleOnly)
                }
                description.media.append(section)
            case .rejected(let slot):
                owners.append(nil)
                description.media.append(
                    SectionComposer.rejected(
                        media: slot.media, transportProtocol: slot.transportProtocol, formats: slot.formats,
                        mid: slot.mid))
            }
        }
        if !bundled.isEmpty { description.append(.group(MediaGroup(.bundle, mids: bundled))) }
        description.append(.extmapAllowMixed)
        description.append(.other(name: "msid-semantic", value: " WMS *"))
        if transport.isICELite { description.append(.iceLite) }
        if let pacing = transport.icePacing { description.append(.icePacing(pacing)) }
        description.setCandidates(of: transport)
        description = versioned(description)
        created = (.offer, description, owners)
        return description
    }

    private enum Plan {
        case media(TransceiverDescription, mid: String, transportProtocol: String)
        case rejected(Slot)
    }

    /// Slots keep their place; a rejected one is taken over by the first transceiver without a place; the rest of
    /// these follow at the end (RFC 9429 §5.2.2). A data channel's place is left alone: peers tie it to its index.
    private func plannedSections() throws(NegotiationError) -> [Plan] {
        var waiting = transceivers.filter { $0.mediaIndex == nil && !$0.isStopped }[...]
        var mids = Set(agreement.slots.map(\.mid))
        var plans: [Plan] = []
        for slot in agreement.slots {
            if let id = slot.transceiver, let transceiver = self[id], !transceiver.isStopped {
                plans.append(.media(transceiver, mid: slot.mid, transportProtocol: slot.transportProtocol))
            } else if slot.isRejected, MediaKind(rawValue: slot.media) != nil, let transceiver = waiting.popFirst() {
                plans.append(.media(transceiver, mid: unusedMid(&mids), transportProtocol: rtpProtocol))
            } else {
                plans.append(.rejected(slot))
            }
        }
        for transceiver in waiting {
            plans.append(.media(transceiver, mid: unusedMid(&mids), transportProtocol: rtpProtocol))
        }
        guard !plans.isEmpty else {
            throw NegotiationError(.wrongState, "there is nothing to offer", "add a transceiver first")
        }
        guard plans.count <= limits.mediaSections else {
            throw NegotiationError(
                .limit, "the offer would have more than \(limits.mediaSections) sections",
                "stop transceivers or raise Limits.mediaSections")
        }
        return plans
    }

    /// Numbers agreed for this section stay; codecs not agreed so far get free ones.
    private func offeredFormats(
        for transceiver: TransceiverDescription, _ numbers: inout NumberTables
    ) -> [NegotiatedCodec] {
        var formats: [NegotiatedCodec] = []
        var used: Set<UInt8> = []
        for capability in preferredCapabilities(of: transceiver) {
            let agreed = transceiver.negotiated?.receiveCodecs.first {
                $0.codec == capability.codec && $0.clockRate == capability.clockRate
            }
            guard
                let number = agreed?.payloadType
                    ?? numbers.payloadType(for: capability.key, preferred: capability.payloadType),
                used.insert(number).inserted
            else { continue }
            var repair: UInt8?
            if let preferred = capability.retransmissionPayloadType {
                repair =
                    agreed?.retransmissionPayloadType
                    ?? numbers.payloadType(for: NumberTables.repairKey(of: number), preferred: preferred)
                if let number = repair, !used.insert(number).inserted { repair = nil }
            }
            formats.append(
                NegotiatedCodec(
                    codec: capability.codec, payloadType: number, clockRate: capability.clockRate,
                    channels: capability.channels,
                    parameters: capability.parameters.map { FormatParameters(payloadType: number, text: $0) },
                    feedback: capability.feedback, retransmissionPayloadType: repair))
        }
        return formats
    }

    private func offeredExtensions(
        for transceiver: TransceiverDescription, _ numbers: inout NumberTables
    ) -> [ExtensionMap] {
        var maps: [ExtensionMap] = []
        for capability in capabilities.extensions(of: transceiver.kind) {
            let agreed = transceiver.negotiated?.headerExtensions.first { $0.uri == capability.uri }?.id
            guard let id = agreed ?? numbers.extensionID(for: capability.uri, preferred: capability.id),
                !maps.contains(where: { $0.id == id })
            else { continue }
            maps.append(ExtensionMap(id: id, uri: capability.uri))
        }
        return maps
    }

    /// Our codecs in the order this transceiver wants them.
    func preferredCapabilities(of transceiver: TransceiverDescription) -> [CodecCapability] {
        let all = capabilities.codecs(of: transceiver.kind)
        guard !transceiver.codecPreferences.isEmpty else { return all }
        return transceiver.codecPreferences.flatMap { codec in all.filter { $0.codec == codec } }
    }

    /// The smallest number that never was a section's name.
    func unusedMid(_ taken: inout Set<String>) -> String {
        var number = agreement.nextMid
        while taken.contains("\(number)") { number &+= 1 }
        taken.insert("\(number)")
        return "\(number)"
    }

    private var rtpProtocol: String { "UDP/TLS/RTP/SAVPF" }
}
