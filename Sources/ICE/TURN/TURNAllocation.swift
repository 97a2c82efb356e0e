import Primitives

/// A relayed address on a TURN server, and all that keeps it (RFC 8656): the client, over any transport.
///
/// It is told the time and what came from the server, and says what to send there; where the server is, and by which
/// socket or connection it is reached, is its owner's affair. A stream is cut into messages by `TURNStreamFraming`.
///
///     idle ── start ──► allocating ──► active ── 437, 401, expired ──► allocating (again) …
///                          │             └── release ──► releasing ──► ended
///                          └── refused, no answer ──► ended(failure)
///
/// **Allocating.** An Allocate without credentials is answered by 401 with realm and nonce, and repeated with them. A
/// 437 means that the server still holds an allocation of this port, from a life before this one: it is freed by a
/// Refresh of zero, once, and Allocate is repeated. A 300 is a failure that names where to go: the owner makes another
/// allocation there.
///
/// **Renewal.** Refresh is sent a minute before the end, permissions are renewed after four of their five minutes,
/// channels after nine of ten. What is not answered is repeated by the measured round trip and, given up, is asked
/// again after 5 s as long as the allocation may live. A nonce that has gone stale (438) costs one more round trip for
/// each request under way. After a suspension everything is late and is asked at once: the server's word decides, not
/// our clock.
///
/// **Loss.** A 437 to anything, or a 401 to credentials that were good, says that the server has forgotten us or that a
/// NAT on the way gave us another address. `lost` is announced, and an Allocate leaves at once, without waiting to be
/// asked; `allocated` then brings new addresses, permissions and channels are asked for again. `verify` asks for a
/// Refresh early, when a path through the relay has gone silent.
///
/// **Data.** `send` wraps into ChannelData where a channel is bound and into a Send indication where not. A peer without
/// permission is given one first, in the message before; the server takes both in order. `bindChannel` is for the
/// peer that is sent to much.
///
/// **Trust.** An answer to a request with credentials must carry the integrity code, but for 401 and 438, which cannot;
/// any other is dropped as if it had not come, and remembered only to say at the end why nothing was believed.
/// Data needs no code, so only permitted peers' is taken.
public struct TURNAllocation: Sendable {
    public typealias Output = TURNOutput

    enum Phase: Sendable {
        case idle
        /// Waits for an Allocate; `due` is when to try again after a failed attempt to replace a lost one.
        case allocating(due: Instant?)
        case active(TURNLease, refreshDue: Instant?)
        case releasing
        case ended(TURNFailure?)
    }

    public let configuration: Configuration
    var random: RandomSource
    var phase: Phase = .idle
    var authentication: TURNAuthentication
    var transactions: [TURNTransaction] = []
    var permissions: [TURNPermission] = []
    var channels: [TURNChannel] = []
    var lastNumber: UInt16 = TURNChannel.numbers.lowerBound - 1
    var roundTrip = TURNRoundTrip()
    /// Attempts to replace a lost allocation; `nil` while there never was one.
    var reallocations: Int?
    /// Whether this attempt has freed an older allocation already.
    var hasCleared = false
    var lastSent: Instant?
    var allocatedAt: Instant?
    /// Allocations in a row that were lost within seconds.
    var quickLosses = 0
    /// When `advance(to:)` is next due.
    public internal(set) var deadline: Instant?

    public init(configuration: Configuration, random: RandomSource) {
        self.configuration = configuration
        self.random = random
        authentication = TURNAuthentication(credential: configuration.credential)
    }
}

extension TURNAllocation {
    /// What the server gave, while there is an allocation.
    public var lease: TURNLease? {
        if case .active(let lease, _) = phase { lease } else { nil }
    }
    public var failure: TURNFailure? {
        if case .ended(let failure) = phase { failure } else { nil }
    }
    /// Nothing more will come: it failed or was released.
    public var hasEnded: Bool {
        if case .ended = phase { true } else { false }
    }
    /// Smoothed, to the server and back.
    public var roundTripTime: TimeDelta? { roundTrip.smoothed }

    public func isPermitted(_ ip: IPAddress) -> Bool { permissions.contains { $0.ip == ip && $0.isInstalled } }
    public func channel(to peer: TransportAddress) -> UInt16? {
        channels.first { $0.peer == peer && $0.isBound }?.number
    }
}

// MARK: Verbs

extension TURNAllocation {
    /// Asks for the allocation. Once.
    public mutating func start(at now: Instant, into out: inout Output) {
        guard case .idle = phase else { return }
        phase = .allocating(due: nil)
        begin(.allocate, at: now, into: &out)
        updateDeadline()
    }

    /// Lets this peer address send to us, now and until `withdraw`. Ports do not matter (RFC 8656 §9).
    public mutating func permit(_ ip: IPAddress, at now: Instant, into out: inout Output) {
        if addPermission(ip, at: now, into: &out) { renew(at: now, into: &out) }
        updateDeadline()
    }

    /// Renews the permission no more; it ends by itself within five minutes.
    public mutating func withdraw(_ ip: IPAddress) {
        permissions.removeAll { $0.ip == ip }
        channels.removeAll { $0.peer.ip == ip }
        updateDeadline()
    }

