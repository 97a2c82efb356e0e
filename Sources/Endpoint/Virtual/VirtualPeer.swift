import Media
import Peer
import Primitives
import SDP
import SimulatedNetwork

/// One of the two peers of a virtual loopback: engine, source and recording on one thread, moved by simulated time.
final class VirtualPeer {
    let name: String
    let host: HostID
    var engine: PeerEngine
    var journal = CallJournal()
    var publisher: Publisher?
    var recording: RecordingSession?
    /// What a log or the other peer takes from here; emptied by the driver.
    var signals: [PeerEvent] = []
    var trace: [TraceEvent] = []
    var keepsTrace: Bool
    private var out = PeerEngine.Output()
    private(set) var mediaError: MediaError?

    init(name: String, host: HostID, engine: PeerEngine, keepsTrace: Bool) {
        self.name = name
        self.host = host
        self.engine = engine
        self.keepsTrace = keepsTrace
    }

    /// When this peer next has something to do: the engine's deadline or the next frame of its source.
    var deadline: Instant? {
        guard mediaError == nil, let due = try? publisher?.nextDue() else { return engine.deadline }
        return earliest(engine.deadline, due)
    }

    /// Runs a verb of the engine and what follows from it, and puts its datagrams on the network.
    func turn(
        at now: Instant, on simulation: inout Simulation,
        _ body: (inout PeerEngine, inout PeerEngine.Output) -> Void
    ) {
        body(&engine, &out)
        drain(at: now, on: &simulation)
    }

    /// As `turn`, for signalling verbs.
    func negotiate<Result>(
        at now: Instant, on simulation: inout Simulation,
        _ body: (inout PeerEngine, inout PeerEngine.Output) throws(NegotiationError) -> Result
    ) throws(NegotiationError) -> Result {
        let result = try body(&engine, &out)
        drain(at: now, on: &simulation)
        return result
    }

    func advance(to now: Instant, on simulation: inout Simulation) {
        if let due = engine.deadline, due <= now {
            engine.advance(to: now, into: &out)
            drain(at: now, on: &simulation)
        }
        publish(at: now, on: &simulation)
        recording?.advance(to: now)
    }

    private func publish(at now: Instant, on simulation: inout Simulation) {
        guard mediaError == nil, let publisher else { return }
        do {
            while let (frame, mid) = try publisher.produce(at: now) {
                engine.send(frame, mid: mid, at: now, into: &out)
                drain(at: now, on: &simulation)
            }
        } catch {
            mediaError = error
        }
    }

    private func drain(at now: Instant, on simulation: inout Simulation) {
        for datagram in out.datagrams { simulation.send(datagram, from: host, at: now) }
        for entry in out.trace { journal.note(entry) }
        if keepsTrace { trace.append(contentsOf: out.trace) }
        let events = out.events
        out.removeAll()
        var started = false
        for event in events {
            journal.note(event)
            recording?.note(event)
            publisher?.apply(event)
            switch event {
            case .connected:
                publisher?.start(at: now)
                started = true
            case .localCandidate, .gatheringComplete, .connectionStateChanged:
                signals.append(event)
            default: break
            }
        }
        // The first frames leave in the turn in which the keys came.
        if started { publish(at: now, on: &simulation) }
    }
}
