/// `a=rtpmap` (RFC 8866 §6.6): what a payload type number stands for.
public struct RTPMap: Hashable, Sendable {
    /// 0 to 127
    public var payloadType: UInt8
    /// As written; compare without regard to letter case (RFC 4855 §3).
    public var encoding: String
    /// Hz
    public var clockRate: UInt32
    /// Audio channels; `nil` where the line does not say, which means 1.
    public var channels: Int?

    public init(payloadType: UInt8, encoding: String, clockRate: UInt32, channels: Int? = nil) {
        self.payloadType = payloadType
        self.encoding = encoding
        self.clockRate = clockRate
        self.channels = channels
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let number = reader.token()?.number(as: UInt8.self), number < 128 else {
            throw Malformed("the payload type must be a number from 0 to 127", "write a=rtpmap:111 opus/48000/2")
        }
        guard var format = reader.token(), reader.rest() == nil else {
            throw Malformed("there is no encoding after the payload type", "write a=rtpmap:111 opus/48000/2")
        }
        let encoding = format.field(before: .slash)
        guard encoding.count > 0, let rate = format.field(before: .slash).number(as: UInt32.self), rate > 0 else {
            throw Malformed("the encoding needs a name and a clock rate", "write a=rtpmap:111 opus/48000/2")
        }
        var channels: Int?
        if !format.isAtEnd {
            guard let count = format.number(as: UInt8.self), count > 0 else {
                throw Malformed("the number of channels must be 1 to 255", "write a=rtpmap:111 opus/48000/2")
            }
            channels = Int(count)
        }
        self.init(payloadType: number, encoding: encoding.text, clockRate: rate, channels: channels)
    }
}

extension RTPMap: CustomStringConvertible {
    public var description: String {
        let base = "\(payloadType) \(encoding)/\(clockRate)"
        return channels.map { "\(base)/\($0)" } ?? base
    }
}

/// `a=fmtp` (RFC 8866 §6.15): parameters of a format, opaque to SDP.
public struct FormatParameters: Hashable, Sendable {
    public struct Parameter: Hashable, Sendable {
        public var name: String
        /// `nil` for a value without a name, such as `0-15` of telephone-event or `111/111` of RED.
        public var value: String?

        public init(_ name: String, _ value: String?) {
            self.name = name
            self.value = value
        }
    }
    /// 0 to 127
    public var payloadType: UInt8
    /// All after the payload type, as written.
    public var text: String

    public init(payloadType: UInt8, text: String) {
        self.payloadType = payloadType
        self.text = text
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let number = reader.token()?.number(as: UInt8.self), number < 128 else {
            throw Malformed("the payload type must be a number from 0 to 127", "write a=fmtp:97 apt=96")
        }
        guard let text = reader.rest() else {
            throw Malformed("there are no parameters after the payload type", "leave the line out")
        }
        self.init(payloadType: number, text: text)
    }

    /// `name=value` pairs split at semicolons, blanks around them dropped.
    public var parameters: [Parameter] {
        var list: [Parameter] = []
        var reader = FieldReader(text)
        while !reader.isAtEnd {
            var field = reader.field(before: .semicolon)
            var name = field.field(before: .equals)
            let hasValue = !field.isAtEnd
            guard let word = name.rest() else { continue }
            list.append(Parameter(word, hasValue ? field.rest() ?? "" : nil))
        }
        return list
    }

    /// The value of the first parameter of this name, letter case aside.
    public func value(of name: String) -> String? {
        parameters.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}

extension FormatParameters: CustomStringConvertible {
    public var description: String { "\(payloadType) \(text)" }
}
