/// A small table that keeps the order of insertion: one seed must give one trace, and the order of a `Dictionary` changes
/// from process to process. Look-ups walk the keys, of which there are a handful and at most as many as the engine's limits.
struct StreamTable<Key: Equatable, Value> {
    private(set) var keys: [Key] = []
    private var slots: [Value?] = []

    var count: Int { keys.count }
    var isEmpty: Bool { keys.isEmpty }
    var values: [Value] { slots.compactMap { $0 } }
    var indices: Range<Int> { keys.indices }

    /// Changes happen in place; `nil` removes.
    subscript(key: Key) -> Value? {
        get { keys.firstIndex(of: key).flatMap { slots[$0] } }
        _modify {
            if let index = keys.firstIndex(of: key) {
                yield &slots[index]
                if case .none = slots[index] {
                    keys.remove(at: index)
                    slots.remove(at: index)
                }
            } else {
                var value: Value?
                yield &value
                if let value {
                    keys.append(key)
                    slots.append(value)
                }
            }
        }
    }

    func contains(_ key: Key) -> Bool { keys.contains(key) }

    /// The first key whose value passes.
    func firstKey(where passes: (Value) -> Bool) -> Key? {
        for index in keys.indices {
            if let value = slots[index], passes(value) { return keys[index] }
        }
        return nil
    }

    func keys(where passes: (Value) -> Bool) -> [Key] {
        keys.indices.filter { slots[$0].map(passes) ?? false }.map { keys[$0] }
    }
}

extension StreamTable: Sendable where Key: Sendable, Value: Sendable {}
