/// A JSON document whose objects keep their members in the order they were written, so that reports read well.
public indirect enum JSONValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    public struct Member: Hashable, Sendable {
        public var name: String
        public var value: JSONValue

        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// Puts a member into an object: after another, or at the end where that is not there.
    mutating func insert(_ name: String, _ value: JSONValue, after other: String) {
        guard case .object(var members) = self else { return }
        let index = members.firstIndex { $0.name == other }.map { $0 + 1 } ?? members.endIndex
        members.insert(Member(name, value), at: index)
        self = .object(members)
    }

    /// The member of an object; `nil` where there is none or this is no object.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(floatLiteral value: Double) { self = .number(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(nilLiteral: ()) { self = .null }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(elements.map { Member($0.0, $0.1) })
    }

    public init(_ value: Int?) { self = value.map { .integer(Int64($0)) } ?? .null }
    public init(_ value: Int64?) { self = value.map(JSONValue.integer) ?? .null }
    public init(_ value: String?) { self = value.map(JSONValue.string) ?? .null }
    /// A number with at most three decimals, which is what people read in a report; `nil` and NaN become null.
    public init(rounded value: Double?) {
        guard let value, value.isFinite else {
            self = .null
            return
        }
        self = .number((value * 1000).rounded() / 1000)
    }
}

extension JSONValue {
    /// One line, as NDJSON wants it.
    public var line: String {
        var text = ""
        write(into: &text, indent: nil)
        return text
    }

    /// Indented by two spaces a level, short arrays and objects of scalars on a line of their own.
    public var pretty: String {
        var text = ""
        write(into: &text, indent: 0)
        return text
    }

    private func write(into text: inout String, indent: Int?) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .integer(let value): text += String(value)
        case .number(let value):
            if let whole = Int64(exactly: value) { text += String(whole) } else { text += "\(value)" }
        case .string(let value): writeString(value, into: &text)
        case .array(let values):
            writeList(values.map { (nil, $0) }, brackets: ("[", "]"), into: &text, indent: indent)
        case .object(let members):
            writeList(members.map { ($0.name, $0.value) }, brackets: ("{", "}"), into: &text, indent: indent)
        }
    }

    private func writeList(
        _ items: [(String?, JSONValue)], brackets: (String, String), into text: inout String, indent: Int?
    ) {
        text += brackets.0
        for (index, item) in items.enumerated() {
            if index > 0 { text += "," }
            if let indent { text += "\n" + String(repeating: "  ", count: indent + 1) }
            if let name = item.0 {
                writeString(name, into: &text)
                text += indent == nil ? ":" : ": "
            }
            item.1.write(into: &text, indent: indent.map { $0 + 1 })
        }
        if let indent, !items.isEmpty { text += "\n" + String(repeating: "  ", count: indent) }
        text += brackets.1
    }
}

private func writeString(_ value: String, into text: inout String) {
    text += "\""
    for scalar in value.unicodeScalars {
        switch scalar {
        case "\"": text += "\\\""
        case "\\": text += "\\\\"
        case "\n": text += "\\n"
        case "\r": text += "\\r"
        case "\t": text += "\\t"
        case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
            let digits = String(scalar.value, radix: 16)
            text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: text.unicodeScalars.append(scalar)
        }
    }
    text += "\""
}
