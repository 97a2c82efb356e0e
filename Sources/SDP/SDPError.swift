/// What is wrong with a session description, where, and what to do about it.
public struct SDPError: Error, Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// A line or attribute does not follow its grammar.
        case malformed
        /// Something the grammar requires is not there.
        case missing
        /// A cap of `SessionDescription.Limits` was reached.
        case limit
    }
    public var kind: Kind
    /// The number of the line, from 1; 0 when the text is a single attribute, not a description.
    public var line: Int
    /// The line, shortened to 80 characters.
    public var text: String
    /// What is wrong, as the second half of a sentence about the line.
    public var problem: String
    /// What to do.
    public var remedy: String

    public init(kind: Kind, line: Int, text: String, problem: String, remedy: String) {
        self.kind = kind
        self.line = line
        self.text = shortened(text)
        self.problem = problem
        self.remedy = remedy
    }

    init(_ malformed: Malformed, line: Int, text: String) {
        self.init(kind: .malformed, line: line, text: text, problem: malformed.problem, remedy: malformed.remedy)
    }
}

extension SDPError: CustomStringConvertible {
    public var description: String {
        let place = line > 0 ? "SDP line \(line) “\(text)”" : "SDP attribute “\(text)”"
        return "\(place): \(problem); \(remedy)"
    }
}

/// A grammar violation inside one line, before the line's number is known.
struct Malformed: Error, Hashable, Sendable {
    var problem: String
    var remedy: String

    init(_ problem: String, _ remedy: String) {
        self.problem = problem
        self.remedy = remedy
    }
}

/// At most 80 characters of a line, without control characters that would disturb a terminal or a log.
private func shortened(_ text: String) -> String {
    var result = ""
    var count = 0
    for scalar in text.unicodeScalars {
        if count == 80 { return result + "…" }
        result.unicodeScalars.append(scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) ? "\u{FFFD}" : scalar)
        count += 1
    }
    return result
}
