/// What a session's own part and a media section have in common: lines, and attributes that may stand in either.
public protocol DescriptionSection {
    var lines: [DescriptionLine] { get set }
}

extension DescriptionSection {
    public var attributes: [Attribute] { lines.compactMap(\.attribute) }

    /// The first attribute for which `match` gives a value.
    public func firstValue<Value>(_ match: (Attribute) -> Value?) -> Value? {
        for line in lines {
            if case .attribute(let attribute, _) = line, let value = match(attribute) { return value }
        }
        return nil
    }

    public mutating func append(_ attribute: Attribute) { lines.append(.attribute(attribute)) }

    public mutating func removeAttributes(where isUnwanted: (Attribute) -> Bool) {
        lines.removeAll { $0.attribute.map(isUnwanted) ?? false }
    }

    /// The first `c=` line.
    public var connection: ConnectionData? {
        for line in lines {
            if case .connection(let data) = line { return data }
        }
        return nil
    }
    public var iceUfrag: String? {
        firstValue { if case .iceUfrag(let value) = $0 { value } else { nil } }
    }
    public var icePwd: String? {
        firstValue { if case .icePwd(let value) = $0 { value } else { nil } }
    }
    /// `a=ice-options`, all lines together.
    public var iceOptions: [String] {
        attributes.flatMap { attribute -> [String] in
            if case .iceOptions(let values) = attribute { values } else { [] }
        }
    }
    public var fingerprints: [FingerprintAttribute] {
        attributes.compactMap { if case .fingerprint(let value) = $0 { value } else { nil } }
    }
    public var setup: SetupRole? {
        firstValue { if case .setup(let value) = $0 { value } else { nil } }
    }
    public var tlsID: String? {
        firstValue { if case .tlsID(let value) = $0 { value } else { nil } }
    }
    public var direction: MediaDirection? {
        firstValue { if case .direction(let value) = $0 { value } else { nil } }
    }
    public var extensionMaps: [ExtensionMap] {
        attributes.compactMap { if case .extmap(let value) = $0 { value } else { nil } }
    }
    public var allowsMixedExtensions: Bool { attributes.contains(.extmapAllowMixed) }
    public var candidates: [CandidateAttribute] {
        attributes.compactMap { if case .candidate(let value) = $0 { value } else { nil } }
    }
    public var hasEndOfCandidates: Bool { attributes.contains(.endOfCandidates) }
}
