import Primitives

/// SDES (RFC 3550 §6.5). At most 31 chunks are written; an item's text is cut at 255 bytes.
public struct SourceDescription: Hashable, Sendable {
    public struct Item: Hashable, Sendable {
        /// 1 is CNAME; 15 is MID (RFC 8843), 12 RtpStreamId, 13 RepairedRtpStreamId (RFC 8852).
        public var type: UInt8
        public var text: [UInt8]

        public init(type: UInt8, text: [UInt8]) {
            self.type = type
            self.text = text
        }
    }

    public struct Chunk: Hashable, Sendable {
        public var ssrc: SSRC
        public var items: [Item]

        public init(ssrc: SSRC, items: [Item]) {
            self.ssrc = ssrc
            self.items = items
        }

        /// The canonical name, which binds the streams of one source (RFC 3550 §6.5.1).
        public var cname: String? {
            items.first { $0.type == 1 }.map { String(decoding: $0.text, as: UTF8.self) }
        }
    }

    public var chunks: [Chunk]

    public init(chunks: [Chunk]) { self.chunks = chunks }

    public init(ssrc: SSRC, cname: String) {
        chunks = [Chunk(ssrc: ssrc, items: [Item(type: 1, text: Array(cname.utf8))])]
    }

    init(body reader: inout RTCPReader, count: Int) throws(RTPError) {
        chunks = []
        let start = reader.offset
        for _ in 0..<count {
            var chunk = Chunk(ssrc: SSRC(try reader.uint32()), items: [])
            while true {
                let type = try reader.uint8()
                if type == 0 { break }
                chunk.items.append(Item(type: type, text: try reader.bytes(Int(try reader.uint8()))))
            }
            let past = (reader.offset - start) % 4
            if past != 0 { try reader.skip(4 - past) }
            chunks.append(chunk)
        }
    }

    func write(into bytes: inout [UInt8]) {
        let written = chunks.prefix(31)
        writeRTCP(type: 202, count: UInt8(truncatingIfNeeded: written.count), into: &bytes) { bytes in
            for chunk in written {
                let start = bytes.count
                bytes.append(chunk.ssrc.rawValue)
                for item in chunk.items where item.type != 0 {
                    let text = item.text.prefix(255)
                    bytes.append(item.type)
                    bytes.append(UInt8(truncatingIfNeeded: text.count))
                    bytes.append(contentsOf: text)
                }
                repeat { bytes.append(0 as UInt8) } while (bytes.count - start) % 4 != 0
            }
        }
    }
}

/// BYE (RFC 3550 §6.6). At most 31 sources are written.
public struct Goodbye: Hashable, Sendable {
    public var sources: [SSRC]
    public var reason: String?

    public init(sources: [SSRC], reason: String? = nil) {
        self.sources = sources
        self.reason = reason
    }

    init(body reader: inout RTCPReader, count: Int) throws(RTPError) {
        sources = []
        for _ in 0..<count { sources.append(SSRC(try reader.uint32())) }
        reason = nil
        if !reader.isAtEnd {
            reason = String(decoding: try reader.bytes(Int(try reader.uint8())), as: UTF8.self)
        }
    }

    func write(into bytes: inout [UInt8]) {
        let written = sources.prefix(31)
        writeRTCP(type: 203, count: UInt8(truncatingIfNeeded: written.count), into: &bytes) { bytes in
            for source in written { bytes.append(source.rawValue) }
            if let reason {
                let text = Array(reason.utf8.prefix(255))
                bytes.append(UInt8(truncatingIfNeeded: text.count))
                bytes.append(contentsOf: text)
            }
        }
    }
}

/// APP (RFC 3550 §6.7).
public struct ApplicationDefined: Hashable, Sendable {
    /// 0...31.
    public var subtype: UInt8
    public var ssrc: SSRC
    /// Four ASCII characters as a number.
    public var name: UInt32
    public var data: [UInt8]

    public init(subtype: UInt8, ssrc: SSRC, name: UInt32, data: [UInt8]) {
        self.subtype = subtype
        self.ssrc = ssrc
        self.name = name
        self.data = data
    }

    init(body reader: inout RTCPReader, subtype: UInt8) throws(RTPError) {
        self.subtype = subtype
        ssrc = SSRC(try reader.uint32())
        name = try reader.uint32()
        data = reader.rest()
    }

    func write(into bytes: inout [UInt8]) {
        writeRTCP(type: 204, count: subtype, into: &bytes) { bytes in
            bytes.append(ssrc.rawValue)
            bytes.append(name)
            bytes.append(contentsOf: data)
        }
    }
}
