/// What DTLS exports for SRTP under the label `EXTRACTOR-dtls_srtp` (RFC 5764 §4.2). Never printed by accident.
public struct SRTPKeyingMaterial: Hashable, Sendable {
    public let profile: SRTPProfile
    /// Protects what the DTLS client sends.
    public let clientKey: [UInt8]
    public let clientSalt: [UInt8]
    /// Protects what the DTLS server sends.
    public let serverKey: [UInt8]
    public let serverSalt: [UInt8]

    /// `nil` where a length is not the profile's.
    public init?(
        profile: SRTPProfile, clientKey: [UInt8], clientSalt: [UInt8], serverKey: [UInt8], serverSalt: [UInt8]
    ) {
        guard clientKey.count == profile.keyLength, serverKey.count == profile.keyLength,
            clientSalt.count == profile.saltLength, serverSalt.count == profile.saltLength
        else { return nil }
        self.profile = profile
        self.clientKey = clientKey
        self.clientSalt = clientSalt
        self.serverKey = serverKey
        self.serverSalt = serverSalt
    }

    /// The exporter's output: client key, server key, client salt, server salt (RFC 5764 §4.2).
    public init?(profile: SRTPProfile, exported: [UInt8]) {
        let key = profile.keyLength
        let salt = profile.saltLength
        guard exported.count == Self.exportedLength(of: profile) else { return nil }
        self.init(
            profile: profile, clientKey: Array(exported[..<key]),
            clientSalt: Array(exported[(2 * key)..<(2 * key + salt)]), serverKey: Array(exported[key..<(2 * key)]),
            serverSalt: Array(exported[(2 * key + salt)...]))
    }

    public static func exportedLength(of profile: SRTPProfile) -> Int { 2 * (profile.keyLength + profile.saltLength) }

    func key(of role: DTLSRole) -> [UInt8] { role == .client ? clientKey : serverKey }
    func salt(of role: DTLSRole) -> [UInt8] { role == .client ? clientSalt : serverSalt }
}

extension SRTPKeyingMaterial: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "SRTPKeyingMaterial(\(profile), keys withheld)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: ["profile": profile]) }
}
