import DTLSSRTP
import Foundation
import ICE
import Media
import Peer
import PeerIO
import Primitives
import SDP

extension CallSession {
    /// One peer whose signalling is JSON lines on standard input and output.
    public func runStdio(offers: Bool) async throws -> CallOutcome {
        try await runSignaled(
            StdioPlan(offers: offers), kind: "stdio", shared: SharedResources(loop: try makeLoop(), ownsLoop: true))
    }

    /// One peer whose signalling is whatever `plan` brings about.
    ///
    /// Everything that can fail here fails before the other side is bothered: the source is opened, sockets are bound and
    /// candidates gathered before signalling begins.
    func runSignaled(_ plan: any SignalingPlan, kind: String, shared: SharedResources) async throws -> CallOutcome {
        let source = try openSource()
        let kinds = self.kinds(of: source)
        let servers = try await resolveServers()
        let loop = shared.loop
        let log = Confined(try openLog(origin: loop.now))
        let logWorker = log.value == nil ? nil : Worker(name: "postern-events", capacity: 10_000)
        let clock: @Sendable () -> Instant = { loop.now }
        let certificate = try shared.certificate ?? makeCertificate()
        let sockets = try openAllSockets(on: loop, addresses: try hostAddresses())

        var configuration = peerConfiguration(role: plan.role, certificate: certificate)
        servers.apply(to: &configuration)
        let side = LivePeer(name: plan.name, log: log, logWorker: logWorker, keyLog: openKeyLog(), clock: clock)
        let connection = PeerConnection(loop: loop, configuration: configuration, observer: side)
        for (kind, direction) in plan.directions(sending: kinds, recording: options.record != nil) {
            try await connection.addTransceiver(kind, direction: direction)
        }
        do {
            try await connection.gather(on: sockets.datagrams, streams: sockets.streams)
        } catch {
            throw CallSetupError("\(error)", status: .network)
        }

        let began = loop.now
        let transport: any SignalingTransport
        do {
            transport = try await plan.begin(session: self, reporter: reporter)
        } catch {
            await connection.close()
            if shared.ownsLoop { await loop.shutdown() }
            throw error
        }
        let media = MediaFollower(session: self, side: side, connection: connection, source: source, clock: clock)
        let driver = SignalingDriver(
            connection: connection, side: side, transport: transport, media: media, reporter: reporter, clock: clock)
        let control = CallControl(scheduled: options.commands, path: options.controlPath, reporter: reporter)
        var tasks = driver.start() + [keepResolvingNames(for: connection), pressKeys(on: connection, of: side)]
        tasks += try control.start(clock: clock, stands: { await side.stands() }) { await driver.take($0) }
        let call = LiveCall(session: self, loop: loop, peers: [(side, connection)], log: log, logWorker: logWorker)
        var reports = await call.hold(waitForPeer: plan.waitForPeer) {
            var progress = driver.progress
            progress.awaitsCommands = control.isPending
            return progress
        }
        // Before the end of signalling, which is no failure of the call's.
        let progress = driver.progress
        await transport.end()
        for task in tasks { task.cancel() }
        if shared.ownsLoop { await loop.shutdown() }

        let nobodyCame = progress.peerCame == nil && !isInterrupted ? plan.nobodyCame : nil
        // A connection that failed says why by itself, and better than the goodbye that came of it.
        if let failure = progress.failure ?? nobodyCame,
            !reports.contains(where: { $0.journal.wasConnected || $0.journal.hasFailed })
        {
            for index in reports.indices { reports[index].diagnosis = Diagnosis("\(failure)", status: failure.status) }
        }
        if let diagnosis = control.diagnosis, let last = reports.indices.last, reports[last].diagnosis == nil {
            reports[last].diagnosis = diagnosis
        }
        var outcome = conclude(reports, kind: kind)
        if !control.log.isEmpty { outcome.report.insert("commands", control.json, after: "dtmf") }
        outcome.report.insert(
            "signaling",
            plan.report(
                phases: transport.phases.merging(driver.phases) { $1 },
                described: reports.last?.journal.milestones[.bothDescriptionsKnown], since: began),
            after: "timings")
        return outcome
    }
}

extension CallSession {
    /// Sends the keys of `--send-dtmf` at their time in the call.
    private func pressKeys(on connection: PeerConnection, of side: LivePeer) -> Task<Void, Never> {
        Task {
            guard let keys = options.keys else { return }
            guard await side.stands() else { return }
            try? await Task.sleep(for: .nanoseconds(keys.after.nanoseconds))
            guard !Task.isCancelled else { return }
            do {
                try await connection.sendTelephoneEvents(keys.digits)
                reporter.log(.debug, "sent the keys \(keys.digits)")
            } catch {
                reporter.log(.error, "--send-dtmf: \(error)")
            }
        }
    }
}

/// What a call shares with others of its process, or has for itself.
struct SharedResources: Sendable {
    var loop: IOLoop
    /// Whether the loop ends with the call.
    var ownsLoop: Bool
    var certificate: Certificate?
}

/// How the signalling of a call comes about, and what follows from the way it does.
protocol SignalingPlan: Sendable {
    /// The name of our side in reports and traces.
    var name: String { get }
    var role: ICERole { get }
    /// How long the other side may take to be there; `nil`: as the set-up of the call.
    var waitForPeer: TimeDelta? { get }
    /// What to say when it never was.
    var nobodyCame: CallSetupError? { get }
    /// What is wanted of each kind, in the order of the sections.
    func directions(sending: [MediaKind], recording: Bool) -> [(MediaKind, MediaDirection)]
    /// Opens it.
    func begin(session: CallSession, reporter: any CallReporter) async throws -> any SignalingTransport
}

extension SignalingPlan {
    /// Milliseconds since signalling was opened, by phase.
    ///
    /// - Parameter described: when both descriptions were known, which is the zero of the report's `timings`.
    func report(phases: [SignalingPhase: Instant], described: Instant?, since began: Instant) -> JSONValue {
        func milliseconds(_ time: Instant?) -> JSONValue {
            JSONValue(rounded: time.map { ($0 - began).seconds * 1000 })
        }
        return .object(
            SignalingPhase.allCases.map { .init($0.rawValue, milliseconds(phases[$0])) }
                + [.init("bothDescriptionsKnown", milliseconds(described))])
    }
}

/// Two processes joined by pipes: who offers and who answers is said beforehand.
private struct StdioPlan: SignalingPlan {
    let offers: Bool

    var name: String { offers ? "offerer" : "answerer" }
    var role: ICERole { offers ? .controlling : .controlled }
    var waitForPeer: TimeDelta? { nil }
    var nobodyCame: CallSetupError? { nil }

    /// An offer asks for what it says: each kind the source has is sent, each kind a recording can hold is received. An
    /// answerer takes what comes.
    func directions(sending kinds: [MediaKind], recording: Bool) -> [(MediaKind, MediaDirection)] {
        let receives = recording || !offers || kinds.isEmpty
        return ([.audio, .video] as [MediaKind]).filter { kinds.contains($0) || receives }.sorted { a, b in
            // What is sent comes first: the order of an answerer's transceivers means nothing.
            offers ? false : kinds.contains(a) && !kinds.contains(b)
        }.map { ($0, MediaDirection(sends: kinds.contains($0), receives: receives)) }
    }

    func begin(session: CallSession, reporter: any CallReporter) async throws -> any SignalingTransport {
        StdioTransport(offers: offers)
    }
}
