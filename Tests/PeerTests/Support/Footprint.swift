/// How many elements all collections inside a value hold, by reflection: what must not grow with the length of a call.
func footprint(of value: Any) -> [String: Int] {
    var counts: [String: Int] = [:]
    var seen: Set<ObjectIdentifier> = []
    func walk(_ value: Any, _ path: String, _ depth: Int) {
        guard depth < 24 else { return }
        let mirror = Mirror(reflecting: value)
        if mirror.displayStyle == .class {
            guard seen.insert(ObjectIdentifier(value as AnyObject)).inserted else { return }
        }
        switch mirror.displayStyle {
        case .collection, .set, .dictionary:
            counts[path, default: 0] += mirror.children.count
            // Plain numbers are only counted.
            guard !(value is [UInt8]), !(value is [UInt64]), !(value is [Int]) else { return }
            for child in mirror.children { walk(child.value, path + "[]", depth + 1) }
        default:
            for child in mirror.children { walk(child.value, path + "." + (child.label ?? ""), depth + 1) }
        }
    }
    walk(value, "", 0)
    return counts
}

/// The same in one number, without media: frames kept for retransmission are as large as they are.
func structure(of value: Any) -> Int {
    footprint(of: value).filter { !$0.key.contains("frame") && !$0.key.contains("payload") }.values.reduce(0, +)
}
