import Primitives
import SDP

/// Writes `m=` sections: all that offers and answers have in common.
struct SectionComposer {
    var transport: TransportParameters
    var setup: SetupRole
    var cname: String
    var isOffer: Bool

    /// A section that carries media.
    func accepted(
        _ transceiver: TransceiverDescription, mid: String?, direction: MediaDirection, formats: [NegotiatedCodec],
        extensions: [ExtensionMap], transportProtocol: String, isReducedSize: Bool, reportsReceiverTime: Bool
    ) -> MediaDescription {
        var section = MediaDescription(
            media: transceiver.kind.rawValue, port: 9, transportProtocol: transportProtocol,
            formats: formats.flatMap { [$0.payloadType] + ($0.retransmissionPayloadType.map { [$0] } ?? []) }
                .map { "\($0)" })
        section.lines.append(.connection(.unspecified))
        section.append(.rtcp(port: 9, address: .unspecified))
        section.append(.iceUfrag(transport.iceUfrag))
        section.append(.icePwd(transport.icePwd))
        if !transport.iceOptions.isEmpty { section.append(.iceOptions(transport.iceOptions)) }
        for fingerprint in transport.fingerprints { section.append(.fingerprint(fingerprint)) }
        section.append(.setup(setup))
        if let id = transport.tlsID { section.append(.tlsID(id)) }
        if let mid { section.append(.mid(mid)) }
        for map in extensions { section.append(.extmap(map)) }
        section.append(.direction(direction))
        let msid = MediaStreamIdentification(stream: transceiver.streamID, track: transceiver.trackID)
        let names = direction.sends || transceiver.isAnnounced
        if names { section.append(.msid(msid)) }
        section.append(.rtcpMux)
        if isOffer { section.append(.rtcpMuxOnly) }
        if isReducedSize { section.append(.rtcpReducedSize) }
        if reportsReceiverTime { section.append(.rtcpXR(["rcvr-rtt=all"])) }
        for format in formats { append(format, to: &section) }
        if names { appendSources(of: transceiver, msid, formats, to: &section) }
        return section
    }

    private func append(_ format: NegotiatedCodec, to section: inout MediaDescription) {
        let number = format.payloadType
        section.append(
            .rtpmap(
                RTPMap(
                    payloadType: number, encoding: format.codec.rawValue, clockRate: format.clockRate,
                    channels: format.channels > 1 ? format.channels : nil)))
        for value in format.feedback {
            section.append(.rtcpFeedback(RTCPFeedback(payloadType: number, value: value)))
        }
        if let parameters = format.parameters {
            section.append(.fmtp(FormatParameters(payloadType: number, text: parameters.text)))
        }
        if let repair = format.retransmissionPayloadType {
            section.append(.rtpmap(RTPMap(payloadType: repair, encoding: "rtx", clockRate: format.clockRate)))
            section.append(.fmtp(FormatParameters(payloadType: repair, text: "apt=\(number)")))
        }
    }

    private func appendSources(
        of transceiver: TransceiverDescription, _ msid: MediaStreamIdentification, _ formats: [NegotiatedCodec],
        to section: inout MediaDescription
    ) {
        var sources = [transceiver.ssrc]
        if let repair = transceiver.retransmissionSSRC, formats.contains(where: { $0.retransmissionPayloadType != nil })
        {
            sources.append(repair)
            section.append(.ssrcGroup(SourceGroup(semantics: "FID", ssrcs: sources)))
        }
        for ssrc in sources {
            section.append(.ssrc(SourceAttribute(ssrc: ssrc, name: "cname", value: cname)))
            section.append(.ssrc(SourceAttribute(ssrc: ssrc, name: "msid", value: msid.description)))
        }
    }

    /// A section with port 0 (RFC 3264 §6).
    static func rejected(media: String, transportProtocol: String, formats: [String], mid: String?) -> MediaDescription
    {
        var section = MediaDescription(
            media: media, port: 0, transportProtocol: transportProtocol, formats: formats.isEmpty ? ["0"] : formats)
        section.lines.append(.connection(.unspecified))
        section.append(.direction(.inactive))
        if let mid { section.append(.mid(mid)) }
        return section
    }
}

extension ConnectionData {
    /// `IN IP4 0.0.0.0`: not known yet (RFC 9429 §5.2.1).
    static let unspecified = ConnectionData(addressType: "IP4", address: "0.0.0.0")
}

extension SessionDescription {
    /// The section whose candidates count: the first of the BUNDLE group, or the first not rejected.
    var taggedIndex: Int? {
        if let mid = groups.first(where: { $0.semantics == .bundle })?.mids.first,
            let index = media.firstIndex(where: { $0.mid == mid && !$0.isRejected })
        {
            return index
        }
        return media.firstIndex { !$0.isRejected }
    }

    /// Writes our candidates and default address into the tagged section, in place of those there.
    mutating func setCandidates(of transport: TransportParameters) {
        guard let index = taggedIndex else { return }
        var section = media[index].withoutCandidates
        section.port = 9
        if let address = transport.defaultAddress {
            section.port = address.port
            let data = ConnectionData(
                addressType: address.ip.family == .ipv4 ? "IP4" : "IP6", address: address.ip.description)
            section.lines = section.lines.map { if case .connection = $0 { .connection(data) } else { $0 } }
        }
        var lines = transport.candidates.map { DescriptionLine.attribute(.candidate($0)) }
        if transport.endOfCandidates { lines.append(.attribute(.endOfCandidates)) }
        let place = section.lines.firstIndex { if case .attribute(.iceUfrag, _) = $0 { true } else { false } }
        section.lines.insert(contentsOf: lines, at: place ?? section.lines.count)
        media[index] = section
    }

    /// For comparing: what is left when candidates, ports and addresses may differ.
    var withoutCandidates: SessionDescription {
        var copy = self
        copy.media = media.map { section in
            var section = section.withoutCandidates
            if section.port != 0 { section.port = 9 }
            return section
        }
        return copy
    }
}

extension MediaDescription {
    fileprivate var withoutCandidates: MediaDescription {
        var copy = self
        copy.removeAttributes {
            switch $0 {
            case .candidate, .endOfCandidates: true
            default: false
            }
        }
        copy.lines = copy.lines.map { if case .connection = $0 { .connection(.unspecified) } else { $0 } }
        return copy
    }
}
