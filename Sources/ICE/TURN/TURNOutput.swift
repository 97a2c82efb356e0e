import Primitives

/// What an allocation wants done, as values (invariant 2). The owner empties it after each call, in order.
public struct TURNOutput: Sendable {
    /// For the server: a datagram each, or written one after the other to its connection.
    public var messages: [[UInt8]] = []
    /// What peers sent to our relayed addresses.
    public var arrivals: [TURNArrival] = []
    public var events: [TURNEvent] = []
    public var trace: [TURNTrace] = []

    public init() {}

    public var isEmpty: Bool { messages.isEmpty && arrivals.isEmpty && events.isEmpty && trace.isEmpty }

    /// Empties it and keeps the room.
    public mutating func removeAll() {
        messages.removeAll(keepingCapacity: true)
        arrivals.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
        trace.removeAll(keepingCapacity: true)
    }
}

/// A datagram that came through the relay.
public struct TURNArrival: Hashable, Sendable {
    public var bytes: [UInt8]
    public var peer: TransportAddress
    /// The relayed address it was sent to.
    public var relayed: TransportAddress
}

/// What the server gave us (RFC 8656 §7.3).
public struct TURNLease: Hashable, Sendable {
    /// One address, or one of each family.
    public var relayed: [TransportAddress]
    /// Our address as the server sees it: a server-reflexive candidate that costs nothing more.
    public var mapped: TransportAddress?
    public var lifetime: TimeDelta
    /// When the server forgets us unless we refresh.
    public var expires: Instant
    /// Why a family asked for is missing.
    public var missing: STUNErrorCode?
    public var software: String?

    public func relayed(_ family: IPAddress.Family) -> TransportAddress? {
        relayed.first { $0.ip.family == family }
    }
}

/// What the owner of an allocation has to know or do.
public enum TURNEvent: Hashable, Sendable {
    /// There is an allocation: the first, or another after `lost`, whose addresses are new.
    case allocated(TURNLease)
    /// The server does not know the allocation any more; its addresses are dead, and another is being asked for.
    case lost(TURNLoss)
    /// There is none and will be none.
    case failed(TURNFailure)
    case permissionInstalled(IPAddress)
    case permissionRefused(IPAddress, STUNErrorCode)
    case channelBound(TransportAddress, number: UInt16)
    case channelRefused(TransportAddress, STUNErrorCode)
    /// The relay got an ICMP error for something we sent to the peer (RFC 8656 §11.5).
    case peerUnreachable(TransportAddress, STUNICMPError)
    /// The server has freed the allocation, or did not answer when told to.
    case released
}

public enum TURNLoss: Hashable, Sendable {
    /// 437, or a 401 to credentials it had accepted: the server was restarted, or our address changed on the way to it.
    case unknownToServer
    /// Its time ran out, and nobody answered.
    case expired
}

extension TURNLoss: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unknownToServer: "the server does not know it any more (restarted, or our address changed)"
        case .expired: "it ran out while the server did not answer"
        }
    }
}

/// What became of something given to `send`.
public enum TURNSendOutcome: Hashable, Sendable {
    case sent
    case notAllocated
    /// No relayed address of the peer's family.
    case noAddressOfFamily
    /// As many permissions as may be, and none for this peer.
    case permissionLimit
    /// Longer than a UDP datagram can be.
    case tooLong
}

/// What happened inside, for people.
public enum TURNTrace: Hashable, Sendable {
    case requestSent(TURNRequest, attempt: Int)
    case answered(TURNRequest, roundTrip: TimeDelta)
    case refused(TURNRequest, STUNErrorCode)
    case unanswered(TURNRequest, requests: Int)
    case staleNonce(TURNRequest)
    case dropped(TURNDropReason)
    case reallocationFailed(TURNFailure, again: TimeDelta)
    case permissionLimitReached(IPAddress)
    case channelLimitReached(TransportAddress)
}

/// A request without its credentials.
public enum TURNRequest: Hashable, Sendable {
    case allocate
    case refresh
    /// Refresh with a lifetime of zero.
    case release
    case createPermission(IPAddress)
    case channelBind(TransportAddress, number: UInt16)
}

/// Why something from the server was not used.
public enum TURNDropReason: Hashable, Sendable {
    case malformed
    case badFingerprint
    case unknownTransaction
    /// An answer without the integrity code it must have, or with a wrong one.
    case unauthenticated(STUNErrorCode?)
    case securityDowngrade
    /// Data from someone we gave no permission, or on a channel that is not bound.
    case unknownPeer
    case notAllocated
}

extension TURNRequest: CustomStringConvertible {
    public var description: String {
        switch self {
        case .allocate: "Allocate"
        case .refresh: "Refresh"
        case .release: "Refresh (release)"
        case .createPermission(let ip): "CreatePermission \(ip)"
        case .channelBind(let peer, let number): "ChannelBind \(peer) 0x\(String(number, radix: 16))"
        }
    }
}

extension TURNTrace: CustomStringConvertible {
    public var description: String {
        switch self {
        case .requestSent(let request, let attempt): "\(request) sent" + (attempt > 1 ? " (\(attempt). time)" : "")
        case .answered(let request, let time): "\(request) answered after \(time)"
        case .refused(let request, let error): "\(request) refused: \(error)"
        case .unanswered(let request, let count): "\(request): no answer to \(count)"
        case .staleNonce(let request): "\(request): nonce stale, once more with the new one"
        case .dropped(let reason): "dropped: \(reason)"
        case .reallocationFailed(let failure, let again): "no new allocation: \(failure); again in \(again)"
        case .permissionLimitReached(let ip): "no permission for \(ip): as many as may be"
        case .channelLimitReached(let peer): "no channel for \(peer): as many as may be"
        }
    }
}
