import SDP

/// Payload types and extension ids this session has used. A number never changes its meaning (RFC 3264 §8.3.2,
/// RFC 8843 §9.1), so new offers keep the old ones and take free numbers for the rest.
struct NumberTables: Hashable, Sendable {
    private var payloadTypes: [FormatKey: UInt8] = [:]
    private var usedPayloadTypes: Set<UInt8> = []
    private var extensionIDs: [String: UInt16] = [:]
    private var usedExtensionIDs: Set<UInt16> = []

    /// Takes note of all numbers of a description that was set.
    mutating func record(_ description: SessionDescription) {
        for section in description.media where section.kind != nil && section.hasRTPProtocol {
            usedPayloadTypes.formUnion(section.payloadTypes)
            for format in section.sectionFormats {
                if payloadTypes[format.key] == nil { payloadTypes[format.key] = format.payloadType }
                if let repair = format.retransmissionPayloadType {
                    let key = Self.repairKey(of: format.payloadType)
                    if payloadTypes[key] == nil { payloadTypes[key] = repair }
                }
            }
            for map in section.extensionMaps where map.id <= 255 {
                usedExtensionIDs.insert(map.id)
                if extensionIDs[map.uri] == nil { extensionIDs[map.uri] = map.id }
            }
        }
    }

    static func repairKey(of payloadType: UInt8) -> FormatKey {
        FormatKey(encoding: "rtx", clockRate: 0, channels: 0, repaired: payloadType)
    }

    /// The number in use for `key`, or `preferred`, or the next free one: 96 to 127, then 35 to 63 (RFC 3551 §3; 64 to
    /// 95 would look like RTCP).
    mutating func payloadType(for key: FormatKey, preferred: UInt8) -> UInt8? {
        if let number = payloadTypes[key] { return number }
        let number = ([preferred] + Array(96...127) + Array(35...63)).first { !usedPayloadTypes.contains($0) }
        guard let number else { return nil }
        usedPayloadTypes.insert(number)
        payloadTypes[key] = number
        return number
    }

    /// The id in use for `uri`, or `preferred`, or the next free one from 1 to 14.
    mutating func extensionID(for uri: String, preferred: UInt16) -> UInt16? {
        if let id = extensionIDs[uri] { return id }
        guard let id = ([preferred] + Array(1...14)).first(where: { !usedExtensionIDs.contains($0) }) else {
            return nil
        }
        usedExtensionIDs.insert(id)
        extensionIDs[uri] = id
        return id
    }
}
