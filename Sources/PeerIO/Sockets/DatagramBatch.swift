import Primitives

/// Datagrams that one read of a socket gave, in the order of their arrival, with one time for all.
///
/// The socket owns and reuses the room; take the datagrams out with `drain`.
public struct DatagramBatch: Sendable {
    public var datagrams: [Datagram] = []
    /// The TOS or traffic class byte of each datagram: DSCP in the upper six bits, ECN in the lower two.
    public var trafficClasses: [UInt8] = []
    /// The monotonic clock just after the read.
    public var arrival = Instant.zero

    @inlinable public init() {}

    @inlinable public var count: Int { datagrams.count }
    @inlinable public var isEmpty: Bool { datagrams.isEmpty }

    /// Hands over each datagram, as the only reference to its bytes, so that they can be changed in place.
    @inlinable public mutating func drain(_ body: (consuming Datagram, ECN) -> Void) {
        for index in datagrams.indices {
            var datagram = Datagram(bytes: [], path: datagrams[index].path)
            swap(&datagram.bytes, &datagrams[index].bytes)
            body(consume datagram, ECN(trafficClass: trafficClasses[index]))
        }
        removeAll()
    }

    @usableFromInline mutating func removeAll() {
        datagrams.removeAll(keepingCapacity: true)
        trafficClasses.removeAll(keepingCapacity: true)
    }
}
