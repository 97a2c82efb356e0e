import DTLSSRTP
import Foundation
import Media
import Peer
import PeerIO
import Primitives
import SDP
import Synchronization

extension CallSession {
    /// One peer whose signalling is JSON lines on standard input and output.
    public func runStdio(offers: Bool) async throws -> CallOutcome {
        let source = try openSource()
        let kinds = self.kinds(of: source)
        let servers = try await resolveServers()
        let addresses = try hostAddresses()
        let loop = try makeLoop()
        let log = Confined(try openLog(origin: loop.now))
        let logWorker = log.value == nil ? nil : Worker(name: "postern-events", capacity: 10_000)
        let clock: @Sendable () -> Instant = { loop.now }
        let sockets = try openSockets(on: loop, addresses: addresses)

        var configuration = peerConfiguration(
            role: offers ? .controlling : .controlled, certificate: try makeCertificate())
        configuration.stunServers = servers
        let side = LivePeer(
            name: offers ? "offerer" : "answerer", log: log, logWorker: logWorker, keyLog: openKeyLog(), clock: clock)
        let connection = PeerConnection(loop: loop, configuration: configuration, observer: side)

        let opened = Confined(source)
        let signaling = StdioSignaling(
            connection: connection, side: side, reporter: reporter,
            prepareRecording: { [self] sections in
                if let recording = try openRecording(kinds: sections.received) { side.record(into: recording) }
            },
            preparePublishers: { [self] sections in
                for publisher in try makePublishers(
                    kinds, of: opened.value, to: sections, connection: connection, clock: clock)
                {
                    side.add(publisher)
                    await publisher.prepared()
                }
            })
        // What is wanted: each kind the source has is sent, each kind a recording can hold is received.
        for kind in [MediaKind.audio, .video] where kinds.contains(kind) || (offers && options.record != nil) {
            try await connection.addTransceiver(
                kind,
                direction: MediaDirection(sends: kinds.contains(kind), receives: options.record != nil || !offers))
        }
        if !offers {
            for kind in [MediaKind.audio, .video] where !kinds.contains(kind) {
                try await connection.addTransceiver(kind, direction: .receiveOnly)
            }
        }
        if offers, kinds.isEmpty, options.record == nil {
            for kind in [MediaKind.audio, .video] { try await connection.addTransceiver(kind, direction: .receiveOnly) }
        }
        do {
            try await connection.gather(on: sockets)
        } catch {
            throw CallSetupError("\(error)", status: .network)
        }
        let tasks = signaling.start(offers: offers) + [keepResolvingNames(for: connection)]
        let call = LiveCall(session: self, loop: loop, peers: [(side, connection)], log: log, logWorker: logWorker)
        let reports = await call.hold(signalingHasFailed: { signaling.failure != nil })
        signaling.sayBye()
        for task in tasks { task.cancel() }
        await loop.shutdown()
        if let failure = signaling.failure, !reports.contains(where: \.journal.wasConnected) {
            return conclude(
                reports.map { report in
                    var report = report
                    report.diagnosis = Diagnosis("\(failure)", status: failure.status)
                    return report
                }, kind: "stdio")
        }
        return conclude(reports, kind: "stdio")
    }
}

/// The sections of an agreed session by what they are for.
struct SectionKinds: Sendable {
    var sent: [MediaKind: String] = [:]
    /// What frames of each sent kind must be encoded as; known once agreed.
    var codecs: [MediaKind: Codec] = [:]
    /// Sections that may bring frames, by MID.
    var received: [String: MediaKind] = [:]
}

/// Reads lines, drives the connection, writes lines. One task each way; what fails before the call stands fails the call.
final class StdioSignaling: Sendable {
    private let connection: PeerConnection
    private let side: LivePeer
    private let reporter: any CallReporter
    private let prepareRecording: @Sendable (SectionKinds) throws -> Void
    private let preparePublishers: @Sendable (SectionKinds) async throws -> Void
    private let state = Mutex(State())
    private let output = Mutex(())
    /// Ends when our description is out: candidates belong after it (RFC 8838 §4).
    private let described: AsyncStream<Void>
    private let describedContinuation: AsyncStream<Void>.Continuation

