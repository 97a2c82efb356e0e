import Primitives

/// The answers of a small STUN server (RFC 8489), written by hand so that ICE is not tested against itself.
///
/// A Binding request gets a success response with XOR-MAPPED-ADDRESS and FINGERPRINT; everything else gets silence.
public enum STUNResponder {
    static let magicCookie: UInt32 = 0x2112_A442

    /// The response to `request` as it came from `source`, or `nil` for anything but a Binding request (RFC 8489 §6.3.1).
    public static func response(to request: [UInt8], from source: TransportAddress) -> [UInt8]? {
        guard request.count >= 20, request.count <= 1_500, request.count % 4 == 0,
            request[0] == 0, request[1] == 1,
            Int(request[2]) << 8 | Int(request[3]) == request.count - 20,
            UInt32(request[4]) << 24 | UInt32(request[5]) << 16 | UInt32(request[6]) << 8 | UInt32(request[7])
                == magicCookie
        else { return nil }
        var response: [UInt8] = []
        response.reserveCapacity(52)
        response.append(UInt16(0x0101))
        response.append(UInt16(0))
        response.append(contentsOf: request[4..<20])
        appendMappedAddress(source, transaction: request[4..<20], to: &response)
        appendFingerprint(to: &response)
        return response
    }

    /// RFC 8489 §14.2: port XOR the cookie's upper half, address XOR cookie (and transaction identifier for IPv6).
    private static func appendMappedAddress(
        _ address: TransportAddress, transaction: ArraySlice<UInt8>, to response: inout [UInt8]
    ) {
        let bytes = address.ip.bytes
        response.append(UInt16(0x0020))
        response.append(UInt16(truncatingIfNeeded: 4 + bytes.count))
        response.append(address.ip.family == .ipv4 ? UInt16(1) : UInt16(2))
        response.append(address.port ^ UInt16(truncatingIfNeeded: magicCookie >> 16))
        for (byte, mask) in zip(bytes, transaction) { response.append(byte ^ mask) }
    }

    /// RFC 8489 §14.7: CRC-32 of all before it, with the length field already counting it, XOR "STUN".
    private static func appendFingerprint(to response: inout [UInt8]) {
        response.overwrite(UInt16(truncatingIfNeeded: response.count - 20 + 8), at: 2)
        let value = crc32(response) ^ 0x5354_554E
        response.append(UInt16(0x8028))
        response.append(UInt16(4))
        response.append(value)
    }

    /// CRC-32 of ITU-T V.42, bit by bit: a server in a simulation answers few requests.
    static func crc32(_ bytes: [UInt8]) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0) }
        }
        return ~crc
    }
}
