/// A JSON document (RFC 8259) as far as signalling needs it: read from bytes that anyone may have sent.
///
/// Depth and size are bounded, nothing traps, and what is not JSON is an error that says where. Of members with one name
/// the first counts.
public indirect enum JSONText: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONText])
    case object([Member])

    public struct Member: Hashable, Sendable {
        public var name: String
        public var value: JSONText
    }

    /// How deep arrays and objects may lie in each other.
    public static let maximumDepth = 16

    public init(parsing text: String) throws(MessageError) {
        var parser = JSONParser(Array(text.utf8))
        self = try parser.document()
    }

    public subscript(name: String) -> JSONText? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [JSONText]? { if case .array(let values) = self { values } else { nil } }

    /// A string as JSON writes it, with its quotes.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x2028 || scalar.value == 0x2029:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// What is wrong with a message, in words for its sender.
public struct MessageError: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}
