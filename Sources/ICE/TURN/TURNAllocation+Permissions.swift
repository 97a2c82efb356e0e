import Primitives

/// Permissions and channels: asked for when there is an allocation, renewed in time, asked for again after its loss.
extension TURNAllocation {
    /// Returns whether there is one now, installed or asked for.
    mutating func addPermission(_ ip: IPAddress, at now: Instant, into out: inout Output) -> Bool {
        if case .ended = phase { return false }
        if let i = permissions.firstIndex(where: { $0.ip == ip }) {
            // One that was refused is asked for once more when it is wanted once more.
            if !permissions[i].isInstalled, permissions[i].due == nil, !isUnderWay(ip) { permissions[i].due = now }
            return true
        }
        if let lease, lease.relayed(ip.family) == nil {
            out.events.append(.permissionRefused(ip, .peerAddressFamilyMismatch))
            return false
        }
        guard permissions.count < configuration.limits.permissions else {
            out.trace.append(.permissionLimitReached(ip))
            return false
        }
        permissions.append(TURNPermission(ip: ip, due: now))
        return true
    }

    private func isUnderWay(_ ip: IPAddress) -> Bool {
        transactions.contains { $0.request == .createPermission(ip) }
    }

    private var hasRoom: Bool { transactions.count < configuration.limits.transactions }

    /// One address a request: a refusal then names it.
    mutating func renewPermissions(at now: Instant, into out: inout Output) {
        for i in permissions.indices where hasRoom {
            guard let due = permissions[i].due, due <= now else { continue }
            permissions[i].due = nil
            begin(.createPermission(permissions[i].ip), at: now, into: &out)
        }
    }

    mutating func renewChannels(at now: Instant, into out: inout Output) {
        for i in channels.indices where hasRoom {
            guard let due = channels[i].due, due <= now else { continue }
            channels[i].due = nil
            guard let number = channels[i].number ?? nextNumber() else { continue }
            channels[i].number = number
            begin(.channelBind(channels[i].peer, number: number), at: now, into: &out)
        }
    }

    /// Numbers are not used twice in an allocation: the server keeps them for minutes after the last use.
    private mutating func nextNumber() -> UInt16? {
        guard lastNumber < TURNChannel.numbers.upperBound else { return nil }
        lastNumber += 1
        return lastNumber
    }

    /// After a new allocation: nothing of the old one counts.
    mutating func renewEverything(at now: Instant) {
        lastNumber = TURNChannel.numbers.lowerBound - 1
        for i in permissions.indices {
            permissions[i].due = now
            permissions[i].isInstalled = false
        }
        for i in channels.indices {
            channels[i].number = nil
            channels[i].due = now
            channels[i].isBound = false
        }
    }

    mutating func permissionInstalled(
        _ ip: IPAddress, by transaction: TURNTransaction, at now: Instant, into out: inout Output
    ) {
        guard let i = permissions.firstIndex(where: { $0.ip == ip }) else { return }
        permissions[i].due = max(now + .seconds(1), transaction.firstSent + configuration.permissionRenewal)
        guard !permissions[i].isInstalled else { return }
        permissions[i].isInstalled = true
        out.events.append(.permissionInstalled(ip))
    }

    mutating func channelBound(
        _ peer: TransportAddress, _ number: UInt16, by transaction: TURNTransaction, at now: Instant,
        into out: inout Output
    ) {
        guard let i = channels.firstIndex(where: { $0.peer == peer && $0.number == number }) else { return }
        channels[i].due = max(now + .seconds(1), transaction.firstSent + configuration.channelRenewal)
        guard !channels[i].isBound else { return }
        channels[i].isBound = true
        out.events.append(.channelBound(peer, number: number))
    }

    /// Goes on with Send indications, and with another number if it is asked for again.
    mutating func channelRefused(
        _ peer: TransportAddress, _ error: STUNErrorCode, at now: Instant, into out: inout Output
    ) {
        guard let i = channels.firstIndex(where: { $0.peer == peer }) else { return }
        channels[i].isBound = false
        channels[i].number = nil
        out.events.append(.channelRefused(peer, error))
    }
}
