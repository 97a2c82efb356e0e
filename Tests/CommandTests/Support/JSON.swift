import Foundation

/// Any JSON document, to look values up in: `report["video"]["framesSent"].number`.
enum JSON: Decodable, Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSON].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSON].self))
        }
    }

    init(parsing text: String) throws { self = try JSONDecoder().decode(JSON.self, from: Data(text.utf8)) }
    init(file: String) throws { self = try JSON(parsing: String(contentsOfFile: file, encoding: .utf8)) }

    subscript(name: String) -> JSON { if case .object(let members) = self { members[name] ?? .null } else { .null } }
    subscript(index: Int) -> JSON { items.indices.contains(index) ? items[index] : .null }

    var items: [JSON] { if case .array(let items) = self { items } else { [] } }
    var names: [String] { if case .object(let members) = self { members.keys.sorted() } else { [] } }
    var text: String? { if case .string(let value) = self { value } else { nil } }
    /// A number, also one that is written as a string, as ffprobe does.
    var number: Double? {
        switch self {
        case .number(let value): value
        case .string(let value): Double(value)
        default: nil
        }
    }
    var integer: Int? { number.map { Int($0.rounded()) } }
}
