import DTLSSRTP
import ICE
import Peer
import Primitives
import SDP

/// Two connected engines and a wire of fixed delay between them, in virtual time, with nothing else in the way: for
/// measurements and for the fuzzer, which want an engine in mid-call.
struct EnginePair {
    enum Side: Hashable { case left, right }

    /// What an engine is called for.
    enum Work: Hashable {
        case sending
        case receivingMedia
        /// RTCP, STUN, DTLS.
        case receivingOther
        case timers
    }

    private struct InFlight {
        var arrival: Instant
        var destination: Side
        var datagram: Datagram
    }

    var left: PeerEngine
    var right: PeerEngine
    var now = Instant(nanoseconds: 1_000_000_000)
    var delay = TimeDelta.milliseconds(10)
    var out = PeerEngine.Output()
    /// Everything but `datagrams` of what the engines said.
    var events: [(side: Side, event: PeerEvent)] = []
    /// Sees every datagram as it is sent; whether it arrives.
    var passes: (_ from: Side, _ datagram: Datagram, _ at: Instant) -> Bool = { _, _, _ in true }
    /// A server on the way: what leaves it, addressed to the engines, for a datagram as it arrives there; `nil` where it is
    /// for somebody else.
    var server: ((_ datagram: Datagram, _ at: Instant) -> [Datagram]?)?
    /// Around the calls of an engine: before, and after with the number of datagrams in and out.
    var willWork: () -> Void = {}
    var didWork: (_ side: Side, _ work: Work, _ arrived: Int, _ sent: Int) -> Void = { _, _, _, _ in }
    private var wire: [InFlight] = []

    static let leftAddress = TransportAddress(IPAddress(v4: 0xC000_0201), 40_000)
    static let rightAddress = TransportAddress(IPAddress(v4: 0xC000_0202), 50_000)

    /// Both sides send and receive audio (section 0) and video (section 1); returns once both are connected.
    ///
    /// - Parameter configure: what is different from an ordinary engine.
    init(
        profile: SRTPProfile = .aeadAES128GCM, seed: UInt64 = 1,
        server: ((_ datagram: Datagram, _ at: Instant) -> [Datagram]?)? = nil,
        configure: (inout PeerConfiguration) -> Void = { _ in }
    ) throws {
        self.server = server
        var random = RandomSource.seeded(seed)
        let wallClock = WallClock(instant: .zero, unixNanoseconds: 1_700_000_000_000_000_000)
        func engine(_ role: ICERole) throws -> PeerEngine {
            let certificate = try SeededRandomness.run(&random) { try Certificate.generate(at: 1_700_000_000) }
            var configuration = PeerConfiguration(role: role, certificate: certificate)
            configuration.clock = .virtual
            configuration.isDeterministic = true
            configuration.srtpProfiles = [profile]
            configuration.bitrates.start = 8_000_000
            configure(&configuration)
            return PeerEngine(configuration: configuration, random: random.split(), wallClock: wallClock)
        }
        left = try engine(.controlling)
        right = try engine(.controlled)
        try connect()
    }

    private mutating func connect() throws {
        try left.addTransceiver(.audio, direction: .sendReceive)
        try left.addTransceiver(.video, direction: .sendReceive)
        try right.addTransceiver(.audio, direction: .sendReceive)
        try right.addTransceiver(.video, direction: .sendReceive)
        let offer = try left.createOffer(at: now, into: &out)
        try left.setLocalDescription(offer, type: .offer, at: now, into: &out)
        try right.setRemoteDescription(offer, type: .offer, at: now, into: &out)
        let answer = try right.createAnswer()
        try right.setLocalDescription(answer, type: .answer, at: now, into: &out)
        try left.setRemoteDescription(answer, type: .answer, at: now, into: &out)
        left.gather(bases: [LocalBase(address: Self.leftAddress)], at: now, into: &out)
        drain(.left)
        right.gather(bases: [LocalBase(address: Self.rightAddress)], at: now, into: &out)
        drain(.right)
        run(until: now + .seconds(5)) { $0.isConnected }
        guard isConnected else { throw EnginePairError() }
        // ICE's nomination, the last flights and the first reports are over after a while.
        run(until: now + .seconds(1))
        events.removeAll()
    }

