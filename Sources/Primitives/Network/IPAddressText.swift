extension IPAddress: LosslessStringConvertible {
    /// Dotted IPv4 or RFC 4291 §2.2 IPv6, a trailing IPv4 part included. No zone, no brackets, no leading-zero octets.
    public init?(_ text: some StringProtocol) {
        if text.contains(":") {
            guard let groups = parseGroups(text) else { return nil }
            self.init(
                v6: groups[0..<4].reduce(0) { $0 << 16 | UInt64($1) },
                groups[4..<8].reduce(0) { $0 << 16 | UInt64($1) })
        } else {
            guard let value = parseDotted(text) else { return nil }
            self.init(v4: value)
        }
    }

    public init?(_ description: String) { self.init(description[...]) }

    /// IPv6 in the form of RFC 5952: lower case, the longest run of zero groups folded.
    public var description: String {
        switch family {
        case .ipv4:
            return (0..<4).map { String((lower >> UInt64(24 - 8 * $0)) & 0xFF) }.joined(separator: ".")
        case .ipv6:
            if upper == 0, lower >> 32 == 0xFFFF {
                return "::ffff:" + IPAddress(v4: UInt32(truncatingIfNeeded: lower)).description
            }
            return joinGroups(
                (0..<8).map { index in
                    let word = index < 4 ? upper : lower
                    return UInt16(truncatingIfNeeded: word >> UInt64(48 - 16 * (index % 4)))
                })
        }
    }
}

private func parseDotted(_ text: some StringProtocol) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
        guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
            let octet = UInt8(part), part.utf8.count == 1 || part.utf8.first != 48
        else { return nil }
        value = value << 8 | UInt32(octet)
    }
    return value
}

private func parseGroups(_ text: some StringProtocol) -> [UInt16]? {
    let text = String(text)
    var halves: [[UInt16]] = []
    var rest = text[...]
    var isFolded = false
    if let fold = text.firstRange(ofDoubleColon: ()) {
        isFolded = true
        guard let head = parsePart(text[..<fold.lowerBound], isLast: false) else { return nil }
        halves.append(head)
        rest = text[fold.upperBound...]
        if rest.isEmpty { return head.count <= 7 ? head + Array(repeating: 0, count: 8 - head.count) : nil }
    }
    guard let tail = parsePart(rest, isLast: true) else { return nil }
    if !isFolded { return tail.count == 8 ? tail : nil }
    let count = halves[0].count + tail.count
    guard count <= 7 else { return nil }
    return halves[0] + Array(repeating: 0, count: 8 - count) + tail
}

private func parsePart(_ text: Substring, isLast: Bool) -> [UInt16]? {
    if text.isEmpty { return [] }
    var groups: [UInt16] = []
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 8 else { return nil }
    for (index, part) in parts.enumerated() {
        if part.contains("."), isLast, index == parts.count - 1, let v4 = parseDotted(part) {
            groups.append(UInt16(truncatingIfNeeded: v4 >> 16))
            groups.append(UInt16(truncatingIfNeeded: v4))
            continue
        }
        guard (1...4).contains(part.utf8.count), part.allSatisfy({ $0.isASCII && $0.isHexDigit }),
            let group = UInt16(part, radix: 16)
        else { return nil }
        groups.append(group)
    }
    return groups
}

private func joinGroups(_ groups: [UInt16]) -> String {
    var best = 0..<0
    var start = 0
    while start < 8 {
        guard groups[start] == 0 else {
            start += 1
            continue
        }
        var end = start
        while end < 8, groups[end] == 0 { end += 1 }
        if end - start > best.count { best = start..<end }
        start = end
    }
    func text(_ range: Range<Int>) -> String {
        groups[range].map { String($0, radix: 16) }.joined(separator: ":")
    }
    return best.count < 2 ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
}

extension String {
    fileprivate func firstRange(ofDoubleColon: Void) -> Range<Index>? {
        var index = startIndex
        while index < endIndex {
            let next = self.index(after: index)
            if self[index] == ":", next < endIndex, self[next] == ":" { return index..<self.index(after: next) }
            index = next
        }
        return nil
    }
}
