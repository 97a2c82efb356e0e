import ICE
import Primitives

/// How the NAT before us behaves, in words: what was found, and what it means for a call.
public struct NATReport: Sendable {
    public var url: String
    public var findings: NATFindings

    public var status: ExitStatus { findings.mapped == nil ? .ice : .success }

    public var sentences: [String] {
        guard let mapped = findings.mapped else {
            return ["\(url) did not answer: UDP to it is closed, or it is no STUN server"]
        }
        var lines = ["\(url) sees \(findings.local) as \(mapped)"]
        guard findings.isTranslated == true else {
            lines.append("there is no NAT: the address is ours")
            return lines + filteringSentences(isTranslated: false)
        }
        lines.append(
            findings.preservesPort == true
                ? "a NAT translates; the port is kept" : "a NAT translates, and changes the port")
        switch findings.mapping {
        case .endpointIndependent:
            lines.append(
                "mapping: endpoint-independent, one outside port for all destinations: peers can use the address that STUN tells"
            )
        case .addressDependent:
            lines.append(
                "mapping: address-dependent (symmetric), another outside port for each destination: the address that STUN "
                    + "tells is of no use to peers; a call needs the other side to be reachable, or TURN")
        case .addressAndPortDependent:
            lines.append(
                "mapping: address- and port-dependent (symmetric), another outside port for each destination and port: the "
                    + "address that STUN tells is of no use to peers; a call needs the other side to be reachable, or TURN"
            )
        case nil:
            lines.append(
                findings.hasTwoAddresses == true
                    ? "mapping: the server's other address did not answer"
                    : "mapping: not known, for the server has one address only; name a second --ice-server")
        }
        lines += filteringSentences(isTranslated: true)
        switch findings.hairpins {
        case true?: lines.append("hairpinning: peers behind this NAT reach each other by their outside addresses")
        case false?:
            lines.append("hairpinning: no; peers behind this NAT reach each other by their inside addresses only")
        case nil: break
        }
        return lines
    }

    private func filteringSentences(isTranslated: Bool) -> [String] {
        switch findings.filtering {
        case .endpointIndependent:
            [isTranslated ? "filtering: endpoint-independent, anyone may send in" : "nothing from outside is filtered"]
        case .addressDependent: ["filtering: address-dependent, whoever was sent to may answer from any port"]
        case .addressAndPortDependent:
            ["filtering: address- and port-dependent, only who was sent to may answer; ICE copes with it"]
        case nil:
            findings.hasTwoAddresses == true ? ["filtering: not known, the server does not answer from elsewhere"] : []
        }
    }

    public var json: JSONValue {
        [
            "url": .string(url), "local": .string("\(findings.local)"),
            "mapped": JSONValue(findings.mapped.map { "\($0)" }),
            "isTranslated": findings.isTranslated.map(JSONValue.bool) ?? .null,
            "preservesPort": findings.preservesPort.map(JSONValue.bool) ?? .null,
            "mapping": JSONValue(findings.mapping?.rawValue), "filtering": JSONValue(findings.filtering?.rawValue),
            "hairpins": findings.hairpins.map(JSONValue.bool) ?? .null,
            "sentences": .array(sentences.map(JSONValue.string)),
        ]
    }
}
