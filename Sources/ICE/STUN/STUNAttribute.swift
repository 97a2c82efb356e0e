import Primitives

/// An attribute of a STUN message (RFC 8489 §14, RFC 8445 §16.1, RFC 8656 §18), but the integrities and FINGERPRINT, which belong
/// to the message as it goes over the wire and are not chosen by anyone.
///
/// What is not known here is kept as `.unknown`; what is known but badly formed as `.malformed`, so that a peer's odd
/// informational attribute never costs the whole message.
public enum STUNAttribute: Hashable, Sendable {
    case mappedAddress(TransportAddress)
    case xorMappedAddress(TransportAddress)
    case alternateServer(TransportAddress)
    case username(String)
    case realm(String)
    case nonce([UInt8])
    case software(String)
    case errorCode(STUNErrorCode)
    case unknownAttributes([UInt16])
    case priority(UInt32)
    case useCandidate
    /// The tie-breaker of an agent that says it is controlled.
    case iceControlled(UInt64)
    /// The tie-breaker of an agent that says it is controlling.
    case iceControlling(UInt64)
    /// SHA-256 of user name and realm, in place of USERNAME (RFC 8489 §14.4).
    case userHash([UInt8])
    case passwordAlgorithm(STUNPasswordAlgorithm)
    case passwordAlgorithms([STUNPasswordAlgorithm])
    case alternateDomain(String)
    case channelNumber(UInt16)
    /// Seconds.
    case lifetime(UInt32)
    case xorPeerAddress(TransportAddress)
    case xorRelayedAddress(TransportAddress)
    case data([UInt8])
    case requestedAddressFamily(IPAddress.Family)
    case additionalAddressFamily(IPAddress.Family)
    /// The relayed address of this family is not to be had, though the other is (RFC 8656 §18.12).
    case addressErrorCode(IPAddress.Family, STUNErrorCode)
    /// An IP protocol number; 17 is UDP.
    case requestedTransport(UInt8)
    case icmp(STUNICMPError)
    case malformed(type: UInt16, value: [UInt8])
    case unknown(type: UInt16, value: [UInt8])

    /// Attribute types by number.
    enum Code {
        static let mappedAddress: UInt16 = 0x0001
        static let username: UInt16 = 0x0006
        static let messageIntegrity: UInt16 = 0x0008
        static let errorCode: UInt16 = 0x0009
        static let unknownAttributes: UInt16 = 0x000A
        static let realm: UInt16 = 0x0014
        static let nonce: UInt16 = 0x0015
        static let messageIntegritySHA256: UInt16 = 0x001C
        static let passwordAlgorithm: UInt16 = 0x001D
        static let userHash: UInt16 = 0x001E
        static let xorMappedAddress: UInt16 = 0x0020
        static let channelNumber: UInt16 = 0x000C
        static let lifetime: UInt16 = 0x000D
        static let xorPeerAddress: UInt16 = 0x0012
        static let data: UInt16 = 0x0013
        static let xorRelayedAddress: UInt16 = 0x0016
        static let requestedAddressFamily: UInt16 = 0x0017
        static let requestedTransport: UInt16 = 0x0019
        static let additionalAddressFamily: UInt16 = 0x8000
        static let addressErrorCode: UInt16 = 0x8001
        static let passwordAlgorithms: UInt16 = 0x8002
        static let alternateDomain: UInt16 = 0x8003
        static let icmp: UInt16 = 0x8004
        static let priority: UInt16 = 0x0024
        static let useCandidate: UInt16 = 0x0025
        static let software: UInt16 = 0x8022
        static let alternateServer: UInt16 = 0x8023
        static let fingerprint: UInt16 = 0x8028
        static let iceControlled: UInt16 = 0x8029
        static let iceControlling: UInt16 = 0x802A
    }

    public var type: UInt16 {
        switch self {
        case .mappedAddress: Code.mappedAddress
        case .xorMappedAddress: Code.xorMappedAddress
        case .alternateServer: Code.alternateServer
        case .username: Code.username
        case .realm: Code.realm
        case .nonce: Code.nonce
        case .software: Code.software
        case .errorCode: Code.errorCode
        case .unknownAttributes: Code.unknownAttributes
        case .priority: Code.priority
        case .useCandidate: Code.useCandidate
        case .iceControlled: Code.iceControlled
        case .iceControlling: Code.iceControlling
        case .userHash: Code.userHash
        case .passwordAlgorithm: Code.passwordAlgorithm
        case .passwordAlgorithms: Code.passwordAlgorithms
        case .alternateDomain: Code.alternateDomain
        case .channelNumber: Code.channelNumber
        case .lifetime: Code.lifetime
        case .xorPeerAddress: Code.xorPeerAddress
        case .xorRelayedAddress: Code.xorRelayedAddress
        case .data: Code.data
        case .requestedAddressFamily: Code.requestedAddressFamily
        case .additionalAddressFamily: Code.additionalAddressFamily
        case .addressErrorCode: Code.addressErrorCode
        case .requestedTransport: Code.requestedTransport
        case .icmp: Code.icmp
        case .malformed(let type, _), .unknown(let type, _): type
        }
    }

    /// Types below 0x8000 must be understood or the message refused (RFC 8489 §5).
    static func isComprehensionRequired(_ type: UInt16) -> Bool { type < 0x8000 }
}

