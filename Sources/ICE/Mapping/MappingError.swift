/// Why a rule is refused: which, and what is wrong with it.
public struct MappingError: Error, Hashable, Sendable {
    /// The rule as it was written.
    public var rule: String
    public var reason: String

    public init(rule: String, reason: String) {
        self.rule = rule
        self.reason = reason
    }
}

extension MappingError: CustomStringConvertible {
    public var description: String { "'\(rule)': \(reason)" }
}
