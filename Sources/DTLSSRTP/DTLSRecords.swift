import Primitives

/// The record headers of a datagram (RFC 6347 §4.1): all we need to know of DTLS's framing, OpenSSL does the rest.
enum DTLSRecords {
    static let headerLength = 13
    static let alert: UInt8 = 21
    static let handshake: UInt8 = 22

    /// Where each record lies. A last one that is cut short, or is no record, ends the list.
    static func ranges(in datagram: [UInt8]) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var start = 0
        while let end = endOfRecord(in: datagram, at: start) {
            ranges.append(start..<end)
            start = end
        }
        return ranges
    }

    /// Whether the datagram begins with a whole record of DTLS 1.0 to 1.2 that OpenSSL would read.
    static func beginsWithRecord(_ datagram: [UInt8]) -> Bool { endOfRecord(in: datagram, at: 0) != nil }

    static func type(of datagram: [UInt8], at start: Int = 0) -> UInt8? {
        start < datagram.count ? datagram[start] : nil
    }

    /// The epoch of the record at `start`: 0 is plain text, 1 is under the negotiated keys.
    static func epoch(of datagram: [UInt8], at start: Int) -> UInt16? {
        guard start + 5 <= datagram.count else { return nil }
        return UInt16(datagram[start + 3]) << 8 | UInt16(datagram[start + 4])
    }

    /// The datagram without the records that no peer of ours can have sent: under keys of a second handshake, which does
    /// not happen, or too short to be under the keys there are. OpenSSL 3.0 takes the latter as an error of its own and
    /// ends the association with an internal_error, so anybody who can send a datagram could end a call.
    ///
    /// - Parameter overhead: bytes that encryption adds to the plain text of a record; that one is never empty.
    static func readable(_ datagram: [UInt8], overhead: Int) -> [UInt8] {
        let ranges = ranges(in: datagram)
        let isReadable = { (range: Range<Int>) in
            switch epoch(of: datagram, at: range.lowerBound) {
            case 0: true
            case 1: range.count > headerLength + overhead
            default: false
            }
        }
        if ranges.allSatisfy(isReadable) { return datagram }
        return ranges.filter(isReadable).flatMap { datagram[$0] }
    }

    private static func endOfRecord(in datagram: [UInt8], at start: Int) -> Int? {
        guard datagram.count - start >= headerLength, (20...24).contains(datagram[start]), datagram[start + 1] == 0xFE
        else { return nil }
        let length = Int(datagram[start + 11]) << 8 | Int(datagram[start + 12])
        let end = start + headerLength + length
        return end <= datagram.count ? end : nil
    }
}

/// Makes OpenSSL's writes fit for the wire: full datagrams within the MTU, and no plain-text record number used twice.
///
/// OpenSSL packs the records of a new flight without counting what AEAD adds, so it may pass the MTU by some bytes, and
/// when it repeats a flight it writes every message by itself, which on a lossy path makes five datagrams of one. So the
/// records are packed here. And as we repeat flights ourselves (see `DTLSTransport`), the numbers of the plain-text
/// epoch, which nothing authenticates, are ours to give (RFC 6347 §4.1: each is used once).
struct RecordNumbering {
    let mtu: Int
    private var next: UInt64 = 0

    init(mtu: Int) { self.mtu = mtu }

    /// The datagrams to send for some writes of OpenSSL's, in order.
    mutating func datagrams(for writes: [[UInt8]]) -> [[UInt8]] {
        var result: [[UInt8]] = []
        var current: [UInt8] = []
        for write in writes {
            for range in DTLSRecords.ranges(in: write) {
                if !current.isEmpty, current.count + range.count > mtu {
                    result.append(current)
                    current = []
                }
                let start = current.count
                current += write[range]
                guard DTLSRecords.epoch(of: write, at: range.lowerBound) == 0 else { continue }
                current.overwrite(UInt16(truncatingIfNeeded: next >> 32), at: start + 5)
                current.overwrite(UInt32(truncatingIfNeeded: next), at: start + 7)
                next &+= 1
            }
        }
        if !current.isEmpty { result.append(current) }
        return result
    }
}
