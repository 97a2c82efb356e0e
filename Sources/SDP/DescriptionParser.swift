/// Cuts the text into lines, holds them to the limits, and files them under the session or an `m=` section.
struct DescriptionParser {
    private let bytes: [UInt8]
    private let limits: SessionDescription.Limits
    private var position = 0
    /// Number of the line read last, from 1.
    private var line = 0
    private var range = 0..<0
    private var warnings: [SDPError] = []
    private var attributeCount = 0

    init(_ text: String, limits: SessionDescription.Limits) throws(SDPError) {
        self.limits = limits
        guard text.utf8.count <= limits.bytes else {
            throw SDPError(
                kind: .limit, line: 1, text: "", problem: "the description has more than \(limits.bytes) bytes",
                remedy: "send a shorter one or raise Limits.bytes")
        }
        bytes = Array(text.utf8)
    }

    mutating func parse() throws(SDPError) -> SessionDescription {
        try parseVersion()
        guard try nextLine(), letter == UInt8(ascii: "o") else {
            throw failure(.missing, "the second line must be o=", "put the origin line after v=0")
        }
        let origin = try parseOrigin()
        var session: [DescriptionLine] = []
        var media: [MediaDescription] = []
        while try nextLine() {
            if letter == UInt8(ascii: "m") {
                guard media.count < limits.mediaSections else {
                    throw failure(
                        .limit, "there are more than \(limits.mediaSections) m= sections",
                        "offer fewer or raise Limits.mediaSections")
                }
                media.append(try parseMedia())
                attributeCount = 0
            } else if media.isEmpty {
                session.append(try parseLine())
            } else {
                media[media.count - 1].lines.append(try parseLine())
            }
        }
        return SessionDescription(origin: origin, lines: session, media: media, warnings: warnings)
    }

    private var letter: UInt8 { bytes[range.lowerBound] }
    private var value: FieldReader { FieldReader(bytes, in: range.lowerBound &+ 2..<range.upperBound) }
    private var text: String { String(decoding: bytes[range], as: UTF8.self) }

    private func failure(_ kind: SDPError.Kind, _ problem: String, _ remedy: String) -> SDPError {
        SDPError(kind: kind, line: line, text: text, problem: problem, remedy: remedy)
    }

    /// Moves to the next line that is not empty. `range` covers it without its end and holds at least `x=`.
    private mutating func nextLine() throws(SDPError) -> Bool {
        while position < bytes.count {
            let start = position
            while position < bytes.count, bytes[position] != 10 { position &+= 1 }
            var end = position
            if position < bytes.count { position &+= 1 }
            if end > start, bytes[end &- 1] == 13 { end &-= 1 }
            line &+= 1
            range = start..<end
            guard line <= limits.lines else {
                throw failure(
                    .limit, "there are more than \(limits.lines) lines", "send fewer lines or raise Limits.lines")
            }
            if start == end { continue }
            guard end &- start <= limits.lineBytes else {
                throw failure(
                    .limit, "the line is longer than \(limits.lineBytes) bytes",
                    "shorten it or raise Limits.lineBytes")
            }
            try checkLine()
            return true
        }
        range = bytes.count..<bytes.count
        line &+= 1
        return false
    }

    private func checkLine() throws(SDPError) {
        for index in range where bytes[index] == 13 || bytes[index] == 0 {
            throw failure(
                .malformed, "it holds a carriage return or NUL in its middle", "end lines with CRLF or LF only")
        }
        guard range.count >= 2, bytes[range.lowerBound &+ 1] == .equals, (97...122).contains(letter) else {
            throw failure(.malformed, "it is not of the form letter=value", formHint)
        }
    }

    private var formHint: String {
        letter == UInt8(ascii: "{")
            ? "this is JSON: pass the value of its sdp member" : "write one field a line, such as a=mid:0"
    }

    private mutating func parseVersion() throws(SDPError) {
        guard try nextLine() else {
            throw SDPError(
                kind: .missing, line: 1, text: "", problem: "the description is empty",
                remedy: "pass the text of an offer or answer, beginning with v=0")
        }
        guard letter == UInt8(ascii: "v") else {
            throw failure(.missing, "the first line must be v=0", "pass the whole description, from v=0 on")
        }
        var reader = value
        guard reader.word() == "0", reader.rest() == nil else {
            let isEscaped = text.contains("\\n")
            throw failure(
                .malformed, "only version 0 is defined",
                isEscaped ? "the line ends are spelled out: decode the JSON string first" : "write v=0")
        }
    }