    private struct State {
        var failure: CallSetupError?
        var earlyCandidates: [SignalingMessage] = []
        var hasRemoteDescription = false
        var peerLeft = false
        var isRecordingPrepared = false
        var arePublishersPrepared = false
    }

    /// Candidates kept until the description they belong to has come.
    private static let maximumEarlyCandidates = 200

    init(
        connection: PeerConnection, side: LivePeer, reporter: any CallReporter,
        prepareRecording: @escaping @Sendable (SectionKinds) throws -> Void,
        preparePublishers: @escaping @Sendable (SectionKinds) async throws -> Void
    ) {
        self.connection = connection
        self.side = side
        self.reporter = reporter
        self.prepareRecording = prepareRecording
        self.preparePublishers = preparePublishers
        (described, describedContinuation) = AsyncStream.makeStream()
    }

    var failure: CallSetupError? { state.withLock { $0.failure } }

    func start(offers: Bool) -> [Task<Void, Never>] {
        let lines = StandardInputLines()
        return [
            Task {
                if offers { await guarding { try await self.sendOffer() } }
                for await line in lines.stream { await self.guarding { try await self.take(line) } }
                self.inputEnded()
            },
            Task { await self.sendCandidates() },
        ]
    }

    func sayBye() { write(.bye) }

    // MARK: In

    private func guarding(_ body: () async throws -> Void) async {
        do {
            try await body()
        } catch let error as CallSetupError {
            fail(error)
        } catch {
            fail(CallSetupError("signalling: \(error)", status: .signaling))
        }
    }

    private func take(_ line: String) async throws {
        guard !line.allSatisfy(\.isWhitespace) else { return }
        let message: SignalingMessage
        do {
            message = try SignalingMessage(parsing: line)
        } catch {
            // Before the call stands a broken line is fatal; afterwards it can only be noise.
            guard !side.journal.wasConnected else {
                reporter.log(.error, "signalling: \(error)")
                return
            }
            throw error
        }
        switch message {
        case .offer(let sdp):
            try await takeOffer(try parse(sdp, "offer"))
        case .answer(let sdp):
            try await connection.setRemoteDescription(try parse(sdp, "answer"), type: .answer)
            try await agreed()
        case .candidate, .endOfCandidates:
            let keeps = state.withLock { state in
                guard !state.hasRemoteDescription else { return false }
                if state.earlyCandidates.count < Self.maximumEarlyCandidates { state.earlyCandidates.append(message) }
                return true
            }
            if !keeps { try await apply(message) }
        case .bye:
            state.withLock { $0.peerLeft = true }
        }
    }

    private func takeOffer(_ offer: SessionDescription) async throws {
        try await connection.setRemoteDescription(offer, type: .offer)
        let answer = try await connection.answer()
        // The source and the recording are opened before the answer leaves: what fails here fails before media flows.
        try await agreed()
        write(.answer(answer.serialized))
        describedContinuation.finish()
    }

    private func agreed() async throws {
        let prepared = state.withLock { state in
            defer {
                state.hasRemoteDescription = true
                state.isRecordingPrepared = true
                state.arePublishersPrepared = true
            }
            return state
        }
        let sections = await connection.sections()
        if !prepared.isRecordingPrepared { try prepareRecording(sections) }
        if !prepared.arePublishersPrepared { try await preparePublishers(sections) }
        let early = state.withLock { state in
            defer { state.earlyCandidates = [] }
            return state.earlyCandidates
        }
        for message in early { try await apply(message) }
    }

    private func apply(_ message: SignalingMessage) async throws {
        switch message {
        case .candidate(let text, let mid, let index):
            do {
                await connection.addRemoteCandidate(
                    try CandidateAttribute(parsing: text), mid: mid, mediaIndex: index)
            } catch {
                // One bad candidate is not the end of a call that others may make.
                reporter.log(.error, "signalling: candidate not used: \(error)")
            }
        case .endOfCandidates: await connection.endOfRemoteCandidates()
        default: break
        }
    }

