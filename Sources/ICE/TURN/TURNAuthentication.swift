import Primitives

/// The client's side of the long-term credential mechanism (RFC 8489 §9.2).
///
/// The first request goes without anything. A 401 brings realm and nonce; from then on every request carries user
/// name, realm, nonce and an integrity code. Where the server offers password algorithms, the first one known here is
/// taken, its list is sent back, and the code is MESSAGE-INTEGRITY-SHA256. That the server offers them stands in the
/// nonce as well, which comes back to it under the code: whoever takes the offer out on the way is found out. A nonce
/// lasts as long as the server likes; a 438 brings the next.
struct TURNAuthentication: Sendable {
    enum Verdict: Hashable, Sendable {
        /// Ask again with what was learnt.
        case retry
        /// The answer is not to be believed: its nonce says more than the rest of it (RFC 8489 §9.2.5).
        case downgraded
        case noSupportedAlgorithm
        /// No realm or nonce.
        case incomplete
        /// Nothing would be different the next time.
        case rejected
        case noCredential
    }

    private enum Key: Sendable {
        case sha1(MessageIntegrityKey)
        case sha256(MessageIntegritySHA256Key)
    }

    let credential: TURNCredential?
    private(set) var realm: String?
    private(set) var nonce: [UInt8] = []
    private var offered: [STUNPasswordAlgorithm]?
    private var chosen: STUNPasswordAlgorithm?
    private var hidesUser = false
    private var key: Key?

    init(credential: TURNCredential?) { self.credential = credential }

    /// Whether requests carry credentials.
    var isReady: Bool { key != nil }
    var usesSHA256: Bool { offered != nil && key != nil }

    /// Begins again without anything, as towards a server never met.
    mutating func reset() { self = TURNAuthentication(credential: credential) }

    /// Adds what the mechanism asks for and encodes.
    func encode(_ message: STUNMessage) -> [UInt8] {
        guard let credential, let realm, let key else { return message.encoded() }
        var message = message
        let user: STUNAttribute =
            hidesUser ? .userHash(credential.userHash(realm: realm)) : .username(credential.username)
        message.attributes += [user, .realm(realm), .nonce(nonce)]
        if let offered, let chosen {
            message.attributes += [.passwordAlgorithms(offered), .passwordAlgorithm(chosen)]
        }
        switch key {
        case .sha1(let key): return message.encoded(integrity: key)
        case .sha256(let key): return message.encoded(integrity: key)
        }
    }

    /// Whether a response carries the code our requests carry, with the same key.
    func isIntact(_ response: STUNMessage) -> Bool {
        switch key {
        case .sha1(let key): response.isIntact(under: key)
        case .sha256(let key): response.isIntact(under: key)
        case nil: false
        }
    }

    /// Takes a 401 (RFC 8489 §9.2.5).
    ///
    /// - Parameter wasAuthenticated: whether the refused request carried credentials. It is not repeated with the same.
    mutating func takeChallenge(_ response: STUNMessage, wasAuthenticated: Bool) -> Verdict {
        guard let realm = response.realm, let nonce = response.nonce else { return .incomplete }
        let features = Self.securityFeatures(of: nonce)
        guard !features.hasPasswordAlgorithms || response.passwordAlgorithms != nil else { return .downgraded }
        guard let credential else { return .noCredential }
        let offered = response.passwordAlgorithms
        let chosen = offered?.first { $0.isSupported }
        guard offered == nil || chosen != nil else { return .noSupportedAlgorithm }
        if wasAuthenticated {
            // Whoever refuses SHA-256 credentials cannot have weaker ones instead.
            guard self.offered == nil || offered != nil else { return .downgraded }
            guard realm != self.realm || offered != self.offered else { return .rejected }
        }
        self.realm = realm
        self.nonce = nonce
        self.offered = offered
        self.chosen = chosen
        hidesUser = features.hidesUser
        let bytes = credential.key(realm: realm, chosen ?? .md5)
        key =
            offered == nil
            ? .sha1(MessageIntegrityKey(bytes: bytes)) : .sha256(MessageIntegritySHA256Key(bytes: bytes))
        return .retry
    }

    /// Takes a 438: only the nonce is new.
    mutating func takeNonce(of response: STUNMessage) -> Verdict {
        guard let nonce = response.nonce else { return .incomplete }
        guard !Self.securityFeatures(of: nonce).hasPasswordAlgorithms || response.passwordAlgorithms != nil else {
            return .downgraded
        }
        guard key != nil else { return .noCredential }
        self.nonce = nonce
        return .retry
    }

    /// What the nonce cookie says (RFC 8489 §9.2, §18.1); bit 0 is the least significant one.
    static func securityFeatures(of nonce: [UInt8]) -> (hasPasswordAlgorithms: Bool, hidesUser: Bool) {
        guard nonce.starts(with: cookie), let bits = Base64.decode24(nonce.dropFirst(cookie.count).prefix(4)) else {
            return (false, false)
        }
        return (bits & 1 != 0, bits & 2 != 0)
    }

    private static let cookie = Array("obMatJos2".utf8)
}

/// Keys are as good as the password.
extension TURNAuthentication: CustomReflectable {
    var customMirror: Mirror { Mirror(self, children: ["credential": credential as Any, "realm": realm as Any]) }
}
