import Primitives

/// PLI (RFC 4585 §6.3.1): the decoder lost the picture and wants a keyframe.
public struct PictureLossIndication: Hashable, Sendable {
    public var senderSSRC: SSRC
    public var mediaSSRC: SSRC

    public init(senderSSRC: SSRC, mediaSSRC: SSRC) {
        self.senderSSRC = senderSSRC
        self.mediaSSRC = mediaSSRC
    }

    init(body reader: inout RTCPReader) throws(RTPError) {
        senderSSRC = SSRC(try reader.uint32())
        mediaSSRC = SSRC(try reader.uint32())
    }

    func write(into bytes: inout [UInt8]) {
        writeRTCP(type: 206, count: 1, into: &bytes) { bytes in
            bytes.append(senderSSRC.rawValue)
            bytes.append(mediaSSRC.rawValue)
        }
    }
}

/// FIR (RFC 5104 §4.3.1): a command to send a keyframe.
public struct FullIntraRequest: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var ssrc: SSRC
        /// Grows by one with each new command; a repeat bears the same number.
        public var command: UInt8

        public init(ssrc: SSRC, command: UInt8) {
            self.ssrc = ssrc
            self.command = command
        }
    }

    public var senderSSRC: SSRC
    public var entries: [Entry]

    public init(senderSSRC: SSRC, entries: [Entry]) {
        self.senderSSRC = senderSSRC
        self.entries = entries
    }

    init(body reader: inout RTCPReader) throws(RTPError) {
        senderSSRC = SSRC(try reader.uint32())
        try reader.skip(4)
        entries = []
        while !reader.isAtEnd {
            let ssrc = SSRC(try reader.uint32())
            entries.append(Entry(ssrc: ssrc, command: try reader.uint8()))
            try reader.skip(3)
        }
    }

    func write(into bytes: inout [UInt8]) {
        writeRTCP(type: 206, count: 4, into: &bytes) { bytes in
            bytes.append(senderSSRC.rawValue)
            bytes.append(0 as UInt32)
            for entry in entries {
                bytes.append(entry.ssrc.rawValue)
                bytes.append(UInt32(entry.command) << 24)
            }
        }
    }
}

/// REMB (draft-alvestrand-rmcat-remb-03 §2.2): a receiver's estimate of what the path carries.
public struct ReceiverEstimatedMaximumBitrate: Hashable, Sendable {
    public var senderSSRC: SSRC
    /// Bits per second; 18 bits of precision on the wire.
    public var bitrate: UInt64
    /// At most 255 are written.
    public var sources: [SSRC]

    public init(senderSSRC: SSRC, bitrate: UInt64, sources: [SSRC]) {
        self.senderSSRC = senderSSRC
        self.bitrate = bitrate
        self.sources = sources
    }

    static let name: UInt32 = 0x5245_4D42

    /// Whether application-layer feedback is this one.
    static func matches(_ reader: RTCPReader) -> Bool {
        var copy = reader
        guard (try? copy.skip(8)) != nil, let found = try? copy.uint32() else { return false }
        return found == name
    }

    init(body reader: inout RTCPReader) throws(RTPError) {
        senderSSRC = SSRC(try reader.uint32())
        try reader.skip(8)
        let count = Int(try reader.uint8())
        let field = try reader.uint24()
        bitrate = shifted(mantissa: field & 0x3_FFFF, exponent: field >> 18)
        sources = []
        for _ in 0..<count { sources.append(SSRC(try reader.uint32())) }
    }

    func write(into bytes: inout [UInt8]) {
        let written = sources.prefix(255)
        writeRTCP(type: 206, count: 15, into: &bytes) { bytes in
            bytes.append(senderSSRC.rawValue)
            bytes.append(0 as UInt32)
            bytes.append(Self.name)
            bytes.append(UInt8(truncatingIfNeeded: written.count))
            let (mantissa, exponent) = scaled(bitrate, bits: 18)
            bytes.append24(exponent << 18 | mantissa)
            for source in written { bytes.append(source.rawValue) }
        }
    }
}

/// TMMBR and TMMBN (RFC 5104 §4.2.1, §4.2.2): a request for a maximum bitrate, and the notification of what is obeyed.
public struct TemporaryMaximumBitrate: Hashable, Sendable {
    public struct Entry: Hashable, Sendable {
        public var ssrc: SSRC
        /// Bits per second; 17 bits of precision on the wire.
        public var bitrate: UInt64
        /// Measured bytes a packet below RTP: 0...511.
        public var overhead: UInt16

        public init(ssrc: SSRC, bitrate: UInt64, overhead: UInt16) {
            self.ssrc = ssrc
            self.bitrate = bitrate
            self.overhead = overhead
        }
    }

    public var senderSSRC: SSRC
    public var entries: [Entry]

    public init(senderSSRC: SSRC, entries: [Entry]) {
        self.senderSSRC = senderSSRC
        self.entries = entries
    }

    init(body reader: inout RTCPReader) throws(RTPError) {
        senderSSRC = SSRC(try reader.uint32())
        try reader.skip(4)
        entries = []
        while !reader.isAtEnd {
            let ssrc = SSRC(try reader.uint32())
            let field = try reader.uint32()
            entries.append(
                Entry(
                    ssrc: ssrc, bitrate: shifted(mantissa: field >> 9 & 0x1_FFFF, exponent: field >> 26),
                    overhead: UInt16(truncatingIfNeeded: field & 0x1FF)))
        }
    }

    func write(format: UInt8, into bytes: inout [UInt8]) {
        writeRTCP(type: 205, count: format, into: &bytes) { bytes in
            bytes.append(senderSSRC.rawValue)
            bytes.append(0 as UInt32)
            for entry in entries {
                let (mantissa, exponent) = scaled(entry.bitrate, bits: 17)
                bytes.append(entry.ssrc.rawValue)
                bytes.append(exponent << 26 | mantissa << 9 | UInt32(entry.overhead & 0x1FF))
            }
        }
    }
}

/// mantissa × 2^exponent, saturating.
private func shifted(mantissa: UInt32, exponent: UInt32) -> UInt64 {
    let value = UInt64(mantissa)
    guard value == 0 || value.leadingZeroBitCount >= Int(exponent) else { return .max }
    return value << UInt64(exponent)
}

private func scaled(_ value: UInt64, bits: Int) -> (mantissa: UInt32, exponent: UInt32) {
    let exponent = Swift.max(0, 64 - value.leadingZeroBitCount - bits)
    return (UInt32(truncatingIfNeeded: value >> UInt64(exponent)), UInt32(exponent))
}
