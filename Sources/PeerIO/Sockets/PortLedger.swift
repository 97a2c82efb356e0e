import Primitives

/// Which ports of a pool are in use, which rest and which are free. Pure; `PortPool` opens the sockets.
///
/// A port rests after its call: the other side's last packets, and a proxy's mapping for them, would otherwise meet the
/// next call there. Ports are given in turn, so that each rests for as long as possible.
public struct PortLedger: Hashable, Sendable {
    public let range: ClosedRange<UInt16>
    /// How long a port rests after its call. A proxy's mapping commonly ends after 30 to 60 s without traffic.
    public let quarantine: TimeDelta
    private var inUse: [TransportAddress] = []
    private var resting: [TransportAddress: Instant] = [:]
    private var next: UInt16

    public init(range: ClosedRange<UInt16>, quarantine: TimeDelta = .seconds(60)) {
        self.range = range
        self.quarantine = quarantine
        next = range.lowerBound
    }

    /// The free ports of an address, the one whose turn it is first.
    public mutating func free(on ip: IPAddress, at now: Instant) -> [UInt16] {
        resting = resting.filter { $0.value > now }
        let turned =
            Array(next...range.upperBound) + (next > range.lowerBound ? Array(range.lowerBound...next - 1) : [])
        return turned.filter {
            let address = TransportAddress(ip, $0)
            return !inUse.contains(address) && resting[address] == nil
        }
    }

    public mutating func take(_ address: TransportAddress) {
        guard range.contains(address.port), !inUse.contains(address) else { return }
        inUse.append(address)
        next = address.port == range.upperBound ? range.lowerBound : address.port + 1
    }

    public mutating func release(_ address: TransportAddress, at now: Instant) {
        guard let index = inUse.firstIndex(of: address) else { return }
        inUse.remove(at: index)
        resting[address] = now + quarantine
    }

    /// How it stands on one address.
    public func usage(on ip: IPAddress, at now: Instant) -> PortUsage {
        let rests = resting.filter { $0.key.ip == ip && $0.value > now }
        return PortUsage(
            range: range, inUse: inUse.filter { $0.ip == ip }.map(\.port).sorted(),
            resting: rests.keys.map(\.port).sorted(),
            nextFree: rests.values.min().map { $0 - now })
    }
}

/// How a pool of ports stands on one address.
public struct PortUsage: Hashable, Sendable, CustomStringConvertible {
    public var range: ClosedRange<UInt16>
    public var inUse: [UInt16]
    public var resting: [UInt16]
    /// Until the first of the resting ones is free.
    public var nextFree: TimeDelta?

    public var description: String {
        let rest = resting.isEmpty ? "" : ", \(resting.count) rest after a call"
        return "\(inUse.count) of \(range.count) ports of \(range.lowerBound)-\(range.upperBound) in use\(rest)"
    }
}
