import DTLSSRTP
import Foundation
import ICE
import Media
import Peer
import PeerIO
import Primitives
import SDP

extension CallSession {
    /// A call between two peers of this process over UDP sockets: on 127.0.0.1, or on the interfaces that were named.
    public func runLoopback() async throws -> CallOutcome {
        let source = try openSource()
        let kinds = self.kinds(of: source)
        guard !kinds.isEmpty || options.duration != nil else {
            throw CallSetupError("nothing to send and no --duration: the call would never end", status: .usage)
        }
        var mids: [MediaKind: String] = [:]
        for (index, kind) in (kinds.isEmpty ? [.audio, .video] : kinds).enumerated() { mids[kind] = "\(index)" }
        let loop = try makeLoop()
        let log = Confined(try openLog(origin: loop.now))
        let logWorker = log.value == nil ? nil : Worker(name: "postern-events", capacity: 10_000)
        let certificate = try makeCertificate()
        let keyLog = openKeyLog()
        let clock: @Sendable () -> Instant = { loop.now }
        let servers = try await resolveServers()
        let addresses =
            options.network.interfaces.isEmpty && servers.areLocal
            ? [HostAddress(ip: .loopbackV4, interfaceName: "lo", interfaceIndex: 1)] : try hostAddresses()
        // Both sockets before the recording is made: a port that is taken must leave no file behind.
        let sockets = [
            try openAllSockets(on: loop, addresses: addresses), try openAllSockets(on: loop, addresses: addresses),
        ]
        let recording = try openRecording(kinds: Dictionary(uniqueKeysWithValues: mids.map { ($1, $0) }))

        let offererSide = LivePeer(name: "offerer", log: log, logWorker: logWorker, keyLog: keyLog, clock: clock)
        let answererSide = LivePeer(name: "answerer", log: log, logWorker: logWorker, keyLog: keyLog, clock: clock)
        func connection(_ role: ICERole, _ side: LivePeer) -> PeerConnection {
            var configuration = peerConfiguration(role: role, certificate: certificate)
            servers.apply(to: &configuration)
            return PeerConnection(loop: loop, configuration: configuration, observer: side)
        }
        let offerer = connection(.controlling, offererSide)
        let answerer = connection(.controlled, answererSide)
        let sections = SectionKinds(sent: mids, codecs: [.audio: .opus, .video: .vp8])
        for publisher in try makePublishers(kinds, of: source, to: sections, connection: offerer, clock: clock) {
            offererSide.add(publisher)
            if options.send != "-" { await publisher.prepared() }
        }
        if let recording { answererSide.record(into: recording) }

        for kind in kinds.isEmpty ? [.audio, .video] : kinds {
            try await offerer.addTransceiver(kind, direction: source == nil ? .receiveOnly : .sendOnly)
        }
        do {
            try await connect(offerer, answerer, sockets: sockets)
        } catch {
            for connection in [offerer, answerer] { await connection.close() }
            throw error
        }
        let exchange = [
            Task { await forward(offererSide.signals, to: answerer) },
            Task { await forward(answererSide.signals, to: offerer) },
        ]
        let call = LiveCall(
            session: self, loop: loop, peers: [(offererSide, offerer), (answererSide, answerer)], log: log,
            logWorker: logWorker)
        let reports = await call.hold()
        for task in exchange { task.cancel() }
        await loop.shutdown()
        return conclude(reports, kind: "loopback")
    }

    /// Gathers first, so that both descriptions carry the candidates, as two processes on one machine would have them.
    private func connect(
        _ offerer: PeerConnection, _ answerer: PeerConnection, sockets: [CallSockets]
    ) async throws {
        do {
            try await offerer.gather(on: sockets[0].datagrams, streams: sockets[0].streams)
            try await answerer.gather(on: sockets[1].datagrams, streams: sockets[1].streams)
            let offer = try await offerer.offer()
            try await answerer.setRemoteDescription(offer, type: .offer)
            let answer = try await answerer.answer()
            try await offerer.setRemoteDescription(answer, type: .answer)
        } catch let error as NegotiationError {
            throw CallSetupError("\(error)", status: .signaling)
        } catch let error as SocketFailure {
            throw CallSetupError("\(error)", status: .network)
        }
    }

    private func forward(_ signals: AsyncStream<PeerEvent>, to connection: PeerConnection) async {
        for await signal in signals {
            switch signal {
            case .localCandidate(let candidate, _, _): await connection.addRemoteCandidate(candidate)
            case .gatheringComplete: await connection.endOfRemoteCandidates()
            default: break
            }
        }
    }
}
