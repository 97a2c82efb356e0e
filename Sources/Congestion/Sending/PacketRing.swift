/// A first-in-first-out ring with a cap, visible to the optimiser of the module that fills in the element.
@usableFromInline struct PacketRing<Element> {
    @usableFromInline var storage: [Element?] = []
    @usableFromInline var head = 0
    @usableFromInline var count = 0
    @usableFromInline let capacity: Int

    @inlinable init(capacity: Int) { self.capacity = capacity }

    @inlinable var first: Element? { count == 0 ? nil : storage[head] }

    /// Appends unless full. Returns whether there was room.
    @inlinable mutating func append(_ element: Element) -> Bool {
        guard count < capacity else { return false }
        if count == storage.count { grow() }
        var index = head + count
        if index >= storage.count { index -= storage.count }
        storage[index] = element
        count += 1
        return true
    }

    @inlinable mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = storage[head]
        storage[head] = nil
        head = head + 1 == storage.count ? 0 : head + 1
        count -= 1
        return element
    }

    @inlinable mutating func grow() {
        let size = Swift.min(capacity, Swift.max(16, storage.count * 2))
        var larger: [Element?] = []
        larger.reserveCapacity(size)
        for index in 0..<count { larger.append(storage[(head + index) % storage.count]) }
        while larger.count < size { larger.append(nil) }
        storage = larger
        head = 0
    }
}

extension PacketRing: Sendable where Element: Sendable {}
