import Primitives

/// A session description (RFC 8866): text to value and back, every line in its place.
///
/// Lines and attributes nobody here knows are kept where they stood, with their text, and are written again unchanged.
/// Lines end in LF or CRLF; the last one may lack its end; empty lines are passed over. What is written ends in CRLF.
///
/// A violation in what a call cannot do without (`v= o= m= c= t=`, `mid`, `group`, `ice-ufrag`, `ice-pwd`,
/// `fingerprint`, `setup`, `rtpmap`, `extmap`, `sctp-port`) is an error. A violation in any other known attribute keeps
/// the line as unknown and adds a warning: one bad candidate does not end a call.
public struct SessionDescription: Hashable, Sendable {
    public var origin: Origin
    /// The session-level lines after `o=`: `s=`, `t=`, attributes and the rest, in order.
    public var lines: [DescriptionLine]
    /// The `m=` sections in order. Their index is the m-line index of RFC 9429.
    public var media: [MediaDescription]
    /// What was passed over while parsing. Not part of equality.
    public internal(set) var warnings: [SDPError] = []

    /// A description with `s=-` and `t=0 0`, as RFC 9429 §5.2.1 has it.
    public init(origin: Origin, media: [MediaDescription] = []) {
        self.origin = origin
        lines = [.sessionName("-"), .timing(start: 0, stop: 0)]
        self.media = media
    }

    init(origin: Origin, lines: [DescriptionLine], media: [MediaDescription], warnings: [SDPError]) {
        self.origin = origin
        self.lines = lines
        self.media = media
        self.warnings = warnings
    }

    /// Parses `text`. The error names the line, what is wrong with it and what to do.
    public init(parsing text: String, limits: Limits = .standard) throws(SDPError) {
        var parser = try DescriptionParser(text, limits: limits)
        self = try parser.parse()
    }

    /// The text: CRLF after every line.
    public var serialized: String {
        var text = ""
        text.append(line: "v=0")
        text.append(line: "o=\(origin)")
        for line in lines { text.append(line: line.description) }
        for section in media {
            text.append(line: "m=\(section.mediaLine)")
            for line in section.lines { text.append(line: line.description) }
        }
        return text
    }

    public static func == (a: SessionDescription, b: SessionDescription) -> Bool {
        a.origin == b.origin && a.lines == b.lines && a.media == b.media
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(origin)
        hasher.combine(lines)
        hasher.combine(media)
    }
}

extension SessionDescription: CustomStringConvertible {
    public var description: String { serialized }
}

extension SessionDescription: DescriptionSection {
    /// `a=group` lines in order (RFC 5888).
    public var groups: [MediaGroup] {
        attributes.compactMap { if case .group(let group) = $0 { group } else { nil } }
    }
    /// `a=ice-lite` (RFC 8839 §5.3).
    public var isICELite: Bool { attributes.contains(.iceLite) }
    /// `a=ice-pacing` in milliseconds (RFC 8839 §5.6).
    public var icePacing: Int? {
        firstValue { if case .icePacing(let value) = $0 { value } else { nil } }
    }
}
