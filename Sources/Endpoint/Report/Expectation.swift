/// A condition on a value of the report, such as `setup < 1s` or `video.freezes == 0` (`--expect`).
///
/// Grammar: `PATH OP VALUE`. PATH names members of the report, dots between; OP is `<`, `<=`, `>`, `>=`, `==`, `!=`;
/// VALUE is a number with an optional unit, `true`, `false`, `null` or a word. Times in the report are milliseconds,
/// bit rates bit/s, fractions 0 ... 1: the units `us ms s min h`, `kbps mbps` and `%` are turned into those.
public struct Expectation: Hashable, Sendable {
    public enum Comparison: String, Sendable, CaseIterable {
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case greater = ">"
    }

    public var text: String
    public var path: [String]
    public var comparison: Comparison
    public var value: JSONValue

    public init(parsing text: String) throws(ExpectationError) {
        self.text = text
        var found: (Comparison, Range<String.Index>)?
        search: for index in text.indices {
            for comparison in Comparison.allCases where text[index...].hasPrefix(comparison.rawValue) {
                found = (comparison, index..<text.index(index, offsetBy: comparison.rawValue.count))
                break search
            }
        }
        guard let (comparison, range) = found else { throw .noComparison(text) }
        let path = text[..<range.lowerBound].filter { !$0.isWhitespace }
        let value = trimmed(text[range.upperBound...])
        guard !path.isEmpty, !path.hasPrefix("."), !path.hasSuffix("."), !path.contains("..") else {
            throw .noPath(text)
        }
        guard !value.isEmpty else { throw .noValue(text) }
        self.path = path.split(separator: ".").map(String.init)
        self.comparison = comparison
        self.value = try parseValue(value)
    }

    /// What came of it. A path that the report does not have fails, and the reason names what is there.
    public func evaluate(on report: JSONValue) -> ExpectationResult {
        var current = report
        for (depth, name) in path.enumerated() {
            if case .array(let values) = current, let index = Int(name), values.indices.contains(index) {
                current = values[index]
                continue
            }
            guard let next = current[name] else {
                let place = depth == 0 ? "the report" : path[..<depth].joined(separator: ".")
                return ExpectationResult(
                    expectation: text, held: false, actual: nil,
                    reason: "\(place) has no member \"\(name)\"; it has \(memberNames(current))")
            }
            current = next
        }
        let held = holds(current)
        return ExpectationResult(
            expectation: text, held: held, actual: current,
            reason: held ? "holds" : "\(path.joined(separator: ".")) is \(current.line)")
    }

    private func holds(_ actual: JSONValue) -> Bool {
        if let a = actual.asDouble, let b = value.asDouble {
            switch comparison {
            case .less: return a < b
            case .lessOrEqual: return a <= b
            case .greater: return a > b
            case .greaterOrEqual: return a >= b
            case .equal: return a == b
            case .notEqual: return a != b
            }
        }
        // Without numbers on both sides only (in)equality means something; an order comparison with null is false.
        switch comparison {
        case .equal: return actual == value
        case .notEqual: return actual != value
        default: return false
        }
    }
}

public struct ExpectationResult: Hashable, Sendable {
    public var expectation: String
    public var held: Bool
    public var actual: JSONValue?
    public var reason: String
}

public enum ExpectationError: Error, Hashable, Sendable, CustomStringConvertible {
    case noComparison(String)
    case noPath(String)
    case noValue(String)
    case badValue(String)

    public var description: String {
        switch self {
        case .noComparison(let text):
            "--expect '\(text)': no comparison in it; write PATH OP VALUE with one of < <= > >= == !=, as 'setup < 1s'"
        case .noPath(let text): "--expect '\(text)': no report member before the comparison, as in 'video.freezes == 0'"
        case .noValue(let text): "--expect '\(text)': no value after the comparison, as in 'setup < 1s'"
        case .badValue(let text):
            "--expect: '\(text)' is neither a number (units us ms s min h kbps mbps %), true, false, null nor a word"
        }
    }
}

extension JSONValue {
    var asDouble: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}

private let units: [(suffix: String, factor: Double)] = [
    ("us", 0.001), ("ms", 1), ("min", 60_000), ("s", 1_000), ("h", 3_600_000), ("kbps", 1_000), ("mbps", 1_000_000),
    ("%", 0.01),
]

private func parseValue(_ text: Substring) throws(ExpectationError) -> JSONValue {
    switch text {
    case "true": return true
    case "false": return false
    case "null": return nil
    default: break
    }
    if let first = text.first, first == "\"" || first == "'", text.count >= 2, text.last == first {
        return .string(String(text.dropFirst().dropLast()))
    }
    let digits = text.prefix { $0.isNumber || "+-.eE".contains($0) && !$0.isWhitespace }
    if let first = text.first, first.isNumber || "+-.".contains(first) {
        for length in stride(from: digits.count, to: 0, by: -1) {
            let number = text.prefix(length)
            guard let value = Double(number) else { continue }
            let unit = trimmed(text.dropFirst(length)).lowercased()
            if unit.isEmpty { return .number(value) }
            guard let factor = units.first(where: { $0.suffix == unit })?.factor else { break }
            return .number(value * factor)
        }
        throw .badValue(String(text))
    }
    guard text.allSatisfy({ $0.isLetter || $0.isNumber || "-_./:".contains($0) }) else {
        throw .badValue(String(text))
    }
    return .string(String(text))
}

private func trimmed(_ text: Substring) -> Substring {
    var text = text.drop { $0.isWhitespace }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text
}

private func memberNames(_ value: JSONValue) -> String {
    switch value {
    case .object(let members): members.isEmpty ? "no members" : members.map(\.name).joined(separator: ", ")
    case .array(let values): "\(values.count) elements, named by index"
    default: "the value \(value.line)"
    }
}
