import Primitives

/// Which of several agents on one socket a datagram is for, so that one proxied port serves any number of calls.
///
/// Behind a port-level proxy every client comes from the proxy's address, and after a restart of it one client may come
/// from the port that another had. So an address tells nothing for certain; it is a cache of what was learnt otherwise:
///
/// 1. A Binding **request** names its agent: our ufrag stands first in USERNAME. Addresses are not looked at.
/// 2. A Binding **response** is the answer to a transaction that one agent began; 96 random bits say which.
/// 3. **Everything else** (DTLS, SRTP, indications) goes by its address: to the agent that last *answered* a request from
///    there, or whose request was answered from there. Agents answer only what is authenticated, so whoever does not
///    know a password cannot take an address over; and what is delivered wrongly fails under the other call's keys.
/// 4. SRTP from an unknown address goes by its SSRC, if one agent has that: the client has moved, and its agent will check
///    the new address at once instead of when the client's next request comes. So does some of it from an address that is
///    another agent's: the client may have got that one's port. Some, because two clients may have one SSRC. This binds
///    nothing.
///
/// A single agent gets everything that is not certainly another's, as it would on a socket of its own.
///
/// Collections are bounded per agent: addresses, SSRCs; transactions by a ring. The quietest address makes room.
public struct SharedSocketTable: Sendable {
    public struct Member: Hashable, Sendable, Comparable {
        let number: Int
        public static func < (a: Member, b: Member) -> Bool { a.number < b.number }
    }

    public struct Limits: Hashable, Sendable {
        public var members = 256
        public var ufragsPerMember = 4
        public var addressesPerMember = 32
        public var sourcesPerMember = 32
        /// Of all members together. A check is repeated within a second, so old ones do not matter.
        public var transactions = 4_096
        /// Packets from an agent's address that go to another, whose SSRC they bear, before the address counts again.
        public var strays = 100
        public init() {}
    }

    /// Datagrams that were for nobody.
    public struct Counters: Hashable, Sendable {
        public var unknownUfrag = 0
        public var unknownTransaction = 0
        public var unknownAddress = 0
        /// STUN that does not name an agent, or is none.
        public var malformed = 0
        /// Times an address went from one agent to another: a port was used again.
        public var reassociations = 0
        public init() {}
    }

    private struct State: Sendable {
        var ufrags: [String] = []
        var addresses: [TransportAddress] = []
        var sources: [UInt32] = []
    }
    private struct Bound: Sendable {
        var member: Member
        var lastUsed: Instant
        var strays = 0
    }
    private struct Transaction: Sendable {
        var id: STUNTransactionID
        var member: Member
        var remote: TransportAddress
    }

    public let limits: Limits
    public private(set) var counters = Counters()
    private var states: [Member: State] = [:]
    private var byUfrag: [String: Member] = [:]
    private var byAddress: [TransportAddress: Bound] = [:]
    private var bySource: [UInt32: Member] = [:]
    private var ring: [Transaction] = []
    private var next = 0
    private var byTransaction: [STUNTransactionID: Int] = [:]
    private var lastNumber = 0
    private var latest: (remote: TransportAddress, member: Member, source: UInt32)?

    public init(limits: Limits = Limits()) { self.limits = limits }

    public var members: [Member] { states.keys.sorted() }
    /// The addresses that are a member's for now.
    public func addresses(of member: Member) -> [TransportAddress] { states[member]?.addresses ?? [] }

    // MARK: Members

    /// A place for one more agent; `nil` when there are too many.
    public mutating func join() -> Member? {
        guard states.count < limits.members else { return nil }
        lastNumber += 1
        let member = Member(number: lastNumber)
        states[member] = State()
        return member
    }

    /// Tells the ufrags an agent answers to: those of its living generations. One that is another's is left to that one;
    /// false then, for the agent will not hear what comes for it.
    public mutating func setUfrags(_ ufrags: [String], of member: Member) -> Bool {
        guard var state = states[member] else { return false }
        for old in state.ufrags where byUfrag[old] == member { byUfrag[old] = nil }
        state.ufrags = []
        var isComplete = true
        for ufrag in ufrags.prefix(limits.ufragsPerMember) {
            guard byUfrag[ufrag] == nil || byUfrag[ufrag] == member else {
                isComplete = false
                continue
            }
            byUfrag[ufrag] = member
            state.ufrags.append(ufrag)
        }
        states[member] = state
        return isComplete && ufrags.count <= limits.ufragsPerMember
    }

    /// Forgets an agent. What comes for it later is for nobody.
    public mutating func leave(_ member: Member) {
        guard let state = states.removeValue(forKey: member) else { return }
        for ufrag in state.ufrags where byUfrag[ufrag] == member { byUfrag[ufrag] = nil }
        for address in state.addresses where byAddress[address]?.member == member { byAddress[address] = nil }
        for source in state.sources where bySource[source] == member { bySource[source] = nil }
        for (id, index) in byTransaction where ring[index].member == member { byTransaction[id] = nil }
        latest = nil
    }

    // MARK: Out

    /// Takes note of what a member sends: its requests, so that their answers find it, and its answers, which make the
    /// address they go to the member's.
    public mutating func noteSent(_ datagram: Datagram, by member: Member, at now: Instant) {
        guard let (kind, id) = Self.stunHeader(datagram.bytes), states[member] != nil else { return }
        switch kind {
        case .request:
            let entry = Transaction(id: id, member: member, remote: datagram.path.remote)
            if ring.count < Swift.max(1, limits.transactions) {
                byTransaction[id] = ring.count
                ring.append(entry)
            } else {
                if byTransaction[ring[next].id] == next { byTransaction[ring[next].id] = nil }
                ring[next] = entry
                byTransaction[id] = next
                next = (next + 1) % ring.count
            }
        case .success: bind(datagram.path.remote, to: member, at: now)
        case .error, .indication: break
        }
    }

