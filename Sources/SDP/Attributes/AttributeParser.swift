import Primitives

extension Attribute {
    /// Reads `name` or `name:value`, after `a=`.
    init(reading line: FieldReader) throws(Malformed) {
        var reader = line
        let nameField = reader.field(before: .colon)
        guard nameField.count > 0 else {
            throw Malformed("the attribute has no name", "write a=<name> or a=<name>:<value>")
        }
        let name = nameField.text
        let hasValue = line.count > nameField.count
        switch name {
        case "bundle-only" where !hasValue: self = .bundleOnly
        case "ice-lite" where !hasValue: self = .iceLite
        case "end-of-candidates" where !hasValue: self = .endOfCandidates
        case "rtcp-mux" where !hasValue: self = .rtcpMux
        case "rtcp-mux-only" where !hasValue: self = .rtcpMuxOnly
        case "rtcp-rsize" where !hasValue: self = .rtcpReducedSize
        case "rtcp-xr" where !hasValue: self = .rtcpXR([])
        case "extmap-allow-mixed" where !hasValue: self = .extmapAllowMixed
        case "sendrecv" where !hasValue: self = .direction(.sendReceive)
        case "sendonly" where !hasValue: self = .direction(.sendOnly)
        case "recvonly" where !hasValue: self = .direction(.receiveOnly)
        case "inactive" where !hasValue: self = .direction(.inactive)
        case "group", "mid", "msid", "ice-ufrag", "ice-pwd", "ice-options", "ice-pacing", "tls-id", "setup",
            "fingerprint":
            self = try Self.identity(name, &reader)
        case "candidate": self = .candidate(try CandidateAttribute(reading: &reader))
        case "remote-candidates": self = .remoteCandidates(try RemoteCandidate.list(reading: &reader))
        case "rtcp", "rtcp-xr", "rtpmap", "fmtp", "rtcp-fb", "extmap", "ssrc", "ssrc-group", "rid", "simulcast":
            self = try Self.media(name, &reader)
        case "ptime", "maxptime", "sctp-port", "max-message-size":
            self = try Self.number(name, &reader)
        default: self = .other(name: name, value: hasValue ? reader.text : nil)
        }
    }

    private static func identity(_ name: String, _ reader: inout FieldReader) throws(Malformed) -> Attribute {
        switch name {
        case "group": return .group(try MediaGroup(reading: &reader))
        case "mid":
            guard let field = reader.token(), field.all({ $0.isTokenCharacter }), reader.rest() == nil else {
                throw Malformed("the mid is empty or no token", "write a=mid:<letters and digits>")
            }
            return .mid(field.text)
        case "msid": return .msid(try MediaStreamIdentification(reading: &reader))
        case "ice-ufrag":
            guard let field = reader.token(), (4...256).contains(field.count), field.all({ $0.isICECharacter }),
                reader.rest() == nil
            else {
                throw Malformed(
                    "the user fragment must have 4 to 256 letters, digits, + or /", "generate it as RFC 8839 §5.4 says")
            }
            return .iceUfrag(field.text)
        case "ice-pwd":
            guard let field = reader.token(), (22...256).contains(field.count), field.all({ $0.isICECharacter }),
                reader.rest() == nil
            else {
                throw Malformed(
                    "the password must have 22 to 256 letters, digits, + or /", "generate it as RFC 8839 §5.4 says")
            }
            return .icePwd(field.text)
        case "ice-options":
            var options: [String] = []
            while let option = reader.word() { options.append(option) }
            guard !options.isEmpty else { throw Malformed("it lists no option", "write a=ice-options:trickle") }
            return .iceOptions(options)
        case "ice-pacing":
            guard let value = reader.token()?.number(as: UInt32.self), reader.rest() == nil else {
                throw Malformed("the pacing must be a number of milliseconds", "write a=ice-pacing:50")
            }
            return .icePacing(Int(value))
        case "tls-id":
            guard let id = reader.word(), reader.rest() == nil else {
                throw Malformed("the tls-id is empty or has spaces", "write 20 to 255 characters (RFC 8842 §4)")
            }
            return .tlsID(id)
        case "setup":
            guard let word = reader.word(), let role = SetupRole(rawValue: word.lowercased()), reader.rest() == nil
            else { throw Malformed("the role is not known", "write actpass, active, passive or holdconn") }
            return .setup(role)
        default: return .fingerprint(try FingerprintAttribute(reading: &reader))
        }
    }

    private static func media(_ name: String, _ reader: inout FieldReader) throws(Malformed) -> Attribute {
        switch name {
        case "rtcp":
            guard let port = reader.token()?.number(as: UInt16.self) else {
                throw Malformed("the RTCP port must be a number from 0 to 65535", "write a=rtcp:9 IN IP4 0.0.0.0")
            }
            reader.skipSpaces()
            if reader.isAtEnd { return .rtcp(port: port, address: nil) }
            guard let address = ConnectionData(reading: &reader) else {
                throw Malformed("the address after the RTCP port is incomplete", "write a=rtcp:9 IN IP4 0.0.0.0")
            }
            return .rtcp(port: port, address: address)
        case "rtcp-xr":
            var formats: [String] = []
            while let format = reader.word() { formats.append(format) }
            return .rtcpXR(formats)
        case "rtpmap": return .rtpmap(try RTPMap(reading: &reader))
        case "fmtp": return .fmtp(try FormatParameters(reading: &reader))
        case "rtcp-fb": return .rtcpFeedback(try RTCPFeedback(reading: &reader))
        case "extmap": return .extmap(try ExtensionMap(reading: &reader))
        case "ssrc": return .ssrc(try SourceAttribute(reading: &reader))
        case "ssrc-group": return .ssrcGroup(try SourceGroup(reading: &reader))
        case "rid": return .rid(try RestrictionIdentifier(reading: &reader))
        default: return .simulcast(try Simulcast(reading: &reader))
        }
    }

    private static func number(_ name: String, _ reader: inout FieldReader) throws(Malformed) -> Attribute {
        let field = reader.token()
        let isAlone = reader.rest() == nil
        switch name {
        case "ptime", "maxptime":
            // Some senders write fractions (RFC 8866 §6.4 allows them); we keep whole milliseconds.
            var whole = field
            guard let value = whole?.field(before: UInt8(ascii: ".")).number(as: UInt16.self), isAlone else {
                throw Malformed("the packet time must be a number of milliseconds", "write a=\(name):20")
            }
            return name == "ptime" ? .ptime(Int(value)) : .maxptime(Int(value))
        case "sctp-port":
            guard let value = field?.number(as: UInt16.self), isAlone else {
                throw Malformed("the SCTP port must be a number from 0 to 65535", "write a=sctp-port:5000")
            }
            return .sctpPort(value)
        default:
            guard let value = field?.number(as: UInt64.self), isAlone else {
                throw Malformed("the size must be a number of bytes", "write a=max-message-size:262144")
            }
            return .maxMessageSize(value)
        }
    }
}
