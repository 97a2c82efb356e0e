/// Walks over the fields of one line. Every read is checked; nothing traps.
struct FieldReader {
    let bytes: [UInt8]
    private(set) var position: Int
    let end: Int

    init(_ bytes: [UInt8], in range: Range<Int>) {
        self.bytes = bytes
        position = Swift.max(0, Swift.min(range.lowerBound, bytes.count))
        end = Swift.max(position, Swift.min(range.upperBound, bytes.count))
    }

    init(_ text: String) {
        bytes = Array(text.utf8)
        position = 0
        end = bytes.count
    }

    var isAtEnd: Bool { position >= end }

    mutating func skipSpaces() {
        while position < end, bytes[position] == .space || bytes[position] == .tab { position &+= 1 }
    }

    /// The bytes up to the next space, tab or the end, leading blanks passed over; `nil` when nothing is left.
    mutating func token() -> FieldReader? {
        skipSpaces()
        let start = position
        while position < end, bytes[position] != .space, bytes[position] != .tab { position &+= 1 }
        return position > start ? FieldReader(bytes, in: start..<position) : nil
    }

    /// The next token as text.
    mutating func word() -> String? { token()?.text }

    /// The bytes before the next `separator`, which is passed over, or all that is left.
    mutating func field(before separator: UInt8) -> FieldReader {
        let start = position
        while position < end, bytes[position] != separator { position &+= 1 }
        let field = FieldReader(bytes, in: start..<position)
        if position < end { position &+= 1 }
        return field
    }

    /// Passes over `prefix` when the rest begins with it, letter case aside.
    mutating func skip(prefix: StaticString) -> Bool {
        let wanted = Array(prefix.description.utf8)
        guard end &- position >= wanted.count else { return false }
        for (index, byte) in wanted.enumerated() where bytes[position &+ index].lowercased != byte.lowercased {
            return false
        }
        position &+= wanted.count
        return true
    }

    /// What is not read yet.
    var text: String { String(decoding: bytes[position..<end], as: UTF8.self) }

    /// What is not read yet, without blanks at either end; `nil` when nothing is left.
    mutating func rest() -> String? {
        skipSpaces()
        var last = end
        while last > position, bytes[last &- 1] == .space || bytes[last &- 1] == .tab { last &-= 1 }
        defer { position = end }
        return last > position ? String(decoding: bytes[position..<last], as: UTF8.self) : nil
    }

    /// All of what is not read yet as a decimal number: digits only, no sign.
    func number<Number: FixedWidthInteger>(as: Number.Type = Number.self) -> Number? {
        guard end > position, end &- position <= 20 else { return nil }
        var value: UInt64 = 0
        for index in position..<end {
            let digit = bytes[index] &- 48
            guard digit <= 9 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return Number(exactly: value)
    }

    func all(_ isAllowed: (UInt8) -> Bool) -> Bool {
        for index in position..<end where !isAllowed(bytes[index]) { return false }
        return true
    }

    var count: Int { end &- position }
}

extension UInt8 {
    static let space = UInt8(ascii: " ")
    static let tab = UInt8(ascii: "\t")
    static let colon = UInt8(ascii: ":")
    static let slash = UInt8(ascii: "/")
    static let semicolon = UInt8(ascii: ";")
    static let comma = UInt8(ascii: ",")
    static let equals = UInt8(ascii: "=")

    var lowercased: UInt8 { (65...90).contains(self) ? self | 0x20 : self }
    var isDigit: Bool { (48...57).contains(self) }
    var isAlphanumeric: Bool { isDigit || (97...122).contains(lowercased) }
    /// RFC 8839 §5.1: ALPHA / DIGIT / "+" / "/".
    var isICECharacter: Bool { isAlphanumeric || self == UInt8(ascii: "+") || self == .slash }
    /// RFC 8866 §9 token-char.
    var isTokenCharacter: Bool {
        switch self {
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x30...0x39, 0x41...0x5A, 0x5E...0x7E: true
        default: false
        }
    }
}
