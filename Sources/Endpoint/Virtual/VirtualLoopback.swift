import DTLSSRTP
import ICE
import Peer
import Primitives
import SDP
import SimulatedNetwork

/// Two peers on a simulated network, as fast as the processor goes.
///
/// The clock moves only to the next thing that happens: an arrival, a deadline of an engine, a frame that is due. With one
/// seed everything repeats: the network's dice, ICE passwords, and what OpenSSL draws (`SeededRandomness`).
struct VirtualLoopback {
    var simulation: Simulation
    let offerer: VirtualPeer
    let answerer: VirtualPeer
    private(set) var now = Instant.zero

    /// An instant at which nothing comes to rest after so many steps is a bug, and an error that says so.
    static let stepBudget = 100_000

    init(topology: TwoPeers, offerer: VirtualPeer, answerer: VirtualPeer) {
        simulation = topology.simulation
        self.offerer = offerer
        self.answerer = answerer
    }

    /// Exchanges descriptions at once, with the candidates known by then; later ones are trickled without delay.
    mutating func connect(bases: (offerer: [LocalBase], answerer: [LocalBase])) throws(NegotiationError) {
        for base in bases.offerer { simulation.open(base.address, on: offerer.host) }
        for base in bases.answerer { simulation.open(base.address, on: answerer.host) }
        let start = now
        let offer = try offerer.negotiate(at: now, on: &simulation) { engine, out throws(NegotiationError) in
            let offer = try engine.createOffer(at: start, into: &out)
            try engine.setLocalDescription(offer, type: .offer, at: start, into: &out)
            return offer
        }
        let answer = try answerer.negotiate(at: now, on: &simulation) { engine, out throws(NegotiationError) in
            try engine.setRemoteDescription(offer, type: .offer, at: start, into: &out)
            let answer = try engine.createAnswer()
            try engine.setLocalDescription(answer, type: .answer, at: start, into: &out)
            return answer
        }
        try offerer.negotiate(at: now, on: &simulation) { engine, out throws(NegotiationError) in
            try engine.setRemoteDescription(answer, type: .answer, at: start, into: &out)
        }
        offerer.turn(at: now, on: &simulation) { $0.gather(bases: bases.offerer, at: start, into: &$1) }
        answerer.turn(at: now, on: &simulation) { $0.gather(bases: bases.answerer, at: start, into: &$1) }
        exchangeSignals()
    }

    /// Runs until `end`, or until `stop` says so after an instant.
    mutating func run(until end: Instant, stop: (VirtualLoopback) -> Bool = { _ in false }) throws(VirtualTimeError) {
        var arrivals: [Arrival] = []
        var steps = 0
        while true {
            let due = earliest(earliest(offerer.deadline, answerer.deadline), simulation.nextEvent)
            guard let due, due <= end else { break }
            if due > now { steps = 0 }
            now = max(now, due)
            steps += 1
            guard steps < Self.stepBudget else {
                throw VirtualTimeError(
                    instant: now, offererDeadline: offerer.deadline, answererDeadline: answerer.deadline)
            }
            arrivals.removeAll(keepingCapacity: true)
            simulation.advance(to: now, into: &arrivals)
            for arrival in arrivals { deliver(arrival) }
            offerer.advance(to: now, on: &simulation)
            answerer.advance(to: now, on: &simulation)
            exchangeSignals()
            if stop(self) { return }
        }
        now = max(now, end)
    }

    mutating func close() {
        let instant = now
        offerer.turn(at: now, on: &simulation) { $0.close(at: instant, into: &$1) }
        answerer.turn(at: now, on: &simulation) { $0.close(at: instant, into: &$1) }
    }

    private mutating func deliver(_ arrival: Arrival) {
        let peer = arrival.host == offerer.host ? offerer : answerer
        let instant = now
        peer.turn(at: now, on: &simulation) { engine, out in
            switch arrival.delivery {
            case .datagram(let datagram): engine.receive(datagram, at: instant, into: &out)
            case .unreachable(let path, let reason):
                engine.noteUnreachable(path, reason: "\(reason)", at: instant, into: &out)
            }
        }
    }

    private mutating func exchangeSignals() {
        while !offerer.signals.isEmpty || !answerer.signals.isEmpty {
            pass(from: offerer, to: answerer)
            pass(from: answerer, to: offerer)
        }
    }

    private mutating func pass(from sender: VirtualPeer, to receiver: VirtualPeer) {
        let signals = sender.signals
        sender.signals = []
        let instant = now
        for signal in signals {
            switch signal {
            case .localCandidate(let candidate, _, _):
                receiver.turn(at: now, on: &simulation) { $0.addRemoteCandidate(candidate, at: instant, into: &$1) }
            case .gatheringComplete:
                receiver.turn(at: now, on: &simulation) { $0.endOfRemoteCandidates(at: instant, into: &$1) }
            default: break
            }
        }
    }
}

/// Simulated time stood still: a machine kept asking for the same instant.
struct VirtualTimeError: Error, CustomStringConvertible {
    var instant: Instant
    var offererDeadline: Instant?
    var answererDeadline: Instant?

    var description: String {
        "simulated time stands still at \(instant): deadlines \(offererDeadline.map { "\($0)" } ?? "none") and "
            + (answererDeadline.map { "\($0)" } ?? "none")
    }
}
