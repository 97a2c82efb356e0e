import Foundation
import Locks
import Media
import Peer
import PeerIO
import Primitives
import SDP

/// One peer of a call over sockets: the connection with all that hangs on it, each on its own thread and each queue
/// bounded. The loop's thread only sorts: frames to the recording's worker, trace to the log's, wishes to the encoders.
final class LivePeer: PeerConnectionObserver {
    let name: String
    private let state = Locked(State())
    private let recorderWorker: Worker
    private let logWorker: Worker?
    private let log: Confined<EventLog?>
    private let clock: @Sendable () -> Instant
    let signals: AsyncStream<PeerEvent>
    private let signalContinuation: AsyncStream<PeerEvent>.Continuation

    private struct State {
        var journal = CallJournal()
        var publishers: [PublisherThread] = []
        /// Stopped, for others in their place, and not at their end yet; and what those came to that are.
        var retired: [PublisherThread] = []
        var retiredOutcome = PublisherThread.Outcome()
        var muted: Set<MediaKind> = []
        var recording: Confined<RecordingSession>?
        var hasRecordingFailed = false
        var keyLog: FileHandle?
    }

    init(
        name: String, log: Confined<EventLog?>, logWorker: Worker?, keyLog: FileHandle?,
        clock: @escaping @Sendable () -> Instant
    ) {
        self.name = name
        self.log = log
        self.logWorker = logWorker
        self.clock = clock
        recorderWorker = Worker(name: "postern-record", capacity: 2_000)
        (signals, signalContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1_024))
        state.withLock { $0.keyLog = keyLog }
    }

    var journal: CallJournal { state.withLock { $0.journal } }
    var hasRecordingFailed: Bool { state.withLock { $0.hasRecordingFailed } }
    var publishers: [PublisherThread] { state.withLock { $0.publishers } }
    var hasPublisherFailed: Bool { publishers.contains { $0.outcome.failure != nil } }

    /// Waits until the call stands; false when the task is cancelled before.
    func stands() async -> Bool {
        while !journal.wasConnected {
            try? await Task.sleep(for: .milliseconds(20))
            if Task.isCancelled { return false }
        }
        return true
    }

    /// A publisher added to a call that stands already starts at once.
    func add(_ publisher: PublisherThread) {
        let isConnected = state.withLock { state in
            state.publishers.append(publisher)
            publisher.mute(state.muted)
            return state.journal.wasConnected
        }
        if isConnected { publisher.start(at: clock()) }
    }

    /// Stops and forgets them, before others are made for what was agreed.
    func removePublishers() {
        stopPublishers()
        state.withLock { state in
            state.retired += state.publishers
            state.publishers = []
            // However often the source is replaced, no more is kept than is still ending.
            state.retired.removeAll { publisher in
                let outcome = publisher.outcome
                if outcome.isFinished { state.retiredOutcome.add(outcome) }
                return outcome.isFinished
            }
        }
    }

    /// What every publisher of the call came to, those that others took the place of too.
    var outcome: PublisherThread.Outcome {
        state.withLock { state in
            var all = state.retiredOutcome
            for publisher in state.retired + state.publishers { all.add(publisher.outcome) }
            return all
        }
    }

    /// What is made of `kinds` is not sent from now on, or is again: pictures from a keyframe on.
    func mute(_ kinds: Set<MediaKind>, _ isMuted: Bool) {
        let (muted, publishers) = state.withLock { state in
            state.muted = isMuted ? state.muted.union(kinds) : state.muted.subtracting(kinds)
            return (state.muted, state.publishers)
        }
        for publisher in publishers {
            publisher.mute(muted)
            if !isMuted { publisher.post(.keyframeRequested(mid: "")) }
        }
    }

    func record(into session: RecordingSession) { state.withLock { $0.recording = Confined(session) } }

    /// Sections that bring frames from now on, by MID.
    func adopt(received: [String: MediaKind]) {
        guard let recording = state.withLock({ $0.recording }) else { return }
        recorderWorker.submit { recording.value.adopt(received) }
    }

    /// What is sent is heard again and can be decoded from a keyframe on.
    func requestKeyframe(mid: String) {
        for publisher in publishers { publisher.post(.keyframeRequested(mid: mid)) }
    }

    /// Another section took the place of the one that `kind` was sent on: what is made goes on there, its clock too.
    func redirect(_ kind: MediaKind, to mid: String) {
        for publisher in publishers { publisher.redirect(kind, to: mid) }
        requestKeyframe(mid: mid)
    }

    // MARK: PeerConnectionObserver, on the loop's thread

    func observe(events: [PeerEvent], trace: [TraceEvent], at now: Instant) {
        let (publishers, recording) = state.withLock { state in
            for event in events { state.journal.note(event) }
            for entry in trace { state.journal.note(entry) }
            return (state.publishers, state.recording)
        }
        var recorded: [PeerEvent] = []
        for event in events {
            switch event {
            case .frame, .senderReport, .captureTime:
                if recording != nil { recorded.append(event) }
            case .keyframeRequested, .targetBitrate, .lossReported:
                for publisher in publishers { publisher.post(event) }
            case .connected:
                for publisher in publishers { publisher.start(at: now) }
                signalContinuation.yield(event)
            case .localCandidate, .gatheringComplete, .connectionStateChanged, .telephoneEvent, .remoteBye:
                signalContinuation.yield(event)
            case .keyLog(let line):
                state.withLock { try? $0.keyLog?.write(contentsOf: Data((line + "\n").utf8)) }
            case .restartWanted, .negotiationNeeded:
                signalContinuation.yield(event)
            case .iceStateChanged, .selectedPairChanged, .nameResolutionWanted, .relayConnectionWanted,
                .connectionWanted, .connectionUnwanted:
                break
            }
        }
        if let recording, !recorded.isEmpty {
            recorderWorker.submit { [self, recorded] in
                for event in recorded { recording.value.note(event) }
                recording.value.advance(to: clock())
                if recording.value.failure != nil { state.withLock { $0.hasRecordingFailed = true } }
            }
        }
        if let logWorker, !trace.isEmpty {
            logWorker.submit { [log, name] in
                for entry in trace { log.value?.write(entry, peer: name) }
                log.value?.flush()  // Someone may be reading along.
            }
        }
    }

    // MARK: The end

    func stopPublishers() { for publisher in publishers { publisher.stop() } }

    /// Ends the recording after all that was received is written.
    func finishRecording() async -> (summary: RecordingSummary?, failure: RecordingError?, dropped: Int) {
        let recording = state.withLock { $0.recording }
        guard let recording else { return (nil, nil, 0) }
        let result = await recorderWorker.finish {
            recording.value.finish()
            return (recording.value.summary, recording.value.failure)
        }
        return (result.0, result.1, recorderWorker.refused)
    }

    func endSignals() { signalContinuation.finish() }
}

extension CallJournal {
    /// Whether media can flow right now.
    var isUp: Bool { connectionState == .connected }
}
