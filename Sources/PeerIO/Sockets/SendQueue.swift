import Primitives

/// Datagrams that the socket had no room for, oldest first. When full it drops the oldest: late media is worth nothing.
struct SendQueue {
    private var storage: [Datagram] = []
    private var head = 0
    let limit: Int
    private(set) var dropped = 0

    init(limit: Int) { self.limit = limit }

    var isEmpty: Bool { head == storage.count }
    var count: Int { storage.count - head }
    /// All of it, in order.
    var waiting: ArraySlice<Datagram> { storage[head...] }

    mutating func append(contentsOf datagrams: ArraySlice<Datagram>) {
        let accepted = datagrams.suffix(limit)
        let excess = count + accepted.count - limit
        if excess > 0 { removeFirst(excess) }
        dropped += Swift.max(0, excess) + datagrams.count - accepted.count
        storage.append(contentsOf: accepted)
    }

    mutating func removeFirst(_ number: Int) {
        for index in head..<head + number { storage[index].bytes = [] }
        head += number
        if head == storage.count {
            storage.removeAll(keepingCapacity: true)
            head = 0
        } else if head > limit {
            storage.removeFirst(head)
            head = 0
        }
    }

    mutating func removeAll() {
        storage = []
        head = 0
    }
}
