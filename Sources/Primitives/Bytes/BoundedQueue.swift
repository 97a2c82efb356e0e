/// A first-in-first-out ring with a cap (invariant 5). Appending to a full queue tells the caller instead of growing.
public struct BoundedQueue<Element> {
    @usableFromInline var storage: [Element?]
    @usableFromInline var head = 0
    public private(set) var count = 0
    public let capacity: Int

    public init(capacity: Int) {
        precondition(capacity > 0, "a queue needs room for one element")
        self.capacity = capacity
        storage = []
    }

    public var isEmpty: Bool { count == 0 }
    public var isFull: Bool { count == capacity }
    public var first: Element? { count == 0 ? nil : storage[head] }

    /// Appends unless full. Returns whether there was room.
    @discardableResult
    public mutating func append(_ element: Element) -> Bool {
        guard count < capacity else { return false }
        if count == storage.count { grow() }
        storage[(head + count) % storage.count] = element
        count += 1
        return true
    }

    /// Appends; a full queue drops and returns its oldest element.
    @discardableResult
    public mutating func appendDroppingOldest(_ element: Element) -> Element? {
        let dropped = count == capacity ? popFirst() : nil
        append(element)
        return dropped
    }

    public mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = storage[head]
        storage[head] = nil
        head = (head + 1) % storage.count
        count -= 1
        return element
    }

    public mutating func removeAll() {
        for index in storage.indices { storage[index] = nil }
        head = 0
        count = 0
    }

    private mutating func grow() {
        var larger: [Element?] = []
        let size = Swift.min(capacity, Swift.max(8, storage.count * 2))
        larger.reserveCapacity(size)
        for index in 0..<count { larger.append(storage[(head + index) % storage.count]) }
        while larger.count < size { larger.append(nil) }
        storage = larger
        head = 0
    }
}

extension BoundedQueue: Sendable where Element: Sendable {}
