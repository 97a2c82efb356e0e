/// `a=fingerprint` (RFC 8122 §5): the hash of a certificate.
public struct FingerprintAttribute: Hashable, Sendable {
    /// The name of the hash function in lower case, such as `sha-256`.
    public var hashFunction: String
    public var bytes: [UInt8]

    public init(hashFunction: String = "sha-256", bytes: [UInt8]) {
        self.hashFunction = hashFunction
        self.bytes = bytes
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let name = reader.word()?.lowercased(), var digits = reader.token(), reader.rest() == nil else {
            throw Malformed("it needs a hash function and a hash", "write a=fingerprint:sha-256 AB:CD:…")
        }
        hashFunction = name
        bytes = []
        while !digits.isAtEnd {
            let field = digits.field(before: .colon)
            guard field.count == 2, field.all({ $0.isAlphanumeric }), let byte = UInt8(field.text, radix: 16) else {
                throw Malformed(
                    "the hash is not pairs of hexadecimal digits with colons between", "write AB:CD:… to the end")
            }
            bytes.append(byte)
        }
        if let length = Self.length(of: name), bytes.count != length {
            throw Malformed(
                "the hash has \(bytes.count) bytes where \(name) has \(length)", "copy the fingerprint whole")
        }
    }

    private static func length(of hashFunction: String) -> Int? {
        switch hashFunction {
        case "md2", "md5": 16
        case "sha-1": 20
        case "sha-224": 28
        case "sha-256": 32
        case "sha-384": 48
        case "sha-512": 64
        default: nil
        }
    }
}

extension FingerprintAttribute: CustomStringConvertible {
    public var description: String {
        let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }
        return "\(hashFunction) \(digits.joined(separator: ":"))"
    }
}

/// `a=setup` (RFC 4145 §4, RFC 8842 §5): who opens the DTLS handshake.
public enum SetupRole: String, Hashable, Sendable {
    /// Client: sends the first ClientHello.
    case active
    /// Server.
    case passive
    /// Either, the answerer chooses.
    case actpass
    case holdconn
}

/// `a=sendrecv` and its siblings (RFC 8866 §6.7), from the view of whoever wrote the description.
public enum MediaDirection: String, Hashable, Sendable, CaseIterable {
    case sendReceive = "sendrecv"
    case sendOnly = "sendonly"
    case receiveOnly = "recvonly"
    case inactive

    public init(sends: Bool, receives: Bool) {
        self =
            switch (sends, receives) {
            case (true, true): .sendReceive
            case (true, false): .sendOnly
            case (false, true): .receiveOnly
            case (false, false): .inactive
            }
    }
    public var sends: Bool { self == .sendReceive || self == .sendOnly }
    public var receives: Bool { self == .sendReceive || self == .receiveOnly }
    /// The same from the other side's view.
    public var reversed: MediaDirection { MediaDirection(sends: receives, receives: sends) }
    public func intersection(_ other: MediaDirection) -> MediaDirection {
        MediaDirection(sends: sends && other.sends, receives: receives && other.receives)
    }
}
