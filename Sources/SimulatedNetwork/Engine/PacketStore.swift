import Primitives

/// A UDP datagram or a TCP segment on its way, with the addresses it bears at this point of it.
struct Packet {
    var bytes: [UInt8]
    var source: TransportAddress
    var destination: TransportAddress
    /// The host that hears of errors, or -1 where no host does: a server's answer, or past a relay.
    var origin: Int
    /// The path as the origin sent it.
    var originPath: NetworkPath
    var sentAt: Instant
    /// Networks crossed; a loop ends at the limit.
    var hops: UInt8 = 0
    var reason = UnreachableReason.hostUnreachable

    var transport: PathTransport { originPath.transport }
    /// Bytes on the wire: payload, UDP header and IP header. A segment bears its header itself.
    var wireSize: Int {
        bytes.count + (destination.ip.family == .ipv4 ? 20 : 40) + (transport == .udp ? 8 : 0)
    }
}

/// Packets in flight, in slots that are used again. At most `capacity` of them.
struct PacketStore {
    private var packets: [Packet] = []
    private var free: [Int32] = []
    let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    var count: Int { packets.count - free.count }

    subscript(slot: Int32) -> Packet {
        @inline(__always) get { packets[Int(slot)] }
        @inline(__always) _modify { yield &packets[Int(slot)] }
    }

    /// The slot, or `nil` when the store is full.
    mutating func insert(_ packet: Packet) -> Int32? {
        if let slot = free.popLast() {
            packets[Int(slot)] = packet
            return slot
        }
        guard packets.count < capacity else { return nil }
        packets.append(packet)
        return Int32(truncatingIfNeeded: packets.count - 1)
    }

    mutating func discard(_ slot: Int32) { _ = takeBytes(slot) }

    /// Frees the slot and moves the payload out of it.
    mutating func takeBytes(_ slot: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        swap(&bytes, &packets[Int(slot)].bytes)
        free.append(slot)
        return bytes
    }
}
