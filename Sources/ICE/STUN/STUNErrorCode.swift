/// ERROR-CODE (RFC 8489 §14.8): a number in 300 ... 699 and a phrase for people.
public struct STUNErrorCode: Hashable, Sendable {
    public var code: Int
    public var reason: String

    public init(_ code: Int, _ reason: String = "") {
        self.code = code
        self.reason = reason
    }

    public static let tryAlternate = STUNErrorCode(300, "Try Alternate")
    public static let badRequest = STUNErrorCode(400, "Bad Request")
    public static let unauthenticated = STUNErrorCode(401, "Unauthenticated")
    public static let unknownAttribute = STUNErrorCode(420, "Unknown Attribute")
    public static let staleNonce = STUNErrorCode(438, "Stale Nonce")
    /// RFC 8445 §7.3.1.1.
    public static let roleConflict = STUNErrorCode(487, "Role Conflict")
    public static let serverError = STUNErrorCode(500, "Server Error")
}
