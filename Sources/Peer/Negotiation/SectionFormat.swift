import Primitives
import SDP

/// A payload type of one section with all the lines about it put together.
struct SectionFormat: Hashable, Sendable {
    var payloadType: UInt8
    var encoding: String
    var clockRate: UInt32
    var channels: Int
    var parameters: FormatParameters?
    var feedback: [String]
    var retransmissionPayloadType: UInt8?

    /// The codec, where it is one of ours.
    var codec: Codec? { Codec.allCases.first { $0.rawValue.lowercased() == encoding.lowercased() } }
    var key: FormatKey {
        // RFC 7587 §7: always 48000/2, whatever a sender wrote.
        FormatKey(encoding: encoding.lowercased(), clockRate: clockRate, channels: codec == .opus ? 2 : channels)
    }
}

/// What makes two formats the same: letter case of the name, number and parameters aside.
struct FormatKey: Hashable, Sendable {
    var encoding: String
    var clockRate: UInt32
    var channels: Int
    /// For `rtx`: the format it repairs.
    var repaired: UInt8?
}

extension CodecCapability {
    var key: FormatKey { FormatKey(encoding: codec.rawValue.lowercased(), clockRate: clockRate, channels: channels) }
}

extension Codec {
    /// Whether a section may consist of it alone.
    var carriesMedia: Bool { self != .telephoneEvent && self != .comfortNoise }
}

extension MediaDescription {
    /// The formats of the `m=` line in order, retransmission formats folded into what they repair.
    /// Numbers without `rtpmap` have their meaning from RFC 3551 §6; unknown ones are left out.
    var sectionFormats: [SectionFormat] {
        var maps: [UInt8: RTPMap] = [
            0: RTPMap(payloadType: 0, encoding: "PCMU", clockRate: 8_000),
            8: RTPMap(payloadType: 8, encoding: "PCMA", clockRate: 8_000),
            9: RTPMap(payloadType: 9, encoding: "G722", clockRate: 8_000),
            13: RTPMap(payloadType: 13, encoding: "CN", clockRate: 8_000),
        ]
        for map in rtpMaps { maps[map.payloadType] = map }
        let parameters = Dictionary(
            formatParameters.map { ($0.payloadType, $0) }, uniquingKeysWith: { first, _ in first })
        var feedback: [UInt8?: [String]] = [:]
        for line in rtcpFeedback { feedback[line.payloadType, default: []].append(line.value.lowercased()) }
        var repairs: [UInt8: UInt8] = [:]
        var formats: [SectionFormat] = []
        var seen: Set<UInt8> = []
        for number in payloadTypes where seen.insert(number).inserted {
            guard let map = maps[number] else { continue }
            if map.encoding.lowercased() == "rtx" {
                guard let apt = parameters[number]?.value(of: "apt").flatMap({ UInt8($0) }) else { continue }
                if repairs[apt] == nil { repairs[apt] = number }
                continue
            }
            formats.append(
                SectionFormat(
                    payloadType: number, encoding: map.encoding, clockRate: map.clockRate, channels: map.channels ?? 1,
                    parameters: parameters[number], feedback: feedback[number, default: []] + feedback[nil, default: []]
                ))
        }
        for index in formats.indices {
            formats[index].retransmissionPayloadType = repairs[formats[index].payloadType]
        }
        return formats
    }

    /// RFC 9429 §5.1.2: whichever of these stands there, it is DTLS-SRTP over ICE.
    var hasRTPProtocol: Bool {
        switch transportProtocol.uppercased() {
        case "UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "RTP/SAVPF",
            "RTP/SAVP", "RTP/AVPF", "RTP/AVP":
            true
        default: false
        }
    }
}
