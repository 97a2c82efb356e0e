import Primitives

extension NetworkSpecification {
    /// Parses the text form. Keys and units in any case, spaces around items are passed over; empty text is the ideal network.
    public init(parsing text: some StringProtocol) throws(NetworkSpecificationError) {
        self.init()
        guard text.utf8.count <= 1_024 else {
            throw NetworkSpecificationError(problem: .tooLong, key: "", value: "", allowed: "1024 characters")
        }
        var directed: [Item] = []
        var seen: Set<String> = []
        for part in text.lowercased().split(separator: ",") {
            let item = try Item(part)
            guard seen.insert(item.prefix + item.key.rawValue).inserted else {
                throw item.error(.repeatedKey)
            }
            if item.prefix.isEmpty { try apply(item) } else { directed.append(item) }
        }
        for item in directed { try apply(item) }
    }

    fileprivate enum Key: String, CaseIterable {
        case rtt, delay, jitter, loss, burst, duplicate, reorder, rate, queue, mtu, outage, nat, stun, ipv6

        var isDirectional: Bool {
            switch self {
            case .rtt, .nat, .stun, .ipv6: false
            default: true
            }
        }

        var allowed: String {
            switch self {
            case .rtt, .delay, .jitter: "a time up to 60 s, such as 100ms"
            case .loss, .duplicate, .reorder: "a share from 0 to 1, such as 2% or 0.02"
            case .burst: "a number of packets from 1 to 1000"
            case .rate: "a bit rate from 1kbps to 100gbps, such as 2mbps"
            case .queue: "a time up to 60 s or a size, such as 300ms or 64kb"
            case .mtu: "bytes from 68 to 65535"
            case .outage: "times from-to joined by +, such as 10s-15s+30s-31s"
            case .nat: "one kind or left/right, each of none, cone, fullcone, restricted, port-restricted, symmetric"
            case .stun: "on, off"
            case .ipv6: "on, off, only"
            }
        }
    }

    fileprivate struct Item {
        var prefix = ""
        var key: Key
        var value: Substring

        init(_ part: Substring) throws(NetworkSpecificationError) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = trim(sides[0])
            var plain = name
            for direction in ["up.", "down."] where name.hasPrefix(direction) {
                prefix = direction
                plain = name.dropFirst(direction.count)
            }
            guard let key = Key(rawValue: String(plain)) else {
                throw NetworkSpecificationError(
                    problem: .unknownKey, key: String(name), value: "",
                    allowed: Key.allCases.map(\.rawValue).joined(separator: ", "))
            }
            self.key = key
            value = sides.count > 1 ? trim(sides[1]) : ""
            if !prefix.isEmpty, !key.isDirectional { throw error(.notDirectional) }
            if value.isEmpty { throw error(.missingValue) }
        }

        func error(_ problem: NetworkSpecificationError.Problem) -> NetworkSpecificationError {
            NetworkSpecificationError(
                problem: problem, key: prefix + key.rawValue, value: String(value), allowed: key.allowed)
        }

        func required<Value>(_ value: Value?) throws(NetworkSpecificationError) -> Value {
            guard let value else { throw error(.badValue) }
            return value
        }
    }

    private mutating func apply(_ item: Item) throws(NetworkSpecificationError) {
        switch item.key {
        case .rtt:
            let rtt = try item.required(parseTime(item.value))
            down.delay = rtt / 2
            up.delay = rtt - down.delay
        case .nat:
            let kinds = item.value.split(separator: "/", omittingEmptySubsequences: false).map(parseNAT)
            guard (1...2).contains(kinds.count) else { throw item.error(.badValue) }
            leftNAT = try item.required(kinds[0])
            rightNAT = try item.required(kinds[kinds.count - 1])
        case .stun: hasSTUNServer = try item.required(["on": true, "off": false][item.value])
        case .ipv6: ipv6 = try item.required(IPv6(rawValue: String(item.value)))
        default:
            if item.prefix != "down." { try item.apply(to: &up) }
            if item.prefix != "up." { try item.apply(to: &down) }
        }
    }
}