extension STUNAttribute {
    /// The attribute of `type` with the value that is the rest of `reader`.
    init(type: UInt16, value reader: ByteReader, transactionID: STUNTransactionID) {
        var reader = reader
        let raw = reader
        func text(upTo limit: Int) -> String? {
            let bytes = reader.readRemaining()
            return bytes.count <= limit ? String(validating: bytes, as: UTF8.self) : nil
        }
        let value: STUNAttribute?
        switch type {
        case Code.mappedAddress: value = reader.readSTUNAddress().map(Self.mappedAddress)
        case Code.alternateServer: value = reader.readSTUNAddress().map(Self.alternateServer)
        case Code.xorMappedAddress:
            value = reader.readSTUNAddress().map { .xorMappedAddress($0.xored(with: transactionID)) }
        case Code.xorPeerAddress:
            value = reader.readSTUNAddress().map { .xorPeerAddress($0.xored(with: transactionID)) }
        case Code.xorRelayedAddress:
            value = reader.readSTUNAddress().map { .xorRelayedAddress($0.xored(with: transactionID)) }
        case Code.data: value = .data(reader.readRemaining())
        // Limits of RFC 8489 §14.3, §14.9, §14.10, §14.14: 508 bytes of user name, 763 of the others.
        case Code.alternateDomain: value = text(upTo: 255).map(Self.alternateDomain)
        case Code.username: value = text(upTo: 508).map(Self.username)
        case Code.realm: value = text(upTo: 763).map(Self.realm)
        case Code.software: value = text(upTo: 763).map(Self.software)
        case Code.nonce: value = reader.remaining <= 763 ? .nonce(reader.readRemaining()) : nil
        case Code.errorCode: value = reader.readSTUNErrorCode().map(Self.errorCode)
        case Code.unknownAttributes:
            var types: [UInt16] = []
            while let next = try? reader.readUInt16() { types.append(next) }
            value = reader.isAtEnd ? .unknownAttributes(types) : nil
        case Code.priority: value = reader.remaining == 4 ? (try? reader.readUInt32()).map(Self.priority) : nil
        case Code.lifetime: value = reader.remaining == 4 ? (try? reader.readUInt32()).map(Self.lifetime) : nil
        case Code.channelNumber, Code.requestedTransport, Code.requestedAddressFamily, Code.additionalAddressFamily,
            Code.addressErrorCode, Code.icmp, Code.userHash, Code.passwordAlgorithm, Code.passwordAlgorithms:
            value = Self.readTURNValue(type, from: &reader)
        case Code.useCandidate: value = reader.isAtEnd ? .useCandidate : nil
        case Code.iceControlled:
            value = reader.remaining == 8 ? (try? reader.readUInt64()).map(Self.iceControlled) : nil
        case Code.iceControlling:
            value = reader.remaining == 8 ? (try? reader.readUInt64()).map(Self.iceControlling) : nil
        default:
            self = .unknown(type: type, value: reader.readRemaining())
            return
        }
        if let value {
            self = value
        } else {
            var raw = raw
            self = .malformed(type: type, value: raw.readRemaining())
        }
    }

    /// Appends the value, without type, length and padding.
    func writeValue(into bytes: inout [UInt8], transactionID: STUNTransactionID) {
        switch self {
        case .mappedAddress(let address), .alternateServer(let address): address.writeSTUN(into: &bytes)
        case .xorMappedAddress(let address), .xorPeerAddress(let address), .xorRelayedAddress(let address):
            address.xored(with: transactionID).writeSTUN(into: &bytes)
        case .username(let text), .realm(let text), .software(let text), .alternateDomain(let text):
            bytes.append(contentsOf: text.utf8)
        case .errorCode(let error): error.write(into: &bytes, family: 0)
        case .unknownAttributes(let types): for type in types { bytes.append(type) }
        case .priority(let value), .lifetime(let value): bytes.append(value)
        case .useCandidate: break
        case .iceControlled(let value), .iceControlling(let value): bytes.append(value)
        case .nonce(let value), .data(let value), .userHash(let value), .malformed(_, let value),
            .unknown(_, let value):
            bytes.append(contentsOf: value)
        case .channelNumber, .requestedTransport, .requestedAddressFamily, .additionalAddressFamily,
            .addressErrorCode, .icmp, .passwordAlgorithm, .passwordAlgorithms:
            writeTURNValue(into: &bytes)
        }
    }
}

extension ByteReader {
    /// RFC 8489 §14.1.
    fileprivate mutating func readSTUNAddress() -> TransportAddress? {
        guard (try? skip(1)) != nil, let family = try? readUInt8(), let port = try? readUInt16() else { return nil }
        guard (family == 1 && remaining == 4) || (family == 2 && remaining == 16) else { return nil }
        return IPAddress(bytes: readRemaining()).map { TransportAddress($0, port) }
    }

    mutating func readSTUNErrorCode() -> STUNErrorCode? {
        guard let word = try? readUInt32() else { return nil }
        let (hundreds, rest) = (Int(word >> 8 & 7), Int(word & 0xFF))
        guard (3...6).contains(hundreds), rest < 100 else { return nil }
        let reason = String(decoding: readRemaining().prefix(763), as: UTF8.self)
        return STUNErrorCode(hundreds * 100 + rest, reason)
    }
}

extension TransportAddress {
    fileprivate func writeSTUN(into bytes: inout [UInt8]) {
        bytes.append(0 as UInt8)
        bytes.append(ip.family == .ipv4 ? 1 : 2 as UInt8)
        bytes.append(port)
        bytes.append(contentsOf: ip.bytes)
    }

    /// RFC 8489 §14.2; its own inverse.
    fileprivate func xored(with id: STUNTransactionID) -> TransportAddress {
        var mask: [UInt8] = []
        mask.append(STUNMessage.magicCookie)
        mask.append(contentsOf: id.bytes)
        let masked = IPAddress(bytes: zip(ip.bytes, mask).map { $0 ^ $1 })
        return TransportAddress(masked ?? ip, port ^ UInt16(truncatingIfNeeded: STUNMessage.magicCookie >> 16))
    }
}
