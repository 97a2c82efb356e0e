import Primitives

/// A STUN message (RFC 8489 §5).
///
/// A parsed message keeps its wire bytes (shared, not copied), because integrity is a matter of the bytes as they came.
/// Attributes that follow MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 are not covered by it and are left out (RFC 8489
/// §14.5, §14.6).
public struct STUNMessage: Sendable {
    public enum Class: UInt8, Hashable, Sendable {
        case request = 0
        case indication = 1
        case success = 2
        case error = 3
    }

    /// Twelve bits; ICE knows only Binding (RFC 8489 §18.2), TURN six more (RFC 8656 §17).
    public struct Method: RawRepresentable, Hashable, Sendable {
        public var rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }
        public static let binding = Method(rawValue: 1)
        public static let allocate = Method(rawValue: 3)
        public static let refresh = Method(rawValue: 4)
        /// An indication, as is `data`.
        public static let send = Method(rawValue: 6)
        public static let data = Method(rawValue: 7)
        public static let createPermission = Method(rawValue: 8)
        public static let channelBind = Method(rawValue: 9)
    }

    public enum FingerprintCheck: Hashable, Sendable {
        case absent
        case matches
        case differs
    }

    public static let magicCookie: UInt32 = 0x2112_A442
    public static let headerSize = 20
    /// More attributes than any honest message has.
    public static let maximumAttributes = 64

    public var messageClass: Class
    public var method: Method
    public var transactionID: STUNTransactionID
    public var attributes: [STUNAttribute]

    private var wire: [UInt8] = []
    private var integrityOffset: Int?
    private var sha256Offset: Int?
    private var fingerprintOffset: Int?

    public init(
        _ messageClass: Class, method: Method = .binding, transactionID: STUNTransactionID,
        attributes: [STUNAttribute] = []
    ) {
        self.messageClass = messageClass
        self.method = method
        self.transactionID = transactionID
        self.attributes = attributes
    }

    public init(parsing bytes: [UInt8]) throws(STUNParseError) {
        var reader = ByteReader(bytes)
        guard let type = try? reader.readUInt16(), let length = try? reader.readUInt16(),
            let cookie = try? reader.readUInt32(), let upper = try? reader.readUInt32(),
            let lower = try? reader.readUInt64()
        else { throw .tooShort }
        guard type < 0x4000, cookie == Self.magicCookie else { throw .notSTUN }
        guard length % 4 == 0, Int(length) == reader.remaining else {
            throw .lengthMismatch(declared: Int(length), actual: reader.remaining)
        }
        messageClass = Class(rawValue: UInt8(type >> 7 & 2 | type >> 4 & 1)) ?? .indication
        method = Method(rawValue: type & 0x000F | type >> 1 & 0x0070 | type >> 2 & 0x0F80)
        transactionID = STUNTransactionID(upper: upper, lower: lower)
        attributes = []
        wire = bytes
        var count = 0
        while !reader.isAtEnd {
            count += 1
            guard count <= Self.maximumAttributes else { throw .tooManyAttributes }
            try readAttribute(from: &reader)
        }
    }

    private mutating func readAttribute(from reader: inout ByteReader) throws(STUNParseError) {
        let offset = reader.offset
        guard fingerprintOffset == nil else { throw .malformedTrailer }
        guard let type = try? reader.readUInt16(), let length = try? reader.readUInt16() else {
            throw .attributeOverrun(type: 0)
        }
        guard let value = try? reader.readSlice(Int(length)),
            (try? reader.skip((4 - Int(length) % 4) % 4)) != nil
        else { throw .attributeOverrun(type: type) }
        switch type {
        case STUNAttribute.Code.messageIntegrity where integrityOffset == nil && sha256Offset == nil:
            guard length == SHA1.digestSize else { throw .malformedTrailer }
            integrityOffset = offset
        case STUNAttribute.Code.fingerprint:
            guard length == 4 else { throw .malformedTrailer }
            fingerprintOffset = offset
        case STUNAttribute.Code.messageIntegritySHA256 where sha256Offset == nil:
            // Shorter ones are for usages that ask for them; none of ours does (RFC 8489 §14.6).
            if length == SHA256.digestSize { sha256Offset = offset }
        case STUNAttribute.Code.messageIntegrity, STUNAttribute.Code.messageIntegritySHA256: break
        case _ where integrityOffset != nil || sha256Offset != nil: break
        default: attributes.append(STUNAttribute(type: type, value: value, transactionID: transactionID))
        }
    }
}

extension STUNMessage {
    /// The message as bytes; MESSAGE-INTEGRITY when there is a key, and FINGERPRINT last.
    public func encoded(integrity key: MessageIntegrityKey? = nil, fingerprint: Bool = true) -> [UInt8] {
        encoded(integrity: key, fingerprint: fingerprint, padding: 0)
    }

    /// The message with MESSAGE-INTEGRITY-SHA256 instead of MESSAGE-INTEGRITY, and FINGERPRINT last.
    public func encoded(integrity key: MessageIntegritySHA256Key, fingerprint: Bool = true) -> [UInt8] {
        var bytes = encodedAttributes(padding: 0)
        bytes.append(
            STUNAttribute.Code.messageIntegritySHA256, key.code(for: bytes.coveringIntegrity(of: SHA256.digestSize)))
        return finished(bytes, fingerprint: fingerprint)
    }

