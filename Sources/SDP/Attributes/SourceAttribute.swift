import Primitives

/// `a=ssrc` (RFC 5576 §4.1): an attribute of one source, `cname:…` or `msid:…`.
public struct SourceAttribute: Hashable, Sendable {
    public var ssrc: SSRC
    public var name: String
    public var value: String?

    public init(ssrc: SSRC, name: String, value: String?) {
        self.ssrc = ssrc
        self.name = name
        self.value = value
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let number = reader.token()?.number(as: UInt32.self) else {
            throw Malformed("the source must be a 32-bit number", "write a=ssrc:<number> cname:<text>")
        }
        ssrc = SSRC(number)
        reader.skipSpaces()
        let field = reader.field(before: .colon)
        guard field.count > 0 else {
            throw Malformed("no attribute follows the source", "write a=ssrc:<number> cname:<text>")
        }
        name = field.text
        value = reader.isAtEnd ? nil : reader.text
    }
}

extension SourceAttribute: CustomStringConvertible {
    public var description: String { "\(ssrc) \(name)" + (value.map { ":\($0)" } ?? "") }
}

/// `a=ssrc-group` (RFC 5576 §4.2): sources that belong together, `FID` for retransmission, `SIM` for layers.
public struct SourceGroup: Hashable, Sendable {
    public var semantics: String
    public var ssrcs: [SSRC]

    public init(semantics: String, ssrcs: [SSRC]) {
        self.semantics = semantics
        self.ssrcs = ssrcs
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let word = reader.word() else {
            throw Malformed("the group has no semantics", "write a=ssrc-group:FID <number> <number>")
        }
        semantics = word
        ssrcs = []
        while let field = reader.token() {
            guard let number = field.number(as: UInt32.self) else {
                throw Malformed("a source of the group is no 32-bit number", "write a=ssrc-group:FID <number> <number>")
            }
            ssrcs.append(SSRC(number))
        }
    }
}

extension SourceGroup: CustomStringConvertible {
    public var description: String { ([semantics] + ssrcs.map(\.description)).joined(separator: " ") }
}
