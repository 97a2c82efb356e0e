import Primitives

/// Values of a layout of their own (RFC 8656 §18, RFC 8489 §14.4, §14.11, §14.12).
extension STUNAttribute {
    static func readTURNValue(_ type: UInt16, from reader: inout ByteReader) -> STUNAttribute? {
        switch type {
        case Code.userHash:
            let bytes = reader.readRemaining()
            return bytes.count == SHA256.digestSize ? .userHash(bytes) : nil
        case Code.passwordAlgorithm:
            guard let algorithm = reader.readPasswordAlgorithm(), reader.isAtEnd else { return nil }
            return .passwordAlgorithm(algorithm)
        case Code.passwordAlgorithms:
            var algorithms: [STUNPasswordAlgorithm] = []
            while !reader.isAtEnd {
                guard algorithms.count < STUNPasswordAlgorithm.maximumInList,
                    let algorithm = reader.readPasswordAlgorithm()
                else { return nil }
                algorithms.append(algorithm)
            }
            return algorithms.isEmpty ? nil : .passwordAlgorithms(algorithms)
        case Code.addressErrorCode:
            guard let family = IPAddress.Family(stun: reader.peekUInt8()) else { return nil }
            return reader.readSTUNErrorCode().map { .addressErrorCode(family, $0) }
        case Code.icmp:
            guard reader.remaining == 8, (try? reader.skip(2)) != nil, let word = try? reader.readUInt16(),
                let data = try? reader.readUInt32()
            else { return nil }
            return .icmp(STUNICMPError(type: UInt8(truncatingIfNeeded: word >> 9), code: word & 0x1FF, data: data))
        default:
            // The rest: a field and reserved bits, four bytes together.
            guard reader.remaining == 4, let word = try? reader.readUInt32() else { return nil }
            let first = UInt8(truncatingIfNeeded: word >> 24)
            switch type {
            case Code.channelNumber: return .channelNumber(UInt16(truncatingIfNeeded: word >> 16))
            case Code.requestedTransport: return .requestedTransport(first)
            case Code.requestedAddressFamily: return IPAddress.Family(stun: first).map(Self.requestedAddressFamily)
            case Code.additionalAddressFamily: return IPAddress.Family(stun: first).map(Self.additionalAddressFamily)
            default: return nil
            }
        }
    }

    func writeTURNValue(into bytes: inout [UInt8]) {
        switch self {
        case .channelNumber(let number): bytes.append(UInt32(number) << 16)
        case .requestedTransport(let number): bytes.append(UInt32(number) << 24)
        case .requestedAddressFamily(let family), .additionalAddressFamily(let family):
            bytes.append(UInt32(family.stunNumber) << 24)
        case .addressErrorCode(let family, let error): error.write(into: &bytes, family: family.stunNumber)
        case .icmp(let error):
            bytes.append(0 as UInt16)
            bytes.append(UInt16(error.type & 0x7F) << 9 | error.code & 0x1FF)
            bytes.append(error.data)
        case .passwordAlgorithm(let algorithm): algorithm.write(into: &bytes)
        case .passwordAlgorithms(let algorithms): for algorithm in algorithms { algorithm.write(into: &bytes) }
        default: break
        }
    }
}

extension ByteReader {
    /// Number, length, parameters, padding.
    fileprivate mutating func readPasswordAlgorithm() -> STUNPasswordAlgorithm? {
        guard let number = try? readUInt16(), let length = try? readUInt16(),
            let parameters = try? readBytes(Int(length)), (try? skip((4 - Int(length) % 4) % 4)) != nil
        else { return nil }
        return STUNPasswordAlgorithm(number: number, parameters: parameters)
    }
}

extension STUNPasswordAlgorithm {
    fileprivate func write(into bytes: inout [UInt8]) {
        bytes.append(number)
        bytes.append(UInt16(truncatingIfNeeded: parameters.count))
        bytes.append(contentsOf: parameters)
        for _ in 0..<(4 - parameters.count % 4) % 4 { bytes.append(0 as UInt8) }
    }
}

extension IPAddress.Family {
    init?(stun number: UInt8?) {
        switch number {
        case 1: self = .ipv4
        case 2: self = .ipv6
        default: return nil
        }
    }

    var stunNumber: UInt8 { self == .ipv4 ? 1 : 2 }
}
