import DTLSSRTP
import Foundation
import ICE
import Media
import Peer
import Primitives
import SDP
import SimulatedNetwork

extension CallSession {
    /// A call between two peers in simulated time. One seed gives one trace.
    public func runVirtualLoopback(network: NetworkSpecification, seed: UInt64) async throws -> CallOutcome {
        let source = try openSource()
        let kinds = self.kinds(of: source)
        guard !kinds.isEmpty || options.duration != nil else {
            throw CallSetupError("nothing to send and no --duration: the call would never end", status: .usage)
        }
        var random = RandomSource.seeded(seed)
        let topology = Topology.twoPeers(network, seed: random.next())
        let log = try openLog(origin: .zero)

        let offerer = try virtualPeer("offerer", role: .controlling, host: topology.left, topology, &random)
        let answerer = try virtualPeer("answerer", role: .controlled, host: topology.right, topology, &random)
        var mids: [MediaKind: String] = [:]
        for (index, kind) in (kinds.isEmpty ? [.audio, .video] : kinds).enumerated() {
            try offerer.engine.addTransceiver(kind, direction: source == nil ? .receiveOnly : .sendOnly)
            mids[kind] = "\(index)"
        }
        if let source {
            offerer.publisher = Publisher(
                source: source, mids: mids, audioBitrate: audioBitrate, videoBitrateCap: videoBitrate,
                limit: options.duration)
        }
        answerer.recording = try openRecording(kinds: Dictionary(uniqueKeysWithValues: mids.map { ($1, $0) }))

        var call = VirtualLoopback(topology: topology, offerer: offerer, answerer: answerer)
        let ports: (UInt16, UInt16) = (options.network.portRange?.lowerBound ?? 40_000, 50_000)
        do {
            try call.connect(
                bases: (
                    topology.leftAddresses.map { LocalBase(address: TransportAddress($0, ports.0)) },
                    topology.rightAddresses.map { LocalBase(address: TransportAddress($0, ports.1)) }
                ))
            try call.run(until: .zero + options.setupTimeout) { call in
                self.record(call, log)
                return self.isInterrupted
                    || (call.offerer.journal.wasConnected && call.answerer.journal.wasConnected)
                    || call.offerer.journal.hasFailed || call.answerer.journal.hasFailed
            }
            let connected = call.now
            if offerer.journal.wasConnected {
                let end = source == nil ? options.duration.map { connected + $0 } : nil
                try call.run(until: end ?? Instant(nanoseconds: .max - 1)) { call in
                    self.record(call, log)
                    return self.isInterrupted || call.offerer.publisher?.isFinished == true
                        || call.offerer.mediaError != nil || call.answerer.recording?.isRecording == false
                        || call.offerer.journal.hasFailed || call.answerer.journal.hasFailed
                }
                // What is on the way, and what is asked for again, still arrives before the goodbye.
                offerer.publisher?.close()
                try call.run(until: call.now + .seconds(1)) { call in
                    self.record(call, log)
                    return false
                }
            }
            let report = reports(of: call, since: connected)
            call.close()
            try call.run(until: call.now + .milliseconds(500))
            record(call, log)
            log?.flush()
            answerer.recording?.finish()
            return conclude(finished(report, call, log), kind: "virtual-loopback")
        } catch let error as NegotiationError {
            throw CallSetupError("\(error)", status: .signaling)
        }
    }

    private func virtualPeer(
        _ name: String, role: ICERole, host: HostID, _ topology: TwoPeers, _ random: inout RandomSource
    ) throws -> VirtualPeer {
        var configuration = peerConfiguration(role: role, certificate: try certificate(&random))
        configuration.clock = .virtual
        configuration.isDeterministic = true
        configuration.stunServers = topology.stunServers.map { STUNServer(url: "stun:\($0)", address: $0) }
        let wallClock = WallClock(instant: .zero, unixNanoseconds: 1_700_000_000_000_000_000)
        let engine = PeerEngine(configuration: configuration, random: random.split(), wallClock: wallClock)
        return VirtualPeer(name: name, host: host, engine: engine, keepsTrace: options.eventsPath != nil)
    }

    /// From the seed like everything else, and dated in simulated time: its length decides datagram sizes.
    private func certificate(_ random: inout RandomSource) throws -> Certificate {
        try SeededRandomness.run(&random) { try Certificate.generate(at: 1_700_000_000) }
    }

    func openLog(origin: Instant) throws -> EventLog? {
        guard let path = options.eventsPath else { return nil }
        do {
            return try EventLog(path: path, origin: origin)
        } catch {
            throw CallSetupError("\(error)", status: .recording)
        }
    }

    private func record(_ call: VirtualLoopback, _ log: EventLog?) {
        guard let log else { return }
        for peer in [call.offerer, call.answerer] {
            for entry in peer.trace { log.write(entry, peer: peer.name) }
            peer.trace.removeAll(keepingCapacity: true)
        }
    }

    /// Statistics are read while the call still stands.
    private func reports(of call: VirtualLoopback, since connected: Instant) -> [CallReport] {
        [call.offerer, call.answerer].map { peer in
            let statistics = peer.engine.statistics(at: call.now)
            var report = CallReport(role: peer.name, journal: peer.journal, statistics: statistics)
            report.duration = peer.journal.wasConnected ? call.now - connected : .zero
            report.diagnosis = Diagnosis(of: peer.journal, pairs: statistics.objects(of: .candidatePair))
            return report
        }
    }

    private func finished(_ reports: [CallReport], _ call: VirtualLoopback, _ log: EventLog?) -> [CallReport] {
        zip(reports, [call.offerer, call.answerer]).map { report, peer in
            var report = report
            report.sent = peer.publisher?.sent ?? [:]
            report.mediaFailure = peer.mediaError
            report.recording = peer.recording?.summary
            report.recordingFailure = peer.recording?.failure
            report.eventsFailure = log?.failure
            return report
        }
    }
}
