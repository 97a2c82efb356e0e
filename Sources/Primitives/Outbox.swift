/// What a machine wants done, as values (invariant 2). The driver empties it after each call, in order.
public struct Outbox<Event: Sendable, Trace: Sendable>: Sendable {
    public var datagrams: [Datagram] = []
    public var events: [Event] = []
    public var trace: [Trace] = []

    @inlinable public init() {}

    @inlinable public var isEmpty: Bool { datagrams.isEmpty && events.isEmpty && trace.isEmpty }

    /// Empties it and keeps the room, so that steady traffic allocates nothing here.
    @inlinable public mutating func removeAll() {
        datagrams.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
        trace.removeAll(keepingCapacity: true)
    }
}
