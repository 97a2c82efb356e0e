import Primitives

/// Packets by sequence number, a window of at most `capacity` numbers wide and `maximumBytes` heavy. Grows by doubling,
/// so that a stream in order stays small.
struct PacketRing: Sendable {
    struct Flags: OptionSet, Hashable, Sendable {
        let rawValue: UInt8
        static let marker = Flags(rawValue: 1)
        static let startsFrame = Flags(rawValue: 2)
        static let keyframe = Flags(rawValue: 4)
        /// Holds no media: padding, an unknown payload type, a telephone event.
        static let filler = Flags(rawValue: 8)
        /// Holds media that cannot be read.
        static let malformed = Flags(rawValue: 16)
    }

    /// What is known of a packet without its bytes.
    struct Entry: Hashable, Sendable {
        var sequence: Int64
        var timestamp: Int64
        var arrival: Instant
        var data: Range<Int>
        var codec: Codec
        var flags: Flags
        /// What header extensions said of it.
        var quarterTurns: UInt8?
        var audioLevel: UInt8?
    }

    private var entries: [Entry?] = []
    private var packets: [[UInt8]] = []
    private(set) var bytes = 0
    private(set) var count = 0
    let capacity: Int64
    private let maximumBytes: Int

    init(capacity: Int, maximumBytes: Int) {
        var size: Int64 = 16
        while size < Int64(clamp(capacity, 16, 16_384)) { size *= 2 }
        self.capacity = size
        self.maximumBytes = Swift.max(0, maximumBytes)
    }

    private func slot(_ sequence: Int64) -> Int { Int(sequence & Int64(entries.count - 1)) }

    subscript(sequence: Int64) -> Entry? {
        guard !entries.isEmpty, let entry = entries[slot(sequence)], entry.sequence == sequence else { return nil }
        return entry
    }

    /// Keeps a packet. An older one in its place at full size is dropped; a newer one stays.
    /// - Returns: `false` when the packet does not fit.
    mutating func insert(_ entry: Entry, packet: [UInt8]) -> Bool {
        guard packet.count <= maximumBytes - bytes else { return false }
        if entries.isEmpty { resize(to: 16) }
        while let occupant = entries[slot(entry.sequence)], occupant.sequence != entry.sequence {
            if Int64(entries.count) < capacity {
                resize(to: entries.count * 2)
            } else if occupant.sequence > entry.sequence {
                return false
            } else {
                remove(occupant.sequence)
            }
        }
        remove(entry.sequence)
        entries[slot(entry.sequence)] = entry
        packets[slot(entry.sequence)] = packet
        bytes += packet.count
        count += 1
        return true
    }

    mutating func remove(_ sequence: Int64) {
        guard self[sequence] != nil else { return }
        let slot = slot(sequence)
        bytes -= packets[slot].count
        count -= 1
        entries[slot] = nil
        packets[slot] = []
    }

    mutating func removeAll() {
        entries = []
        packets = []
        bytes = 0
        count = 0
    }

    /// Appends the media bytes of a packet.
    func append(_ sequence: Int64, to payload: inout [UInt8]) {
        guard let entry = self[sequence] else { return }
        let slot = slot(sequence)
        payload.append(contentsOf: packets[slot][entry.data])
    }

    /// The whole packet.
    func packet(_ sequence: Int64) -> [UInt8] { self[sequence] == nil ? [] : packets[slot(sequence)] }

    private mutating func resize(to size: Int) {
        let old = entries
        let oldPackets = packets
        entries = Array(repeating: nil, count: size)
        packets = Array(repeating: [], count: size)
        for (index, entry) in old.enumerated() {
            guard let entry else { continue }
            entries[slot(entry.sequence)] = entry
            packets[slot(entry.sequence)] = oldPackets[index]
        }
    }
}
