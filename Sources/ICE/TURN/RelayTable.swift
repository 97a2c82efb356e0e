import Primitives

/// An allocation of an agent: on one base, at one server.
struct Relay: Sendable {
    let server: RelayServer
    let base: LocalBase
    var allocation: TURNAllocation
    /// The relayed addresses that are bases of candidates now.
    var addresses: [TransportAddress] = []
    /// Peers that were given permission, or refused it: each is asked for once.
    var permitted: Set<IPAddress> = []
    /// Peers that a channel was asked for.
    var bound: Set<TransportAddress> = []
    var verifiedAt: Instant?

    var path: NetworkPath { NetworkPath(local: base.address, remote: server.address) }
    /// Whether there is nothing more to wait for before gathering is complete.
    var isSettled: Bool { allocation.lease != nil || allocation.hasEnded }
}

/// The allocations of an agent, which outlive its generations.
struct RelayTable: Sendable {
    var relays: [Relay] = []
    /// Servers that a connection is being made to for the first time.
    var awaited: [RelayServer] = []
    /// Gathering does not wait longer for them; they come in late all the same.
    var limit: Instant?
    /// Kept between calls, so that steady traffic does not allocate it anew.
    var output = TURNOutput()

    var isEmpty: Bool { relays.isEmpty }
    var isComplete: Bool { limit == nil || (awaited.isEmpty && relays.allSatisfy(\.isSettled)) }
    /// Nothing is held at any server.
    var areReleased: Bool { relays.allSatisfy(\.allocation.hasEnded) }

    var deadline: Instant? {
        let next = relays.reduce(nil as Instant?) { earliest($0, $1.allocation.deadline) }
        return isComplete ? next : earliest(next, limit)
    }

    /// Whose relayed address this is.
    func index(ofRelayed address: TransportAddress) -> Int? {
        relays.firstIndex { $0.addresses.contains(address) }
    }

    /// Whose server is on this path.
    func index(on path: NetworkPath) -> Int? { relays.firstIndex { $0.path == path } }
}
