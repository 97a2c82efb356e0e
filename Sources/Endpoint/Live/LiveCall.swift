import DTLSSRTP
import Foundation
import Media
import Peer
import PeerIO
import Primitives

/// The running of a call over sockets, whatever signalling brought it about: waits for it to stand, keeps it for its time,
/// tells how it goes, ends it politely and gathers the reports.
struct LiveCall {
    let session: CallSession
    let loop: IOLoop
    /// In the order of the report: with two, the first sends and the second records.
    let peers: [(live: LivePeer, connection: PeerConnection)]
    let log: Confined<EventLog?>
    let logWorker: Worker?

    private var isRelayOnly: Bool { session.options.network.icePolicy == .relay }

    /// Why a call came to its end.
    private enum End: Equatable {
        case duration
        case sourceEnded
        case interrupted
        case failed
        case closedByPeer
        case recordingFailed
        case mediaFailed
        case neverStood
    }

    /// - Parameters:
    ///   - waitForPeer: how long the other side may take to be there; `nil`: as long as the call may take to be set up.
    ///   - signaling: how signalling stands. Both sides of a call in this process are always there.
    func hold(
        waitForPeer: TimeDelta? = nil, signaling: (@Sendable () -> SignalingProgress)? = nil
    ) async -> [CallReport] {
        let started = loop.now
        let present: @Sendable () -> SignalingProgress = signaling ?? { SignalingProgress(peerCame: started) }
        var end = await waitUntilConnected(started, waitForPeer: waitForPeer, signaling: present)
        let connected = loop.now
        if end == nil { end = await waitForEnd(since: connected, signaling: present) }
        for peer in peers { peer.live.stopPublishers() }
        if end != .closedByPeer, end != .neverStood, end != .failed {
            // What is on the way, and what is asked for again, still arrives before the goodbye.
            try? await Task.sleep(for: .milliseconds(peers.count > 1 ? 300 : 500))
        }
        var reports: [CallReport] = []
        for peer in peers { reports.append(await report(of: peer, since: connected)) }
        for peer in peers { await peer.connection.close() }
        for (index, peer) in peers.enumerated() {
            let (summary, failure, dropped) = await peer.live.finishRecording()
            reports[index].recording = summary
            reports[index].recordingFailure = failure
            if dropped > 0 {
                session.reporter.log(.error, "\(dropped) batches of frames were not recorded: disk too slow")
            }
            let outcome = peer.live.outcome
            reports[index].sent = outcome.sent
            reports[index].mediaFailure = outcome.failure
            if outcome.refusedFrames > 0 {
                session.reporter.log(.error, "\(outcome.refusedFrames) frames were not sent: the loop was too busy")
            }
            peer.live.endSignals()
        }
        if let logWorker {
            let log = log
            let failure = await logWorker.finish {
                log.value?.flush()
                return log.value?.failure
            }
            if let last = reports.indices.last { reports[last].eventsFailure = failure }
        }
        return reports
    }

    private func waitUntilConnected(
        _ started: Instant, waitForPeer: TimeDelta?, signaling: @Sendable () -> SignalingProgress
    ) async -> End? {
        while true {
            let progress = signaling()
            let journals = peers.map(\.live.journal)
            if journals.allSatisfy(\.wasConnected) { return nil }
            if session.isInterrupted { return .interrupted }
            if journals.contains(where: \.hasFailed) || progress.failure != nil { return .failed }
            // Without a relay there is no socket that the other side could reach, ever.
            if isRelayOnly, journals.contains(where: \.hasGatheredNothing) { return .failed }
            if peers.contains(where: { $0.live.hasPublisherFailed }) { return .mediaFailed }
            let (since, limit) = (progress.peerCame ?? started, session.options.setupTimeout)
            if loop.now - since > (progress.peerCame == nil ? waitForPeer ?? limit : limit) { return .neverStood }
            // Quick while the call is being made, idle while nobody is there.
            try? await Task.sleep(for: .milliseconds(progress.peerCame == nil ? 20 : 2))
        }
    }

