import Primitives
import RTP
import SDP

/// What was agreed in SDP, in the terms of the RTP streams.
extension NegotiatedMedia {
    var sends: Bool { !isRejected && direction.sends }
    var receives: Bool { !isRejected && direction.receives }

    /// The codec frames go out in: the first that carries media.
    var sendCodec: NegotiatedCodec? { sendCodecs.first { $0.codec.isMedia } }

    /// Retransmission payload type → the payload type it repairs, for what arrives.
    var retransmissionTypes: [UInt8: UInt8] {
        receivePayloadTypes.compactMapValues { payload in
            if case .retransmission(let type) = payload { type } else { nil }
        }
    }

    var codecsByPayloadType: [UInt8: NegotiatedCodec] {
        receivePayloadTypes.compactMapValues { payload in
            if case .media(let codec) = payload { codec } else { nil }
        }
    }

    /// Hz of the telephone events that may arrive, by payload type.
    var telephoneEventClockRates: [UInt8: Int] {
        codecsByPayloadType.filter { $0.value.codec == .telephoneEvent }.mapValues { Int($0.clockRate) }
    }

    /// Numbers of the extensions that may arrive.
    var receivedExtensions: HeaderExtensionMap { extensions { receiveExtension($0) } }
    /// Numbers of the extensions we may send.
    var sentExtensions: HeaderExtensionMap { extensions { sendExtension($0) } }

    private func extensions(_ number: (String) -> UInt16?) -> HeaderExtensionMap {
        var map = HeaderExtensionMap()
        for kind in HeaderExtension.allCases { map[kind] = number(kind.uri).flatMap { UInt8(exactly: $0) } }
        return map
    }
}

extension Codec {
    /// Whether frames of it are what a track is made of; events and comfort noise ride along.
    public var isMedia: Bool { self != .telephoneEvent && self != .comfortNoise }
}

extension SendStreamConfiguration {
    init?(_ section: NegotiatedMedia, transceiver: TransceiverDescription, cname: String) {
        guard let codec = section.sendCodec else { return nil }
        var retransmission: Retransmission?
        if let ssrc = transceiver.retransmissionSSRC, let payloadType = codec.retransmissionPayloadType {
            retransmission = Retransmission(ssrc: ssrc, payloadType: payloadType)
        }
        let keys = section.sendCodecs.filter { $0.codec == .telephoneEvent }
        let events = keys.first { $0.clockRate == codec.clockRate } ?? keys.first
        self.init(
            codec: codec.codec, payloadType: codec.payloadType, clockRate: Int(codec.clockRate),
            ssrc: transceiver.ssrc, retransmission: retransmission, cname: cname, mid: section.mid,
            extensions: section.sentExtensions, allowsMixedExtensions: section.allowsMixedExtensions,
            telephoneEventPayloadType: events?.payloadType, telephoneEventClockRate: events.map { Int($0.clockRate) },
            // Whoever was not promised retransmission gets none.
            historyCapacity: codec.feedback.contains("nack") ? (codec.codec.kind == .video ? 1_024 : 256) : 0)
    }
}

extension ReceiveStreamConfiguration {
    init(_ section: NegotiatedMedia, ssrc: SSRC, clockRate: Int) {
        let codecs = section.codecsByPayloadType
        let feedback = Set(codecs.values.flatMap(\.feedback))
        self.init(
            ssrc: ssrc, kind: section.kind ?? .audio, clockRate: clockRate, payloadTypes: codecs.mapValues(\.codec),
            telephoneEventClockRates: section.telephoneEventClockRates,
            retransmissionPayloadTypes: section.retransmissionTypes, extensions: section.receivedExtensions,
            isNACKEnabled: feedback.contains("nack"),
            keyframeRequests: feedback.contains("nack pli")
                ? .pictureLossIndication : (feedback.contains("ccm fir") ? .fullIntraRequest : .none))
    }
}

extension NegotiatedSession {
    /// RFC 5506, where every section agreed to it: they share one transport.
    var usesReducedSizeRTCP: Bool { media.allSatisfy { $0.isRejected || $0.isRTCPReducedSize } }
    var usesReceiverReferenceTime: Bool { media.contains { !$0.isRejected && $0.usesReceiverReferenceTime } }
    /// Numbers of the extensions that may arrive on any section. Bundled sections share one space of numbers (RFC 8843
    /// §9), but not every section has every extension: transport-wide numbers may be the video's alone.
    var receivedExtensions: HeaderExtensionMap {
        var all = HeaderExtensionMap()
        for section in acceptedMedia {
            let map = section.receivedExtensions
            for kind in HeaderExtension.allCases where all[kind] == nil { all[kind] = map[kind] }
        }
        return all
    }
}
