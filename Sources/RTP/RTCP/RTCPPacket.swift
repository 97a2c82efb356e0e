import Primitives

/// One RTCP packet (RFC 3550 §6, RFC 4585 §6, RFC 5104, RFC 3611).
public enum RTCPPacket: Hashable, Sendable {
    case senderReport(SenderReport)
    case receiverReport(ReceiverReport)
    case sourceDescription(SourceDescription)
    case goodbye(Goodbye)
    case applicationDefined(ApplicationDefined)
    case genericNACK(GenericNACK)
    case transportFeedback(TransportFeedback)
    case maximumBitrateRequest(TemporaryMaximumBitrate)
    case maximumBitrateNotification(TemporaryMaximumBitrate)
    case pictureLossIndication(PictureLossIndication)
    case fullIntraRequest(FullIntraRequest)
    case receiverEstimatedMaximumBitrate(ReceiverEstimatedMaximumBitrate)
    case extendedReport(ExtendedReport)
    /// A packet of a type or format not known here: kept, so that a newer peer is not an error.
    case unknown(type: UInt8, count: UInt8, body: [UInt8])

    /// Whether these bytes are RTCP where RTP and RTCP share a port (RFC 5761 §4): types 192...223.
    @inlinable public static func isRTCP(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 4 && bytes[0] >> 6 == 2 && (192...223).contains(bytes[1])
    }

    /// The packets of a datagram: a compound packet, or a reduced-size one that begins with anything (RFC 5506).
    ///
    /// Padding is accepted on every packet. Unknown types and formats are kept as `.unknown`.
    /// - Parameter limit: the most packets to accept.
    /// - Throws: `RTPError` with the offset of the first byte that is wrong; nothing of the datagram is kept then.
    public static func parseCompound(_ bytes: [UInt8], limit: Int = 64) throws(RTPError) -> [RTCPPacket] {
        var packets: [RTCPPacket] = []
        var offset = 0
        while offset < bytes.count {
            guard packets.count < limit else { throw .limitExceeded(offset: offset) }
            guard bytes.count - offset >= 4 else { throw .truncated(offset: bytes.count) }
            guard bytes[offset] >> 6 == 2 else { throw .unsupportedVersion(offset: offset) }
            let length = 4 + 4 * (Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3]))
            guard length <= bytes.count - offset else { throw .truncated(offset: bytes.count) }
            let next = offset + length
            var end = next
            if bytes[offset] & 0x20 != 0 {
                let padding = Int(bytes[next - 1])
                guard padding > 0, padding <= length - 4 else { throw .invalidPadding(offset: next - 1) }
                end -= padding
            }
            var reader = RTCPReader(bytes, in: offset + 4..<end)
            packets.append(try parse(type: bytes[offset + 1], count: bytes[offset] & 0x1F, &reader))
            offset = next
        }
        return packets
    }

    private static func parse(type: UInt8, count: UInt8, _ reader: inout RTCPReader) throws(RTPError) -> RTCPPacket {
        switch (type, count) {
        case (200, _): return .senderReport(try SenderReport(body: &reader, count: Int(count)))
        case (201, _): return .receiverReport(try ReceiverReport(body: &reader, count: Int(count)))
        case (202, _): return .sourceDescription(try SourceDescription(body: &reader, count: Int(count)))
        case (203, _): return .goodbye(try Goodbye(body: &reader, count: Int(count)))
        case (204, _): return .applicationDefined(try ApplicationDefined(body: &reader, subtype: count))
        case (205, 1): return .genericNACK(try GenericNACK(body: &reader))
        case (205, 3): return .maximumBitrateRequest(try TemporaryMaximumBitrate(body: &reader))
        case (205, 4): return .maximumBitrateNotification(try TemporaryMaximumBitrate(body: &reader))
        case (205, 15): return .transportFeedback(try TransportFeedback(body: &reader))
        case (206, 1): return .pictureLossIndication(try PictureLossIndication(body: &reader))
        case (206, 4): return .fullIntraRequest(try FullIntraRequest(body: &reader))
        case (206, 15):
            if ReceiverEstimatedMaximumBitrate.matches(reader) {
                return .receiverEstimatedMaximumBitrate(try ReceiverEstimatedMaximumBitrate(body: &reader))
            }
            return .unknown(type: type, count: count, body: reader.rest())
        case (207, _): return .extendedReport(try ExtendedReport(body: &reader))
        default: return .unknown(type: type, count: count, body: reader.rest())
        }
    }

    /// Appends the packet, header and length included, whole words.
    public func write(into bytes: inout [UInt8]) {
        switch self {
        case .senderReport(let packet): packet.write(into: &bytes)
        case .receiverReport(let packet): packet.write(into: &bytes)
        case .sourceDescription(let packet): packet.write(into: &bytes)
        case .goodbye(let packet): packet.write(into: &bytes)
        case .applicationDefined(let packet): packet.write(into: &bytes)
        case .genericNACK(let packet): packet.write(into: &bytes)
        case .transportFeedback(let packet): packet.write(into: &bytes)
        case .maximumBitrateRequest(let packet): packet.write(format: 3, into: &bytes)
        case .maximumBitrateNotification(let packet): packet.write(format: 4, into: &bytes)
        case .pictureLossIndication(let packet): packet.write(into: &bytes)
        case .fullIntraRequest(let packet): packet.write(into: &bytes)
        case .receiverEstimatedMaximumBitrate(let packet): packet.write(into: &bytes)
        case .extendedReport(let packet): packet.write(into: &bytes)
        case .unknown(let type, let count, let body):
            writeRTCP(type: type, count: count, into: &bytes) { $0.append(contentsOf: body) }
        }
    }

    /// The packets one after the other, with room left for an SRTCP trailer.
    public static func bytes(of packets: [RTCPPacket]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        for packet in packets { packet.write(into: &bytes) }
        return bytes
    }
}

