import Primitives

/// What a receiver says of one source (RFC 3550 §6.4.1).
public struct ReportBlock: Hashable, Sendable {
    public var ssrc: SSRC
    /// Lost since the last report, in 256ths.
    public var fractionLost: UInt8
    /// Lost since the beginning; duplicates can make it negative. 24 bits on the wire.
    public var cumulativeLost: Int32
    /// Highest sequence number, cycles in the upper half.
    public var highestSequence: UInt32
    /// Interarrival jitter in ticks of the media clock.
    public var jitter: UInt32
    /// Middle bits of the NTP time in the last sender report, 0 for none.
    public var lastSenderReport: UInt32
    /// Since that report came, in units of 2⁻¹⁶ s.
    public var delaySinceLastSenderReport: UInt32

    public init(
        ssrc: SSRC, fractionLost: UInt8 = 0, cumulativeLost: Int32 = 0, highestSequence: UInt32 = 0, jitter: UInt32 = 0,
        lastSenderReport: UInt32 = 0, delaySinceLastSenderReport: UInt32 = 0
    ) {
        self.ssrc = ssrc
        self.fractionLost = fractionLost
        self.cumulativeLost = cumulativeLost
        self.highestSequence = highestSequence
        self.jitter = jitter
        self.lastSenderReport = lastSenderReport
        self.delaySinceLastSenderReport = delaySinceLastSenderReport
    }

    init(_ reader: inout RTCPReader) throws(RTPError) {
        ssrc = SSRC(try reader.uint32())
        fractionLost = try reader.uint8()
        cumulativeLost = Int32(bitPattern: try reader.uint24() << 8) >> 8
        highestSequence = try reader.uint32()
        jitter = try reader.uint32()
        lastSenderReport = try reader.uint32()
        delaySinceLastSenderReport = try reader.uint32()
    }

    func write(into bytes: inout [UInt8]) {
        bytes.append(ssrc.rawValue)
        bytes.append(fractionLost)
        bytes.append24(UInt32(bitPattern: clamp(cumulativeLost, -0x80_0000, 0x7F_FFFF)) & 0xFF_FFFF)
        bytes.append(highestSequence)
        bytes.append(jitter)
        bytes.append(lastSenderReport)
        bytes.append(delaySinceLastSenderReport)
    }
}

/// SR (RFC 3550 §6.4.1). At most 31 report blocks are written.
public struct SenderReport: Hashable, Sendable {
    public var ssrc: SSRC
    public var ntp: NTPTime
    /// The same moment on the media clock.
    public var timestamp: RTPTimestamp
    public var packetCount: UInt32
    /// Payload bytes, without headers and padding.
    public var octetCount: UInt32
    public var reports: [ReportBlock]

    public init(
        ssrc: SSRC, ntp: NTPTime, timestamp: RTPTimestamp, packetCount: UInt32, octetCount: UInt32,
        reports: [ReportBlock] = []
    ) {
        self.ssrc = ssrc
        self.ntp = ntp
        self.timestamp = timestamp
        self.packetCount = packetCount
        self.octetCount = octetCount
        self.reports = reports
    }

    init(body reader: inout RTCPReader, count: Int) throws(RTPError) {
        ssrc = SSRC(try reader.uint32())
        ntp = NTPTime(rawValue: try reader.uint64())
        timestamp = RTPTimestamp(try reader.uint32())
        packetCount = try reader.uint32()
        octetCount = try reader.uint32()
        reports = []
        for _ in 0..<count { reports.append(try ReportBlock(&reader)) }
    }

    func write(into bytes: inout [UInt8]) {
        let blocks = reports.prefix(31)
        writeRTCP(type: 200, count: UInt8(truncatingIfNeeded: blocks.count), into: &bytes) { bytes in
            bytes.append(ssrc.rawValue)
            bytes.append(ntp.rawValue)
            bytes.append(timestamp.rawValue)
            bytes.append(packetCount)
            bytes.append(octetCount)
            for block in blocks { block.write(into: &bytes) }
        }
    }
}

/// RR (RFC 3550 §6.4.2). At most 31 report blocks are written.
public struct ReceiverReport: Hashable, Sendable {
    public var ssrc: SSRC
    public var reports: [ReportBlock]

    public init(ssrc: SSRC, reports: [ReportBlock] = []) {
        self.ssrc = ssrc
        self.reports = reports
    }

    init(body reader: inout RTCPReader, count: Int) throws(RTPError) {
        ssrc = SSRC(try reader.uint32())
        reports = []
        for _ in 0..<count { reports.append(try ReportBlock(&reader)) }
    }

    func write(into bytes: inout [UInt8]) {
        let blocks = reports.prefix(31)
        writeRTCP(type: 201, count: UInt8(truncatingIfNeeded: blocks.count), into: &bytes) { bytes in
            bytes.append(ssrc.rawValue)
            for block in blocks { block.write(into: &bytes) }
        }
    }
}