    var isConnected: Bool {
        Set(events.compactMap { if case .connected = $0.event { $0.side } else { nil } }).count == 2
    }

    /// Lets time pass. What arrives at one instant is handed over as one batch, as a socket's driver does.
    mutating func run(until end: Instant, stop: (EnginePair) -> Bool = { _ in false }) {
        while true {
            let arrival = wire.first?.arrival
            guard let next = earliest(earliest(left.deadline, right.deadline), arrival), next <= end else { break }
            now = max(now, next)
            let due = wire.prefix { $0.arrival <= now }
            wire.removeFirst(due.count)
            deliver(due.filter { $0.destination == .left }.map(\.datagram), to: .left)
            deliver(due.filter { $0.destination == .right }.map(\.datagram), to: .right)
            if let due = left.deadline, due <= now { advance(.left) }
            if let due = right.deadline, due <= now { advance(.right) }
            if stop(self) { return }
        }
        now = max(now, end)
    }

    /// Sends a frame now.
    mutating func send(_ frame: EncodedFrame, mid: String, from side: Side) {
        willWork()
        if side == .left {
            left.send(frame, mid: mid, at: now, into: &out)
        } else {
            right.send(frame, mid: mid, at: now, into: &out)
        }
        didWork(side, .sending, 0, out.datagrams.count)
        drain(side)
    }

    private mutating func deliver(_ datagrams: [Datagram], to side: Side) {
        var rest = datagrams[...]
        while let first = rest.first {
            let isMedia = isMedia(first.bytes)
            let batch = rest.prefix { self.isMedia($0.bytes) == isMedia }
            rest = rest.dropFirst(batch.count)
            willWork()
            // The copy is what reading a socket does: every datagram comes with bytes of its own.
            if side == .left {
                for datagram in batch { left.receive(Self.arriving(datagram), at: now, into: &out) }
            } else {
                for datagram in batch { right.receive(Self.arriving(datagram), at: now, into: &out) }
            }
            didWork(side, isMedia ? .receivingMedia : .receivingOther, batch.count, out.datagrams.count)
            drain(side)
        }
    }

    /// What a server wrapped is told by its size: nothing else in a call is as large.
    private func isMedia(_ bytes: [UInt8]) -> Bool {
        server == nil ? PacketClass(bytes) == .rtp : bytes.count > 800
    }

    private mutating func advance(_ side: Side) {
        willWork()
        if side == .left { left.advance(to: now, into: &out) } else { right.advance(to: now, into: &out) }
        didWork(side, .timers, 0, out.datagrams.count)
        drain(side)
    }

    /// Puts what an engine wants sent on the wire, and tells the other of its candidates.
    mutating func drain(_ side: Side) {
        for datagram in out.datagrams { put(datagram, from: side) }
        let events = out.events
        out.removeAll()
        for event in events {
            self.events.append((side, event))
            guard case .localCandidate(let candidate, _, _) = event else { continue }
            var answer = PeerEngine.Output()
            if side == .left {
                right.addRemoteCandidate(candidate, at: now, into: &answer)
            } else {
                left.addRemoteCandidate(candidate, at: now, into: &answer)
            }
            for datagram in answer.datagrams { put(datagram, from: side == .left ? .right : .left) }
        }
    }

    private mutating func put(_ datagram: Datagram, from side: Side) {
        guard passes(side, datagram, now) else { return }
        if let relayed = server?(Self.arriving(datagram), now) {
            for datagram in relayed {
                wire.append(
                    InFlight(
                        arrival: now + delay, destination: datagram.path.remote == Self.leftAddress ? .left : .right,
                        datagram: datagram))
            }
            return
        }
        wire.append(
            InFlight(
                arrival: now + delay, destination: side == .left ? .right : .left,
                datagram: datagram))
    }

    /// As the other side sees it, with bytes of its own.
    static func arriving(_ datagram: Datagram) -> Datagram {
        let copy = unsafe datagram.bytes.withUnsafeBufferPointer { unsafe Array($0) }
        return Datagram(
            bytes: copy, path: NetworkPath(local: datagram.path.remote, remote: datagram.path.local))
    }
}

struct EnginePairError: Error, CustomStringConvertible {
    var description: String { "the two engines did not connect" }
}