    private func parse(_ sdp: String, _ type: String) throws -> SessionDescription {
        do {
            return try SessionDescription(parsing: sdp)
        } catch {
            throw CallSetupError("the \(type) is malformed: \(error)", status: .signaling)
        }
    }

    private func inputEnded() {
        // A task that was told to end has not seen the end of the input.
        guard !Task.isCancelled, !side.journal.wasConnected, !state.withLock({ $0.hasRemoteDescription }) else {
            return
        }
        fail(
            CallSetupError(
                "signalling ended before the other side's description came; is the other process running?",
                status: .signaling))
    }

    private func fail(_ error: CallSetupError) {
        state.withLock { $0.failure = $0.failure ?? error }
    }

    // MARK: Out

    private func sendOffer() async throws {
        let offer = try await connection.offer()
        // The recording stands before the other side can send anything; what is sent waits for the agreed codec.
        try prepareRecording(await connection.offeredSections())
        state.withLock { $0.isRecordingPrepared = true }
        write(.offer(offer.serialized))
        describedContinuation.finish()
    }

    private func sendCandidates() async {
        for await _ in described {}
        for await signal in side.signals {
            switch signal {
            case .localCandidate(let candidate, let mid, let index):
                write(.candidate(candidate.description, sdpMid: mid, sdpMLineIndex: index))
            case .gatheringComplete: write(.endOfCandidates)
            case .restartWanted: await offerRestart()
            default: break
            }
        }
    }

    /// The other side is silent and may have given up checking: an ICE restart on the same ports lets it begin again.
    private func offerRestart() async {
        do {
            write(.offer(try await connection.offer(iceRestart: true).serialized))
        } catch {
            reporter.log(.debug, "no ICE restart is offered: \(error)")
        }
    }

    private func write(_ message: SignalingMessage) {
        output.withLock { _ in
            try? FileHandle.standardOutput.write(contentsOf: Data((message.line + "\n").utf8))
        }
    }
}

extension PeerConnection {
    /// What an offer of ours would send and receive.
    func offeredSections() -> SectionKinds {
        var kinds = SectionKinds()
        for transceiver in transceivers {
            guard let mid = transceiver.mid else { continue }
            if transceiver.direction.sends { kinds.sent[transceiver.kind] = mid }
            if transceiver.direction.receives { kinds.received[mid] = transceiver.kind }
        }
        return kinds
    }

    /// What the agreed session sends and receives.
    func sections() -> SectionKinds {
        var kinds = SectionKinds()
        for section in negotiatedSession?.acceptedMedia ?? [] {
            guard let kind = section.kind else { continue }
            if section.direction.sends, kinds.sent[kind] == nil {
                kinds.sent[kind] = section.mid
                kinds.codecs[kind] = section.sendCodecs.first { $0.codec.isMedia }?.codec
            }
            if section.direction.receives { kinds.received[section.mid] = kind }
        }
        return kinds
    }
}

/// Lines of standard input, read on a thread of its own. The newest thousand wait; a line without end is cut.
private struct StandardInputLines {
    let stream: AsyncStream<String>

    init() {
        let (stream, continuation) = AsyncStream<String>.makeStream(bufferingPolicy: .bufferingOldest(1_000))
        self.stream = stream
        let thread = Thread {
            var pending: [UInt8] = []
            while true {
                // Whatever is there, at once: a line must not wait for its followers.
                let data = FileHandle.standardInput.availableData
                guard !data.isEmpty else { break }
                for byte in data {
                    if byte == 0x0A {
                        continuation.yield(String(decoding: pending, as: UTF8.self))
                        pending.removeAll(keepingCapacity: true)
                    } else if pending.count <= SignalingMessage.maximumLine {
                        pending.append(byte)
                    }
                }
            }
            if !pending.isEmpty { continuation.yield(String(decoding: pending, as: UTF8.self)) }
            continuation.finish()
        }
        thread.name = "postern-stdin"
        thread.start()
    }
}
