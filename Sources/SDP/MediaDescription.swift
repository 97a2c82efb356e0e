import Primitives

/// An `m=` line and the lines that follow it up to the next (RFC 8866 §5.14).
public struct MediaDescription: Hashable, Sendable {
    /// `audio`, `video`, `application` or anything else.
    public var media: String
    /// 0 rejects the section; 9 stands for "not known yet" (RFC 9429 §5.2.1).
    public var port: UInt16
    /// The number after `port/`, seldom used.
    public var portCount: Int?
    /// `UDP/TLS/RTP/SAVPF`, `UDP/DTLS/SCTP` and so on.
    public var transportProtocol: String
    /// Payload types as text, or a word such as `webrtc-datachannel`.
    public var formats: [String]
    public var lines: [DescriptionLine]

    public init(
        media: String, port: UInt16, transportProtocol: String, formats: [String], lines: [DescriptionLine] = []
    ) {
        self.media = media
        self.port = port
        self.transportProtocol = transportProtocol
        self.formats = formats
        self.lines = lines
    }

    /// The `m=` line without `m=`.
    public var mediaLine: String {
        let ports = portCount.map { "\(port)/\($0)" } ?? "\(port)"
        return ([media, ports, transportProtocol] + formats).joined(separator: " ")
    }

    public var kind: MediaKind? { MediaKind(rawValue: media) }
    /// Port 0 and no `a=bundle-only` (RFC 8843 §6: a bundle-only section has port 0 and is not rejected).
    public var isRejected: Bool { port == 0 && !attributes.contains(.bundleOnly) }
    /// The numeric formats in order of preference; words and numbers above 127 are left out.
    public var payloadTypes: [UInt8] { formats.compactMap { UInt8($0) }.filter { $0 < 128 } }
}

extension MediaDescription: DescriptionSection {
    public var mid: String? {
        firstValue { if case .mid(let value) = $0 { value } else { nil } }
    }
    public var streams: [MediaStreamIdentification] {
        attributes.compactMap { if case .msid(let value) = $0 { value } else { nil } }
    }
    public var rtpMaps: [RTPMap] {
        attributes.compactMap { if case .rtpmap(let value) = $0 { value } else { nil } }
    }
    public var formatParameters: [FormatParameters] {
        attributes.compactMap { if case .fmtp(let value) = $0 { value } else { nil } }
    }
    public var rtcpFeedback: [RTCPFeedback] {
        attributes.compactMap { if case .rtcpFeedback(let value) = $0 { value } else { nil } }
    }
    public var sourceAttributes: [SourceAttribute] {
        attributes.compactMap { if case .ssrc(let value) = $0 { value } else { nil } }
    }
    public var sourceGroups: [SourceGroup] {
        attributes.compactMap { if case .ssrcGroup(let value) = $0 { value } else { nil } }
    }
    public var restrictionIdentifiers: [RestrictionIdentifier] {
        attributes.compactMap { if case .rid(let value) = $0 { value } else { nil } }
    }
    public var simulcast: Simulcast? {
        firstValue { if case .simulcast(let value) = $0 { value } else { nil } }
    }
    public var rtcpPort: UInt16? {
        firstValue { if case .rtcp(let port, _) = $0 { port } else { nil } }
    }
    public var isRTCPMux: Bool { attributes.contains { $0 == .rtcpMux || $0 == .rtcpMuxOnly } }
    public var isRTCPReducedSize: Bool { attributes.contains(.rtcpReducedSize) }
    public var packetTime: Int? {
        firstValue { if case .ptime(let value) = $0 { value } else { nil } }
    }
    public var maximumPacketTime: Int? {
        firstValue { if case .maxptime(let value) = $0 { value } else { nil } }
    }
    public var sctpPort: UInt16? {
        firstValue { if case .sctpPort(let value) = $0 { value } else { nil } }
    }
    public var maximumMessageSize: UInt64? {
        firstValue { if case .maxMessageSize(let value) = $0 { value } else { nil } }
    }
}
