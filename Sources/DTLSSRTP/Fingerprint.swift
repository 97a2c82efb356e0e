import Primitives

/// A hash of a certificate as `a=fingerprint` carries it (RFC 8122 §5).
public struct Fingerprint: Hashable, Sendable {
    /// The hash functions we check, weakest first. MD2 and MD5 are refused (RFC 8122 §5).
    public enum Algorithm: String, Hashable, Sendable, CaseIterable, Comparable {
        case sha1 = "sha-1"
        case sha224 = "sha-224"
        case sha256 = "sha-256"
        case sha384 = "sha-384"
        case sha512 = "sha-512"

        /// Bytes of the hash; also the order of strength.
        public var length: Int {
            switch self {
            case .sha1: 20
            case .sha224: 28
            case .sha256: 32
            case .sha384: 48
            case .sha512: 64
            }
        }

        public static func < (a: Algorithm, b: Algorithm) -> Bool { a.length < b.length }
    }

    public let algorithm: Algorithm
    public let bytes: [UInt8]

    /// `nil` where the number of bytes is not that of the hash function.
    public init?(algorithm: Algorithm, bytes: [UInt8]) {
        guard bytes.count == algorithm.length else { return nil }
        self.algorithm = algorithm
        self.bytes = bytes
    }

    /// The two fields of the attribute: a hash function's name in any case, and `AB:CD:…`, hexadecimal in either case.
    public init?(algorithm name: some StringProtocol, value: some StringProtocol) {
        guard let algorithm = Algorithm(rawValue: name.lowercased()) else { return nil }
        let parts = value.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == algorithm.length else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(parts.count)
        for part in parts {
            guard part.utf8.count == 2, let byte = [UInt8](hexadecimal: part), byte.count == 1 else { return nil }
            bytes += byte
        }
        self.init(algorithm: algorithm, bytes: bytes)
    }

    /// `AB:CD:…` in upper case, as the attribute wants it.
    public var value: String { bytes.map { [$0].hexadecimal.uppercased() }.joined(separator: ":") }
}

extension Fingerprint: CustomStringConvertible {
    /// `sha-256 AB:CD:…`, the attribute's value as a whole.
    public var description: String { "\(algorithm.rawValue) \(value)" }
}

extension [Fingerprint] {
    /// Those of the strongest hash function present. Any one of them may match, weaker ones do not count
    /// (RFC 8122 §5: an endpoint selects its preferred hash function and ignores the rest).
    var strongest: [Fingerprint] {
        guard let best = map(\.algorithm).max() else { return [] }
        return filter { $0.algorithm == best }
    }
}
