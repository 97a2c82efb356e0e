import Primitives

/// What a multicast DNS message says of addresses (RFC 6762, RFC 1035 §4): the names asked for, and those told. Records of
/// other types are passed over.
public struct MulticastDNSMessage: Hashable, Sendable {
    public struct Address: Hashable, Sendable {
        /// In lower case, labels joined by dots, without a final one.
        public var name: String
        public var address: IPAddress

        public init(name: String, address: IPAddress) {
            self.name = name
            self.address = address
        }
    }

    public var isResponse: Bool
    /// Names asked for, of whatever type.
    public var questions: [String]
    public var addresses: [Address]

    /// Records looked at in one message.
    public static let maximumRecords = 64

    public init(isResponse: Bool, questions: [String] = [], addresses: [Address] = []) {
        self.isResponse = isResponse
        self.questions = questions
        self.addresses = addresses
    }

    /// - Throws: `MulticastDNSError` for what is not a message; what follows the first `maximumRecords` is not looked at.
    public init(parsing bytes: [UInt8]) throws(MulticastDNSError) {
        do {
            try self.init(reading: bytes)
        } catch let error as MulticastDNSError {
            throw error
        } catch let error as Truncated {
            throw .truncated(offset: error.offset)
        } catch {
            throw .notUsable
        }
    }

    private init(reading bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        try reader.skip(2)
        let flags = try reader.readUInt16()
        // RFC 6762 §18.3, §18.11: others than standard queries without an error are to be ignored.
        guard flags & 0x780F == 0 else { throw MulticastDNSError.notUsable }
        isResponse = flags & 0x8000 != 0
        let questionCount = Int(try reader.readUInt16())
        let records =
            Int(try reader.readUInt16()) + Int(try reader.readUInt16()) + Int(try reader.readUInt16())
        questions = []
        addresses = []
        for _ in 0..<Swift.min(questionCount, Self.maximumRecords) {
            questions.append(try Self.name(&reader, in: bytes))
            try reader.skip(4)
        }
        guard questionCount <= Self.maximumRecords else { return }
        for _ in 0..<Swift.min(records, Self.maximumRecords) {
            let name = try Self.name(&reader, in: bytes)
            let type = try reader.readUInt16()
            // The top bit tells caches to forget what they know (RFC 6762 §10.2).
            let isInternet = try reader.readUInt16() & 0x7FFF == 1
            try reader.skip(4)
            let length = Int(try reader.readUInt16())
            let data = try reader.readBytes(length)
            guard isInternet, type == 1 || type == 28, let address = IPAddress(bytes: data),
                (address.family == .ipv4) == (type == 1)
            else { continue }
            addresses.append(Address(name: name, address: address))
        }
    }

    /// A name at the reader's place (RFC 1035 §4.1.4). A pointer leads to an earlier place only, so every name ends.
    private static func name(_ reader: inout ByteReader, in bytes: [UInt8]) throws -> String {
        var labels: [String] = []
        var length = 0
        var inner = reader
        var isOuter = true
        var limit = reader.offset
        while true {
            let at = inner.offset
            let head = Int(try inner.readUInt8())
            switch head {
            case 0:
                if isOuter { reader = inner }
                return labels.joined(separator: ".")
            case 1...63:
                length += head + 1
                guard length < 255 else { throw MulticastDNSError.invalidName(offset: at) }
                labels.append(String(decoding: try inner.readBytes(head), as: UTF8.self).lowercased())
            case 0xC0...0xFF:
                let target = (head & 0x3F) << 8 | Int(try inner.readUInt8())
                guard target < limit else { throw MulticastDNSError.invalidName(offset: at) }
                if isOuter { reader = inner }
                isOuter = false
                limit = target
                inner = ByteReader(bytes, in: target..<bytes.count)
            default: throw MulticastDNSError.invalidName(offset: at)
            }
        }
    }

    /// The message as it goes on the wire: questions for both kinds of address, answers with a life of two minutes.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(0 as UInt16)
        bytes.append((isResponse ? 0x8400 : 0) as UInt16)
        bytes.append(UInt16(clamping: questions.count * 2))
        bytes.append(UInt16(clamping: addresses.count))
        bytes.append(0 as UInt32)
        for question in questions {
            for type: UInt16 in [1, 28] {
                Self.append(question, to: &bytes)
                bytes.append(type)
                bytes.append(1 as UInt16)
            }
        }
        for record in addresses {
            let data = record.address.bytes
            Self.append(record.name, to: &bytes)
            bytes.append((data.count == 4 ? 1 : 28) as UInt16)
            bytes.append(0x8001 as UInt16)
            bytes.append(120 as UInt32)
            bytes.append(UInt16(truncatingIfNeeded: data.count))
            bytes.append(contentsOf: data)
        }
        return bytes
    }

    private static func append(_ name: String, to bytes: inout [UInt8]) {
        for label in name.split(separator: ".") {
            let label = Array(label.utf8.prefix(63))
            bytes.append(UInt8(truncatingIfNeeded: label.count))
            bytes.append(contentsOf: label)
        }
        bytes.append(0 as UInt8)
    }
}

/// Why bytes are no multicast DNS message. The datagram is dropped. Offsets are bytes into it.
public enum MulticastDNSError: Error, Hashable, Sendable {
    case truncated(offset: Int)
    /// A label longer than 63 bytes, a name longer than 255, or a pointer that does not lead back.
    case invalidName(offset: Int)
    /// Not a standard query or its answer, or an error.
    case notUsable
}