extension NetworkSpecification.Item {
    fileprivate func apply(to direction: inout NetworkSpecification.Direction) throws(NetworkSpecificationError) {
        switch key {
        case .delay: direction.delay = try required(parseTime(value))
        case .jitter: direction.jitter = try required(parseTime(value))
        case .loss: direction.loss = try required(parseShare(value))
        case .burst: direction.burst = try required(parseNumber(value, in: 1...1_000))
        case .duplicate: direction.duplicate = try required(parseShare(value))
        case .reorder: direction.reorder = try required(parseShare(value))
        case .rate: direction.rate = try required(parseRate(value))
        case .queue:
            direction.queue = try required(
                parseTime(value).map { .time($0) } ?? parseSize(value).map { .bytes($0) })
        case .mtu: direction.mtu = try required(parseNumber(value, in: 68...65_535).flatMap { Int(exactly: $0) })
        case .outage: direction.outages = try required(parseOutages(value))
        case .rtt, .nat, .stun, .ipv6: break
        }
    }
}

private func trim(_ text: Substring) -> Substring {
    var text = text
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return text
}

/// A decimal number and the unit after it.
private func splitUnit(_ text: Substring) -> (value: Double, unit: Substring)? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard !digits.isEmpty, digits.count <= 20, let value = Double(digits), value.isFinite else { return nil }
    return (value, text[digits.endIndex...])
}

private func parseTime(_ text: Substring) -> TimeDelta? {
    guard let time = parseLongTime(text), time <= NetworkSpecification.longestTime else { return nil }
    return time
}

private func parseLongTime(_ text: Substring) -> TimeDelta? {
    guard let (value, unit) = splitUnit(text) else { return nil }
    let factors: [Substring: Double] = ["ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "min": 6e10]
    guard let factor = value == 0 && unit.isEmpty ? 1 : factors[unit], value * factor < 1e16 else { return nil }
    return .nanoseconds(Int64((value * factor).rounded()))
}

private func parseShare(_ text: Substring) -> Double? {
    let share: Double? = text.last == "%" ? Double(text.dropLast()).map { $0 / 100 } : Double(text)
    guard let share, (0...1).contains(share) else { return nil }
    return share == 0 ? 0 : share
}

private func parseNumber(_ text: Substring, in range: ClosedRange<Double>) -> Double? {
    guard let number = Double(text), range.contains(number) else { return nil }
    return number
}

private func parseRate(_ text: Substring) -> Int? {
    guard let (value, unit) = splitUnit(text) else { return nil }
    let factors: [Substring: Double] = [
        "bps": 1, "kbps": 1e3, "mbps": 1e6, "gbps": 1e9, "bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9,
    ]
    guard let factor = factors[unit] else { return nil }
    let rate = (value * factor).rounded()
    return (1e3...1e11).contains(rate) ? Int(rate) : nil
}

private func parseSize(_ text: Substring) -> Int? {
    guard let (value, unit) = splitUnit(text) else { return nil }
    let factors: [Substring: Double] = ["b": 1, "kb": 1e3, "kib": 1_024, "mb": 1e6, "mib": 1_048_576]
    guard let factor = factors[unit] else { return nil }
    let size = (value * factor).rounded()
    return (0...1e9).contains(size) ? Int(size) : nil
}

private func parseOutages(_ text: Substring) -> [Range<TimeDelta>]? {
    let parts = text.split(separator: "+", omittingEmptySubsequences: false)
    guard parts.count <= 32 else { return nil }
    var outages: [Range<TimeDelta>] = []
    for part in parts {
        let ends = part.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let from = parseLongTime(ends[0]), let to = parseLongTime(ends[1]), from < to else {
            return nil
        }
        outages.append(from..<to)
    }
    return outages
}

private func parseNAT(_ text: Substring) -> NATKind? {
    switch text {
    case "cone": .fullCone
    case "full-cone": .fullCone
    case "address-restricted": .addressRestricted
    default: NATKind(rawValue: String(text))
    }
}