    // MARK: In

    /// Whose a datagram is; `nil` if nobody's.
    public mutating func member(for datagram: Datagram, at now: Instant) -> Member? {
        let bytes = datagram.bytes
        let remote = datagram.path.remote
        guard let first = bytes.first else { return nil }
        guard first <= 3 else { return memberOfData(bytes, from: remote, at: now) }
        guard let (kind, id) = Self.stunHeader(bytes) else {
            counters.malformed += 1
            return nil
        }
        switch kind {
        case .request:
            guard let message = try? STUNMessage(parsing: bytes), let name = message.username,
                let colon = name.firstIndex(of: ":")
            else {
                counters.malformed += 1
                return nil
            }
            if let member = byUfrag[String(name[..<colon])] { return member }
            counters.unknownUfrag += 1
            return nil
        case .success, .error:
            guard let index = byTransaction[id] else {
                counters.unknownTransaction += 1
                return nil
            }
            let member = ring[index].member
            if kind == .success { bind(remote, to: member, at: now) }
            return member
        case .indication:
            return memberByAddress(remote, at: now)
        }
    }

    /// Whom a report of an unreachable address concerns.
    public func members(unreachable remote: TransportAddress) -> [Member] {
        var found: [Member] = []
        if let bound = byAddress[remote] { found.append(bound.member) }
        for entry in ring where entry.remote == remote && states[entry.member] != nil {
            if !found.contains(entry.member) { found.append(entry.member) }
        }
        return found
    }

    // MARK: Data

    private mutating func memberOfData(
        _ bytes: [UInt8], from remote: TransportAddress, at now: Instant
    ) -> Member? {
        let source = Self.source(of: bytes)
        if let latest, latest.remote == remote, latest.source == source ?? 0 { return latest.member }
        if let source, let member = bySource[source] {
            guard let bound = byAddress[remote] else { return member }
            if bound.member != member, bound.strays < limits.strays {
                byAddress[remote]?.strays += 1
                return member
            }
        }
        guard let member = memberByAddress(remote, at: now) else { return nil }
        if let source { learn(source, of: member) }
        latest = (remote, member, source ?? 0)
        return member
    }

    private mutating func memberByAddress(_ remote: TransportAddress, at now: Instant) -> Member? {
        if let bound = byAddress[remote] {
            byAddress[remote]?.lastUsed = now
            return bound.member
        }
        if states.count == 1, let only = states.keys.first { return only }
        counters.unknownAddress += 1
        return nil
    }

    private mutating func learn(_ source: UInt32, of member: Member) {
        guard bySource[source] == nil, states[member] != nil else { return }
        if let count = states[member]?.sources.count, count >= limits.sourcesPerMember,
            let oldest = states[member]?.sources.removeFirst(), bySource[oldest] == member
        {
            bySource[oldest] = nil
        }
        bySource[source] = member
        states[member]?.sources.append(source)
    }

    private mutating func bind(_ remote: TransportAddress, to member: Member, at now: Instant) {
        latest = nil
        if let bound = byAddress[remote] {
            byAddress[remote] = Bound(member: member, lastUsed: now, strays: bound.member == member ? bound.strays : 0)
            guard bound.member != member else { return }
            counters.reassociations += 1
            states[bound.member]?.addresses.removeAll { $0 == remote }
        } else {
            byAddress[remote] = Bound(member: member, lastUsed: now)
        }
        guard var addresses = states[member]?.addresses else { return }
        states[member]?.addresses = []
        if addresses.count >= Swift.max(1, limits.addressesPerMember) {
            let quietest = addresses.indices.min {
                (byAddress[addresses[$0]]?.lastUsed ?? now) < (byAddress[addresses[$1]]?.lastUsed ?? now)
            }
            if let quietest { byAddress[addresses.remove(at: quietest)] = nil }
        }
        addresses.append(remote)
        states[member]?.addresses = addresses
    }

    // MARK: Bytes

    /// Class and transaction of a Binding message (RFC 8489 §5), without a look at its attributes.
    private static func stunHeader(_ bytes: [UInt8]) -> (STUNMessage.Class, STUNTransactionID)? {
        guard bytes.count >= 20, bytes[4] == 0x21, bytes[5] == 0x12, bytes[6] == 0xA4, bytes[7] == 0x42 else {
            return nil
        }
        let kind: STUNMessage.Class
        switch (bytes[0], bytes[1]) {
        case (0x00, 0x01): kind = .request
        case (0x00, 0x11): kind = .indication
        case (0x01, 0x01): kind = .success
        case (0x01, 0x11): kind = .error
        default: return nil
        }
        return (kind, STUNTransactionID(bytes: bytes[8..<20]))
    }

    /// The sender's SSRC of RTP or RTCP (RFC 3550 §5.1, §6.4.1), which SRTP leaves readable.
    private static func source(of bytes: [UInt8]) -> UInt32? {
        guard bytes.count >= 12, bytes[0] >> 6 == 2 else { return nil }
        let at = (192...223).contains(bytes[1]) ? 4 : 8
        return bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}
