import Primitives

extension CandidateAttribute {
    /// Reads what follows `candidate:` (RFC 8839 §5.1).
    init(reading reader: inout FieldReader) throws(Malformed) {
        let example = "write candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host"
        guard let foundation = reader.token() else { throw Malformed("the candidate is empty", example) }
        guard (1...32).contains(foundation.count), foundation.all({ $0.isICECharacter }) else {
            throw Malformed("the foundation must have 1 to 32 letters, digits, + or /", example)
        }
        guard let component = reader.token()?.number(as: UInt16.self), (1...256).contains(component) else {
            throw Malformed("the component must be a number from 1 to 256", example)
        }
        guard let transport = reader.token(), transport.all({ $0.isTokenCharacter }) else {
            throw Malformed("the transport is missing or no token", example)
        }
        guard let priority = reader.token()?.number(as: UInt32.self) else {
            throw Malformed("the priority must be a 32-bit number", example)
        }
        guard let host = reader.token() else { throw Malformed("the address is missing", example) }
        let address = try Host(reading: host)
        guard let port = reader.token()?.number(as: UInt16.self) else {
            throw Malformed("the port must be a number from 0 to 65535", example)
        }
        guard reader.word()?.lowercased() == "typ", let kind = reader.token(), kind.all({ $0.isTokenCharacter }) else {
            throw Malformed("typ and the kind of candidate must follow the port", example)
        }
        self.init(
            foundation: foundation.text, component: Int(component), transport: Transport(transport.text),
            priority: priority, host: address, port: port, kind: Kind(kind.text))
        try readPairs(&reader)
    }

    private mutating func readPairs(_ reader: inout FieldReader) throws(Malformed) {
        while let name = reader.word() {
            guard let value = reader.token() else {
                throw Malformed("\(name) has no value after it", "write the value or leave the name out")
            }
            // RFC 8839 §5.1 has visible characters here; a lone CR would end the line where this is written again.
            guard name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }), value.all({ $0 > 0x20 && $0 != 0x7F }) else {
                throw Malformed("\(name) or its value has a control character in it", "leave it out")
            }
            switch name {
            case "raddr" where relatedHost == nil: relatedHost = try Host(reading: value)
            case "rport" where relatedPort == nil:
                guard let port = value.number(as: UInt16.self) else {
                    throw Malformed("rport must be a number from 0 to 65535", "write rport 0 when it is withheld")
                }
                relatedPort = port
            case "tcptype" where tcpType == nil:
                guard let type = TCPType(rawValue: value.text.lowercased()) else {
                    throw Malformed("tcptype is not known", "write active, passive or so")
                }
                tcpType = type
            default: extensions.append(Extension(name: name, value: value.text))
            }
        }
    }
}

extension CandidateAttribute.Transport {
    init(_ text: String) {
        switch text.lowercased() {
        case "udp": self = .udp
        case "tcp": self = .tcp
        default: self = .other(text)
        }
    }
}

extension CandidateAttribute.Kind {
    init(_ text: String) {
        switch text.lowercased() {
        case "host": self = .host
        case "srflx": self = .serverReflexive
        case "prflx": self = .peerReflexive
        case "relay": self = .relayed
        default: self = .other(text)
        }
    }
}

extension CandidateAttribute.Host {
    /// An IP address, or a host name of letters, digits, `-`, `_` and dots that is no broken address.
    init(reading field: FieldReader) throws(Malformed) {
        let text = field.text
        if let ip = IPAddress(text) {
            self = .address(ip)
            return
        }
        if text.utf8.contains(UInt8(ascii: "%")) {
            throw Malformed(
                "the address carries an IPv6 zone, which means something on its own machine only",
                "leave out the part from % on, or do not announce link-local addresses")
        }
        let isName = field.all {
            $0.isAlphanumeric || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
        }
        guard (1...255).contains(field.count), isName, field.all({ $0.isDigit || $0 == UInt8(ascii: ".") }) == false
        else {
            throw Malformed("the address is neither an IP address nor a host name", "write 192.0.2.1 or 2001:db8::1")
        }
        self = .name(text)
    }
}

extension RemoteCandidate {
    static func list(reading reader: inout FieldReader) throws(Malformed) -> [RemoteCandidate] {
        var list: [RemoteCandidate] = []
        while let component = reader.token() {
            guard let number = component.number(as: UInt16.self), (1...256).contains(number),
                let host = reader.token(), let port = reader.token()?.number(as: UInt16.self)
            else {
                throw Malformed(
                    "it must list a component, an address and a port each",
                    "write a=remote-candidates:1 192.0.2.1 50000")
            }
            list.append(RemoteCandidate(component: Int(number), host: try .init(reading: host), port: port))
        }
        guard !list.isEmpty else {
            throw Malformed("it lists nothing", "write a=remote-candidates:1 192.0.2.1 50000")
        }
        return list
    }
}
