import Primitives

// The wire form of transport-wide feedback: status chunks, then receive deltas (draft-holmer-…-01 §3.1.1–§3.1.5).

extension TransportFeedback {
    private enum Symbol {
        static let notReceived: UInt8 = 0
        static let smallDelta: UInt8 = 1
        static let largeDelta: UInt8 = 2
    }

    init(body reader: inout RTCPReader) throws(RTPError) {
        senderSSRC = SSRC(try reader.uint32())
        mediaSSRC = SSRC(try reader.uint32())
        baseSequence = SequenceNumber(try reader.uint16())
        let at = reader.offset
        let count = Int(try reader.uint16())
        guard count <= Self.maximumPackets else { throw .limitExceeded(offset: at) }
        let field = try reader.uint32()
        referenceTime = Int32(bitPattern: field) >> 8
        feedbackCount = UInt8(truncatingIfNeeded: field)
        var symbols: [UInt8] = []
        symbols.reserveCapacity(count)
        while symbols.count < count {
            let at = reader.offset
            let chunk = try reader.uint16()
            let missing = count - symbols.count
            if chunk & 0x8000 == 0 {
                let symbol = UInt8(truncatingIfNeeded: chunk >> 13 & 3)
                guard symbol != 3 else { throw .invalidValue(offset: at) }
                symbols.append(contentsOf: repeatElement(symbol, count: Swift.min(missing, Int(chunk & 0x1FFF))))
                // A run of nothing would let a peer send chunks without end; it says nothing, so it is an error.
                guard chunk & 0x1FFF != 0 else { throw .invalidValue(offset: at) }
            } else if chunk & 0x4000 == 0 {
                for bit in 0..<Swift.min(missing, 14) {
                    symbols.append(UInt8(truncatingIfNeeded: chunk >> UInt16(truncatingIfNeeded: 13 - bit) & 1))
                }
            } else {
                for pair in 0..<Swift.min(missing, 7) {
                    let symbol = UInt8(truncatingIfNeeded: chunk >> UInt16(truncatingIfNeeded: 12 - 2 * pair) & 3)
                    guard symbol != 3 else { throw .invalidValue(offset: at) }
                    symbols.append(symbol)
                }
            }
        }
        deltas = []
        deltas.reserveCapacity(count)
        for symbol in symbols {
            switch symbol {
            case Symbol.smallDelta: deltas.append(Int16(try reader.uint8()))
            case Symbol.largeDelta: deltas.append(Int16(bitPattern: try reader.uint16()))
            default: deltas.append(nil)
            }
        }
    }

    func write(into bytes: inout [UInt8]) {
        let start = bytes.count
        var padding = 0
        writeRTCP(type: 205, count: 15, into: &bytes) { bytes in
            bytes.append(senderSSRC.rawValue)
            bytes.append(mediaSSRC.rawValue)
            let written = deltas.prefix(Self.maximumPackets)
            bytes.append(baseSequence.rawValue)
            bytes.append(UInt16(truncatingIfNeeded: written.count))
            bytes.append24(UInt32(bitPattern: referenceTime) & 0xFF_FFFF)
            bytes.append(feedbackCount)
            Self.writeChunks(written.map(Self.symbol(of:)), into: &bytes)
            for case let delta? in written {
                if Self.symbol(of: delta) == Symbol.smallDelta {
                    bytes.append(UInt8(truncatingIfNeeded: delta))
                } else {
                    bytes.append(UInt16(bitPattern: delta))
                }
            }
            padding = (4 - (bytes.count - start) % 4) % 4
        }
        // Deltas end anywhere: the zeros up to a word are padding, and say so (RFC 3550 §6.4.1).
        if padding > 0 {
            bytes[start] |= 0x20
            bytes[bytes.count - 1] = UInt8(truncatingIfNeeded: padding)
        }
    }

    private static func symbol(of delta: Int16?) -> UInt8 {
        guard let delta else { return Symbol.notReceived }
        return (0...255).contains(delta) ? Symbol.smallDelta : Symbol.largeDelta
    }

    /// A run where one is long, else a vector of one-bit symbols where no delta is large, else of two-bit ones.
    private static func writeChunks(_ symbols: [UInt8], into bytes: inout [UInt8]) {
        var index = 0
        while index < symbols.count {
            let symbol = symbols[index]
            let rest = symbols[index...]
            let run = rest.prefix(0x1FFF).prefix { $0 == symbol }.count
            let window = rest.prefix(14)
            let hasLarge = window.contains(Symbol.largeDelta)
            if run >= 14 || run == rest.count || (hasLarge && run >= 7) {
                bytes.append(UInt16(symbol) << 13 | UInt16(truncatingIfNeeded: run))
                index += run
            } else if !hasLarge {
                var chunk: UInt16 = 0x8000
                for (position, symbol) in window.enumerated() {
                    chunk |= UInt16(symbol) << UInt16(truncatingIfNeeded: 13 - position)
                }
                bytes.append(chunk)
                index += window.count
            } else {
                var chunk: UInt16 = 0xC000
                let pairs = rest.prefix(7)
                for (position, symbol) in pairs.enumerated() {
                    chunk |= UInt16(symbol) << UInt16(truncatingIfNeeded: 12 - 2 * position)
                }
                bytes.append(chunk)
                index += pairs.count
            }
        }
    }
}
