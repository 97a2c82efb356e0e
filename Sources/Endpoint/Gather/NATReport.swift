import ICE
import Primitives

/// How the NAT before us behaves, in words: what was found, and what it means for a call.
public struct NATReport: Sendable {
    public var url: String
    public var findings: NATFindings

    public init(url: String, findings: NATFindings) {
        self.url = url
        self.findings = findings
    }

    public var status: ExitStatus { findings.mapped == nil ? .ice : .success }

    public var sentences: [String] {
        guard let mapped = findings.mapped else {
            return ["\(url) did not answer: UDP to it is closed, or it is no STUN server"]
        }
        var lines = ["\(url) sees \(findings.local) as \(mapped)"]
        guard findings.isTranslated == true else {
            lines.append("there is no NAT: the address is ours")
            return lines + filteringSentences(isTranslated: false) + lifetimeSentences + [forCalls]
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
        return lines + lifetimeSentences + [forCalls]
    }

    private var lifetimeSentences: [String] {
        guard let lifetime = findings.lifetime else { return [] }
        guard lifetime.isKnown else {
            return ["binding lifetime: not known, the server does not answer to another port (RESPONSE-PORT)"]
        }
        guard let gone = lifetime.goneAfter else {
            return ["binding lifetime: an idle mapping is kept for \(seconds(lifetime.keptFor ?? .zero)) at least"]
        }
        let kept = lifetime.keptFor.map { "is kept for \(seconds($0)) and" } ?? "is"
        return [
            "binding lifetime: an idle mapping \(kept) gone after \(seconds(gone))"
                + (gone <= .seconds(5)
                    ? "; the checks of a call, one every 5 s, do not keep it"
                    : "; the checks of a call keep it, every 5 s")
        ]
    }

    private func seconds(_ time: TimeDelta) -> String { "\(Int(time.seconds)) s" }

    /// What follows from all of it.
    private var forCalls: String {
        let isOpen = findings.filtering == .endpointIndependent
        if findings.isTranslated == false {
            return isOpen
                ? "for a call: others reach this machine directly" : "for a call: direct, ICE opens the way from inside"
        }
        switch findings.mapping {
        case .endpointIndependent:
            return isOpen
                ? "for a call: direct with STUN, with any peer"
                : "for a call: direct with STUN, unless the peer's NAT is symmetric; then it takes TURN"
        case .addressDependent, .addressAndPortDependent:
            return "for a call: direct with STUN only where anyone may send to the peer; else it takes TURN"
        case nil: return "for a call: STUN may do; TURN does in any case"
        }
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
            "keptForSeconds": JSONValue(rounded: findings.lifetime?.keptFor?.seconds),
            "goneAfterSeconds": JSONValue(rounded: findings.lifetime?.goneAfter?.seconds),
            "sentences": .array(sentences.map(JSONValue.string)),
        ]
    }
}
