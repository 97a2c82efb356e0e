/// A small table that keeps the order of insertion: one seed must give one trace, and the order of a `Dictionary` changes
/// from process to process. Look-ups walk the keys, of which there are a handful and at most as many as the engine's limits.
///
/// `table[key]?.change()` is for what happens now and then: reading `table[key]` copies the whole value, which retains
/// every buffer in it, and changing it allocates for the access. What is done for every packet goes by position, which
/// touches the value where it lies.
struct StreamTable<Key: Equatable, Value> {
    private(set) var keys: [Key] = []
    private var slots: [Value?] = []

    var count: Int { keys.count }
    var isEmpty: Bool { keys.isEmpty }
    var values: [Value] { slots.compactMap { $0 } }
    var indices: Range<Int> { keys.indices }

    /// Changes happen in place; `nil` removes.
    subscript(key: Key) -> Value? {
        _read {
            if let index = keys.firstIndex(of: key) { yield slots[index] } else { yield nil }
        }
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

    /// Good until a key is added or removed.
    func position(of key: Key) -> Int? { keys.firstIndex(of: key) }

    func firstPosition(where passes: (borrowing Value) -> Bool) -> Int? {
        for position in keys.indices where passes(self[at: position]) { return position }
        return nil
    }

    /// Every key has a value, so the slot of a position is never empty.
    subscript(at position: Int) -> Value {
        @inline(__always) _read { yield slots[position]! }
        @inline(__always) _modify { yield &slots[position]! }
    }

    func keys(where passes: (Value) -> Bool) -> [Key] {
        keys.indices.filter { slots[$0].map(passes) ?? false }.map { keys[$0] }
    }
}

extension StreamTable: Sendable where Key: Sendable, Value: Sendable {}
