import Primitives

/// XR (RFC 3611): here for the round-trip time of an endpoint that only receives.
public struct ExtendedReport: Hashable, Sendable {
    /// One receiver's last reference time as it came to us (RFC 3611 §4.5).
    public struct LastReceiverReport: Hashable, Sendable {
        public var ssrc: SSRC
        /// Middle bits of the NTP time in the receiver's reference time block, 0 for none.
        public var lastReceiverReport: UInt32
        /// Since that block came, in units of 2⁻¹⁶ s.
        public var delay: UInt32

        public init(ssrc: SSRC, lastReceiverReport: UInt32, delay: UInt32) {
            self.ssrc = ssrc
            self.lastReceiverReport = lastReceiverReport
            self.delay = delay
        }
    }

    public enum Block: Hashable, Sendable {
        /// RRTR (§4.4).
        case receiverReferenceTime(NTPTime)
        /// DLRR (§4.5).
        case delaySinceLastReceiverReport([LastReceiverReport])
        /// Kept as it came; `body` is whole words.
        case unknown(type: UInt8, specific: UInt8, body: [UInt8])
    }

    public var ssrc: SSRC
    public var blocks: [Block]

    public init(ssrc: SSRC, blocks: [Block]) {
        self.ssrc = ssrc
        self.blocks = blocks
    }

    init(body reader: inout RTCPReader) throws(RTPError) {
        ssrc = SSRC(try reader.uint32())
        blocks = []
        while !reader.isAtEnd {
            let type = try reader.uint8()
            let specific = try reader.uint8()
            let at = reader.offset
            let length = Int(try reader.uint16()) * 4
            var body = try reader.slice(length)
            switch type {
            case 4:
                guard length == 8 else { throw .invalidLength(offset: at) }
                blocks.append(.receiverReferenceTime(NTPTime(rawValue: try body.uint64())))
            case 5:
                guard length % 12 == 0 else { throw .invalidLength(offset: at) }
                var reports: [LastReceiverReport] = []
                while !body.isAtEnd {
                    reports.append(
                        LastReceiverReport(
                            ssrc: SSRC(try body.uint32()), lastReceiverReport: try body.uint32(),
                            delay: try body.uint32()))
                }
                blocks.append(.delaySinceLastReceiverReport(reports))
            default:
                blocks.append(.unknown(type: type, specific: specific, body: body.rest()))
            }
        }
    }

    func write(into bytes: inout [UInt8]) {
        writeRTCP(type: 207, count: 0, into: &bytes) { bytes in
            bytes.append(ssrc.rawValue)
            for block in blocks {
                let start = bytes.count
                switch block {
                case .receiverReferenceTime(let time):
                    bytes.append(0x0400_0000 as UInt32)
                    bytes.append(time.rawValue)
                case .delaySinceLastReceiverReport(let reports):
                    bytes.append(0x0500_0000 as UInt32)
                    for report in reports {
                        bytes.append(report.ssrc.rawValue)
                        bytes.append(report.lastReceiverReport)
                        bytes.append(report.delay)
                    }
                case .unknown(let type, let specific, let body):
                    bytes.append(type)
                    bytes.append(specific)
                    bytes.append(0 as UInt16)
                    bytes.append(contentsOf: body)
                }
                while (bytes.count - start) % 4 != 0 { bytes.append(0 as UInt8) }
                bytes.overwrite(UInt16(truncatingIfNeeded: (bytes.count - start) / 4 - 1), at: start + 2)
            }
        }
    }
}
