/// What happens next in the simulation: a packet reaches the end of a link, or an error comes back to its sender.
struct Event {
    enum Kind: UInt8 {
        /// Off the interface's up link, into its network.
        case intoNetwork
        /// Off the interface's down link, to the box that owns it.
        case intoBox
        /// An ICMP error is back at the host that sent the packet.
        case report
    }
    var time: Int64
    /// Breaks ties in the order of scheduling, which makes a run repeatable.
    var order: UInt64
    var slot: Int32
    var interface: Int32
    var kind: Kind

    @inline(__always) func precedes(_ other: Event) -> Bool {
        time != other.time ? time < other.time : order < other.order
    }
}

/// A binary heap of plain values; packets lie still in a `PacketStore` and are named by their slot.
struct EventQueue {
    private var heap: [Event] = []
    private var nextOrder: UInt64 = 0

    var count: Int { heap.count }
    var nextTime: Int64? { heap.first?.time }

    mutating func push(time: Int64, kind: Event.Kind, slot: Int32, interface: Int) {
        let event = Event(
            time: time, order: nextOrder, slot: slot, interface: Int32(truncatingIfNeeded: interface), kind: kind)
        nextOrder &+= 1
        heap.append(event)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard event.precedes(heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = event
    }

    mutating func pop() -> Event? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        guard !heap.isEmpty else { return first }
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(last) else { break }
            heap[hole] = heap[child]
            hole = child
        }
        heap[hole] = last
        return first
    }
}
