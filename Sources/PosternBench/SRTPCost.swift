import CMeasure
import DTLSSRTP
import Primitives
import RTP

/// Nanoseconds to protect and to unprotect one RTP packet.
struct TransformCost {
    var protect: Double
    var unprotect: Double

    init(protect: Double, unprotect: Double) {
        self.protect = protect
        self.unprotect = unprotect
    }

    private init(_ cost: measure_cost) { self.init(protect: cost.protect, unprotect: cost.unprotect) }

    static func bareLibSRTP(_ profile: SRTPProfile, packets: Int, length: Int) -> TransformCost {
        TransformCost(measure_libsrtp(profile.measured, Int32(packets), Int32(length)))
    }

    static func bareOpenSSL(_ profile: SRTPProfile, packets: Int, length: Int) -> TransformCost {
        TransformCost(measure_evp(profile.measured, Int32(packets), Int32(length)))
    }

    /// Through `SRTPSession`, with everything a session checks.
    static func session(
        _ profile: SRTPProfile, _ backend: SRTPSession.BackendChoice, packets count: Int, length: Int
    ) throws -> TransformCost {
        let exported = (0..<SRTPKeyingMaterial.exportedLength(of: profile)).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        guard let keying = SRTPKeyingMaterial(profile: profile, exported: exported) else {
            return TransformCost(protect: -1, unprotect: -1)
        }
        let client = try SRTPSession(keying: keying, localRole: .client, backend: backend)
        let server = try SRTPSession(keying: keying, localRole: .server, backend: backend)
        var packets = (0..<count).map { makePacket($0, length: length) }
        let protect = try Meter.measure { for index in packets.indices { try client.protectRTP(&packets[index]) } }
        let unprotect = try Meter.measure { for index in packets.indices { try server.unprotectRTP(&packets[index]) } }
        return TransformCost(
            protect: Double(protect.nanoseconds) / Double(count),
            unprotect: Double(unprotect.nanoseconds) / Double(count))
    }
}

/// An RTP packet of `length` bytes with room for a tag.
func makePacket(_ number: Int, length: Int, hasExtensions: Bool = false) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(length + 32)
    RTPHeader.write(
        marker: false, payloadType: 96, sequence: SequenceNumber(UInt16(truncatingIfNeeded: number)),
        timestamp: RTPTimestamp(UInt32(truncatingIfNeeded: number)), ssrc: SSRC(0x1234_5678),
        hasExtensions: hasExtensions, into: &bytes)
    if hasExtensions {
        RTPHeaderExtensions.write(
            [
                HeaderExtensionElement(id: 3, data: [1, 2]), HeaderExtensionElement(id: 2, data: [1, 2, 3]),
                HeaderExtensionElement(id: 4, data: [0x31]),
            ], into: &bytes)
    }
    bytes.append(contentsOf: repeatElement(UInt8(truncatingIfNeeded: number), count: length - bytes.count))
    return bytes
}

extension SRTPProfile {
    fileprivate var measured: measure_profile {
        switch self {
        case .aeadAES128GCM: MEASURE_GCM_128
        case .aeadAES256GCM: MEASURE_GCM_256
        case .aes128CMHMACSHA1_80: MEASURE_CM_SHA1
        }
    }
}
