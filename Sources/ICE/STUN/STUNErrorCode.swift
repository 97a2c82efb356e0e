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
    /// What is asked for is not allowed, such as relaying to this peer (RFC 8656 §19, as all below that say nothing else).
    public static let forbidden = STUNErrorCode(403, "Forbidden")
    public static let unknownAttribute = STUNErrorCode(420, "Unknown Attribute")
    public static let staleNonce = STUNErrorCode(438, "Stale Nonce")
    public static let allocationMismatch = STUNErrorCode(437, "Allocation Mismatch")
    public static let addressFamilyNotSupported = STUNErrorCode(440, "Address Family not Supported")
    public static let wrongCredentials = STUNErrorCode(441, "Wrong Credentials")
    public static let unsupportedTransportProtocol = STUNErrorCode(442, "Unsupported Transport Protocol")
    public static let peerAddressFamilyMismatch = STUNErrorCode(443, "Peer Address Family Mismatch")
    public static let allocationQuotaReached = STUNErrorCode(486, "Allocation Quota Reached")
    /// RFC 8445 §7.3.1.1.
    public static let roleConflict = STUNErrorCode(487, "Role Conflict")
    public static let serverError = STUNErrorCode(500, "Server Error")
    public static let insufficientCapacity = STUNErrorCode(508, "Insufficient Capacity")
}

extension STUNErrorCode {
    /// The value of ERROR-CODE, or of ADDRESS-ERROR-CODE with a family in front (RFC 8656 §18.12).
    func write(into bytes: inout [UInt8], family: UInt8) {
        let number = UInt32(clamping: code)
        bytes.append(UInt32(family) << 24 | (number / 100 % 8) << 8 | number % 100)
        bytes.append(contentsOf: reason.utf8)
    }
}

extension STUNErrorCode: CustomStringConvertible {
    /// The phrase comes from the network: control characters and all but its first hundred do not get to logs.
    public var description: String {
        let phrase = String(String.UnicodeScalarView(reason.unicodeScalars.prefix(100).filter { $0.value >= 32 }))
        return phrase.isEmpty ? "\(code)" : "\(code) \(phrase)"
    }
}
