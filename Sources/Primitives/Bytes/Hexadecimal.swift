extension Sequence<UInt8> {
    /// Two lower-case hexadecimal digits a byte.
    public var hexadecimal: String {
        var text = ""
        for byte in self {
            text.append(hexadecimalDigits[Int(byte >> 4)])
            text.append(hexadecimalDigits[Int(byte & 15)])
        }
        return text
    }
}

extension [UInt8] {
    /// Bytes from hexadecimal digits; white space between them is passed over, anything else gives `nil`.
    public init?(hexadecimal text: some StringProtocol) {
        self.init()
        var upper: UInt8?
        for character in text where !character.isWhitespace {
            guard character.isASCII, let digit = character.hexDigitValue else { return nil }
            if let high = upper {
                append(high << 4 | UInt8(digit))
                upper = nil
            } else {
                upper = UInt8(digit)
            }
        }
        if upper != nil { return nil }
    }
}

private let hexadecimalDigits: [Character] = Array("0123456789abcdef")
