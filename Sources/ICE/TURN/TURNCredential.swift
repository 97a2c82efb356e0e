import Primitives

/// A user name and password for a TURN server: the long-term credential of RFC 8489 §9.2.
///
/// Its password is not in any description, dump or reflection, because those end in logs.
public struct TURNCredential: Hashable, Sendable {
    public var username: String
    public var password: String

    public init(username: String, password: String) {
        self.username = username
        self.password = password
    }

    /// Made from a secret that is shared with the server, as coturn's `use-auth-secret` wants it: user name
    /// `expires:name`, password base64(HMAC-SHA1(secret, user name)).
    ///
    /// - Parameter expires: seconds since 1970. A server refuses new allocations afterwards.
    public static func timeLimited(secret: String, name: String = "", expires: Int64) -> TURNCredential {
        let username = name.isEmpty ? "\(expires)" : "\(expires):\(name)"
        let code = MessageIntegrityKey(password: secret).code(for: Array(username.utf8))
        return TURNCredential(username: username, password: Base64.encode(code))
    }
}

extension TURNCredential {
    /// The key of the integrity codes (RFC 8489 §9.2.2, §18.5.1): a hash of user name, realm and password.
    public func key(realm: String, _ algorithm: STUNPasswordAlgorithm) -> [UInt8] {
        let text = Self.opaqueString(username) + ":" + Self.opaqueString(realm) + ":" + Self.opaqueString(password)
        return algorithm == .sha256 ? SHA256.digest(Array(text.utf8)) : MD5.digest(Array(text.utf8))
    }

    /// USERHASH (RFC 8489 §14.4).
    public func userHash(realm: String) -> [UInt8] {
        SHA256.digest(Array((Self.opaqueString(username) + ":" + Self.opaqueString(realm)).utf8))
    }

    /// OpaqueString (RFC 8265 §4.2) but for its last step: spaces of all kinds become U+0020; text that is not in
    /// normalisation form C is left as it is, so composed characters have to be given composed.
    static func opaqueString(_ text: String) -> String {
        guard !text.utf8.allSatisfy({ $0 < 128 }) else { return text }
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            scalars.append(scalar.properties.generalCategory == .spaceSeparator ? " " : scalar)
        }
        return String(scalars)
    }
}

extension TURNCredential: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "user \(username)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["username": username]) }
}
