import Primitives

/// The header extensions Postern knows.
public enum HeaderExtension: UInt8, Hashable, Sendable, CaseIterable {
    /// The media section a packet belongs to (RFC 9143 §16.2).
    case mid
    /// RtpStreamId (RFC 8852 §3.1).
    case streamID
    /// RepairedRtpStreamId (RFC 8852 §3.2).
    case repairedStreamID
    /// Client-to-mixer audio level (RFC 6464).
    case audioLevel
    /// Absolute send time, 24 bits of 6.18 seconds.
    case absoluteSendTime
    /// Transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    case transportSequenceNumber
    /// Coordination of video orientation (3GPP TS 26.114 §7.4.5).
    case videoOrientation
    case playoutDelay
    case absoluteCaptureTime
    /// Transmission time offset (RFC 5450).
    case transmissionTimeOffset

    /// What `a=extmap` calls it.
    public var uri: String {
        switch self {
        case .mid: "urn:ietf:params:rtp-hdrext:sdes:mid"
        case .streamID: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
        case .repairedStreamID: "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
        case .audioLevel: "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
        case .absoluteSendTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
        case .transportSequenceNumber:
            "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
        case .videoOrientation: "urn:3gpp:video-orientation"
        case .playoutDelay: "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
        case .absoluteCaptureTime: "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
        case .transmissionTimeOffset: "urn:ietf:params:rtp-hdrext:toffset"
        }
    }

    public init?(uri: String) {
        guard let found = HeaderExtension.allCases.first(where: { $0.uri == uri }) else { return nil }
        self = found
    }
}

/// The ids negotiated for header extensions by `a=extmap`.
public struct HeaderExtensionMap: Hashable, Sendable {
    private var ids: [UInt8]

    public init() { ids = Array(repeating: 0, count: HeaderExtension.allCases.count) }

    /// The id, 1...255; `nil` where the extension is not in use. Setting 0 is the same as `nil`.
    public subscript(kind: HeaderExtension) -> UInt8? {
        get {
            let id = ids[Int(kind.rawValue)]
            return id == 0 ? nil : id
        }
        set { ids[Int(kind.rawValue)] = newValue ?? 0 }
    }
}

extension HeaderExtensionMap: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (HeaderExtension, UInt8)...) {
        self.init()
        for (kind, id) in elements { self[kind] = id }
    }
}

extension RTPHeader {
    /// Where the data of a known extension lies, given the negotiated ids.
    public func find(_ kind: HeaderExtension, ids: HeaderExtensionMap, in bytes: [UInt8]) -> Range<Int>? {
        guard !extensions.isEmpty, let id = ids[kind] else { return nil }
        return extensions.find(id, in: bytes)
    }

    /// The text of `mid`, `streamID` or `repairedStreamID`. Allocates.
    public func text(_ kind: HeaderExtension, ids: HeaderExtensionMap, in bytes: [UInt8]) -> String? {
        guard let range = find(kind, ids: ids, in: bytes), !range.isEmpty else { return nil }
        return String(decoding: bytes[range], as: UTF8.self)
    }

    /// The transport-wide sequence number.
    public func transportSequenceNumber(ids: HeaderExtensionMap, in bytes: [UInt8]) -> SequenceNumber? {
        guard let range = find(.transportSequenceNumber, ids: ids, in: bytes), range.count >= 2 else { return nil }
        return SequenceNumber(UInt16(bytes[range.lowerBound]) << 8 | UInt16(bytes[range.lowerBound + 1]))
    }

    public func audioLevel(ids: HeaderExtensionMap, in bytes: [UInt8]) -> AudioLevel? {
        find(.audioLevel, ids: ids, in: bytes).flatMap { AudioLevel(parsing: bytes, in: $0) }
    }

    public func absoluteSendTime(ids: HeaderExtensionMap, in bytes: [UInt8]) -> AbsoluteSendTime? {
        find(.absoluteSendTime, ids: ids, in: bytes).flatMap { AbsoluteSendTime(parsing: bytes, in: $0) }
    }

    public func videoOrientation(ids: HeaderExtensionMap, in bytes: [UInt8]) -> VideoOrientation? {
        find(.videoOrientation, ids: ids, in: bytes).flatMap { VideoOrientation(parsing: bytes, in: $0) }
    }

    public func playoutDelay(ids: HeaderExtensionMap, in bytes: [UInt8]) -> PlayoutDelay? {
        find(.playoutDelay, ids: ids, in: bytes).flatMap { PlayoutDelay(parsing: bytes, in: $0) }
    }

    public func absoluteCaptureTime(ids: HeaderExtensionMap, in bytes: [UInt8]) -> AbsoluteCaptureTime? {
        find(.absoluteCaptureTime, ids: ids, in: bytes).flatMap { AbsoluteCaptureTime(parsing: bytes, in: $0) }
    }
}
