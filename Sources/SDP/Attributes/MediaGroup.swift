/// `a=group` (RFC 5888 §5): media sections that belong together.
public struct MediaGroup: Hashable, Sendable {
    public enum Semantics: Hashable, Sendable {
        /// One transport for all (RFC 8843).
        case bundle
        /// Lip synchronisation (RFC 5888 §7).
        case lipSync
        case other(String)
    }
    public var semantics: Semantics
    public var mids: [String]

    public init(_ semantics: Semantics, mids: [String]) {
        self.semantics = semantics
        self.mids = mids
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let word = reader.word() else {
            throw Malformed("the group has no semantics", "write a=group:BUNDLE <mid> <mid>")
        }
        switch word {
        case "BUNDLE": semantics = .bundle
        case "LS": semantics = .lipSync
        default: semantics = .other(word)
        }
        mids = []
        while let mid = reader.token() {
            guard mid.all({ $0.isTokenCharacter }) else {
                throw Malformed("a mid in the group is no token", "write a=group:BUNDLE <mid> <mid>")
            }
            mids.append(mid.text)
        }
    }
}

extension MediaGroup: CustomStringConvertible {
    public var description: String {
        let name =
            switch semantics {
            case .bundle: "BUNDLE"
            case .lipSync: "LS"
            case .other(let name): name
            }
        return ([name] + mids).joined(separator: " ")
    }
}

/// `a=msid` (RFC 8830 §2): the stream a track belongs to. Stream `-` stands for none.
public struct MediaStreamIdentification: Hashable, Sendable {
    public var stream: String
    public var track: String?

    public init(stream: String, track: String?) {
        self.stream = stream
        self.track = track
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let stream = reader.word() else {
            throw Malformed("the msid is empty", "write a=msid:<stream> <track>, or - for no stream")
        }
        self.stream = stream
        track = reader.word()
        guard reader.rest() == nil else {
            throw Malformed("the msid has more than two parts", "write a=msid:<stream> <track>")
        }
    }
}

extension MediaStreamIdentification: CustomStringConvertible {
    public var description: String { track.map { "\(stream) \($0)" } ?? stream }
}
