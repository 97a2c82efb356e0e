import Primitives

/// A user fragment and a password (RFC 8839 §5.4). The fragment names a generation, the password authenticates its checks.
public struct ICECredentials: Hashable, Sendable {
    /// 4 ... 256 ice-chars; ours have 8 (48 random bits).
    public var ufrag: String
    /// 22 ... 256 ice-chars; ours have 24 (144 random bits).
    public var password: String

    public init(ufrag: String, password: String) {
        self.ufrag = ufrag
        self.password = password
    }

    public init(using random: inout RandomSource) {
        ufrag = Self.characters(8, using: &random)
        password = Self.characters(24, using: &random)
    }

    /// Whether both are of a permitted length and of ice-chars only.
    public var isWellFormed: Bool {
        (4...256).contains(ufrag.utf8.count) && (22...256).contains(password.utf8.count)
            && (ufrag + password).utf8.allSatisfy(Self.alphabet.contains)
    }

    private static func characters(_ count: Int, using random: inout RandomSource) -> String {
        String(decoding: random.bytes(count).map { alphabet[Int($0 & 63)] }, as: UTF8.self)
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
}

extension ICECredentials: CustomStringConvertible {
    /// The password is not shown: descriptions end in logs.
    public var description: String { "ufrag \(ufrag)" }
}
