import Foundation
import ICE

/// Who we are for TURN servers whose URL does not say: a user with a password, or with a secret shared with the server.
public enum TURNLogin: Hashable, Sendable {
    case none
    case password(TURNCredential)
    /// Credentials are made for each call and are good for `lifetime` (coturn's use-auth-secret).
    case secret(Secret, user: String)

    /// Kept out of descriptions and dumps, which end in logs.
    public struct Secret: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
        var text: String
        public var description: String { "a shared secret" }
        public var customMirror: Mirror { Mirror(self, children: [:]) }
    }

    /// Longer than any call is set up, shorter than a leaked one is worth keeping.
    static let lifetime: TimeInterval = 24 * 3_600

    func credential(at date: Date) -> TURNCredential? {
        switch self {
        case .none: nil
        case .password(let credential): credential
        case .secret(let secret, let user):
            .timeLimited(
                secret: secret.text, name: user, expires: Int64(date.timeIntervalSince1970 + Self.lifetime))
        }
    }
}

extension NetworkOptions {
    /// Takes a user name and the files of a password or a shared secret; what is not given comes from the environment:
    /// `POSTERN_TURN_USER`, `POSTERN_TURN_PASSWORD`, `POSTERN_TURN_SECRET`.
    public mutating func setTURNLogin(
        user: String?, passwordFile: String?, secretFile: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(NetworkOptionError) {
        guard passwordFile == nil || secretFile == nil else {
            throw NetworkOptionError(description: "--turn-password-file and --turn-secret-file: give one of them")
        }
        func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let isGiven = passwordFile != nil || secretFile != nil
        let password =
            try passwordFile.map { path throws(NetworkOptionError) in
                try Self.firstLine(of: path, flag: "--turn-password-file")
            } ?? (isGiven ? nil : variable("POSTERN_TURN_PASSWORD"))
        let secret =
            try secretFile.map { path throws(NetworkOptionError) in
                try Self.firstLine(of: path, flag: "--turn-secret-file")
            } ?? (isGiven || password != nil ? nil : variable("POSTERN_TURN_SECRET"))
        let name = user ?? variable("POSTERN_TURN_USER")
        if let secret {
            login = .secret(TURNLogin.Secret(text: secret), user: name ?? "postern")
        } else if let password {
            guard let name else {
                throw NetworkOptionError(
                    description: "there is a TURN password and no user name: add --turn-user or POSTERN_TURN_USER")
            }
            login = .password(TURNCredential(username: name, password: password))
        } else if user != nil {
            throw NetworkOptionError(
                description: "--turn-user needs --turn-password-file, --turn-secret-file or POSTERN_TURN_PASSWORD")
        }
    }

    private static func firstLine(of path: String, flag: String) throws(NetworkOptionError) -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let line = text.split(whereSeparator: \.isNewline).first, !line.isEmpty
        else { throw NetworkOptionError(description: "\(flag) \(path): there is nothing to be read in its first line") }
        return String(line)
    }
}
