/// `a=rtcp-fb` (RFC 4585 §4.2): feedback a receiver may send for a payload type.
public struct RTCPFeedback: Hashable, Sendable {
    /// `nil` for `*`, every payload type of the section.
    public var payloadType: UInt8?
    /// The feedback without the payload type: `nack`, `nack pli`, `ccm fir`, `transport-cc`, `goog-remb` …
    public var value: String

    public init(payloadType: UInt8?, value: String) {
        self.payloadType = payloadType
        self.value = value
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        guard let target = reader.token() else {
            throw Malformed("it names no payload type", "write a=rtcp-fb:96 nack pli")
        }
        if target.count == 1, target.bytes[target.position] == UInt8(ascii: "*") {
            payloadType = nil
        } else {
            guard let number = target.number(as: UInt8.self), number < 128 else {
                throw Malformed("the payload type must be * or a number from 0 to 127", "write a=rtcp-fb:96 nack pli")
            }
            payloadType = number
        }
        var words: [String] = []
        while let word = reader.word() { words.append(word) }
        guard !words.isEmpty else {
            throw Malformed("it names no kind of feedback", "write a=rtcp-fb:96 nack pli")
        }
        value = words.joined(separator: " ")
    }
}

extension RTCPFeedback: CustomStringConvertible {
    public var description: String { "\(payloadType.map { "\($0)" } ?? "*") \(value)" }
}

/// `a=extmap` (RFC 8285 §5): the number of an RTP header extension.
public struct ExtensionMap: Hashable, Sendable {
    /// 1 to 14 fit the one-byte form, 15 to 255 need the two-byte form, 4096 to 4351 ask the answerer to choose.
    public var id: UInt16
    public var direction: MediaDirection?
    public var uri: String
    public var attributes: String?

    public init(id: UInt16, uri: String, direction: MediaDirection? = nil, attributes: String? = nil) {
        self.id = id
        self.uri = uri
        self.direction = direction
        self.attributes = attributes
    }

    init(reading reader: inout FieldReader) throws(Malformed) {
        let example = "write a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid"
        guard var head = reader.token() else { throw Malformed("it is empty", example) }
        guard let id = head.field(before: .slash).number(as: UInt16.self),
            (1...255).contains(id) || (4096...4351).contains(id)
        else { throw Malformed("the id must be 1 to 255, or 4096 to 4351", example) }
        self.id = id
        if !head.isAtEnd {
            guard let direction = MediaDirection(rawValue: head.text) else {
                throw Malformed("the direction after / is not known", "write /sendonly, /recvonly or nothing")
            }
            self.direction = direction
        }
        guard let uri = reader.word() else { throw Malformed("there is no URI after the id", example) }
        self.uri = uri
        attributes = reader.rest()
    }
}

extension ExtensionMap: CustomStringConvertible {
    public var description: String {
        let head = direction.map { "\(id)/\($0.rawValue) \(uri)" } ?? "\(id) \(uri)"
        return attributes.map { "\(head) \($0)" } ?? head
    }
}
