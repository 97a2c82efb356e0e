/// How a long-term password becomes a key (RFC 8489 §18.5). A list from a server is sent back as it came, with
/// algorithms unknown here, so that nobody on the way can have taken one out.
public struct STUNPasswordAlgorithm: Hashable, Sendable {
    public var number: UInt16
    public var parameters: [UInt8]

    public init(number: UInt16, parameters: [UInt8] = []) {
        self.number = number
        self.parameters = parameters
    }

    public static let md5 = STUNPasswordAlgorithm(number: 1)
    public static let sha256 = STUNPasswordAlgorithm(number: 2)

    public var isSupported: Bool { self == .md5 || self == .sha256 }
    /// More than any server has.
    static let maximumInList = 16
}