    private func waitForEnd(
        since connected: Instant, signaling: @Sendable () -> SignalingProgress
    ) async -> End {
        var meter = StatusMeter(start: connected)
        var lastStatus = connected
        var lostAt: Instant?
        var closedAt: Instant?
        while true {
            let now = loop.now
            let journals = peers.map(\.live.journal)
            if session.isInterrupted { return .interrupted }
            if journals.contains(where: \.hasFailed) { return .failed }
            // A lost path may come back, by itself or with a restart: it gets the time that a new call would get.
            lostAt = journals.contains(where: \.isWithoutPath) ? lostAt ?? now : nil
            if let lostAt, now - lostAt > session.options.setupTimeout { return .failed }
            // A page that is loaded anew says goodbye like one that is left; whether it comes back its place tells.
            let progress = signaling()
            closedAt = journals.contains(where: \.wasClosedByPeer) ? closedAt ?? now : nil
            if progress.isOver { return .closedByPeer }
            if let closedAt, now - closedAt >= progress.returnPatience { return .closedByPeer }
            let publishers = peers.flatMap(\.live.publishers)
            // What is sent ends by its own media clock, to the frame; who only receives looks at the clock.
            let hasEnded = publishers.allSatisfy(\.outcome.isFinished)
            if hasEnded, publishers.isEmpty || progress.awaitsCommands, let duration = session.options.duration,
                now - connected >= duration
            {
                return .duration
            }
            if peers.contains(where: \.live.hasPublisherFailed) { return .mediaFailed }
            if !publishers.isEmpty, hasEnded, !progress.awaitsCommands { return .sourceEnded }
            if peers.contains(where: \.live.hasRecordingFailed) { return .recordingFailed }
            if now - lastStatus >= .seconds(1), let peer = peers.last {
                lastStatus = now
                let statistics = await peer.connection.statistics()
                let sender = peers.count > 1 ? await peers[0].connection.statistics() : nil
                session.reporter.status(
                    meter.status(at: now, journal: peer.live.journal, statistics: statistics, sender: sender))
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    private func report(
        of peer: (live: LivePeer, connection: PeerConnection), since connected: Instant
    ) async -> CallReport {
        let statistics = await peer.connection.statistics()
        let journal = peer.live.journal
        var report = CallReport(role: peer.live.name, journal: journal, statistics: statistics)
        report.duration = journal.wasConnected ? loop.now - connected : .zero
        report.diagnosis = Diagnosis(
            of: journal, pairs: statistics.objects(of: .candidatePair), isRelayOnly: isRelayOnly)
        return report
    }
}

/// Turns totals into rates for the status line.
struct StatusMeter {
    private let start: Instant
    private var last: Instant
    private var totals: [String: Double] = [:]

    init(start: Instant) {
        self.start = start
        last = start
    }

    mutating func status(
        at now: Instant, journal: CallJournal, statistics: StatisticsReport, sender: StatisticsReport?
    ) -> CallStatus {
        let seconds = max((now - last).seconds, 0.001)
        last = now
        let inbound = statistics.objects(of: .inboundRTP)
        let outbound = (sender ?? statistics).objects(of: .outboundRTP)
        func rate(_ key: String, _ objects: [StatisticsObject], _ name: String, video: Bool = false) -> Double {
            let total = objects.filter { !video || $0["kind"] == .string("video") }
                .reduce(0) { $0 + ($1[name]?.asDouble ?? 0) }
            defer { totals[key] = total }
            return max(0, total - (totals[key] ?? 0)) / seconds
        }
        let lost = rate("lost", inbound, "packetsLost")
        let received = rate("received", inbound, "packetsReceived")
        let pair = statistics.objects(of: .candidatePair).first { $0["nominated"] == .bool(true) }
        return CallStatus(
            time: now - start, state: "\(journal.iceState)", bitrateOut: Int(8 * rate("out", outbound, "bytesSent")),
            bitrateIn: Int(8 * rate("in", inbound, "bytesReceived")),
            framesPerSecondIn: rate("fpsIn", inbound, "framesReceived", video: true),
            framesPerSecondOut: rate("fpsOut", outbound, "framesSent", video: true),
            lossFraction: lost + received > 0 ? lost / (lost + received) : 0,
            roundTripMilliseconds: pair?["currentRoundTripTime"]?.asDouble.map { $0 * 1000 },
            pair: journal.selectedPair.map { "\($0.local.address) → \($0.remote.address)" })
    }
}
