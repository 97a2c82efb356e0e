/// What was passed over to make sense of a candidate's text.
public enum CandidateTolerance: Hashable, Sendable {
    /// Text before `candidate:`, such as the `0:0:` of some Android clients (m-line index and component).
    case prefix(String)
    /// Punctuation, or a name without a value, after the last field that makes sense.
    case suffix(String)
}

extension CandidateTolerance: CustomStringConvertible {
    public var description: String {
        switch self {
        case .prefix(let text): "\"\(text)\" before candidate:"
        case .suffix(let text): "\"\(text)\" at the end"
        }
    }
}

extension CandidateAttribute {
    /// Parses a candidate as clients send it who do not keep to the grammar:
    ///
    ///     0:0:candidate:4020260996 1 udp 2122260223 192.0.2.9 52652 typ host generation 0 network-cost 50:␠
    ///
    /// What is a candidate by the grammar is read as `init(parsing:)` does, and nothing is tolerated then. Otherwise text
    /// before `candidate:` and junk at the end are passed over, and told. The fields themselves must be right: a candidate
    /// with a wrong address is worse than none.
    ///
    /// - Parameter tolerated: what was passed over, in order; empty for a candidate that is as it should be.
    public init(tolerating text: String, tolerated: inout [CandidateTolerance]) throws(SDPError) {
        tolerated = []
        let bytes = Array(text.utf8)
        guard bytes.count <= Self.maximumTolerated else {
            throw SDPError(
                Malformed(
                    "the candidate has \(bytes.count) bytes where \(Self.maximumTolerated) are the most",
                    "send one candidate a message"), line: 0, text: "")
        }
        var body = bytes[...]
        if let start = Self.keyword(in: bytes) {
            var prefix = String(decoding: bytes[..<start], as: UTF8.self).trimmingBlanks
            if prefix == "a=" || prefix == "A=" { prefix = "" }
            if !prefix.isEmpty { tolerated.append(.prefix(prefix)) }
            body = bytes[start...]
        }
        var suffix: [UInt8] = []
        while let last = body.last, Self.isPunctuation(last) || Self.isBlank(last) {
            suffix.insert(last, at: 0)
            body.removeLast()
        }
        var junk = suffix.contains(where: Self.isPunctuation) ? String(decoding: suffix, as: UTF8.self) : ""
        let failure: SDPError
        do {
            self = try CandidateAttribute(parsing: String(decoding: body, as: UTF8.self))
            if !junk.isEmpty { tolerated.append(.suffix(junk.trimmingBlanks)) }
            return
        } catch { failure = error }
        // A name whose value is missing: without it the rest may stand.
        guard let blank = body.lastIndex(where: Self.isBlank) else { throw failure }
        junk = (String(decoding: body[(blank + 1)...], as: UTF8.self) + junk).trimmingBlanks
        do {
            self = try CandidateAttribute(parsing: String(decoding: body[..<blank], as: UTF8.self))
        } catch { throw failure }
        tolerated.append(.suffix(junk))
    }

    /// Longer ones are refused: a candidate by the grammar has a few hundred bytes.
    private static let maximumTolerated = 2_048

    private static func isBlank(_ byte: UInt8) -> Bool { [9, 10, 13, 32].contains(byte) }
    private static func isPunctuation(_ byte: UInt8) -> Bool { Array(":;,\"'".utf8).contains(byte) }

    /// Where `candidate:` begins, in letters of either case.
    private static func keyword(in bytes: [UInt8]) -> Int? {
        let word = Array("candidate:".utf8)
        guard bytes.count >= word.count else { return nil }
        return (0...bytes.count - word.count).first { start in
            word.indices.allSatisfy { bytes[start + $0] == word[$0] || bytes[start + $0] | 0x20 == word[$0] }
        }
    }
}

extension String {
    fileprivate var trimmingBlanks: String {
        var rest = unicodeScalars[...]
        while let first = rest.first, first.value <= 32 { rest.removeFirst() }
        while let last = rest.last, last.value <= 32 { rest.removeLast() }
        return String(rest)
    }
}
