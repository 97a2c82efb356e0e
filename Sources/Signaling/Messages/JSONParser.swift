/// Recursive descent over bytes; the recursion is bounded by `JSONText.maximumDepth`.
struct JSONParser {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(MessageError) -> JSONText {
        let value = try value(depth: 0)
        skipSpace()
        guard index == bytes.count else { throw error("something follows the JSON document") }
        return value
    }

    private mutating func value(depth: Int) throws(MessageError) -> JSONText {
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func object(depth: Int) throws(MessageError) -> JSONText {
        guard depth < JSONText.maximumDepth else { throw error("nested too deeply") }
        index += 1
        var members: [JSONText.Member] = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw error("a member's name is missing") }
            let name = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error("':' is missing after \(name.prefix(20))") }
            members.append(JSONText.Member(name: name, value: try value(depth: depth + 1)))
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw error("',' or '}' is missing") }
        }
    }

    private mutating func array(depth: Int) throws(MessageError) -> JSONText {
        guard depth < JSONText.maximumDepth else { throw error("nested too deeply") }
        index += 1
        var values: [JSONText] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(values) }
        while true {
            values.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(values) }
            guard take(UInt8(ascii: ",")) else { throw error("',' or ']' is missing") }
        }
    }

    private mutating func string() throws(MessageError) -> String {
        index += 1
        var content: [UInt8] = []
        while index < bytes.count {
            // What needs no look at each byte goes in at once: descriptions are long.
            let start = index
            while index < bytes.count, isPlain(bytes[index]) { index += 1 }
            content.append(contentsOf: bytes[start..<index])
            guard let byte = peek else { break }
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: content, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(into: &content)
            default: throw error("a control character in a string")
            }
        }
        throw error("a string has no end")
    }

    private func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    private mutating func escape(into content: inout [UInt8]) throws(MessageError) {
        guard let byte = peek else { throw error("a string has no end") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
        case UInt8(ascii: "b"): content.append(0x08 as UInt8)
        case UInt8(ascii: "f"): content.append(0x0C as UInt8)
        case UInt8(ascii: "n"): content.append(0x0A as UInt8)
        case UInt8(ascii: "r"): content.append(0x0D as UInt8)
        case UInt8(ascii: "t"): content.append(0x09 as UInt8)
        case UInt8(ascii: "u"):
            var code = try codeUnit()
            if (0xD800..<0xDC00).contains(code), take(UInt8(ascii: "\\")) {
                guard take(UInt8(ascii: "u")) else { throw error("half of a surrogate pair") }
                let low = try codeUnit()
                guard (0xDC00..<0xE000).contains(low) else { throw error("half of a surrogate pair") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            // A lone surrogate is no character; JSON may hold it, a String may not.
            let scalar = Unicode.Scalar(code) ?? "\u{FFFD}"
            content.append(contentsOf: String(Character(scalar)).utf8)
        default: throw error("an escape that JSON does not know")
        }
    }

    private mutating func codeUnit() throws(MessageError) -> UInt32 {
        guard bytes.count - index >= 4,
            bytes[index..<index + 4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit && $0 < 0x80 }),
            let code = UInt32(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16)
        else { throw error("\\u wants four hexadecimal digits") }
        index += 4
        return code
    }

    private mutating func number() throws(MessageError) -> JSONText {
        let start = index
        while let byte = peek, isNumeric(byte) { index += 1 }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        guard index > start, index - start <= 64, let first = text.first, first == "-" || first.isNumber,
            let value = Double(text), value.isFinite
        else {
            index = start
            throw error("a value is missing or is no JSON")
        }
        return .number(value)
    }

    private func isNumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "e"), UInt8(ascii: "E"):
            true
        default: false
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONText) throws(MessageError) -> JSONText {
        for byte in "\(word)".utf8 {
            guard take(byte) else { throw error("a value is missing or is no JSON") }
        }
        return value
    }

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        index += 1
        return true
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { index += 1 }
    }

    private func error(_ problem: String) -> MessageError { MessageError("not JSON at byte \(index): \(problem)") }
}
