/// One line of a description below `o=`, or below an `m=` line. Lines keep their order and their text.
public enum DescriptionLine: Hashable, Sendable {
    /// `s=`: any text, an empty one too.
    case sessionName(String)
    /// `t=`: start and stop in NTP seconds, 0 0 for a session without bounds.
    case timing(start: UInt64, stop: UInt64)
    /// `c=`
    case connection(ConnectionData)
    /// `a=`: the meaning and the text after `a=` as it came, so that what we do not know survives unchanged.
    case attribute(Attribute, text: String)
    /// Any other letter, known (`i` `u` `e` `p` `b` `r` `z` `k`) or not.
    case other(letter: Character, value: String)

    public static func attribute(_ attribute: Attribute) -> DescriptionLine {
        .attribute(attribute, text: attribute.description)
    }

    public var attribute: Attribute? {
        if case .attribute(let attribute, _) = self { attribute } else { nil }
    }
}

extension DescriptionLine: CustomStringConvertible {
    /// The line without its end.
    public var description: String {
        switch self {
        case .sessionName(let name): "s=" + name
        case .timing(let start, let stop): "t=\(start) \(stop)"
        case .connection(let data): "c=\(data)"
        case .attribute(_, let text): "a=" + text
        case .other(let letter, let value): "\(letter)=" + value
        }
    }
}

/// `c=` and the tail of `a=rtcp` (RFC 8866 §5.7).
public struct ConnectionData: Hashable, Sendable {
    public var networkType: String
    public var addressType: String
    /// An address, a host name, or an address with a multicast suffix such as `/127`.
    public var address: String

    public init(networkType: String = "IN", addressType: String, address: String) {
        self.networkType = networkType
        self.addressType = addressType
        self.address = address
    }
}

extension ConnectionData: CustomStringConvertible {
    public var description: String { "\(networkType) \(addressType) \(address)" }
}

/// `o=` (RFC 8866 §5.2).
public struct Origin: Hashable, Sendable {
    public var username: String
    /// Digits; more of them than a 64-bit number has are kept as they are.
    public var sessionID: String
    public var sessionVersion: UInt64
    public var address: ConnectionData

    public init(username: String = "-", sessionID: String, sessionVersion: UInt64, address: ConnectionData) {
        self.username = username
        self.sessionID = sessionID
        self.sessionVersion = sessionVersion
        self.address = address
    }
}

extension Origin: CustomStringConvertible {
    public var description: String { "\(username) \(sessionID) \(sessionVersion) \(address)" }
}

extension String {
    /// Appends `line` and CRLF. Line ends and NUL inside the line become spaces: no value can smuggle in a line.
    mutating func append(line: String) {
        if line.utf8.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }) {
            unicodeScalars.append(
                contentsOf: line.unicodeScalars.lazy.map { [10, 13, 0].contains($0.value) ? " " : $0 })
        } else {
            append(line)
        }
        append("\r\n")
    }
}
