/// `a=rid` (RFC 8851): one encoding of a section and what restricts it.
public struct RestrictionIdentifier: Hashable, Sendable {
    public enum Direction: String, Hashable, Sendable {
        case send
        case receive = "recv"
    }
    public var id: String
    public var direction: Direction
    /// All after the direction, as written: `pt=96;max-width=1280`.
    public var restrictions: String?

    public init(id: String, direction: Direction, restrictions: String? = nil) {
        self.id = id
        self.direction = direction
        self.restrictions = restrictions
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let name = reader.token(), name.isRestrictionIdentifier else {
            throw Malformed("the identifier is empty or has other than letters, digits, - and _", "write a=rid:hi send")
        }
        guard let word = reader.word(), let direction = Direction(rawValue: word) else {
            throw Malformed("the direction must be send or recv", "write a=rid:hi send")
        }
        id = name.text
        self.direction = direction
        restrictions = reader.rest()
    }
}

extension RestrictionIdentifier: CustomStringConvertible {
    public var description: String {
        "\(id) \(direction.rawValue)" + (restrictions.map { " \($0)" } ?? "")
    }
}

/// `a=simulcast` (RFC 8853 §5.1): streams in order of preference, each a choice of encodings.
public struct Simulcast: Hashable, Sendable {
    public struct Encoding: Hashable, Sendable {
        public var rid: String
        /// Written `~`: not sent at first.
        public var isPaused: Bool

        public init(rid: String, isPaused: Bool = false) {
            self.rid = rid
            self.isPaused = isPaused
        }
    }
    /// The outer array holds the streams, the inner ones alternatives of a stream.
    public var send: [[Encoding]]
    public var receive: [[Encoding]]
    private var receivesFirst = false

    public init(send: [[Encoding]] = [], receive: [[Encoding]] = []) {
        self.send = send
        self.receive = receive
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        send = []
        receive = []
        while let word = reader.word() {
            guard let list = reader.token() else {
                throw Malformed("no streams follow \(word)", "write a=simulcast:send hi;lo")
            }
            let streams = try Self.streams(list)
            switch word {
            case "send" where send.isEmpty: send = streams
            case "recv" where receive.isEmpty:
                receive = streams
                receivesFirst = send.isEmpty
            default:
                throw Malformed("the direction is not send or recv, or stands twice", "write a=simulcast:send hi;lo")
            }
        }
        guard !send.isEmpty || !receive.isEmpty else {
            throw Malformed("it lists no streams", "write a=simulcast:send hi;lo")
        }
    }

    private static func streams(_ list: FieldReader) throws(Malformed) -> [[Encoding]] {
        var list = list
        var streams: [[Encoding]] = []
        while !list.isAtEnd {
            var alternatives = list.field(before: .semicolon)
            var encodings: [Encoding] = []
            while !alternatives.isAtEnd {
                var field = alternatives.field(before: .comma)
                let isPaused = field.skip(prefix: "~")
                guard field.isRestrictionIdentifier else {
                    throw Malformed("a stream has no valid identifier", "write a=simulcast:send hi;lo")
                }
                encodings.append(Encoding(rid: field.text, isPaused: isPaused))
            }
            guard !encodings.isEmpty else {
                throw Malformed("a stream has no identifier", "write a=simulcast:send hi;lo")
            }
            streams.append(encodings)
        }
        return streams
    }
}

extension Simulcast: CustomStringConvertible {
    public var description: String {
        func text(_ streams: [[Encoding]]) -> String {
            streams.map { $0.map { ($0.isPaused ? "~" : "") + $0.rid }.joined(separator: ",") }.joined(separator: ";")
        }
        let parts = [send.isEmpty ? nil : "send \(text(send))", receive.isEmpty ? nil : "recv \(text(receive))"]
        return (receivesFirst ? parts.reversed() : parts).compactMap { $0 }.joined(separator: " ")
    }
}

extension FieldReader {
    /// RFC 8851 §10: 1 to 255 letters, digits, `-` or `_`.
    fileprivate var isRestrictionIdentifier: Bool {
        (1...255).contains(count)
            && all { $0.isAlphanumeric || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
    }
}
