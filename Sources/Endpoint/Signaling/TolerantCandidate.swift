import SDP

/// A candidate as applications write it, which is not always as RFC 8839 §5.1 wants it.
///
/// Old Android clients put numbers before it and leave a colon after it:
/// `0:0:candidate:4020260996 1 udp 2122260223 10.0.0.9 52652 typ host … network-cost 50: `.
struct TolerantCandidate {
    var attribute: CandidateAttribute
    /// What was passed over, where something was.
    var tolerated: String?

    /// - Throws: what is wrong with the text as it came.
    init(parsing text: String) throws {
        do {
            attribute = try CandidateAttribute(parsing: text)
        } catch {
            let (core, before, after) = Self.core(of: text)
            guard !before.isEmpty || !after.isEmpty, let attribute = try? CandidateAttribute(parsing: core) else {
                throw error
            }
            self.attribute = attribute
            tolerated = "passed over \"\(before.prefix(32))\" before and \"\(after.prefix(32))\" after it"
        }
    }

    private static func core(of text: String) -> (core: String, before: Substring, after: Substring) {
        let start = text.firstRange(of: "candidate:")?.lowerBound ?? text.startIndex
        var core = text[start...]
        while let last = core.last, last == ":" || last == ";" || last == "," || last.isWhitespace { core.removeLast() }
        return (String(core), text[..<start], text[core.endIndex...])
    }
}
