import Primitives

/// The TCP connections of an agent, as far as its checks care: which paths have one, and which wait for one.
///
/// A path over UDP always carries. A path over TCP does while it is here and open.
struct ConnectionTable: Sendable {
    private enum State: Sendable {
        case connecting(until: Instant)
        case open
    }
    private struct Entry: Sendable {
        var path: NetworkPath
        var state: State
        /// Its address on our side, where we made it.
        var local: TransportAddress?
        var isAccepted: Bool
    }

    private var entries: [Entry] = []

    var isEmpty: Bool { entries.isEmpty }
    var paths: [NetworkPath] { entries.map(\.path) }
    /// Those that the other side made, the oldest first.
    var accepted: [NetworkPath] { entries.filter(\.isAccepted).map(\.path) }

    func contains(_ path: NetworkPath) -> Bool { index(path) != nil }

    /// Whether a check may leave on the path now.
    func carries(_ path: NetworkPath) -> Bool {
        guard path.transport == .tcp else { return true }
        guard let i = index(path), case .open = entries[i].state else { return false }
        return true
    }

    func localAddress(of path: NetworkPath) -> TransportAddress? {
        path.transport == .tcp ? index(path).flatMap { entries[$0].local } : nil
    }

    func connectDeadline(_ path: NetworkPath) -> Instant? {
        guard let i = index(path), case .connecting(let until) = entries[i].state else { return nil }
        return until
    }

    func isOverdue(_ path: NetworkPath, at now: Instant) -> Bool {
        guard path.transport == .tcp else { return false }
        return connectDeadline(path).map { $0 <= now } ?? false
    }

    /// False when it is being made or stands already.
    mutating func begin(_ path: NetworkPath, until: Instant) -> Bool {
        guard index(path) == nil else { return false }
        entries.append(Entry(path: path, state: .connecting(until: until), isAccepted: false))
        return true
    }

    /// False when nobody waits for it.
    mutating func open(_ path: NetworkPath, from local: TransportAddress?) -> Bool {
        guard let i = index(path), case .connecting = entries[i].state else { return false }
        entries[i].state = .open
        entries[i].local = local
        return true
    }

    mutating func accept(_ path: NetworkPath) {
        entries.append(Entry(path: path, state: .open, isAccepted: true))
    }

    /// It has ended. False when it was not known.
    mutating func remove(_ path: NetworkPath) -> Bool {
        guard let i = index(path) else { return false }
        entries.remove(at: i)
        return true
    }

    /// Has it closed.
    mutating func close(_ path: NetworkPath, into out: inout ICEAgent.Output) {
        if remove(path) { out.events.append(.connectionUnwanted(path)) }
    }

    private func index(_ path: NetworkPath) -> Int? {
        entries.isEmpty ? nil : entries.firstIndex { $0.path == path }
    }
}