/// Reads the body of one RTCP packet; every shortage is an `RTPError` with its offset in the datagram.
struct RTCPReader {
    private var reader: ByteReader

    init(_ bytes: [UInt8], in range: Range<Int>) { reader = ByteReader(bytes, in: range) }

    var offset: Int { reader.offset }
    var remaining: Int { reader.remaining }
    var isAtEnd: Bool { reader.isAtEnd }

    mutating func uint8() throws(RTPError) -> UInt8 {
        do { return try reader.readUInt8() } catch { throw .truncated(offset: error.offset) }
    }
    mutating func uint16() throws(RTPError) -> UInt16 {
        do { return try reader.readUInt16() } catch { throw .truncated(offset: error.offset) }
    }
    mutating func uint24() throws(RTPError) -> UInt32 {
        do { return try reader.readUInt24() } catch { throw .truncated(offset: error.offset) }
    }
    mutating func uint32() throws(RTPError) -> UInt32 {
        do { return try reader.readUInt32() } catch { throw .truncated(offset: error.offset) }
    }
    mutating func uint64() throws(RTPError) -> UInt64 {
        do { return try reader.readUInt64() } catch { throw .truncated(offset: error.offset) }
    }
    mutating func bytes(_ count: Int) throws(RTPError) -> [UInt8] {
        do { return try reader.readBytes(count) } catch { throw .truncated(offset: error.offset) }
    }
    mutating func skip(_ count: Int) throws(RTPError) {
        do { try reader.skip(count) } catch { throw .truncated(offset: error.offset) }
    }
    mutating func slice(_ count: Int) throws(RTPError) -> RTCPReader {
        do { return RTCPReader(try reader.readSlice(count)) } catch { throw .truncated(offset: error.offset) }
    }
    mutating func rest() -> [UInt8] { reader.readRemaining() }

    private init(_ reader: ByteReader) { self.reader = reader }
}

/// Appends one RTCP packet: header, body, zeros up to a whole word, and the length.
func writeRTCP(type: UInt8, count: UInt8, into bytes: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
    let start = bytes.count
    bytes.append(0x80 | (count & 0x1F))
    bytes.append(type)
    bytes.append(0 as UInt16)
    body(&bytes)
    while (bytes.count - start) % 4 != 0 { bytes.append(0 as UInt8) }
    bytes.overwrite(UInt16(truncatingIfNeeded: (bytes.count - start) / 4 - 1), at: start + 2)
}