    private func parseOrigin() throws(SDPError) -> Origin {
        var reader = value
        guard let username = reader.word(), let id = reader.token(), let version = reader.token(),
            let address = ConnectionData(reading: &reader)
        else {
            throw failure(
                .malformed, "o= needs a user name, session id, version, network type, address type and address",
                "write o=- <id> <version> IN IP4 0.0.0.0")
        }
        guard id.all({ $0.isDigit }), let number = version.number(as: UInt64.self) else {
            throw failure(
                .malformed, "the session id and version must be decimal numbers of at most 64 bits",
                "write o=- <id> <version> IN IP4 0.0.0.0")
        }
        return Origin(username: username, sessionID: id.text, sessionVersion: number, address: address)
    }

    private func parseMedia() throws(SDPError) -> MediaDescription {
        var reader = value
        guard let media = reader.token(), var ports = reader.token(), let protocolName = reader.word() else {
            throw failure(
                .malformed, "m= needs a kind, a port, a protocol and formats",
                "write m=audio 9 UDP/TLS/RTP/SAVPF 111")
        }
        guard media.all({ $0.isTokenCharacter }) else {
            throw failure(.malformed, "the media kind is no token", "write audio, video or application")
        }
        guard let port = ports.field(before: .slash).number(as: UInt16.self) else {
            throw failure(.malformed, "the port must be a number from 0 to 65535", "write 9 while it is not known")
        }
        var count: Int?
        if !ports.isAtEnd {
            guard let number = ports.number(as: UInt16.self), number > 0 else {
                throw failure(.malformed, "the number of ports must be 1 to 65535", "leave out /<count>")
            }
            count = Int(number)
        }
        var formats: [String] = []
        while let format = reader.word() { formats.append(format) }
        guard !formats.isEmpty || port == 0 else {
            throw failure(
                .malformed, "the m= line lists no format", "list at least one payload type after the protocol")
        }
        var section = MediaDescription(
            media: media.text, port: port, transportProtocol: protocolName, formats: formats)
        section.portCount = count
        return section
    }

    private mutating func parseLine() throws(SDPError) -> DescriptionLine {
        var reader = value
        switch letter {
        case UInt8(ascii: "a"): return try parseAttribute()
        case UInt8(ascii: "s"): return .sessionName(reader.text)
        case UInt8(ascii: "c"):
            guard let data = ConnectionData(reading: &reader) else {
                throw failure(
                    .malformed, "c= needs a network type, an address type and an address", "write c=IN IP4 0.0.0.0")
            }
            return .connection(data)
        case UInt8(ascii: "t"):
            guard let start = reader.token()?.number(as: UInt64.self), reader.isAtEnd == false,
                let stop = reader.token()?.number(as: UInt64.self), reader.rest() == nil
            else { throw failure(.malformed, "t= needs a start and a stop time", "write t=0 0") }
            return .timing(start: start, stop: stop)
        case UInt8(ascii: "v"), UInt8(ascii: "o"):
            throw failure(.malformed, "v= and o= may stand only once, at the start", "pass one description at a time")
        default: return .other(letter: Character(UnicodeScalar(letter)), value: reader.text)
        }
    }

    private mutating func parseAttribute() throws(SDPError) -> DescriptionLine {
        attributeCount &+= 1
        guard attributeCount <= limits.attributesPerSection else {
            throw failure(
                .limit, "the section has more than \(limits.attributesPerSection) attributes",
                "send fewer or raise Limits.attributesPerSection")
        }
        let reader = value
        do throws(Malformed) {
            return .attribute(try Attribute(reading: reader), text: reader.text)
        } catch {
            var rest = reader
            let name = rest.field(before: .colon).text
            let failure = SDPError(error, line: line, text: text)
            if Attribute.isEssential(name) { throw failure }
            warnings.append(failure)
            return .attribute(.other(name: name, value: rest.isAtEnd ? nil : rest.text), text: reader.text)
        }
    }
}

extension ConnectionData {
    /// Three fields and nothing after them.
    init?(reading reader: inout FieldReader) {
        guard let network = reader.word(), let type = reader.word(), let address = reader.word(), reader.rest() == nil
        else { return nil }
        self.init(networkType: network, addressType: type, address: address)
    }
}
