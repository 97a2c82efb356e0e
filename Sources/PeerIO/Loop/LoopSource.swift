/// What a descriptor is ready for.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let read = Readiness(rawValue: 1)
    public static let write = Readiness(rawValue: 2)
    /// An error waits, possibly in the socket's error queue. Always reported, never asked for.
    public static let error = Readiness(rawValue: 4)
    /// The far end is gone. Always reported, never asked for.
    public static let hangUp = Readiness(rawValue: 8)
}

/// The handler of one descriptor on an `IOLoop`. Called on the loop's thread only.
public protocol LoopSource: AnyObject {
    /// The descriptor is ready. Readiness is level-triggered: do a bounded amount of work, the rest is told again
    /// on the next turn, after the timers had theirs.
    func ready(_ readiness: Readiness, on loop: IOLoop)
    /// The loop ended. The source is registered no more and closes its descriptor.
    func loopStopped()
}

/// The right to change or remove what was registered. A stale one does nothing.
public struct LoopRegistration: Hashable, Sendable {
    var slot: UInt32
    var generation: UInt32
    /// What epoll carries back to us.
    var identity: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

/// The sources of a loop by slot. A slot's generation tells a late event for a closed descriptor from one for its heir.
struct LoopSourceTable {
    private struct Slot {
        var source: (any LoopSource)?
        var descriptor: Int32
        var generation: UInt32
    }
    private var slots: [Slot] = []
    private var free: [UInt32] = []

    mutating func add(_ source: any LoopSource, descriptor: Int32) -> LoopRegistration {
        guard let slot = free.popLast() else {
            slots.append(Slot(source: source, descriptor: descriptor, generation: 1))
            return LoopRegistration(slot: UInt32(slots.count - 1), generation: 1)
        }
        slots[Int(slot)].source = source
        slots[Int(slot)].descriptor = descriptor
        return LoopRegistration(slot: slot, generation: slots[Int(slot)].generation)
    }

    /// The descriptor that was registered, if it still was.
    mutating func remove(_ registration: LoopRegistration) -> Int32? {
        guard let index = index(of: registration) else { return nil }
        slots[index].source = nil
        slots[index].generation &+= 1
        free.append(registration.slot)
        return slots[index].descriptor
    }

    func descriptor(of registration: LoopRegistration) -> Int32? {
        index(of: registration).map { slots[$0].descriptor }
    }

    func source(identity: UInt64) -> (any LoopSource)? {
        let registration = LoopRegistration(
            slot: UInt32(truncatingIfNeeded: identity), generation: UInt32(truncatingIfNeeded: identity >> 32))
        return index(of: registration).flatMap { slots[$0].source }
    }

    mutating func removeAll() -> [any LoopSource] {
        defer {
            slots = []
            free = []
        }
        return slots.compactMap(\.source)
    }

    private func index(of registration: LoopRegistration) -> Int? {
        let index = Int(registration.slot)
        guard index < slots.count, slots[index].generation == registration.generation, slots[index].source != nil
        else { return nil }
        return index
    }
}