    /// Makes packets to this peer 36 bytes shorter.
    public mutating func bindChannel(to peer: TransportAddress, at now: Instant, into out: inout Output) {
        guard !channels.contains(where: { $0.peer == peer }) else { return }
        guard channels.count < configuration.limits.channels else {
            out.trace.append(.channelLimitReached(peer))
            return
        }
        guard addPermission(peer.ip, at: now, into: &out) else { return }
        channels.append(TURNChannel(peer: peer, due: now))
        renew(at: now, into: &out)
        updateDeadline()
    }

    /// Asks the server now whether the allocation still stands: when what goes through it is not answered any more.
    public mutating func verify(at now: Instant, into out: inout Output) {
        guard case .active(let lease, .some) = phase else { return }
        phase = .active(lease, refreshDue: nil)
        begin(.refresh, at: now, into: &out)
        updateDeadline()
    }

    /// Frees the allocation, also one that was asked for and not answered yet.
    public mutating func release(at now: Instant, into out: inout Output) {
        switch phase {
        case .active, .allocating(due: nil):
            guard authentication.isReady || lease != nil else { return end(nil, into: &out) }
            transactions.removeAll()
            phase = .releasing
            begin(.release, at: now, into: &out)
            updateDeadline()
        case .idle, .allocating: end(nil, into: &out)
        case .releasing, .ended: break
        }
    }

    /// Does what is due by `now`. Afterwards the deadline is `nil` or later.
    public mutating func advance(to now: Instant, into out: inout Output) {
        guard let deadline, deadline <= now else { return }
        repeatRequests(at: now, into: &out)
        renew(at: now, into: &out)
        keepAlive(at: now, into: &out)
        updateDeadline()
    }

    // MARK: Phases

    /// Sends whatever is due and has room.
    mutating func renew(at now: Instant, into out: inout Output) {
        switch phase {
        case .allocating(let due?) where due <= now:
            phase = .allocating(due: nil)
            hasCleared = false
            begin(.allocate, at: now, into: &out)
        case .active(let lease, let due):
            if let due, due <= now {
                phase = .active(lease, refreshDue: nil)
                begin(.refresh, at: now, into: &out)
            }
            renewPermissions(at: now, into: &out)
            renewChannels(at: now, into: &out)
        default: break
        }
    }

    /// The server has forgotten us: asks anew at once.
    mutating func lose(_ loss: TURNLoss, at now: Instant, into out: inout Output) {
        guard case .active = phase else { return }
        transactions.removeAll()
        for i in permissions.indices { permissions[i].isInstalled = false }
        for i in channels.indices { channels[i].isBound = false }
        phase = .allocating(due: nil)
        hasCleared = false
        authentication.reset()
        out.events.append(.lost(loss))
        // Once may be a restart at a bad moment; a server that gives and forgets is not asked as fast as it does so.
        let isQuick = allocatedAt.map { now - $0 < .seconds(10) } ?? false
        quickLosses = isQuick ? quickLosses + 1 : 0
        guard quickLosses < 2 else {
            return failAllocating(.unusableAnswer("allocations that are forgotten at once"), at: now, into: &out)
        }
        reallocations = 0
        begin(.allocate, at: now, into: &out)
    }

    /// An attempt at an allocation came to nothing.
    mutating func failAllocating(_ failure: TURNFailure, at now: Instant, into out: inout Output) {
        transactions.removeAll()
        guard let attempts = reallocations, failure.isTransient, attempts < configuration.reallocationLimit else {
            return end(failure, into: &out)
        }
        reallocations = attempts + 1
        let wait = min(.seconds(60), configuration.retryInterval * (Int64(1) << Int64(min(attempts, 10))))
        authentication.reset()
        phase = .allocating(due: now + wait)
        out.trace.append(.reallocationFailed(failure, again: wait))
    }

    mutating func end(_ failure: TURNFailure?, into out: inout Output) {
        transactions.removeAll()
        permissions.removeAll()
        channels.removeAll()
        phase = .ended(failure)
        out.events.append(failure.map(TURNEvent.failed) ?? .released)
        updateDeadline()
    }

    private mutating func keepAlive(at now: Instant, into out: inout Output) {
        guard case .active = phase, let interval = configuration.keepalive, let lastSent, lastSent + interval <= now
        else { return }
        // An indication is not answered and needs no credentials.
        let indication = STUNMessage(.indication, transactionID: STUNTransactionID(using: &random))
        transmit(indication.encoded(), at: now, into: &out)
    }

    mutating func transmit(_ message: [UInt8], at now: Instant, into out: inout Output) {
        lastSent = now
        out.messages.append(message)
    }

    mutating func updateDeadline() {
        var next = transactions.reduce(nil as Instant?) { earliest($0, $1.due) }
        switch phase {
        case .allocating(let due): next = earliest(next, due)
        case .active(_, let refreshDue):
            next = earliest(next, refreshDue)
            if transactions.count < configuration.limits.transactions {
                for permission in permissions { next = earliest(next, permission.due) }
                for channel in channels { next = earliest(next, channel.due) }
            }
            if let interval = configuration.keepalive, let lastSent { next = earliest(next, lastSent + interval) }
        case .idle, .releasing, .ended: break
        }
        deadline = next
    }
}