    /// The published test vectors (RFC 5769) pad with spaces; anyone else with zeros.
    func encoded(integrity key: MessageIntegrityKey?, fingerprint: Bool, padding: UInt8) -> [UInt8] {
        var bytes = encodedAttributes(padding: padding)
        if let key {
            bytes.append(
                STUNAttribute.Code.messageIntegrity, key.code(for: bytes.coveringIntegrity(of: SHA1.digestSize)))
        }
        return finished(bytes, fingerprint: fingerprint)
    }

    /// Header, with a length still of zero, and attributes.
    private func encodedAttributes(padding: UInt8) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(160)
        bytes.append(type)
        bytes.append(0 as UInt16)
        bytes.append(Self.magicCookie)
        bytes.append(contentsOf: transactionID.bytes)
        for attribute in attributes {
            let start = bytes.count
            bytes.append(attribute.type)
            bytes.append(0 as UInt16)
            attribute.writeValue(into: &bytes, transactionID: transactionID)
            bytes.overwrite(UInt16(truncatingIfNeeded: bytes.count - start - 4), at: start + 2)
            while bytes.count % 4 != 0 { bytes.append(padding) }
        }
        return bytes
    }

    private func finished(_ message: [UInt8], fingerprint: Bool) -> [UInt8] {
        var bytes = message
        let length = bytes.count + (fingerprint ? 8 : 0) - Self.headerSize
        bytes.overwrite(UInt16(truncatingIfNeeded: length), at: 2)
        if fingerprint {
            let checksum = CRC32.checksum(bytes, count: bytes.count) ^ Self.fingerprintMask
            bytes.append(STUNAttribute.Code.fingerprint)
            bytes.append(4 as UInt16)
            bytes.append(checksum)
        }
        return bytes
    }

    private var type: UInt16 {
        let method = method.rawValue
        let kind = UInt16(messageClass.rawValue)
        return method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2 | (kind & 1) << 4 | (kind & 2) << 7
    }

    private static let fingerprintMask: UInt32 = 0x5354_554E

    /// Whether a parsed message carries MESSAGE-INTEGRITY at all.
    public var hasIntegrity: Bool { integrityOffset != nil }

    /// Whether a parsed message's MESSAGE-INTEGRITY was made with `key` (RFC 8489 §9.1.3); without one, no.
    public func isIntact(under key: MessageIntegrityKey) -> Bool {
        guard let offset = integrityOffset, offset + 24 <= wire.count else { return false }
        let covered = Array(wire[..<offset]).coveringIntegrity(of: SHA1.digestSize)
        return isEqualInConstantTime(key.code(for: covered), wire[(offset + 4)..<(offset + 24)])
    }

    /// Whether a parsed message carries a MESSAGE-INTEGRITY-SHA256 of full length.
    public var hasSHA256Integrity: Bool { sha256Offset != nil }

    /// Whether a parsed message's MESSAGE-INTEGRITY-SHA256 was made with `key`; without one, no.
    public func isIntact(under key: MessageIntegritySHA256Key) -> Bool {
        guard let offset = sha256Offset, offset + 36 <= wire.count else { return false }
        let covered = Array(wire[..<offset]).coveringIntegrity(of: SHA256.digestSize)
        return isEqualInConstantTime(key.code(for: covered), wire[(offset + 4)..<(offset + 36)])
    }

    /// RFC 8489 §14.7.
    public var fingerprint: FingerprintCheck {
        guard let offset = fingerprintOffset else { return .absent }
        var reader = ByteReader(wire, in: (offset + 4)..<wire.count)
        let expected = CRC32.checksum(wire, count: offset) ^ Self.fingerprintMask
        return (try? reader.readUInt32()) == expected ? .matches : .differs
    }
}

extension [UInt8] {
    /// A message so far, with the length it has once an integrity code of `size` bytes is appended (RFC 8489 §14.5).
    fileprivate func coveringIntegrity(of size: Int) -> [UInt8] {
        var bytes = self
        bytes.overwrite(UInt16(truncatingIfNeeded: count + 4 + size - STUNMessage.headerSize), at: 2)
        return bytes
    }

    /// An attribute whose length is a multiple of four.
    fileprivate mutating func append(_ type: UInt16, _ value: [UInt8]) {
        append(type)
        append(UInt16(truncatingIfNeeded: value.count))
        append(contentsOf: value)
    }
}

extension STUNMessage {
    func first<Value>(_ select: (STUNAttribute) -> Value?) -> Value? {
        for attribute in attributes { if let value = select(attribute) { return value } }
        return nil
    }

    public var username: String? { first { if case .username(let value) = $0 { value } else { nil } } }
    public var priority: UInt32? { first { if case .priority(let value) = $0 { value } else { nil } } }
    public var useCandidate: Bool { attributes.contains(.useCandidate) }
    public var iceControlled: UInt64? { first { if case .iceControlled(let value) = $0 { value } else { nil } } }
    public var iceControlling: UInt64? { first { if case .iceControlling(let value) = $0 { value } else { nil } } }
    public var errorCode: STUNErrorCode? { first { if case .errorCode(let value) = $0 { value } else { nil } } }
    public var alternateServer: TransportAddress? {
        first { if case .alternateServer(let value) = $0 { value } else { nil } }
    }
    /// XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS from a server of RFC 3489's time.
    public var mappedAddress: TransportAddress? {
        first { if case .xorMappedAddress(let value) = $0 { value } else { nil } }
            ?? first { if case .mappedAddress(let value) = $0 { value } else { nil } }
    }
    /// Types that had to be understood and were not (RFC 8489 §6.3).
    public var unknownRequiredTypes: [UInt16] {
        attributes.compactMap {
            if case .unknown(let type, _) = $0, STUNAttribute.isComprehensionRequired(type) { type } else { nil }
        }
    }
}
