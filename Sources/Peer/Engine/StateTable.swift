/// A few values by key, in the order they came, to be changed where they lie.
///
/// `dictionary[key]?.change()` moves a large value out and in again and allocates three times to do so: too much for
/// something done with every packet. Here `values[position]` is the element of an array. A call has a handful of
/// streams, so the key is looked for one by one; unlike a dictionary's, the order is the same in every run.
struct StateTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private(set) var keys: [Key] = []
    var values: [Value] = []

    var count: Int { keys.count }
    var isEmpty: Bool { keys.isEmpty }

    func position(of key: Key) -> Int? { keys.firstIndex(of: key) }
    func contains(_ key: Key) -> Bool { keys.contains(key) }

    /// A copy of the value; setting replaces, appends or removes it.
    subscript(key: Key) -> Value? {
        get { position(of: key).map { values[$0] } }
        set {
            switch (position(of: key), newValue) {
            case (let position?, let value?): values[position] = value
            case (let position?, nil):
                keys.remove(at: position)
                values.remove(at: position)
            case (nil, let value?):
                keys.append(key)
                values.append(value)
            case (nil, nil): break
            }
        }
    }

    mutating func removeAll(where shouldRemove: (Value) -> Bool) {
        for position in values.indices.reversed() where shouldRemove(values[position]) {
            keys.remove(at: position)
            values.remove(at: position)
        }
    }
}
